#!/bin/sh
# Counts real input through a node that is killed on the way, and checks every total against
# awk, sort and uniq.
#
#   LOG=FILE         count this file instead of a listing of this machine's files
#   KILL_AFTER=N     kill the node when N lines were answered (default: a third of them)
#   KEEP=1           leave the node running at the end
#   QUIPU=PROGRAM    use this program instead of building one
#
# Ends with 0 only if every total is right.
set -eu

LINES_MIN=100000
NAME_BYTES_MAX=256
TAB=$(printf '\t')

cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/quipu-demo.XXXXXX")
node=
ingest=

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }

fail() {
    printf 'demo FAILED: %s\n' "$*" >&2
    for log in node.err ingest.err; do
        [ ! -s "$work/$log" ] || { say "-- last lines of $log:"; tail -n 5 "$work/$log"; } >&2
    done
    exit 1
}

clean_up() {
    status=$?
    trap - EXIT INT TERM
    [ -z "$ingest" ] || kill "$ingest" 2>/dev/null || true
    if [ -n "$node" ] && { [ "$status" -ne 0 ] || [ -z "${KEEP:-}" ]; }; then
        kill -9 "$node" 2>/dev/null || true
        wait "$node" 2>/dev/null || true
        node=
    fi
    [ -n "$node" ] || rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# -- the node ----------------------------------------------------------------------------------

. scripts/node.sh

stop_node() {
    kill -TERM "$node"
    wait "$node" || fail "the node did not stop cleanly"
    node=
}

# -- the input ---------------------------------------------------------------------------------

# list_files: writes a listing of at least LINES_MIN files to $work/all; the first place is
# /usr, further ones are taken only as long as the listing is short.
list_files() {
    find /usr -type f >"$work/all" 2>/dev/null || true
    places=/usr
    is_short && list_more "the whole file system" / -xdev -type f
    is_short && list_more "directories and links too" / -xdev
    is_short && list_more "other file systems too" /
    say "input: the files under $places"
}

is_short() { [ "$(wc -l <"$work/all")" -lt "$LINES_MIN" ]; }

list_more() {
    places=$1
    shift
    find "$@" >"$work/all" 2>/dev/null || true
}

# A file name may hold any byte; a counter's name holds UTF-8 without control characters and at
# most NAME_BYTES_MAX bytes. Both counts below read the same filtered lines.
printable() { tr -d '\r' | LC_ALL=C.UTF-8 grep -ax "\([^[:cntrl:]]\|$TAB\)*" || true; }

only_paths() {
    LC_ALL=C grep -aE '^(/[^/]+)+/[^/]+$' | LC_ALL=C grep -av "$TAB" |
        LC_ALL=C awk -v most="$NAME_BYTES_MAX" '{
            n = split($0, part, "/")
            if (length(part[2]) + length(part[3]) + 6 <= most && length(part[n]) + 4 <= most) print
        }'
}

only_words() {
    LC_ALL=C awk -v most="$NAME_BYTES_MAX" \
        'NF > 0 && length($1) + 7 <= most && length($2) + 7 <= most'
}

choose_input() {
    if [ -n "${LOG:-}" ]; then
        [ -r "$LOG" ] || fail "cannot read LOG=$LOG"
        cat "$LOG" >"$work/all"
        say "input: $LOG"
    else
        list_files
    fi
    printable <"$work/all" >"$work/printable"
    only_paths <"$work/printable" >"$work/input"
    paths=$(wc -l <"$work/input")
    if [ $((2 * paths)) -ge "$(wc -l <"$work/all")" ]; then
        # The top two directories; what follows the last dot of the last part, if anything.
        pattern='^(?<a>/[^/]+(?:/[^/]+)?)/(?:[^/]+/)*(?:[^/]+\.(?<b>[^./]+)|[^/]+)$'
        first='dir{a}' second='ext/{b}' first_scan='dir/*' second_scan='ext/*'
        by='by directory and by extension'
    else
        only_words <"$work/printable" >"$work/input"
        pattern='^[ \t]*(?<a>[^ \t]+)(?:[ \t]+(?<b>[^ \t]+))?'
        first='word1/{a}' second='word2/{b}' first_scan='word1/*' second_scan='word2/*'
        by='by first and by second word'
        paths=
    fi
    lines=$(wc -l <"$work/input" | tr -d ' ')
    left_out=$(($(wc -l <"$work/all") - lines))
    [ "$lines" -gt 10 ] || fail "the input has only $lines lines"
    say "$lines lines, counted $by;" \
        "$left_out left out up front (control characters, not UTF-8, names too long, no fields)"
}

# -- the two counts ----------------------------------------------------------------------------

# tally: lines to "NAME<tab>COUNT", sorted.
tally() {
    LC_ALL=C sort | LC_ALL=C uniq -c |
        LC_ALL=C awk '{ count = $1; sub(/^ *[0-9]+ /, ""); print $0 "\t" count }' | LC_ALL=C sort
}

count_independently() {
    if [ -n "$paths" ]; then
        LC_ALL=C awk '{
            n = split($0, part, "/")
            print "dir/" part[2] (n > 3 ? "/" part[3] : "")
        }' "$work/input" | tally >"$work/first.expected"
        LC_ALL=C awk '{
            n = split($0, part, "/"); name = part[n]; dot = 0
            for (i = length(name); i > 1 && !dot; i--) if (substr(name, i, 1) == ".") dot = i
            print "ext/" (dot ? substr(name, dot + 1) : "")
        }' "$work/input" | tally >"$work/second.expected"
    else
        LC_ALL=C awk '{ print "word1/" $1 }' "$work/input" | tally >"$work/first.expected"
        LC_ALL=C awk '{ print "word2/" $2 }' "$work/input" | tally >"$work/second.expected"
    fi
}

