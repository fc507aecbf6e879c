#!/bin/sh
# What a camera can do to the capture room, done to it by vivid and v4l2loopback, inside a virtual machine.
#
# Runs as root in a guest whose kernel has both modules, with plain busybox. Wants:
#   VIGIE, GRAB    the programs (`cargo build --bin vigie --example grab`); default: from $PATH
#   LOOPBACK       v4l2loopback.ko, or nothing if modprobe finds it
#   FEEDER         a program that writes paced frames: FEEDER NODE FPS FILE… (feed.c)
#   FRAMES         a folder with *.yuyv and *.jpg (640x480), for FEEDER
# Prints a line a check, and exits 1 if one failed. Without FEEDER the loopback checks are left out, and it says so.

VIGIE=${VIGIE:-vigie} GRAB=${GRAB:-grab} FEEDER=${FEEDER:-} FRAMES=${FRAMES:-/host} LOOPBACK=${LOOPBACK:-}
DRIVER=/sys/bus/platform/drivers/vivid
WORK=${TMPDIR:-/tmp}/capture-faults
mkdir -p "$WORK"
failed=0 passed=0

up() { cut -d' ' -f1 /proc/uptime; }
say() { echo "[$(up)] $*"; }
fail() { failed=$((failed + 1)); echo "FAIL @$(up) $*"; }

# check WHAT PATTERN…: every extended regular expression is found in $json.
check() {
  what=$1 ok=1
  shift
  for pattern in "$@"; do
    echo "$json" | grep -Eq "$pattern" || { ok=0; say "  not found: $pattern"; }
  done
  if [ $ok = 1 ]; then passed=$((passed + 1)); echo "PASS @$(up) $what"; else fail "$what"; say "  $json"; fi
}

# number NAME: a number of $json.
number() { echo "$json" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }

# capture ARGUMENTS…: its line of JSON in $json, what it complained of in $WORK/log.
capture() { json=$(RUST_LOG=warn "$GRAB" "$@" 2>"$WORK/log"); }

# during SECONDS COMMAND -- ARGUMENTS…: captures, and runs the command meanwhile.
during() {
  seconds=$1 command=$2
  shift 3
  "$GRAB" "$@" >"$WORK/json" 2>"$WORK/log" &
  grab=$!
  sleep "$seconds"
  eval "$command"
  wait $grab
  json=$(cat "$WORK/json")
}

control() { v4l2-ctl -d "$CAM" -c "$1"; }

load_vivid() {
  if grep -q '^vivid ' /proc/modules; then rmmod vivid || modprobe -r vivid; fi
  # shellcheck disable=SC2086
  if [ -f /mod/vivid.ko ]; then insmod /mod/vivid.ko $1; else modprobe vivid $1; fi || { fail "vivid $1"; exit 1; }
  n=0
  while [ ! -e /dev/video0 ] && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
  CAM=/dev/video0
}

# ---------------------------------------------------------------- one memory plane a buffer
# A webcam with a metadata node, and an HDMI receiver with an output.
load_vivid "n_devs=2 node_types=0x20001,0x101 num_inputs=1,1 input_types=0x0,0x3 num_outputs=0,1 output_types=0x0,0x1 multiplanar=1,1 vid_cap_nr=0,4 vid_out_nr=-1,5"

json=$("$VIGIE" cameras --json)
check "cameras: the webcam is usable" '"path":"/dev/video0".*"usable":true' '"card":"vivid"' '"driver":"vivid"'
check "cameras: the output and the metadata node are not, and say why" 'is an output' "carries a camera's metadata"

capture --device $CAM --frames 10
check "by itself: a small raw format, everything counted" '"done":true' '"state":"online"' '"error_flagged":0' '"truncated":0' \
  '"width":640' '"height":360' '"format":"(NV12|NV21|YU12)"'
