#!/bin/bash
# cross-toolchain.sh : makes this x86_64 machine able to build and run Vigie for aarch64, and prints the environment
# that does it, one `export` a line:  eval "$(scripts/cross-toolchain.sh)"
#
# The standard library for the target comes from rustup where that works. Where it does not (no network to Rust's own
# servers), Debian's rustc-web has it: its compiler and both standard libraries are unpacked side by side under build/
# and cargo is told to use that compiler. Nothing is installed for either but the C cross compiler and QEMU.
. "$(dirname "$0")/lib.sh"

TARGET=aarch64-unknown-linux-gnu
SYSROOT=/usr/aarch64-linux-gnu

have_std() { [ -d "$("$1" --print target-libdir --target "$TARGET" 2>/dev/null)" ]; }

# The C side: compiler, C library, libclang for bindgen, QEMU to run what was built.
"$ROOT/scripts/packages.sh" build cross >&2

# VIGIE_CROSS_FROM_DEBIAN=1 takes Debian's way even where rustup's works.
RUSTC_FOR_TARGET=
if [ -z "${VIGIE_CROSS_FROM_DEBIAN:-}" ] && have_std rustc; then
  :
elif [ -z "${VIGIE_CROSS_FROM_DEBIAN:-}" ] && command -v rustup >/dev/null && timeout 120 rustup target add "$TARGET" >/dev/null 2>&1; then
  say "the standard library for $TARGET came from rustup"
else
  T=$BUILD/rust-cross
  if ! [ -x "$T/bin/rustc" ] || ! have_std "$T/bin/rustc"; then
    say "rustup offers no $TARGET here: unpacking Debian's compiler and standard libraries into ${T#"$ROOT"/} (once)"
    mkdir -p "$BUILD"
    ensure_packages patchelf >&2
    private_apt >&2
    std=$(apt-cache depends libstd-rust-web-dev | sed -n 's/.*Depends: \(libstd-rust-web-[0-9.]*\)$/\1/p' | head -1)
    llvm=$(apt-cache depends rustc-web "$std" | sed -n 's/.*Depends: \(libllvm[0-9]*\)$/\1/p' | head -1)
    [ -n "$std" ] && [ -n "$llvm" ] || die "apt has no rustc-web for $(debian_codename); run: rustup target add $TARGET"
    rm -rf "$T" "$T.new"
    fetch_and_unpack "$T.new" rustc-web "$std" "$llvm" libstd-rust-web-dev:amd64 libstd-rust-web-dev:arm64 >&2
    mv "$T.new/usr" "$T" && rm -rf "$T.new"
    (cd "$T/lib" && ln -s x86_64-linux-gnu/*.so* .)
    # the compiler must find its own libraries here, whatever the machine has installed
    patchelf --set-rpath '$ORIGIN/../lib' "$T/bin/rustc" "$T/bin/rustdoc"
    patchelf --set-rpath '$ORIGIN' "$T"/lib/x86_64-linux-gnu/librustc_driver-*.so
    have_std "$T/bin/rustc" || die "the unpacked compiler in $T has no standard library for $TARGET"
  fi
  RUSTC_FOR_TARGET=$T/bin
fi

if [ -n "$RUSTC_FOR_TARGET" ]; then
  echo "export RUSTC='$RUSTC_FOR_TARGET/rustc' RUSTDOC='$RUSTC_FOR_TARGET/rustdoc'"
fi
cat <<ENV
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='qemu-aarch64-static -L $SYSROOT'
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
export BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu='--sysroot=$SYSROOT -I$SYSROOT/include'
ENV