# scan PATTERN: the node's counters as "NAME<tab>VALUE", sorted.
scan() {
    "$quipu" scan "$1" --node "$resp" >"$work/scan" || fail "the scan of $1 failed"
    LC_ALL=C sort -u "$work/scan"
}

# compare WHICH PATTERN: all counters of the node against the independent count.
compare() {
    scan "$2" >"$work/$1.counted"
    if ! cmp -s "$work/$1.expected" "$work/$1.counted"; then
        diff "$work/$1.expected" "$work/$1.counted" | head -n 10 >&2 || true
        fail "the totals of $2 differ (< awk and uniq, > quipu)"
    fi
    total=$(awk -F "$TAB" '{ sum += $NF } END { printf "%d", sum }' "$work/$1.counted")
    [ "$total" -eq "$lines" ] || fail "the totals of $2 sum to $total, not to $lines lines"
    say "$2: $(wc -l <"$work/$1.counted" | tr -d ' ') counters, sum $total: equal to awk | sort | uniq -c"
}

# ingest ERRORS OPTION...: counts the input, in the background, as process $ingest.
ingest() {
    errors=$1
    shift
    # Only the background process opens ERRORS: a pipe waits there for its reader.
    "$quipu" ingest "$work/input" --match "$pattern" --count "$first" --count "$second" \
        --node "$resp" "$@" >"$work/ingest.out" 2>>"$errors" &
    ingest=$!
}

# Counts the input; kills the node with SIGKILL at KILL_AFTER answered lines and starts it again
# on the same directory and addresses. The ingest is not told: it finds the node by itself.
ingest_through_a_kill() {
    kill_after=${KILL_AFTER:-$((lines / 3))}
    killed_at=
    mkfifo "$work/acks"
    ingest "$work/acks" --report-every $((lines / 200 + 1)) --checkpoint-every $((lines / 20 + 1))
    while read -r word number rest; do
        say "$word $number $rest" >>"$work/ingest.err"
        [ "$word" = acked ] || say "   ingest: $word $number $rest"
        if [ -z "$killed_at" ] && [ "$word" = acked ] && [ "$number" -ge "$kill_after" ]; then
            killed_at=$number
            kill -9 "$node"
            wait "$node" 2>/dev/null || true
            say "   node killed with SIGKILL at $number answered lines; starting it again"
            start_node "$resp" "$http" "$admin"
        fi
    done <"$work/acks"
    wait "$ingest" || fail "the ingest ended early"
    ingest=
    cat "$work/ingest.out"
    [ -n "$killed_at" ] || fail "the ingest never reached $kill_after answered lines"
    grep -q '^again .* [1-9][0-9]* reconnects' "$work/ingest.out" ||
        fail "the node was killed too late: the ingest did not notice"
}

# -- the demonstration -------------------------------------------------------------------------

if [ -n "${QUIPU:-}" ]; then
    quipu=$QUIPU
else
    cargo build --release --quiet --package quipu
    quipu=${CARGO_TARGET_DIR:-target}/release/quipu
fi
started=$(date +%s)

step "input"
choose_input
count_independently

step "a node in a fresh directory"
start_node 127.0.0.1:0 127.0.0.1:0 127.0.0.1:0
cat "$work/node.out"

step "count, kill, count on"
ingest_through_a_kill

step "every total against an independent count"
compare first "$first_scan"
compare second "$second_scan"

step "the same ingest again adds nothing"
ingest "$work/ingest.err"
wait "$ingest" || fail "the second ingest failed"
ingest=
grep -E '^(lines|resumed|added)' "$work/ingest.out"
[ "$(awk '$1 == "added" { print $2 }' "$work/ingest.out")" = 0 ] || fail "it added something"
compare first "$first_scan"

step "one increment sent three times with one token"
for _ in 1 2 3; do
    "$quipu" add demo/once 1 --token demo-token-1 --node "$resp" || fail "the increment failed"
done
once=$("$quipu" get demo/once --node "$resp" | cut -f 2)
[ "$once" = 1 ] || fail "demo/once is $once, not 1"
say "demo/once is $once"

step "the biggest counters"
LC_ALL=C sort -t "$TAB" -k 2,2nr "$work/first.counted" | head -n 5
LC_ALL=C sort -t "$TAB" -k 2,2nr "$work/second.counted" | head -n 5

step "audit: the log counted again"
sync=$(banner sync)
stop_node
"$quipu" audit "$work/data" || fail "the audit found a fault"

step "done"
say "every total is right, $(($(date +%s) - started)) s after the build"
say "this disk syncs in ${sync:-(the node did not say)}"
counter=$(LC_ALL=C sort -t "$TAB" -k 2,2nr "$work/first.counted" | head -n 1 | cut -f 1)
path=$(printf '%s' "$counter" | sed 's/%/%25/g; s/ /%20/g; s,/,%2F,g; s/?/%3F/g; s/#/%23/g')
if [ -n "${KEEP:-}" ]; then
    start_node "$resp" "$http" "$admin"
    say "the node is still running as process $node, its files are in $work; to paste:"
else
    say "the node ran at $resp (RESP), $http (HTTP), $admin (admin) and is stopped;" \
        "KEEP=1 leaves it running, make run starts one to stay. With a running node:"
fi
say "  redis-cli -h ${resp%:*} -p ${resp##*:} GET '$counter'"
say "  redis-cli -h ${resp%:*} -p ${resp##*:} QUIPU.ADD likes 1 TOKEN abc"
say "  curl http://$http/v1/default/counters/$path"
say "  curl -d '{\"add\": 1}' -H 'Idempotency-Key: abc' http://$http/v1/default/counters/likes"
