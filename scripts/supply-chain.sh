#!/usr/bin/env bash
# What is linked: advisories where their database can be reached, licences, bans, sources, and a
# bill of materials (CycloneDX) beside the build. Ends with failure if anything is not as deny.toml
# says.
set -euo pipefail
cd "$(dirname "$0")/.."

target="${CARGO_TARGET_DIR:-target}"

has() { cargo "$1" --version >/dev/null 2>&1; }

has deny || cargo install --quiet --locked cargo-deny

# A lock file that does not fit the manifests is an error, not a reason to resolve anew.
cargo metadata --locked --format-version 1 >/dev/null

cargo deny --locked --log-level error check bans licenses sources

# The database is fetched by git from its own host: where that cannot be reached, say so.
if ! database=$(cargo deny --locked fetch db 2>&1); then
  echo "advisories: skipped, their database cannot be fetched here"
  echo "$database" | tail -n 1
else
  cargo deny --locked --log-level error check --disable-fetch advisories
fi

scripts/sbom.sh "$target/sbom/quipu.cdx.json"
