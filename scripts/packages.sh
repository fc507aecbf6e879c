#!/bin/bash
# packages.sh GROUP… : installs what a group of work needs on Debian or Raspberry Pi OS, if it is missing.
#   build   a C compiler, cmake and nasm (libjpeg-turbo), libclang (bindgen reads the kernel's V4L2 header)
#   test    mosquitto and NATS, the brokers that the contract tests start for themselves
#   cross   the C cross compiler for aarch64 and QEMU's user mode
#   lint    nothing beyond build: cargo-deny is built by cargo
#   vm      QEMU's board, tools that make its image
. "$(dirname "$0")/lib.sh"

command -v cargo >/dev/null ||
  die "there is no Rust toolchain here: install one with rustup (https://rustup.rs), then open a new shell"

for group in "$@"; do
  case $group in
    build)
      packages=(gcc libc6-dev make cmake)
      [ "$(dpkg --print-architecture)" != amd64 ] || packages+=(nasm)
      read -ra clang <<< "$(libclang_packages)"
      ensure_packages "${packages[@]}" "${clang[@]}" ;;
    test)
      fresh=()
      for broker in mosquitto nats-server; do is_installed "$broker" || fresh+=("$broker"); done
      ensure_packages mosquitto mosquitto-clients
      # The test with NATS is for this processor alone.
      [ "$(dpkg --print-architecture)" != amd64 ] || ensure_packages nats-server
      # Debian's packages start a broker each for the whole machine; nobody asked for those.
      for broker in "${fresh[@]}"; do
        if is_installed "$broker" && [ -d /run/systemd/system ]; then
          say "stopping the $broker service that its package started: the tests run brokers of their own"
          as_root systemctl disable --now "$broker" >/dev/null 2>&1 || true
        fi
      done ;;
    cross) ensure_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static ;;
    lint) ;;
    vm)
      ensure_packages mmdebstrap busybox-static cpio zstd kmod e2fsprogs imagemagick xz-utils
      "$ROOT/tests/vm/qemu.sh" ;;
    *) die "packages.sh: no group '$group'; there are build, test, cross, lint, vm" ;;
  esac
done
