#!/usr/bin/env bash
# Brings what the tests and the bench drive: the real redis-server, redis-cli, redis-benchmark,
# curl, promtool, strace, logrotate, redis-py, schemathesis, shells, the languages of docs/clients, a C
# linker.
# Installs where it may (root and apt), says plainly what is missing where it may not. Never fails:
# a test that lacks its tool says so.
# With `--peers` it brings the systems of `cargo xtask evidence peers` too.
#
# Sourced by other scripts, it leaves `missing`, words for what could not be had, and
# `missing_optional`, words for what only makes some tests skip, which they say and count.

missing=""
missing_optional=""

# command:package; Debian 12 ships promtool in the package prometheus.
wanted="redis-server:redis-server redis-cli:redis-tools redis-benchmark:redis-tools curl:curl
promtool:prometheus strace:strace make:make cc:gcc
python3:python3 awk:gawk node:nodejs npm:npm go:golang-go java:default-jdk-headless mvn:maven
bash:bash zsh:zsh fish:fish groff:groff-base logrotate:logrotate gzip:gzip"

# What only some tests of faults use: a shifted clock, a file system of our own, namespaces. What only
# scripts/dist-check.sh uses: a checker of packages, a builder of images.
optional="faketime:faketime fusermount3:fuse3 unshare:util-linux nsenter:util-linux
setpriv:util-linux nginx:nginx zstd:zstd lintian:lintian buildah:buildah strip:binutils"

# What the tests of the page and of the live views drive: a browser, and a terminal.
optional="$optional chromium:chromium chromedriver:chromium-driver script:bsdutils"
# What the tests of load over HTTP/2 drive; the load generator is for the bench.
optional="$optional nghttpd:nghttp2-server h2load:nghttp2-client"
# What only the bench uses.
optional="$optional wrk:wrk mkfs.ext4:e2fsprogs"

has() { command -v "$1" >/dev/null 2>&1; }

packages_lacking() {
  local pair
  for pair in $wanted $optional; do
    has "${pair%%:*}" || echo "${pair##*:}"
  done
  # gcc only recommends the headers, and recommended packages are not installed.
  [ -e /usr/include/stdio.h ] || echo libc6-dev
  # The interpreter without its venv module is common on Debian.
  if ! has python3 || ! python3 -c 'import ensurepip' 2>/dev/null; then
    echo python3-venv
  fi
}

install_packages() {
  local packages
  packages=$(packages_lacking | sort -u | tr '\n' ' ')
  [ -n "${packages// /}" ] || return 0
  if [ "$(id -u)" -ne 0 ] || ! has apt-get; then
    echo "may not install packages here (needs root and apt-get): $packages"
    return 0
  fi
  echo "installing: $packages"
  # shellcheck disable=SC2086 # the list is words on purpose
  (without_daemons && apt_install $packages) ||
    (without_daemons && apt-get -qq update && apt_install $packages) ||
    echo "apt-get could not install all of: $packages"
}

# Packages must not start their daemons: the tests start their own on free ports. In a subshell, so
# that the policy goes when it ends.
without_daemons() {
  local policy=/usr/sbin/policy-rc.d
  export DEBIAN_FRONTEND=noninteractive
  [ -e "$policy" ] && return 0
  trap "rm -f $policy" EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
}

apt_install() {
  apt-get -qq install -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" >/dev/null
}

# Python packages live in environments of their own beside the build, where the tests of them look
# (crates/quipu/tests/it/venv.rs); the versions are those that the tests name.
python_packages="redis-py:redis==5.2.1 schemathesis:schemathesis==4.32.5
hdrhistogram:hdrhistogram==0.10.8 jsonschema:jsonschema==4.26.0"

has_python_package() {
  "${CARGO_TARGET_DIR:-target}/$1/bin/python" -c "
import sys, importlib.metadata
sys.exit(importlib.metadata.version('${2%%==*}') != '${2##*==}')" 2>/dev/null
}

install_python_packages() {
  local pair folder
  for pair in $python_packages; do
    if has_python_package "${pair%%:*}" "${pair##*:}" || ! has python3; then continue; fi
    folder="${CARGO_TARGET_DIR:-target}/${pair%%:*}"
    echo "installing ${pair##*:} into $folder"
    mkdir -p "$folder"
    python3 -m venv --clear "$folder" >/dev/null 2>&1 &&
      "$folder/bin/pip" install --quiet --disable-pip-version-check "${pair##*:}" ||
      echo "${pair##*:} could not be installed"
  done
}

# The systems of `cargo xtask evidence peers`: no test needs them, and a row without its program is
# skipped. One by one, so that a package that cannot be had takes no other with it.
peers="redis-server:redis-server etcd:etcd-server nats-server:nats-server sqlite3:sqlite3
/usr/lib/postgresql/15/bin/postgres:postgresql-15"

install_peers() {
  local pair package
  for pair in $peers; do
    package="${pair##*:}"
    has "${pair%%:*}" && continue
    if [ "$(id -u)" -ne 0 ] || ! has apt-get; then
      echo "may not install packages here (needs root and apt-get): $package"
    else
      echo "installing: $package"
      (without_daemons && apt_install "$package") ||
        (without_daemons && apt-get -qq update && apt_install "$package") ||
        echo "apt-get could not install: $package"
    fi
  done
}

name_what_is_missing() {
  local pair
  for pair in $wanted; do
    has "${pair%%:*}" || missing="$missing ${pair%%:*}"
  done
  for pair in $optional; do
    has "${pair%%:*}" || missing_optional="$missing_optional ${pair%%:*}"
  done
  missing_optional="${missing_optional# }"
  if [ -n "$missing_optional" ]; then
    echo "missing, so some tests are skipped: $missing_optional"
  fi
  for pair in $python_packages; do
    has_python_package "${pair%%:*}" "${pair##*:}" || missing="$missing ${pair%%:*}"
  done
  if ! has cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
    export PATH="$HOME/.cargo/bin:$PATH"
  fi
  has cargo || missing="$missing cargo(a-Rust-toolchain-of-1.90-or-later)"
  missing="${missing# }"
  if [ -n "$missing" ]; then echo "missing: $missing"; fi
}

install_packages
install_python_packages
if [ "${1:-}" = --peers ]; then install_peers; fi
name_what_is_missing