capture --card VIVID --frames 3
check "found by its card's name" '"done":true' '"name":"/dev/video'
capture --bus platform:vivid-001 --frames 3
check "found by its bus" '"done":true' '"name":"/dev/video4'
capture --bus platform:vivid-777 --seconds 2
check "not found: what is there is told" '"done":false' '"kinds":\["not-found"\]' 'no camera is bus .*found /dev/video0'

# FORMAT:BYTES of 640x360
for f in YUYV:460800 UYVY:460800 NV12:345600 NV21:345600 YU12:345600 GREY:230400 RGB3:691200 BGR3:691200; do
  capture --device $CAM --format ${f%:*} --size 640x360 --frames 5
  check "format ${f%:*}" '"done":true' "\"format\":\"${f%:*}\"" "\"bytes\":${f#*:}," '"rising":true'
done
capture --device $CAM --format MJPG --seconds 1
check "a format that it lacks: what it has is told" '"kinds":\["unsupported"\]' 'has no MJPG; it offers .*YUYV'
capture --device $CAM --size 1280x720 --fps 10 --frames 5 --format YUYV
check "size and rate as asked for" '"width":1280' '"height":720' '"fps":10'
capture --device $CAM --enough 4.5 --frames 3
check "by itself: no faster than it is looked at" '"done":true' '"fps":5[,.]'

# ---------------------------------------------------------------- faults while it streams
during 2 'control disconnect=1' -- --device $CAM --frames 60 --until-reopened 1
check "disconnect: lost, reopened, numbers go on" '"done":true' '"lost"' '"reopened":1' '"rising":true' '"state":"online"'

during 4 'control inject_fatal_streaming_error=1' -- --device $CAM --frames 60 --until-reopened 1
check "EIO: reopened" '"done":true' '"io"' '"reopened":1' '"rising":true' '"state":"online"'

during 2 'control inject_v4l2_buf_flag_error=1' -- --device $CAM --frames 60
check "ERROR flag: counted, not shown, no reopening" '"done":true' '"error_flagged":[1-9]' '"reopened":0'

control percentage_of_dropped_buffers=50
capture --device $CAM --frames 40 --seconds 60
control percentage_of_dropped_buffers=0
check "dropped buffers: gaps are counted" '"done":true' '"gaps":[1-9]' '"reopened":0'

control percentage_of_dropped_buffers=100
during 5 'control percentage_of_dropped_buffers=0' -- --device $CAM --frames 30 --stall 1 --until-reopened 1
check "silence: a stall, reopened, then well" '"done":true' '"stalled"' '"states":\[.*"stalled".*"online"\]'

for c in "reqbufs allocate buffers" "streamon start streaming"; do
  control "inject_vidioc_${c%% *}_error=1"
  capture --device $CAM --frames 5
  json="$json $(cat "$WORK/log")"
  check "a failing ${c%% *}: said, and tried again" '"done":true' '"kinds":\["io"\]' '"state":"online"' \
    "cannot ${c#* } on $CAM: .*; next try in [0-9]"
done

during 2 'echo vivid.0 >$DRIVER/unbind; sleep 4; echo vivid.0 >$DRIVER/bind' -- --device $CAM --frames 80 --until-reopened 1 --seconds 60
check "unplugged and plugged in again" '"done":true' '"lost"' '"not-found"' '"reopened":1' '"rising":true' '"state":"online"'
during 2 'echo vivid.0 >$DRIVER/unbind; sleep 3' -- --device $CAM --frames 9999 --seconds 8
check "unplugged for good: offline, no spin" '"done":false' '"state":"offline"' '"hint":"`vigie cameras`'
[ "$(number cpu_ms)" -lt 3000 ] || fail "it spins: $(number cpu_ms) ms of processor time"
echo vivid.0 >$DRIVER/bind
sleep 1

