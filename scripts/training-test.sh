#!/bin/bash
# training-test.sh [PYTEST ARGUMENTS…] : the tests of training/, in a virtual environment of its own (PyTorch is large:
# the first run takes long, and a few gigabytes). VIGIE_PYTHON names an interpreter that has everything already.
. "$(dirname "$0")/lib.sh"
cd "$ROOT/training"

export VIGIE_BINARY=${VIGIE_BINARY:-$(target_dir)/release/vigie}
python=${VIGIE_PYTHON:-$BUILD/training/bin/python}
if [ -z "${VIGIE_PYTHON:-}" ] && ! "$python" -c 'import torch, pytest' 2>/dev/null; then
  ensure_packages python3-venv
  say "making a virtual environment for training/ (once)"
  python3 -m venv "$BUILD/training"
  "$python" -m pip install --quiet --disable-pip-version-check -e '.[test]'
fi
"$python" -m pytest "$@"
