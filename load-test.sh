#!/bin/sh
# Runs the built-in load tests, each against a fresh node of its own, and leaves their reports.
#
#   ./load-test.sh [--full] [--resp] [--out DIR] [SCENARIO...]
#
#   --full           the real lengths: soak alone takes eight hours. Without it a minute each at most,
#                    which shows that all works and says little about tails and growth
#   --resp           over RESP instead of HTTP
#   --out DIR        where reports go (default: load-reports/TIME)
#   SCENARIO         these of burst, ramp, spike, step, mix, soak, capacity (default: all)
#   QUIPU=PROGRAM    use this program instead of building one
#
# Ends with the code of the worst: 0 where every promise was kept in runs that count, 98 where a run
# is invalid (the machine was too busy to say anything) or too short for a promise, 99 where a promise was broken, 1 for
# anything else. The generator and the node share this machine: see docs/load.md. The generator asks
# for real-time priority, without which what others do makes requests leave late.
set -eu

home=$(cd "$(dirname "$0")" && pwd)
surface=http
is_full=
out=
work=$(mktemp -d "${TMPDIR:-/tmp}/quipu-load.XXXXXX")
node=
load=

say() { printf '%s\n' "$*"; }

fail() {
    printf 'load-test FAILED: %s\n' "$*" >&2
    [ ! -s "$work/node.err" ] || tail -n 5 "$work/node.err" >&2
    exit 1
}

stop_node() {
    [ -z "$node" ] || kill -TERM "$node" 2>/dev/null || true
    [ -z "$node" ] || wait "$node" 2>/dev/null || true
    node=
}

clean_up() {
    status=$?
    trap - EXIT INT TERM
    [ -z "$load" ] || kill -TERM "$load" 2>/dev/null || true
    [ -z "$load" ] || wait "$load" 2>/dev/null || true
    stop_node
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# -- the node ----------------------------------------------------------------------------------

. "$home/scripts/node.sh"

# fresh_node SCENARIO: starts one with nothing in it, and sets $target.
fresh_node() {
    rm -rf "$work/data" "$work/node.err"
    # These send more tokens in an hour than a node remembers by default.
    case $1 in
    soak | capacity) export QUIPU_TOKEN_WINDOW=2m ;;
    *) unset QUIPU_TOKEN_WINDOW ;;
    esac
    start_node 127.0.0.1:0 127.0.0.1:0 127.0.0.1:0
    if [ "$surface" = resp ]; then
        target="redis://$resp"
    else
        target="http://$http"
    fi
}

# -- the tests ---------------------------------------------------------------------------------

# scale SCENARIO: by what its spans are multiplied so that it takes some seconds, beside what its
# promises need.
scale() {
    case $1 in
    burst | spike | step | mix | capacity) say 0.05 ;;
    ramp) say 0.02 ;;
    soak) say 0.0004 ;;
    *) fail "there is no scenario $1: $scenarios" ;;
    esac
}

# rank CODE: how bad it is.
rank() {
    case $1 in
    0) say 0 ;;
    98) say 1 ;;
    99) say 2 ;;
    *) say 3 ;;
    esac
}

# run SCENARIO: runs it, leaves its reports and its page, and remembers the worst code.
run() {
    factor=1
    [ -n "$is_full" ] || factor=$(scale "$1")
    verb=run
    [ "$1" != capacity ] || verb=search
    say "
== $1 (times $factor) at a fresh node over $surface"
    fresh_node "$1"
    "$quipu" load "$verb" "$1" --target "$target" --scale-time "$factor" --realtime \
        --out "$out/$1" >"$work/page" 2>"$work/lines" &
    load=$!
    code=0
    wait "$load" || code=$?
    load=
    stop_node
    cat "$work/page"
    # Where it could not begin, standard error says why; else it has one line for each second.
    [ -s "$work/page" ] || tail -n 3 "$work/lines"
    say "$1 $code" >>"$work/codes"
    if [ "$(rank "$code")" -gt "$(rank "$worst")" ]; then
        worst=$code
    fi
}

scenarios="burst ramp spike step mix soak capacity"
chosen=
while [ $# -gt 0 ]; do
    case $1 in
    --full) is_full=1 ;;
    --resp) surface=resp ;;
    --out)
        [ $# -gt 1 ] || fail "--out needs a folder"
        shift
        out=$1
        ;;
    -h | --help)
        sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    -*) fail "there is no option $1" ;;
    *)
        scale "$1" >"$work/scale"
        chosen="$chosen $1"
        ;;
    esac
    shift
done

if [ -n "${QUIPU:-}" ]; then
    quipu=$QUIPU
else
    say "building"
    cargo build --release --quiet --manifest-path "$home/Cargo.toml" --package quipu
    quipu=${CARGO_TARGET_DIR:-$home/target}/release/quipu
fi
[ -x "$quipu" ] || fail "there is no program $quipu"
out=${out:-load-reports/$(date -u +%Y%m%dT%H%M%SZ)}
mkdir -p "$out"

worst=0
for scenario in ${chosen:-$scenarios}; do
    run "$scenario"
done

say "
== codes (0 kept, 98 invalid run, 99 promise broken)"
cat "$work/codes"
say "reports: $out"
exit "$worst"
