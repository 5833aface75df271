#!/usr/bin/env bash
# Brings what the tests and the bench drive: the real redis-server, redis-cli, redis-benchmark,
# curl, promtool, strace, redis-py, and a C linker. Installs where it may (root and apt), says
# plainly what is missing where it may not. Never fails: a test that lacks its tool says so.
#
# Sourced by other scripts, it leaves `missing` (words) and puts redis-py's interpreter into
# QUIPU_TEST_PYTHON.

quipu_cache="${XDG_CACHE_HOME:-$HOME/.cache}/quipu"
missing=""

# command:package; Debian 12 ships promtool in the package prometheus.
wanted="redis-server:redis-server redis-cli:redis-tools redis-benchmark:redis-tools curl:curl
promtool:prometheus strace:strace make:make cc:gcc
python3:python3 awk:gawk"

has() { command -v "$1" >/dev/null 2>&1; }

packages_lacking() {
  local pair
  for pair in $wanted; do
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
  # Packages must not start their daemons: the tests start their own on free ports.
  local policy=/usr/sbin/policy-rc.d made_policy=""
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made_policy=yes
  fi
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086 # the list is words on purpose
  apt_install $packages || { apt-get -qq update && apt_install $packages; } ||
    echo "apt-get could not install all of: $packages"
  if [ -n "$made_policy" ]; then rm -f "$policy"; fi
}

apt_install() {
  apt-get -qq install -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" >/dev/null
}

# redis-py lives in an environment of its own, outside the checkout and the system.
install_redis_py() {
  local venv="$quipu_cache/python"
  export QUIPU_TEST_PYTHON="$venv/bin/python"
  if "$QUIPU_TEST_PYTHON" -c 'import redis' 2>/dev/null; then return 0; fi
  has python3 || return 0
  echo "installing redis-py into $venv"
  mkdir -p "$quipu_cache"
  python3 -m venv --clear "$venv" >/dev/null 2>&1 &&
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'redis>=5,<8' ||
    echo "redis-py could not be installed"
}

name_what_is_missing() {
  local pair
  for pair in $wanted; do
    has "${pair%%:*}" || missing="$missing ${pair%%:*}"
  done
  if ! "$QUIPU_TEST_PYTHON" -c 'import redis' 2>/dev/null; then
    missing="$missing redis-py"
    unset QUIPU_TEST_PYTHON
  fi
  if ! has cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
    export PATH="$HOME/.cargo/bin:$PATH"
  fi
  has cargo || missing="$missing cargo(a-Rust-toolchain-of-1.90-or-later)"
  missing="${missing# }"
  if [ -n "$missing" ]; then echo "missing: $missing"; fi
}

install_packages
install_redis_py
name_what_is_missing
