#!/bin/sh
# Stands before rustc: what is ours is compiled with counters for libFuzzer, on any toolchain.
# Foreign crates are left as they are: a search that pays for each of their comparisons is several
# times slower, and finds its way through them instead of through our code. Comparisons are traced
# only where inputs are texts; behind checksums they lead nowhere.
counters="-Ccodegen-units=1 -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table"
for word in "$@"; do
    case $previous$word in
    --crate-name=quipu_wire | --crate-name=quipu_client | --crate-name=quipu_metrics)
        exec "$@" $counters -Cllvm-args=-sanitizer-coverage-trace-compares
        ;;
    --crate-name=stdx | --crate-name=quipu_*)
        exec "$@" $counters
        ;;
    esac
    previous="$word="
done
exec "$@"
