#!/bin/bash
# deny.sh [CHECK…] : checks the dependencies against deny.toml: bans, licenses, sources, advisories (default: all).
# cargo-deny is built once, under build/, when it is not installed. The advisory database is a git repository elsewhere:
# where it cannot be reached that is said, and the exit status is 75 unless another check failed (then that one's).
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
cargo_tool cargo-deny 0.20.2

checks=("$@"); [ $# -gt 0 ] || checks=(bans licenses sources advisories)
status=0
if [[ " ${checks[*]} " == *" advisories "* ]] && ! words=$(cargo deny --locked fetch db 2>&1); then
  say "NOT CHECKED: advisories, because their database can't be fetched: $(grep -vE '^ *$' <<< "$words" | tail -1)"
  status=75
  rest=(); for check in "${checks[@]}"; do [ "$check" = advisories ] || rest+=("$check"); done
  checks=("${rest[@]}")
fi
[ ${#checks[@]} = 0 ] || cargo deny --locked check --hide-inclusion-graph "${checks[@]}"
exit $status
