#!/bin/bash
# run.sh [homeassistant|nodered|subscriber]… : Vigie beside what its users have, each for real: Home Assistant's core, Node-RED
# with examples/node-red/flows.json, and Python with examples/subscriber.py; all of them unless some are named. They come
# from PyPI and npm, into folders of their own under build/ (some 700 MB, once). Home Assistant needs Python 3.13, which
# VIGIE_PYTHON names if it is not found. VIGIE is the program; unless it is set, it is built.
. "$(dirname "$0")/../../scripts/lib.sh"
cd "$ROOT"
here=tests/ecosystem

# python_3_13 : an interpreter that Home Assistant runs on.
python_3_13() {
  local python
  for python in "${VIGIE_PYTHON:-}" python3.13 python3 ~/.pyenv/versions/3.13.*/bin/python; do
    "${python:-false}" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null && echo "$python" && return
  done
  return 1
}

# environment NAME PYTHON MODULE PACKAGE… : a virtual environment, made once; says where its python is.
environment() {
  local folder=$BUILD/$1 python=$2 module=$3; shift 3
  "$folder/bin/python" -c "import $module" 2>/dev/null || {
    "$python" -c 'import ensurepip' 2>/dev/null || ensure_packages python3-venv
    say "making a virtual environment with $* (once)"
    "$python" -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
  }
  echo "$folder/bin/python"
}

homeassistant() {
  local python; python=$(python_3_13) || { say "no Python 3.13 here (VIGIE_PYTHON names one): Home Assistant is not run"; return 75; }
  # Device-based discovery came with 2024.11; this release is the last that runs on Python 3.13.0.
  python=$(environment homeassistant "$python" homeassistant homeassistant==2025.4.4 paho-mqtt==2.1.0)
  "$python" $here/with_homeassistant.py
}

nodered() {
  command -v npm >/dev/null || { say "no npm here: Node-RED is not run"; return 75; }
  local folder=$BUILD/node-red
  if [ ! -e "$folder/node_modules/node-red/red.js" ]; then
    say "installing Node-RED (once)"
    mkdir -p "$folder"
    npm install --prefix "$folder" --no-audit --no-fund --loglevel=error node-red@4.1.15
  fi
  NODE_RED=$folder/node_modules/node-red/red.js python3 $here/with_nodered.py
}

subscriber() {
  local python; python=$(environment subscriber python3 paho.mqtt.client paho-mqtt==2.1.0)
  "$python" $here/with_subscriber.py
}

if [ -z "${VIGIE:-}" ]; then
  cargo build --release --locked
  VIGIE=$(target_dir)/release/vigie
fi
export VIGIE
[ $# -gt 0 ] || set -- subscriber nodered homeassistant
missing=0
for each in "$@"; do
  say "$each"
  # In a condition, errors would not end a function.
  set +e; (set -e; "$each"); status=$?; set -e
  # 75: it could not be checked here, which is said and is no failure of ours.
  case $status in 0) ;; 75) missing=75 ;; *) exit "$status" ;; esac
done
exit $missing
