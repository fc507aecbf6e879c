#!/bin/bash
# docs-lint.sh [FILE.md…] : lines of at most 120 characters, and links within the repository that lead somewhere, in every
# Markdown file that git knows; lines of CHANGELOG.md may be longer.
set -euo pipefail
cd "${VIGIE_DOCS_ROOT:-$(dirname "${BASH_SOURCE[0]}")/..}"
export LC_ALL=C.UTF-8

failed=0
complain() { printf '%s\n' "$*" >&2; failed=1; }

# slugs FILE : the anchors of a file's headings, as GitHub makes them.
slugs() {
  awk '/^```/ { code = !code } !code && /^#+ / { sub(/^#+ +/, ""); print }' "$1" |
    sed -E 's/`//g; s/\[([^]]*)\]\([^)]*\)/\1/g' | tr '[:upper:]' '[:lower:]' | sed -E 's/[^[:alnum:] _-]//g; s/ /-/g'
}

# links FILE : the targets of its links and pictures outside of code, with those of reference definitions.
links() {
  awk '/^ *```/ { code = !code } !code' "$1" | sed -E 's/`[^`]*`//g' |
    { grep -oE '\]\([^)[:space:]]+\)|^\[[^]]+\]: +[^[:space:]]+' || true; } | sed -E 's/^\]\(//; s/\)$//; s/^\[[^]]+\]: +//'
}

[ $# -gt 0 ] || mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.md')
[ $# -gt 0 ] && files=("$@")
checked=0
for file in "${files[@]}"; do
  [ -f "$file" ] || continue
  if [ "$(basename "$file")" != CHANGELOG.md ]; then
    while IFS=: read -r line _; do
      complain "$file:$line: longer than 120 characters; break it"
    done < <(grep -nE '^.{121,}$' "$file")
  fi
  while read -r link; do
    case $link in *://* | mailto:*) continue ;; esac
    checked=$((checked + 1))
    path=${link%%#*} anchor=
    [ "$link" = "$path" ] || anchor=${link#*#}
    target=$file
    [ -z "$path" ] || target=$(dirname "$file")/$path
    if [ ! -e "$target" ]; then
      complain "$file: link to $link, but there is no $target"
    elif [ -n "$anchor" ] && [ -f "$target" ] && ! slugs "$target" | grep -qxF -- "$anchor"; then
      complain "$file: link to $link, but $target has no such heading"
    fi
  done < <(links "$file")
done
[ $failed = 0 ] || exit 1
echo "docs-lint: ${#files[@]} files, $checked links within the repository"
