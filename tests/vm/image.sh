#!/bin/bash
# image.sh : makes the virtual ARM board's kernel, initramfs and disk in build/vm/HASH, once for a state of its recipe
# (this file and the loopback driver's patch level), and prints that folder.
#
# The disk is Debian 12 for arm64 with systemd, udev, mosquitto and v4l-utils. Its packages are only unpacked: no
# foreign code runs on this machine, so neither binfmt nor KVM is needed; the accounts that the packages' scripts would
# have made are written here. It is a test bed, not a Debian to keep. The camera drivers are the kernel's own vivid and
# v4l2loopback, cross-compiled against the unpacked kernel headers; nothing of it is installed on this machine.
. "$(dirname "$0")/../../scripts/lib.sh"

HERE=$ROOT/tests/vm
HASH=$(cat "$HERE/image.sh" "$HERE"/board/* | sha256sum | cut -c1-12)
VM=$BUILD/vm/$HASH
[ ! -e "$VM/.done" ] || { echo "$VM"; exit; }

# Unpacking a system with its owners needs root.
if [ "$(id -u)" != 0 ]; then
  say "making the board's disk needs root"
  sudo -E env "VIGIE_BUILD_DIR=$BUILD" "$0"
  exit
fi

say "making the virtual board (once, two minutes): ${VM#"$ROOT"/}"
exec 3>&1 1>&2   # everything but the folder's name is for people
ensure_packages mmdebstrap busybox-static cpio zstd xz-utils kmod e2fsprogs make gcc-aarch64-linux-gnu libc6-dev-arm64-cross libelf1
SUITE=$(debian_codename)
MIRROR=$(archive_uri "$SUITE")
private_apt
rm -rf "$VM"; mkdir -p "$VM"
trap 'rm -rf "$VM/work"' EXIT
W=$VM/work; mkdir "$W"

# --- the kernel, its modules, and its headers for the loopback driver
depends_on() { apt-cache depends "$1" | grep -oE "$2" | head -1; }
image=$(depends_on linux-image-arm64:arm64 'linux-image-[0-9][^ :<>]+')
release=${image#linux-image-}
common=$(depends_on "linux-headers-$release:arm64" 'linux-headers-[^ :<>]+-common')
kbuild=$(depends_on "linux-headers-$release:arm64" 'linux-kbuild-[^ :<>]+')
loopback=v4l2loopback-dkms; [ "$SUITE" != bookworm ] || loopback+=/bookworm-backports
fetch_and_unpack "$W/kernel" "$image:arm64" busybox-static:arm64
fetch_and_unpack "$W/headers" "linux-headers-$release:arm64" "$common" "$kbuild" "$loopback"
cp "$W/kernel/boot/vmlinuz-$release" "$VM/vmlinuz"
MODULES=$W/kernel/lib/modules/$release
depmod -b "$W/kernel" "$release"

# --- v4l2loopback: the header package's Makefile names /usr/src, where it isn't
echo "include $W/headers/usr/src/$common/Makefile" > "$W/headers/usr/src/linux-headers-$release/Makefile"
driver=$(echo "$W"/headers/usr/src/v4l2loopback-*)
make -s -C "$W/headers/usr/src/linux-headers-$release" M="$driver" ARCH=arm64 \
  CROSS_COMPILE=aarch64-linux-gnu- CC=aarch64-linux-gnu-gcc modules

# with_dependencies MODULE… : the files to load, in order
with_dependencies() {
  local m
  for m in "$@"; do modprobe -d "$W/kernel" -S "$release" --show-depends "$m" | sed -n 's/^insmod \([^ ]*\).*/\1/p'; done |
    awk '!seen[$0]++'
}

# --- the initramfs: busybox, the modules that reach the disk, and a script that switches to it
I=$W/initramfs; mkdir -p "$I"/{bin,dev,proc,sys,new,modules}
cp "$W/kernel/bin/busybox" "$I/bin/"
install -m755 "$HERE/board/init" "$I/init"
with_dependencies virtio_pci virtio_blk ext4 | while read -r file; do
  cp "$file" "$I/modules/"; basename "$file" >> "$I/modules/order"
done
(cd "$I" && find . | cpio -o -H newc --quiet -R 0:0 | zstd -q -3 -o "$VM/initramfs.zst")

