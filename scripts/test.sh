#!/usr/bin/env bash
# Runs all tests of the workspace and ends with the runner's counts.
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/install-deps.sh

# Tests that lack their program say so and pass. Where everything is there, nothing may be skipped.
if [ -z "$missing" ]; then export QUIPU_REQUIRE_TOOLS=1; fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
{
  cargo test --locked --workspace --no-fail-fast || exit $?
  # Every deliberate bug of core and log is caught by a direct check.
  cargo test --locked -p quipu-log --features canary --test canaries || exit $?
  # The corpora of the fuzz targets and some mutations of them.
  CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/fuzz" cargo test --locked --manifest-path fuzz/Cargo.toml
} 2>&1 | tee "$log" || status=$?

# cargo prints one "test result:" line per test binary; the sum is what a reader wants to know.
counts=$(awk '
  /^test result:/ {
    for (i = 2; i <= NF; i++) {
      if ($i ~ /^passed/) passed += $(i - 1)
      if ($i ~ /^failed/) failed += $(i - 1)
      if ($i ~ /^ignored/) ignored += $(i - 1)
    }
  }
  END { printf "%d passed, %d failed, %d ignored\n", passed, failed, ignored }
' "$log")
if [ -n "$missing" ]; then
  echo "not installed here: $missing (tests that need it say so)"
fi
if [ "$status" -ne 0 ]; then
  echo "cargo test ended with status $status"
elif [ "${counts%% *}" -eq 0 ]; then
  echo "no test ran"
  status=1
fi
echo "$counts"
exit "$status"
