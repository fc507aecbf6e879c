#!/bin/bash
# deb.sh amd64|arm64… : vigie_VERSION_ARCH.deb in target/debian, from the profile `dist`. What is not this machine's
# architecture is cross-built (scripts/cross-toolchain.sh).
#   VIGIE_PROFILE=release   another profile
#   VIGIE_BINARY=FILE       a binary that is there already is packed as it is; one architecture at a time
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
VERSION=3.8.0   # of cargo-deb
PROFILE=${VIGIE_PROFILE:-dist}
LIBC=$(sed -n 's/^depends = "libc6 (>= \([0-9.]*\)).*/\1/p' Cargo.toml)   # what the package promises to do with

# check_needs BINARY : it links what the package depends on (Cargo.toml), and nothing newer or else
check_needs() {
  local newest needed
  newest=$(readelf -W --dyn-syms "$1" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -1)
  [ "$(printf '%s\nGLIBC_%s\n' "$newest" "$LIBC" | sort -V | tail -1)" = "GLIBC_$LIBC" ] ||
    die "$1 needs $newest, and the package says that $LIBC is enough"
  needed=$(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -vE '^(libc|libm|libgcc_s|libdl|libpthread|ld-linux.*)\.so' || true)
  [ -z "$needed" ] || die "$1 links ${needed//$'\n'/, }, and the package doesn't depend on it"
}

cargo_tool cargo-deb "$VERSION"
host=$(dpkg --print-architecture)

for arch in "$@"; do
  case $arch in
    amd64) target=x86_64-unknown-linux-gnu ;;
    arm64) target=aarch64-unknown-linux-gnu ;;
    *) die "no package is made for '$arch'; there are amd64 and arm64" ;;
  esac
  (
    runner= cross=()
    if [ "$arch" != "$host" ]; then
      [ "$arch" = arm64 ] || die "$arch can't be cross-built on $host"
      environment=$("$ROOT/scripts/cross-toolchain.sh"); eval "$environment"
      runner=$CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER
      cross=(--target "$target")
    else
      "$ROOT/scripts/packages.sh" build
    fi
    built=$(target_dir)/${cross[1]:+${cross[1]}/}$PROFILE
    binary=${VIGIE_BINARY:-}
    if [ -z "$binary" ]; then
      say "building vigie for $arch, profile $PROFILE"
      cargo build --locked --bin vigie --profile "$PROFILE" "${cross[@]}"
      binary=$built/vigie
    fi
    # cargo-deb takes what is there: Cargo.toml names the files below the build's own folder.
    rm -rf "$built/package"; mkdir -p "$built"
    DESTDIR=$built/package PREFIX=/usr VIGIE_BINARY=$binary VIGIE_RUNNER=$runner "$ROOT/scripts/install.sh" install
    check_needs "$built/package/usr/bin/vigie"
    deb=$(target_dir)/debian/vigie_$(version)_$arch.deb
    cargo deb --locked --quiet --no-build --no-strip --profile "$PROFILE" "${cross[@]}" --output "$deb"
    say "$deb ($(($(stat -c %s "$deb") / 1024)) KiB)"
  )
done
