#!/usr/bin/env bash
# Makes what is released, in the folder `dist` beside the build: a Debian package and an archive
# around one static binary, the root of a container image, a bill of materials, the licences of what
# is linked, and SHA256SUMS. The same source, toolchain and SOURCE_DATE_EPOCH (by default the time of
# the last commit) give the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

target="${CARGO_TARGET_DIR:-target}"
mkdir -p "$target"
target=$(cd "$target" && pwd)
triple=x86_64-unknown-linux-musl
version=$(cargo pkgid --locked -p quipu | sed 's/.*[@#]//')
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
export LC_ALL=C

dist="$target/dist"
name="quipu-$version-x86_64-linux-musl"
rm -rf "$dist"
mkdir -p "$dist"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A musl toolchain without a C compiler for it is enough: the only C that is linked, that of ring, asks
# nothing of a C library, so any gcc for this machine makes it.
build() {
  export CC_x86_64_unknown_linux_musl="${CC_x86_64_unknown_linux_musl:-gcc}"
  rustup target list --installed 2>/dev/null | grep -qx "$triple" || rustup target add "$triple"
  # Paths of this machine do not belong into the binary; those of the workspace are relative.
  export RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
  cargo build --release --locked --quiet -p quipu --target "$triple"
  binary="$work/quipu"
  strip --strip-all -o "$binary" "$target/$triple/release/quipu"
  # To read a backtrace: gdb, or addr2line -e quipu.debug.
  objcopy --only-keep-debug "$target/$triple/release/quipu" "$dist/$name.debug"
}

# What goes beside the binary, made by it and by the build.
documents() {
  mkdir -p "$work/doc" "$work/man"
  "$binary" man "$work/man"
  for shell in bash zsh fish; do "$binary" completions "$shell" >"$work/quipu.$shell"; done
  "$binary" docs file >"$work/doc/quipu.toml"
  cp LICENSE CHANGELOG.md "$work/doc/"
  scripts/licences.sh "$triple" >"$work/doc/LICENCES"
  scripts/sbom.sh "$work/doc/quipu.cdx.json"
  cp "$work/doc/quipu.cdx.json" "$dist/quipu-$version.cdx.json"
}

archive() {
  local root="$work/$name"
  mkdir -p "$root/completions"
  cp "$binary" "$work/doc/"* deploy/quipu.service "$root/"
  cp -r "$work/man" "$root/man"
  cp "$work"/quipu.{bash,zsh,fish} "$root/completions/"
  tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    -C "$work" -cf - "$name" | gzip -n -9 >"$dist/$name.tar.gz"
}

debian_changelog() {
  printf 'quipu (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.gz beside this file.\n\n' "$version"
  printf ' -- %s  %s\n' "$(sed -n 's/^Maintainer: //p' deploy/debian/control)" \
    "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

deb() {
  local root="$work/deb" share
  share="$root/usr/share"
  mkdir -p "$root/DEBIAN"
  install -D -m 755 "$binary" "$root/usr/bin/quipu"
  install -D -m 644 deploy/debian/quipu.toml "$root/etc/quipu/quipu.toml"
  install -D -m 644 deploy/quipu.service "$root/lib/systemd/system/quipu.service"
  install -D -m 644 "$work/quipu.bash" "$share/bash-completion/completions/quipu"
  install -D -m 644 "$work/quipu.zsh" "$share/zsh/vendor-completions/_quipu"
  install -D -m 644 "$work/quipu.fish" "$share/fish/vendor_completions.d/quipu.fish"
  install -D -m 644 -t "$share/man/man1" "$work/man/"*
  install -D -m 644 -t "$share/doc/quipu" deploy/debian/copyright "$work/doc/quipu.toml" \
    "$work/doc/LICENCES" "$work/doc/quipu.cdx.json"
  install -D -m 644 deploy/debian/lintian-overrides "$share/lintian/overrides/quipu"
  cp CHANGELOG.md "$share/doc/quipu/"
  debian_changelog >"$share/doc/quipu/changelog"
  gzip -n -9 "$share/man/man1/"* "$share/doc/quipu/"{LICENCES,quipu.cdx.json,changelog,CHANGELOG.md}
  local size
  size=$(du -ks --apparent-size "$root" | cut -f 1)
  sed "s/@VERSION@/$version/; s/@SIZE@/$size/" deploy/debian/control >"$root/DEBIAN/control"
  install -m 644 deploy/debian/conffiles "$root/DEBIAN/"
  install -m 755 deploy/debian/{postinst,prerm,postrm} "$root/DEBIAN/"
  (cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | sort | xargs md5sum) \
    >"$root/DEBIAN/md5sums"
  chmod 644 "$root/DEBIAN/md5sums"
  find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb --root-owner-group -Zxz --build "$root" "$dist/quipu_${version}_amd64.deb" >/dev/null
}

image() {
  mkdir -p "$dist/image/data"
  cp "$binary" "$dist/image/quipu"
  chmod 755 "$dist/image/quipu"
  # The user of the image may write there, whoever builds it.
  chmod 777 "$dist/image/data"
}

build
documents
archive
deb
image
(cd "$dist" && sha256sum -- *.deb *.tar.gz *.cdx.json *.debug >SHA256SUMS)
ls -l "$dist" | awk 'NF > 8 { print $5 "\t" $9 }'
