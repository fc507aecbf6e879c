#!/bin/bash
# qemu.sh : installs the ARM system emulator. Debian 12's own is too old for the board; backports has a newer one.
. "$(dirname "$0")/../../scripts/lib.sh"

command -v qemu-system-aarch64 >/dev/null && exit 0
if [ "$(debian_codename)" = bookworm ]; then
  private_apt
  suite=/bookworm-backports
fi
ensure_packages "qemu-system-arm${suite:-}" "qemu-system-common${suite:-}" "qemu-system-data${suite:-}"
