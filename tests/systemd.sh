#!/bin/bash
# systemd.sh : the unit is one that systemd accepts without a word, and as closed as it claims to be.
# Runs without systemd as PID 1. That the daemon works inside the unit is shown by the virtual board (make vm-test).
. "$(dirname "$0")/../scripts/lib.sh"
ensure_packages systemd
LIMIT=20   # tenths of systemd's exposure level: 10 is worst, below 2 is "OK"

work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
# the binary is not installed here; everything else is checked as shipped
sed 's|^ExecStart=/usr/bin/vigie |ExecStart=/bin/true |' "$ROOT/systemd/vigie.service" > "$work/vigie.service"
words=$(systemd-analyze verify --man=no "$work/vigie.service" 2>&1) || die "systemd refuses the unit: $words"
[ -z "$words" ] || die "systemd warns about the unit: $words"
echo "PASS the unit is accepted without a warning"

report=$(systemd-analyze security --no-pager --offline=true --threshold=$LIMIT "$ROOT/systemd/vigie.service") ||
  { printf '%s\n' "$report" >&2; die "the unit is more exposed than $LIMIT tenths"; }
printf 'PASS %s\n' "$(tail -1 <<< "$report" | sed 's/^[^O]*//; s/ [^ ]*$//')"

# the spool's folder: made by systemd, the service's own, and the only place on disk where the daemon may write
grep -qx 'StateDirectory=vigie' "$ROOT/systemd/vigie.service" ||
  die "the unit has no StateDirectory=vigie: there would be no /var/lib/vigie for [mqtt] spool"
for path in "$ROOT/config/vigie.toml" "$ROOT/docs/mqtt.md"; do
  grep -q 'path = "/var/lib/vigie/' "$path" || die "$path names another folder for the spool than the unit makes"
done
echo "PASS /var/lib/vigie is there for the spool"
for line in RuntimeDirectory=vigie RuntimeDirectoryPreserve=yes; do
  grep -qx "$line" "$ROOT/systemd/vigie.service" ||
    die "the unit has no $line: what is not on disk yet would die with the daemon"
done
echo "PASS /run/vigie is there for the spool's journal, and outlives the daemon"

# DeviceAllow= names devices of kernel modules, and is resolved when the service starts: the modules come first
for module in videodev mc; do
  for key in Wants After; do
    grep -qE "^$key=(.* )?modprobe@$module\.service( |$)" "$ROOT/systemd/vigie.service" ||
      die "the unit has no $key=modprobe@$module.service: a camera that is plugged in later would be refused"
  done
done
echo "PASS the cameras' kernel modules are loaded before the daemon starts"
