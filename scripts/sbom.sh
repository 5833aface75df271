#!/usr/bin/env bash
# Writes the bill of materials of the binary (CycloneDX, JSON) to the file that is named. With
# SOURCE_DATE_EPOCH set, the same source gives the same file.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1

cargo cyclonedx --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-cyclonedx
cargo cyclonedx --quiet --manifest-path crates/quipu/Cargo.toml --format json --describe binaries
mkdir -p "$(dirname "$out")"
# Where this checkout lies is nobody's business.
sed "s|$PWD|.|g" crates/quipu/quipu_bin.cdx.json >"$out"
find crates xtask -name '*.cdx.json' -delete
echo "bill of materials: $(basename "$out"), $(grep -c '"purl"' "$out") components"