# --- the disk
D=$W/disk
mmdebstrap --quiet --mode=root --architectures=arm64 --variant=extract --skip=check/qemu \
  --aptopt='Apt::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' --include='?essential' \
  --include=base-passwd,base-files,passwd,systemd,systemd-sysv,udev,dbus,kmod,procps,iproute2,mosquitto,mosquitto-clients,v4l-utils,jq \
  "$SUITE" "$D" "deb $MIRROR $SUITE main"
rm -rf "$D"/usr/share/{doc,man,locale} "$D"/var/cache/apt/* "$D"/var/lib/apt/lists/*

# what the packages' own scripts would have done
cp "$D/usr/share/base-passwd/passwd.master" "$D/etc/passwd"
cp "$D/usr/share/base-passwd/group.master" "$D/etc/group"
sed -i 's|^root:[^:]*:|root::|' "$D/etc/passwd"
account() {   # NAME ID HOME
  grep -q "^$1:" "$D/etc/passwd" || echo "$1:x:$2:$2::$3:/usr/sbin/nologin" >> "$D/etc/passwd"
  grep -q "^$1:" "$D/etc/group" || echo "$1:x:$2:" >> "$D/etc/group"
}
account messagebus 100 /nonexistent
account mosquitto 101 /var/lib/mosquitto
gid=110; for group in render kvm sgx input; do
  grep -q "^$group:" "$D/etc/group" || echo "$group:x:$((gid++)):" >> "$D/etc/group"
done
install -d -o 101 -g 101 "$D/var/lib/mosquitto" "$D/var/log/mosquitto"
[ -e "$D/bin/sh" ] || ln -s dash "$D/bin/sh"
[ -e "$D/usr/bin/awk" ] || ln -s mawk "$D/usr/bin/awk"
cp "$D/usr/share/libc-bin/nsswitch.conf" "$D/etc/nsswitch.conf"
mkdir -p "$D/etc/pam.d"
for kind in account auth password session session-noninteractive; do
  [ -e "$D/etc/pam.d/common-$kind" ] || echo "${kind%-noninteractive} required pam_permit.so" > "$D/etc/pam.d/common-$kind"
done
printf '127.0.0.1 localhost\n::1 localhost\n' > "$D/etc/hosts"
echo board > "$D/etc/hostname"
printf '/dev/vda / ext4 defaults 0 1\nhost0 /host 9p trans=virtio,version=9p2000.L,msize=262144 0 0\n' > "$D/etc/fstab"
mkdir -p "$D/host"
for timer in apt-daily apt-daily-upgrade e2scrub_all fstrim dpkg-db-backup; do
  ln -sf /dev/null "$D/etc/systemd/system/$timer.timer"
done

# drivers: cameras and what the board itself needs
T=$D/lib/modules/$release; mkdir -p "$T/updates"
cp "$MODULES"/modules.{builtin,builtin.modinfo,order} "$T/"
with_dependencies vivid uvcvideo virtio_pci virtio_blk virtio_net 9p 9pnet_virtio ext4 virtio_rng videodev | while read -r file; do
  install -D -m644 "$file" "$T/${file#"$MODULES"/}"
done
aarch64-linux-gnu-strip --strip-debug "$driver/v4l2loopback.ko" -o "$T/updates/v4l2loopback.ko"
depmod -b "$D" "$release"
install -m644 "$HERE/board/modprobe.conf" "$D/etc/modprobe.d/vigie-test.conf"

# one unit runs the tests of the shared folder, brings the journal back and powers off
install -m644 "$HERE/board/vigie-test.service" "$HERE/board/vigie-test.target" "$D/etc/systemd/system/"

truncate -s 1500M "$VM/disk.ext4"
mke2fs -q -t ext4 -O ^has_journal,^metadata_csum -E lazy_itable_init=1,lazy_journal_init=1 -d "$D" "$VM/disk.ext4"
printf 'kernel %s\ndriver %s\n' "$release" "$(basename "$driver")" > "$VM/versions"
# images of earlier recipes are of no use any more
find "$BUILD/vm" -mindepth 1 -maxdepth 1 -type d -regex '.*/[0-9a-f]+' ! -name "$HASH" -exec rm -rf --one-file-system {} +
touch "$VM/.done"
# whoever asked for it, not root, boots it
[ -z "${SUDO_UID:-}" ] || chown -R "$SUDO_UID:$SUDO_GID" "$BUILD/vm"
echo "$VM" >&3
