#!/usr/bin/env bash
# Tries what `scripts/dist.sh` made: the archive's binary alone in an empty root, the package really
# installed and purged, the image built and run. Each node counts, stops, and is asked again after a
# second start. What this machine does not permit is named and skipped; with QUIPU_REQUIRE_TOOLS=1
# nothing may be. Arguments choose among checksums, archive, deb and image.
set -euo pipefail
cd "$(dirname "$0")/.."

target="${CARGO_TARGET_DIR:-target}"
dist=$(cd "$target/dist" && pwd)
work=$(mktemp -d)
node=""

finish() {
  if [ -n "$node" ]; then kill "$(innermost "$node")" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap finish EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
skip() {
  echo "skipped: $*"
  [ -z "${QUIPU_REQUIRE_TOOLS:-}" ] || fail "QUIPU_REQUIRE_TOOLS is set"
}

# start COMMAND...: starts a node on free ports and waits until it says that it serves.
start() {
  # What the one before said is not what this one says.
  rm -f "$work/out"
  env QUIPU_RESP_ADDR=127.0.0.1:0 QUIPU_HTTP_ADDR=127.0.0.1:0 QUIPU_ADMIN_ADDR=127.0.0.1:0 \
    QUIPU_LOG_FORMAT=text "$@" >"$work/out" 2>"$work/err" &
  node=$!
  for _ in $(seq 600); do
    grep -qs '^ready' "$work/out" && return 0
    kill -0 "$node" 2>/dev/null || break
    sleep 0.1
  done
  cat "$work/out" "$work/err" >&2
  fail "the node did not become ready: $*"
}

address() { awk -v name="$1" '$1 == name { print $2 }' "$work/out"; }

# The process itself: what starts it in a container hands no signal on.
innermost() {
  local pid=$1 child
  while child=$(pgrep -P "$pid" | head -n 1) && [ -n "$child" ]; do pid=$child; done
  echo "$pid"
}

stop() {
  kill -TERM "$(innermost "$node")"
  wait "$node" || fail "the node ended with $?"
  node=""
}

# incr EXPECTED: one INCR over a bare socket.
incr() {
  local resp reply
  resp=$(address resp)
  exec 3<>"/dev/tcp/${resp%:*}/${resp##*:}"
  printf 'INCR visits\r\n' >&3
  read -r reply <&3
  exec 3<&-
  [ "${reply%$'\r'}" = ":$1" ] || fail "INCR answered $reply, not :$1"
}

# twice COMMAND...: a node counts, stops, starts again and knows.
twice() {
  start "$@"
  incr 1
  incr 2
  stop
  start "$@"
  incr 3
  stop
}

checksums() {
  (cd "$dist" && sha256sum --quiet --check SHA256SUMS)
  echo "checksums: right"
}

# Nothing but the binary and an empty directory: whatever it needed beside it would be missing.
archive() {
  if [ "$(id -u)" -ne 0 ] || ! has chroot; then skip "the archive in an empty root: needs root"; return; fi
  local root="$work/root"
  mkdir -p "$work/archive" "$root/data"
  tar -C "$work/archive" -xzf "$dist"/*.tar.gz
  cp "$work/archive"/*/quipu "$root/quipu"
  file "$root/quipu" 2>/dev/null | grep -q 'static' || echo "(file does not say that it is static)"
  twice chroot "$root" /quipu serve --data /data
  start chroot "$root" /quipu serve --data /data
  [ "$(chroot "$root" /quipu health --admin "$(address admin)")" = ready ] || fail "health"
  chroot "$root" /quipu get visits --node "$(address resp)" | grep -q "visits.*3" || fail "get"
  stop
  if chroot "$root" /quipu health --admin "$(address admin)" 2>/dev/null; then fail "health of none"; fi
  echo "archive: a node lived twice in a root of one file"
}

deb() {
  local package
  package=$(ls "$dist"/*.deb)
  if has lintian; then
    lintian --allow-root --fail-on error,warning "$package"
    echo "package: lintian finds no error and no warning but those of deploy/debian/lintian-overrides"
  else
    skip "lintian"
  fi
  if has systemd-analyze; then
    sed "s|/usr/bin/quipu|$(command -v true)|" deploy/quipu.service >"$work/quipu.service"
    systemd-analyze verify --man=no "$work/quipu.service"
    systemd-analyze security --offline=true --threshold=20 "$work/quipu.service" | tail -n 1
  else
    skip "systemd-analyze"
  fi
  if [ "$(id -u)" -ne 0 ] || ! has dpkg || ! has setpriv; then skip "installing: needs root"; return; fi
  if dpkg -s quipu >/dev/null 2>&1 || [ -e /var/lib/quipu ] || getent passwd quipu >/dev/null; then
    skip "installing: there is a quipu on this machine"
    return
  fi
  installed "$package"
}

installed() {
  trap 'dpkg --purge quipu >/dev/null 2>&1; rm -rf /var/lib/quipu; deluser --quiet quipu 2>/dev/null; finish' EXIT
  has adduser || apt-get -qq install -y adduser >/dev/null
  dpkg --install "$1" >/dev/null 2>&1 || fail "dpkg --install"
  [ "$(stat -c %U:%G:%a /var/lib/quipu)" = quipu:quipu:750 ] || fail "owner of /var/lib/quipu"
  twice setpriv --reuid quipu --regid quipu --clear-groups \
    /usr/bin/quipu serve --config /etc/quipu/quipu.toml
  zcat /usr/share/man/man1/quipu-serve.1.gz | grep -q quipu-serve || fail "manual page"
  bash -c '. /usr/share/bash-completion/completions/quipu && complete -p quipu' >/dev/null
  # An upgrade keeps what was changed in the configuration, and the counts.
  echo '# mine' >>/etc/quipu/quipu.toml
  dpkg --install "$1" >/dev/null
  tail -n 1 /etc/quipu/quipu.toml | grep -q mine || fail "an upgrade lost the configuration"
  dpkg --remove quipu >/dev/null
  [ -e /etc/quipu/quipu.toml ] && [ ! -e /usr/bin/quipu ] || fail "what a removal leaves"
  dpkg --purge quipu >/dev/null
  [ ! -e /etc/quipu ] && [ -d /var/lib/quipu ] || fail "what a purge leaves"
  rm -rf /var/lib/quipu
  deluser --quiet quipu 2>/dev/null
  trap finish EXIT
  echo "package: installed, served twice as its user, upgraded, removed and purged"
}

# Without a network: the image is from scratch.
image() {
  if ! has buildah; then skip "the image: there is no buildah"; return; fi
  local b="buildah --root $work/storage --runroot $work/run --storage-driver vfs"
  if ! $b bud --quiet --format docker --isolation chroot -f deploy/Containerfile -t quipu "$dist" >"$work/built" 2>&1; then
    cat "$work/built"
    skip "the image: buildah may not build here"
    return
  fi
  local container
  container=$($b from --pull-never localhost/quipu)
  twice $b run --isolation chroot --env QUIPU_RESP_ADDR=127.0.0.1:0 --env QUIPU_HTTP_ADDR=127.0.0.1:0 \
    --env QUIPU_ADMIN_ADDR=127.0.0.1:0 --env QUIPU_LOG_FORMAT=text "$container" /quipu serve
  echo "image: built, and served twice as $($b inspect --format '{{.OCIv1.Config.User}}' "$container")"
}

for part in ${*:-checksums archive deb image}; do "$part"; done
