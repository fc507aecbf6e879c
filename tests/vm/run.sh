#!/bin/bash
# run.sh [TEST…] : boots the virtual ARM board (an emulated cortex-a76 with Debian, systemd, mosquitto and cameras),
# installs the arm64 package there as README.md says and runs the tests of guest/ on it (all of them, or those named). What the board
# printed and logged is in build/vm/logs afterwards. Fails when a check failed, none ran, or the board died.
#   VM_CPU=cortex-a72   another CPU
#   VIGIE_BINARY=FILE   an aarch64 binary that is already built (with its examples beside it)
#   VIGIE_MODEL=FILE    another model than the shipped one
#   VIGIE_PICTURES=DIR  other photographs before its cameras
. "$(dirname "$0")/../../scripts/lib.sh"
cd "$ROOT"
HERE=$ROOT/tests/vm
TESTS=("$@"); [ $# -gt 0 ] || TESTS=(board daemon scene capture-faults)
CPU=${VM_CPU:-cortex-a76}
LIMIT=1500   # seconds until the board is given up

# readme_commands CHAPTER : the first block of shell commands of that chapter of README.md
readme_commands() {
  awk -v chapter="## $1" '$0 == chapter { on = 1 } on && /^```$/ && code { exit } code { print } on && /^```sh$/ { code = 1 }' README.md |
    grep . || die "README.md has no commands in a chapter '$1'"
}

"$ROOT/scripts/packages.sh" build cross vm
VM=$("$HERE/image.sh")
SHARE=$BUILD/vm/share LOGS=$BUILD/vm/logs
rm -rf "$SHARE" "$LOGS"; mkdir -p "$SHARE"/{guest,pictures,logs}; ln -s share/logs "$LOGS"

if [[ " ${TESTS[*]} " != " board " ]]; then
  if [ -z "${VIGIE_BINARY:-}" ]; then
    say "building the daemon for the board"
    environment=$("$ROOT/scripts/cross-toolchain.sh"); eval "$environment"
    # as `make cross-test` builds it, so that nothing is built twice
    cargo test --locked --release --no-run --quiet --target aarch64-unknown-linux-gnu
    VIGIE_BINARY=$(target_dir)/aarch64-unknown-linux-gnu/release/vigie
  fi
  aarch64-linux-gnu-strip -o "$SHARE/vigie" "$VIGIE_BINARY"
  aarch64-linux-gnu-strip -o "$SHARE/grab" "$(dirname "$VIGIE_BINARY")/examples/grab"
  say "packing what the board installs"
  VIGIE_BINARY=$SHARE/vigie VIGIE_PROFILE=release "$ROOT/scripts/deb.sh" arm64
  cp "$(target_dir)/debian/vigie_$(version)_arm64.deb" "$SHARE/"
  readme_commands "As a service" > "$SHARE/service.sh"
fi

# What goes to the board: tests, unit, configuration, model, and the photographs in a camera's size.
cp "$HERE"/guest/* "$SHARE/guest/"
cp "$HERE"/{vigie,scene}.toml "$SHARE/"
cp "${VIGIE_MODEL:-$ROOT/models/vigie-xxs-320-int8.onnx}" "$SHARE/model.onnx"
printf '%s\n' "${TESTS[@]}" > "$SHARE/tests"
echo "$CPU" > "$SHARE/cpu"
aarch64-linux-gnu-gcc -O2 -static -Wall -o "$SHARE/feed" "$HERE/feed.c"
for picture in "${VIGIE_PICTURES:-$ROOT/demo/pictures}"/*.jpg; do
  name=$SHARE/pictures/$(basename "$picture" .jpg)
  convert "$picture" -auto-orient -resize 640x480 -gravity center -background gray -extent 640x480 -depth 8 "$name.ppm"
  convert "$name.ppm" -sampling-factor 4:2:2 -quality 85 -interlace none "$name.jpg"
done

# A scene that moves: a musician glides from the left edge over a dark stage and out at the right one; then it is empty.
SCENE=$SHARE/scene STEPS=43
mkdir "$SCENE"
convert "$ROOT/demo/pictures/musicians.jpg" -crop 215x390+545+0 +repage -resize x480 "$SCENE/man.png"
width=$(identify -format %w "$SCENE/man.png")
# his picture's left and right edges are soft, or they would be a door
convert "$SCENE/man.png" \( -size "$((width - 24))x480" xc:white -bordercolor black -border 12x0 -blur 0x8 \) \
  -alpha off -compose CopyOpacity -composite "$SCENE/soft.png"
for ((step = 0; step < STEPS; step++)); do
  convert -size 640x480 xc:'#0a0808' "$SCENE/soft.png" -geometry "$(printf '%+d' $((step * (640 + width) / (STEPS - 1) - width)))+0" \
    -composite -depth 8 "$SCENE/$(printf %03d "$step").ppm"
done

say "booting the board, an emulated $CPU (log: build/vm/logs)"
started=$SECONDS
timeout "$LIMIT" qemu-system-aarch64 -M virt -cpu "$CPU" -accel tcg,thread=multi -smp 2 -m 1024 \
  -nodefaults -nographic -serial stdio -no-reboot \
  -drive "file=$VM/disk.ext4,format=raw,if=none,id=disk,snapshot=on,cache=unsafe" -device virtio-blk-pci,drive=disk \
  -device virtio-rng-pci -virtfs "local,path=$SHARE,mount_tag=host0,security_model=none" \
  -kernel "$VM/vmlinuz" -initrd "$VM/initramfs.zst" \
  -append "console=ttyAMA0 panic=-1 quiet systemd.unit=vigie-test.target systemd.firstboot=off net.ifnames=0" \
  < /dev/null > "$SHARE/logs/console.txt" 2>&1 || say "QEMU ended with $?"
cp "$SHARE/output.txt" "$LOGS/" 2>/dev/null || { tail -30 "$LOGS/console.txt" >&2; die "the board did not get as far as its tests"; }
cat "$LOGS/output.txt"
passed=$(grep -c ^PASS "$LOGS/output.txt" || true) failed=$(grep -c ^FAIL "$LOGS/output.txt" || true)
grep -q '^---- .* done$' "$LOGS/output.txt" || { failed=$((failed + 1)); say "the board stopped in the middle of its tests"; }
say "virtual board: $passed passed, $failed failed, $((SECONDS - started)) s (logs in build/vm/logs)"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
