#!/bin/bash
# cross-podman.sh [CROSS ARGUMENTS…] : `cross test` for aarch64 in a podman container. No Docker engine and no image
# registry: the image is made here, from Debian's packages, once. It holds the C side (cross compiler, cmake, libclang,
# QEMU) and mosquitto; cross mounts the Rust toolchain and the sources.
# `make cross-test` does the same without a container, and is quicker; this shows that plain `cross` works.
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
TARGET=aarch64-unknown-linux-gnu
SUITE=bookworm
IMAGE=localhost/vigie-cross-aarch64:$SUITE
CROSS_VERSION=0.2.5

"$ROOT/scripts/packages.sh" build
ensure_packages podman runc mmdebstrap
export PATH=$BUILD/tools/bin:$PATH
if ! command -v cross >/dev/null; then
  say "building cross $CROSS_VERSION (once)"
  cargo install --locked --quiet --root "$BUILD/tools" --target-dir "$BUILD/tools/target" "cross@$CROSS_VERSION"
  rm -rf "$BUILD/tools/target"
fi

# Podman's defaults ask for more than a container on a build machine may have: crun wants a pure cgroup v2, and netavark
# a firewall. runc and the host's network ask for nothing.
export CONTAINERS_CONF=$BUILD/containers.conf CROSS_CONTAINER_ENGINE=podman
cat > "$CONTAINERS_CONF" <<'CONF'
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
netns = "host"
[engine]
runtime = "runc"
CONF

if ! podman image exists "$IMAGE"; then
  say "making the image $IMAGE (once)"
  name=$(debian_codename); [ "$name" = "$SUITE" ] || die "the image is made from the mirror of a Debian $SUITE machine; this one is $name"
  mirror=$(archive_uri "$SUITE")
  read -ra clang <<< "$(libclang_packages)"
  packages=(gcc libc6-dev make cmake nasm mosquitto mosquitto-clients gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
    ca-certificates pkg-config git "${clang[@]}")
  as_root mmdebstrap --quiet --mode=root --variant=minbase --aptopt='Apt::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --include="$(IFS=,; echo "${packages[*]}")" "$SUITE" - "deb $mirror $SUITE main" | podman import --quiet - "$IMAGE" >/dev/null
fi

# cross 0.2.5 does not recognise today's rustup listing of an active toolchain, and would download it again: give it the
# toolchain under a name of its own, which it takes as it is.
environment=$("$ROOT/scripts/cross-toolchain.sh"); eval "$environment"
sysroot=$("${RUSTC:-rustc}" --print sysroot)
[ -x "$sysroot/bin/cargo" ] || cp "$(rustup which cargo)" "$sysroot/bin/cargo"
unset RUSTC RUSTDOC
for link in vigie-cross vigie-cross-x86_64-unknown-linux-gnu; do rustup toolchain link "$link" "$sysroot"; done
export CROSS_CUSTOM_TOOLCHAIN=1 QEMU_CPU=cortex-a76
say "cross test --target $TARGET"
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target/podman} cross +vigie-cross test --locked --target "$TARGET" "$@"
