#!/bin/bash
# root.sh : makes build/arm-root, where programs for arm64 find their libraries under qemu-aarch64: Debian's C and C++
# libraries, its Python, onnxruntime and ncnn. Prints that folder. Made once for a state of this file.
#
# Packages are only unpacked: no foreign code runs, so neither root (but to install QEMU) nor binfmt is needed.
. "$(dirname "$0")/../../scripts/lib.sh"

# onnxruntime as training/pyproject.toml has it
ONNXRUNTIME=1.32.0 NUMPY=2.4.6 NCNN=1.0.20261020
R=$BUILD/arm-root
MADE=$(sha256sum < "$0")
[ "$(cat "$R/.made" 2>/dev/null)" != "$MADE" ] || { echo "$R"; exit; }

say "making ${R#"$ROOT"/} (once, a minute)"
ensure_packages qemu-user gcc libc6-dev python3 python3-pip >&2
mkdir -p "$BUILD"
private_apt >&2
# "3.11" on Debian 12
PY=$(apt-cache depends python3-minimal:arm64 | sed -n 's/.*Depends: python\([0-9.]*\)-minimal.*/\1/p' | head -1)
[ -n "$PY" ] || die "apt knows no python3-minimal for arm64"
rm -rf "$R" "$R.new"
packages=(libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libffi8 "libpython$PY-minimal" "libpython$PY-stdlib" "python$PY-minimal")
fetch_and_unpack "$R.new" "${packages[@]/%/:arm64}" >&2
rm -rf "$R.new"/usr/share/{doc,man,locale}
ln -s "python$PY" "$R.new/usr/bin/python3"

# manylinux_2_28: both want at least that C library
wheels=$(mktemp -d "$BUILD/wheels.XXXX"); trap 'rm -rf "$wheels"' EXIT
python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --python-version "$PY" \
  --platform manylinux_2_28_aarch64 \
  -d "$wheels" "onnxruntime==$ONNXRUNTIME" "numpy==$NUMPY" "ncnn==$NCNN" >&2
for wheel in "$wheels"/*.whl; do python3 -m zipfile -e "$wheel" "$R.new/opt/site"; done
printf 'onnxruntime %s, ncnn %s, numpy %s, Python %s, Debian %s\n' "$ONNXRUNTIME" "$NCNN" "$NUMPY" "$PY" "$(debian_codename)" > "$R.new/versions"
echo "$MADE" > "$R.new/.made"
mv "$R.new" "$R"
echo "$R"
