#!/bin/bash
# cross-test.sh [CARGO TEST ARGUMENTS…] : the test suite built for aarch64 and run under QEMU's user mode.
#
# The release profile: every instruction is emulated, so quick code counts, and the binary that the tests run is the one
# that the virtual board installs; the dependencies are built once for both. Overflow and debug assertions are checked
# by the native tests.
#
# Programs that tests start themselves (mosquitto) are this machine's own: the kernel runs them natively, only Vigie's
# code is emulated. The emulated CPU has what a Raspberry Pi 5 has (dot product, half floats); VIGIE_CROSS_CPU picks
# another, for instance cortex-a72 for a Raspberry Pi 4.
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
"$ROOT/scripts/packages.sh" build test cross
environment=$("$ROOT/scripts/cross-toolchain.sh")
eval "$environment"
export QEMU_CPU=${VIGIE_CROSS_CPU:-cortex-a76}
say "tests for aarch64 on an emulated $QEMU_CPU"
cargo test --locked --release --target aarch64-unknown-linux-gnu "$@"
