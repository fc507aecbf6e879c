#!/bin/bash
# install.sh : `make install` puts everything where it is looked for, never overwrites a configuration, and `make
# uninstall` takes all of it away but what is the user's. Needs the release binary (make build), no root and no systemd.
. "$(dirname "$0")/../scripts/lib.sh"
cd "$ROOT"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
pass() { echo "PASS $*"; }

installed() { (cd "$work/$1" && find . -type f -printf '%P\n' | sort); }
for prefix in /usr /usr/local /opt/vigie; do
  root=root$prefix
  make -s install DESTDIR="$work/$root" PREFIX=$prefix
  below=$work/$root$prefix
  case $prefix in /opt/*) units=$work/$root/etc/systemd/system ;; *) units=$below/lib/systemd/system ;; esac
  for file in "$below"/bin/vigie "$units/vigie.service" "$below"/share/vigie/models/vigie-xxs-320-int8.onnx \
    "$below"/share/vigie/schema/{vigie.schema,detections,event,stats}.json "$below"/share/man/man1/vigie{,-run}.1 \
    "$below"/share/bash-completion/completions/vigie "$work/$root/etc/vigie/vigie.toml"; do
    [ -s "$file" ] || die "$prefix: $file is missing or empty; there are: $(installed "$root" | tr '\n' ' ')"
  done
  grep -q "^ExecStart=$prefix/bin/vigie run " "$units/vigie.service" || die "$prefix: the unit starts another binary"
  # an installed program finds the model that was installed with it, from anywhere
  case $prefix in
    /usr) ;;   # there the folder is a fixed one of the machine
    *) (cd / && "$below/bin/vigie" model info >/dev/null) || die "$prefix: the installed model is not found" ;;
  esac

  echo '# mine' >> "$work/$root/etc/vigie/vigie.toml"
  make -s install DESTDIR="$work/$root" PREFIX=$prefix 2>/dev/null
  tail -1 "$work/$root/etc/vigie/vigie.toml" | grep -qx '# mine' || die "$prefix: the configuration was overwritten"
  make -s uninstall DESTDIR="$work/$root" PREFIX=$prefix 2>/dev/null
  [ "$(installed "$root")" = etc/vigie/vigie.toml ] || die "$prefix: uninstalling left $(installed "$root" | tr '\n' ' ')"
  pass "make install and uninstall below $prefix"
done