# ---------------------------------------------------------------- in use, and no camera at all
v4l2-ctl -d $CAM --stream-mmap --stream-count=2000 >/dev/null 2>&1 &
holder=$!
sleep 1
capture --device $CAM --seconds 3
check "in use: the holder is named" '"kinds":\["busy"\]' "held by v4l2-ctl \(pid $holder\)"
json=$("$VIGIE" cameras --json)
check "cameras: in use, and by whom" '"path":"/dev/video0".*"usable":false' '"kind":"busy"' "\"pid\":$holder"
during 3 'kill $holder' -- --device $CAM --frames 5
check "in use, then free: taken" '"done":true' '"kinds":\["busy"\]' '"state":"online"'
wait $holder 2>/dev/null

capture --device /dev/video5 --seconds 1
check "an output is no camera" '"kinds":\["not-capture"\]' 'is an output'
capture --device /dev/video99 --seconds 1
check "no such node" '"kinds":\["not-found"\]' 'no such file'
capture --device /dev/null --seconds 1
check "a device of another kind" '"kinds":\["not-capture"\]' 'is no V4L2 device'

# ---------------------------------------------------------------- several memory planes a buffer
load_vivid "n_devs=1 node_types=0x1 num_inputs=1 input_types=0x0 multiplanar=2"
json=$("$VIGIE" cameras --json)
check "multiplanar: listed with its formats" '"usable":true' '"fourcc":"NM12"' '"fourcc":"YM12"'
for f in YUYV:460800 NV12:345600 NV21:345600 YU12:345600 RGB3:691200; do
  capture --device $CAM --format ${f%:*} --size 640x360 --frames 5
  check "multiplanar ${f%:*}" '"done":true' "\"format\":\"${f%:*}\"" "\"bytes\":${f#*:},"
done
during 2 'control disconnect=1' -- --device $CAM --frames 60 --until-reopened 1
check "multiplanar: disconnect" '"done":true' '"lost"' '"reopened":1' '"state":"online"'

# ---------------------------------------------------------------- a loopback: JPEG, and a writer that dies
if [ -z "$FEEDER" ]; then
  say "left out: the loopback checks, there is no FEEDER"
else
  options="devices=2 video_nr=20,21 card_label=Porch,Yard exclusive_caps=1,1 max_buffers=8"
  # shellcheck disable=SC2086
  if [ -n "$LOOPBACK" ]; then insmod "$LOOPBACK" $options; else modprobe v4l2loopback $options; fi
  sleep 1
  capture --device /dev/video20 --seconds 1
  check "a loopback without a writer" '"kinds":\["not-capture"\]' 'loopback'

  set -- "$FRAMES"/*.yuyv
  "$FEEDER" /dev/video20 10 "$@" >/dev/null 2>&1 &
  writer=$!
  sleep 1
  during 3 'kill $writer; wait $writer 2>/dev/null' -- --card porch --frames 9999 --seconds 8 --stall 2 --save "$WORK"
  check "loopback YUYV, then the writer dies: a stall" '"width":640' '"height":480' '"stalled"' '"states":\["offline","online",'
  json=different
  for f in "$@"; do cmp -s "$f" "$WORK/1.yuyv" && json=same; done
  check "loopback YUYV is the picture that was written, bit by bit" same

  set -- "$FRAMES"/*.jpg
  head -c 5000 "$1" >"$WORK/cut.jpg"
  "$FEEDER" /dev/video21 10 "$@" "$WORK/cut.jpg" >/dev/null 2>&1 &
  writer=$!
  sleep 1
  capture --device /dev/video21 --frames 20 --save "$WORK"
  check "loopback MJPEG: whole pictures only, the cut ones are counted" '"done":true' '"format":"MJPG"' '"truncated":[1-9]' '"width":640'
  json=different
  for f in "$@"; do cmp -s "$f" "$WORK/2.mjpg" && json=same; done
  check "loopback MJPEG is one of the files, bit by bit" same
  kill $writer
fi

say "$passed passed, $failed failed"
[ $failed = 0 ]
