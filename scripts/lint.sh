#!/bin/bash
# lint.sh : formatting, clippy without a single warning, and the dependencies' licences, advisories and sources.
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
"$ROOT/scripts/packages.sh" build

say "rustfmt"; cargo fmt --check
say "docs";    "$ROOT/scripts/docs-lint.sh"
say "clippy";  cargo clippy --locked --all-targets -- -D warnings
# without a way to the advisories' database the rest of it is what can be had here
say "cargo-deny"; "$ROOT/scripts/deny.sh" || [ $? = 75 ]
