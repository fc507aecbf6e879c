#!/bin/bash
# install.sh install|uninstall : puts Vigie where a service of this machine looks for it, or takes it away again.
#   PREFIX    /usr/local; binary, models, schemas, manual, completions and the unit go below it
#   DESTDIR   nothing; a packager's staging folder, before every path
#   VIGIE_BINARY   the built binary; default: the release build's
#   VIGIE_RUNNER   what runs that binary here if it is another architecture's (an emulator): it prints its own manual
# The configuration, /etc/vigie/vigie.toml, is installed if there is none, and never overwritten nor removed.
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
PREFIX=${PREFIX:-/usr/local} DESTDIR=${DESTDIR:-}
[[ $PREFIX == /* ]] || die "PREFIX is '$PREFIX'; it has to be an absolute path"
# Without a prefix of its own for units, systemd looks in these three.
case $PREFIX in
  /usr | /usr/local) UNITS=$PREFIX/lib/systemd/system ;;
  *) UNITS=/etc/systemd/system ;;
esac
SHARE=$PREFIX/share
CONFIG=/etc/vigie/vigie.toml
MODELS=(vigie-xxs-320-int8.onnx vigie-xxs-256-int8.onnx)

# to PATH MODE [FILE] : installs FILE, or standard input, there
to() { install -D -m "$2" "${3:-/dev/stdin}" "$DESTDIR$1"; }

# reload : tells a running systemd about a unit that came or went; a staging folder is none of its business
reload() { [ -n "$DESTDIR" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload; }

install_all() {
  local binary=${VIGIE_BINARY:-$(target_dir)/release/vigie} vigie model shell pages
  [ -x "$binary" ] || die "there is no $binary; run \`make build\` first, as yourself"
  [ -w "$(existing "$DESTDIR$PREFIX")" ] || die "$DESTDIR$PREFIX is not yours to write: sudo make install"
  read -ra vigie <<< "${VIGIE_RUNNER:-} $binary"
  to "$PREFIX/bin/vigie" 755 "$binary"
  for model in "${MODELS[@]}"; do to "$SHARE/vigie/models/$model" 644 "models/$model"; done
  to "$SHARE/vigie/schema/vigie.schema.json" 644 config/vigie.schema.json
  for model in docs/schema/*.json; do to "$SHARE/vigie/schema/$(basename "$model")" 644 "$model"; done
  to "$SHARE/doc/vigie/LICENSE-MIT" 644 LICENSE-MIT
  to "$SHARE/doc/vigie/LICENSE-APACHE" 644 LICENSE-APACHE

  pages=$(mktemp -d)
  "${vigie[@]}" man --dir "$pages"
  for page in "$pages"/*.1; do to "$SHARE/man/man1/$(basename "$page")" 644 "$page"; done
  rm -rf "$pages"
  "${vigie[@]}" completions bash | to "$SHARE/bash-completion/completions/vigie" 644
  "${vigie[@]}" completions zsh | to "$(zsh_folder)/_vigie" 644
  "${vigie[@]}" completions fish | to "$SHARE/fish/vendor_completions.d/vigie.fish" 644

  sed "s|/usr/bin/vigie|$PREFIX/bin/vigie|" systemd/vigie.service | to "$UNITS/vigie.service" 644
  if [ -e "$DESTDIR$CONFIG" ]; then say "$DESTDIR$CONFIG is there and stays as it is"
  else sed "1s|#:schema .*|#:schema $SHARE/vigie/schema/vigie.schema.json|" config/vigie.toml | to "$CONFIG" 644; fi
  reload
  [ -n "$DESTDIR" ] || next_steps
}

next_steps() {
  cat <<WORDS
Vigie is in $PREFIX/bin. What to do next:
  vigie cameras                            which cameras there are, and what is not usable and why
  sudo editor $CONFIG        your broker, your cameras
  vigie check                              every mistake at once
  sudo systemctl enable --now vigie        from now on, and after every start of the machine
  journalctl -u vigie -f                   what it says
A password for the broker: see the chapter "As a service" of README.md.
WORDS
}

uninstall_all() {
  local model
  [ -n "$DESTDIR" ] || [ ! -d /run/systemd/system ] || systemctl disable --now vigie 2>/dev/null || true
  for model in "${MODELS[@]}"; do rm -f "$DESTDIR$SHARE/vigie/models/$model"; done
  rm -rf "$DESTDIR$SHARE/vigie/schema" "$DESTDIR$SHARE/doc/vigie"
  rm -f "$DESTDIR$PREFIX/bin/vigie" "$DESTDIR$UNITS/vigie.service" "$DESTDIR$SHARE"/man/man1/vigie{,-*}.1 \
    "$DESTDIR$SHARE/bash-completion/completions/vigie" "$DESTDIR$(zsh_folder)/_vigie" \
    "$DESTDIR$SHARE/fish/vendor_completions.d/vigie.fish"
  # models of your own stay
  rmdir "$DESTDIR$SHARE/vigie/models" "$DESTDIR$SHARE/vigie" 2>/dev/null || true
  reload
  say "Vigie is gone from $DESTDIR$PREFIX; what you made stays: $DESTDIR/etc/vigie, $DESTDIR/var/lib/private/vigie"
}

# Debian's zsh looks for packages' completions in a folder of its own.
zsh_folder() { if [ "$PREFIX" = /usr ]; then echo /usr/share/zsh/vendor-completions; else echo "$SHARE/zsh/site-functions"; fi; }

# existing PATH : the nearest folder above that is there
existing() { local path=$1; until [ -e "$path" ]; do path=$(dirname "$path"); done; echo "$path"; }

case ${1:-} in
  install) install_all ;;
  uninstall) uninstall_all ;;
  *) die "usage: install.sh install|uninstall" ;;
esac
