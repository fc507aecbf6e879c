#!/bin/bash
# deny.sh : checks the dependencies against deny.toml. cargo-deny is built once, under build/, when it is not installed.
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
VERSION=0.20.2

export PATH=$BUILD/tools/bin:$PATH
if ! command -v cargo-deny >/dev/null; then
  say "building cargo-deny $VERSION (once)"
  mkdir -p "$BUILD/tools"
  # debug information and link-time optimisation are of no use to a tool that runs for a second
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    cargo install --locked --quiet --root "$BUILD/tools" --target-dir "$BUILD/tools/target" "cargo-deny@$VERSION"
  rm -rf "$BUILD/tools/target"
fi

checks=(bans licenses sources)
# The advisory database is a git repository elsewhere; where it cannot be reached the other checks still count.
if cargo deny --locked fetch db >/dev/null 2>&1; then checks+=(advisories)
else say "the advisory database cannot be reached from here: advisories are not checked in this run"; fi
cargo deny --locked check --hide-inclusion-graph "${checks[@]}"
