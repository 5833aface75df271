# A node of a script's own; to be sourced. The script sets $work (a folder of its own) and $quipu (the
# program), and defines fail.

# banner WORD: what the node's banner says after this word.
banner() { sed -n "s/^$1[[:blank:]][[:blank:]]*//p" "$work/node.out" | head -n 1; }

# start_node RESP HTTP ADMIN: starts it on these addresses and waits until it is ready. Sets $node to its
# process, and $resp, $http and $admin to where it listens.
start_node() {
    # What an earlier start said is no sign of this one.
    : >"$work/node.out"
    "$quipu" serve --data "$work/data" --resp "$1" --http "$2" --admin "$3" \
        >"$work/node.out" 2>>"$work/node.err" &
    node=$!
    tries=0
    until grep -q '^ready' "$work/node.out"; do
        kill -0 "$node" 2>/dev/null || fail "the node did not start"
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || fail "the node was not ready within 30 s"
        sleep 0.05
    done
    resp=$(banner resp)
    http=$(banner http)
    admin=$(banner admin)
    [ -n "$resp" ] && [ -n "$http" ] || fail "the node did not say its addresses"
}
