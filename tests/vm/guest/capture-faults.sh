# What a camera can do to the capture room, done to it for real by vivid and v4l2loopback: every format, loss, stall,
# errors, a holder, several memory planes. Wants /host/vigie and /host/grab (`cargo build --example grab`).

WORK=/tmp/capture-faults
DRIVER=/sys/bus/platform/drivers/vivid
CAM=/dev/video0
mkdir -p $WORK
# Not from the share: a program that is paged in over 9p takes seconds to start.
cp /host/vigie /host/grab $WORK/
stop_feed yuyv; stop_feed mjpeg

# expect WORDS PATTERN… : PASS when all of these extended regular expressions are found in $json
expect() {
  local words=$1 pattern missing=; shift
  for pattern in "$@"; do grep -Eq -- "$pattern" <<< "$json" || missing+=" $pattern"; done
  if [ -z "$missing" ]; then pass "$words"; else fail "$words: no$missing in $json"; fi
}
number() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" <<< "$json"; }

# capture ARGUMENTS… : its line of JSON in $json
capture() { json=$($WORK/grab --seconds 60 "$@" 2>> "$LOGS/grab.txt"); }
# refused KIND ARGUMENTS… : captures until a failure of that kind
refused() { capture --until-kind "$@"; }
# meanwhile COMMAND ARGUMENTS… : captures, and runs the command once frames have come
meanwhile() {
  local command=$1 grab; shift
  rm -f $WORK/ready
  $WORK/grab --seconds 60 --ready $WORK/ready "$@" > $WORK/json 2>> "$LOGS/grab.txt" & grab=$!
  until_true 60 test -e $WORK/ready
  $command
  wait $grab
  json=$(cat $WORK/json)
}
control() { v4l2-ctl -d $CAM -c "$1"; }
load_vivid() {
  modprobe -r vivid
  # shellcheck disable=SC2086
  modprobe vivid $1
  until_true 10 test -e $CAM
}

# ---- one memory plane a buffer: a webcam with a metadata node, and an HDMI receiver with an output
load_vivid "n_devs=2 node_types=0x20001,0x101 num_inputs=1,1 input_types=0x0,0x3 num_outputs=1,1 output_types=0x1,0x1 multiplanar=1,1 vid_cap_nr=0,4 vid_out_nr=3,5"

$WORK/vigie cameras
json=$($WORK/vigie cameras --json)
expect "cameras: the webcam is usable" '"driver":"vivid".*"path":"/dev/video0".*"usable":true'
expect "cameras: outputs and metadata nodes are not, and it says why" 'is an output' "carries a camera's metadata"

capture --device $CAM --frames 10
expect "by itself it takes a small raw format" '"done":true' '"state":"online"' '"error_flagged":0' '"truncated":0' \
  '"width":640' '"height":360' '"format":"(NV12|NV21|YU12)"'
expect "its frames are stamped with the clock of the system" '"age_ms":[0-9]{1,3},'
capture --card VIVID --frames 3
expect "found by its card's name" '"done":true' '"name":"/dev/video'
capture --bus platform:vivid-001 --frames 3
expect "found by its bus" '"done":true' '"name":"/dev/video4'
refused not-found --bus platform:vivid-777
expect "not found: what is there is told" '"done":true' 'no camera is bus .*found /dev/video0'

size_of() { case $1 in YUYV|UYVY) echo 460800;; GREY) echo 230400;; RGB3|BGR3) echo 691200;; *) echo 345600;; esac; }
for format in YUYV UYVY NV12 NV21 YU12 GREY RGB3 BGR3; do
  capture --device $CAM --format $format --size 640x360 --frames 5
  expect "format $format" '"done":true' "\"format\":\"$format\"" "\"bytes\":$(size_of $format)," '"rising":true'
done
refused unsupported --device $CAM --format MJPG
expect "a format that it lacks: what it has is told" '"done":true' 'has no MJPG; it offers .*YUYV'
capture --device $CAM --size 1280x720 --fps 10 --frames 3 --format YUYV
expect "size and rate as asked for" '"width":1280' '"height":720' '"fps":1[02]'

# ---- faults while it streams
disconnect() { control disconnect=1; }
meanwhile disconnect --device $CAM --frames 30 --until-reopened 1
expect "disconnected: lost, reopened, the numbers go on" '"done":true' '"lost"' '"reopened":1' '"rising":true' '"state":"online"'

fatal() { control inject_fatal_streaming_error=1; }
meanwhile fatal --device $CAM --frames 30 --until-reopened 1
expect "EIO: reopened" '"done":true' '"io"' '"reopened":1' '"rising":true' '"state":"online"'

flagged() { control inject_v4l2_buf_flag_error=1; }
meanwhile flagged --device $CAM --frames 30
expect "the ERROR flag: counted, not shown, no reopening" '"done":true' '"error_flagged":[1-9]' '"reopened":0'

control percentage_of_dropped_buffers=50
capture --device $CAM --frames 20
control percentage_of_dropped_buffers=0
expect "dropped buffers: the gaps are counted" '"done":true' '"gaps":[1-9]' '"reopened":0'

