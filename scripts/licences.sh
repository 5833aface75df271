#!/usr/bin/env bash
# Prints the licences of what is linked into the binary for a target: a list, then their texts, as
# they ask to be passed on.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$1

linked() {
  cargo tree --locked --quiet -p quipu -e normal --target "$target" --prefix none --format "$1" |
    sed 's/ (\*)$//' | grep -v '(/' | LC_ALL=C sort -u
}

echo "Quipu is under the Apache License 2.0. What is linked into it:"
echo
linked '{p}: {l}'
linked '{p}' | while read -r name version _; do
  for folder in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name-${version#v}"; do
    for text in "$folder"/LICEN[CS]E* "$folder"/COPYING* "$folder"/NOTICE* "$folder"/UNLICENSE*; do
      [ -f "$text" ] || continue
      printf '\n==== %s %s: %s\n\n' "$name" "$version" "$(basename "$text")"
      cat "$text"
    done
    break
  done
done