silence() { control percentage_of_dropped_buffers=100; sleep 5; control percentage_of_dropped_buffers=0; }
meanwhile silence --device $CAM --frames 30 --stall 1 --until-reopened 1
expect "silence: a stall, reopened, then well" '"done":true' '"stalled"' '"states":\["offline","online","stalled".*"online"\]'

for ioctl in reqbufs streamon; do
  control inject_vidioc_${ioctl}_error=1
  capture --device $CAM --frames 5
  expect "a driver that refuses $ioctl once: tried again" '"done":true' '"kinds":\["io"\]' '"state":"online"'
done

replug() { echo vivid.0 > $DRIVER/unbind; sleep 3; echo vivid.0 > $DRIVER/bind; }
meanwhile replug --device $CAM --frames 30 --until-reopened 1
expect "unplugged and plugged in again" '"done":true' '"lost"' '"not-found"' '"reopened":1' '"rising":true' '"state":"online"'

unplug() { echo vivid.0 > $DRIVER/unbind; }
meanwhile unplug --device $CAM --frames 99999 --seconds 15
expect "unplugged for good: offline, with a hint" '"done":false' '"state":"offline"' '"hint":"`vigie cameras`'
json="{\"share\":$(($(number cpu_ms) * 100 / $(number wall_ms)))}"
expect "and it does not spin: less than half of a processor, the frames before included" '"share":[0-4]?[0-9]}'
echo vivid.0 > $DRIVER/bind
until_true 10 test -e $CAM

# ---- in use, or no camera
v4l2-ctl -d $CAM --stream-mmap --stream-count=20000 > /dev/null 2>&1 & holder=$!
sleep 3
refused busy --device $CAM
expect "in use: the holder is named" '"done":true' "held by v4l2-ctl \(pid $holder\)"
json=$($WORK/vigie cameras --json | grep '"path":"/dev/video0"')
expect "cameras: in use, and by whom" '"usable":false' '"kind":"busy"' "\"pid\":$holder"
(sleep 5; kill $holder) &
capture --device $CAM --frames 5
expect "in use, then free: taken" '"done":true' '"kinds":\["busy"\]' '"state":"online"'

refused not-capture --device /dev/video5
expect "an output is no camera" '"done":true' 'is an output'
refused not-found --device /dev/video99
expect "no such node" '"done":true' 'no such file'
refused not-capture --device /dev/null
expect "a device of another kind" '"done":true' 'is no V4L2 device'

# ---- several memory planes a buffer
load_vivid "n_devs=1 node_types=0x1 num_inputs=1 input_types=0x0 multiplanar=2 vid_cap_nr=0"
json=$($WORK/vigie cameras --json | grep '"path":"/dev/video0"')
expect "multiplanar: listed with its formats" '"usable":true' '"fourcc":"NM12"' '"fourcc":"YM12"'
for format in YUYV NV12 NV21 YU12 RGB3; do
  capture --device $CAM --format $format --size 640x360 --frames 5
  expect "multiplanar $format" '"done":true' "\"format\":\"$format\"" "\"bytes\":$(size_of $format)," '"rising":true'
done
meanwhile disconnect --device $CAM --frames 30 --until-reopened 1
expect "multiplanar: disconnected, reopened" '"done":true' '"lost"' '"reopened":1' '"state":"online"'

# ---- a loopback: photographs, JPEG, and a writer that dies
json=$($WORK/vigie cameras --json | grep '"path":"/dev/video20"')
expect "cameras: a loopback without a writer is no camera yet, and it says so" '"usable":false' 'is an output'
feed yuyv
until_true 20 eval "v4l2-ctl -d /dev/video20 --info | grep -q 'Video Capture'"
v4l2-ctl -d /dev/video20 --stream-mmap --stream-count=10 --stream-to=$WORK/all.yuyv > /dev/null 2>&1
dies() { stop_feed yuyv; }
meanwhile dies --device /dev/video20 --frames 99999 --seconds 20 --stall 2 --save $WORK
expect "loopback: the writer dies: a stall" '"width":640' '"height":480' '"stalled"|"not-capture"' '"states":\["offline","online",'
same_picture() {
  local i
  for i in {0..9}; do
    tail -c +$((i * 614400 + 1)) $WORK/all.yuyv | head -c 614400 | cmp -s - $WORK/2.yuyv && return
  done
  return 1
}
check "loopback: the picture is the one that v4l2-ctl gets, bit by bit" same_picture
rm -f $WORK/all.yuyv

head -c 5000 "$(ls /host/pictures/*.jpg | head -1)" > $WORK/cut.jpg
/host/feed /dev/video21 5 $WORK/cut.jpg /host/pictures/*.jpg 2>> "$LOGS/feed.txt" & feeder=$!
until_true 20 eval "v4l2-ctl -d /dev/video21 --info | grep -q 'Video Capture'"
capture --device /dev/video21 --frames 12 --save $WORK
expect "loopback MJPEG: whole pictures only, the cut ones are counted" '"done":true' '"format":"MJPG"' '"truncated":[1-9]' '"width":640'
kill $feeder
whole_picture() { md5sum /host/pictures/*.jpg | grep -q "$(md5sum < $WORK/2.mjpg | cut -c1-32)"; }
check "loopback MJPEG: the picture is one of the files, bit by bit" whole_picture

rm -rf $WORK
modprobe -r vivid; modprobe vivid
feed yuyv; feed mjpeg
