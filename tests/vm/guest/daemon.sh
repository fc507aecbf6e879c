# The daemon on the board, as it is installed for real: package, unit, account, credential. From the cameras to the broker.
T=vigie/board

# --- installed by README.md's own commands (the chapter "As a service"). What a person does there is done by these
# three: the hands of an administrator who is root already, an editor, and a password that is typed.
mkdir -p /usr/local/bin
printf '#!/bin/sh\nexec "$@"\n' > /usr/local/bin/sudo
printf '#!/bin/sh\ncat /host/vigie.toml > "$1"\n' > /usr/local/bin/editor
chmod +x /usr/local/bin/sudo /usr/local/bin/editor
# dpkg does not know the packages of this board, which were unpacked without it
mkdir -p /etc/dpkg/dpkg.cfg.d /var/lib/dpkg/{info,updates,triggers}; touch /var/lib/dpkg/status
echo force-depends > /etc/dpkg/dpkg.cfg.d/board
install -D -m644 /host/model.onnx /usr/share/vigie/models/board.onnx
mkdir -p /etc/systemd/system/vigie.service.d
# an emulated CPU takes its time to load and check the model
printf '[Service]\nTimeoutStartSec=10min\n' > /etc/systemd/system/vigie.service.d/board.conf

# The daemon starts on a board that has no camera yet and whose kernel has not loaded any camera's module.
stop_feed yuyv; stop_feed mjpeg; sleep 1
# unload MODULE : takes it out of the kernel, after whatever uses it
unload() {
  local user users
  users=$(awk -v module="$1" '$1 == module && $4 != "-" { gsub(",", " ", $4); print $4 }' /proc/modules)
  for user in $users; do unload "$user"; done
  rmmod "$1" 2>/dev/null
}
unload mc
no_camera_module() { ! grep -q video4linux /proc/devices; }
check "no camera module is loaded" no_camera_module
mark
readme() { (cd /host && bash -ex /host/service.sh <<< "secret of the board") > "$LOGS/readme.txt" 2>&1; }
check "README's commands install and start the service" readme
tail -5 "$LOGS/readme.txt"
check "birth, before there was a camera: $T/status online" message 30 "$T/status" online
modprobe -a vivid v4l2loopback
# the unit may open devices of modules that came after its start
check "a camera that was plugged in after the start: vivid/status online" message 120 "$T/vivid/status" online
conffile() { dpkg-query -W -f '${Conffiles}' vigie | grep -q /etc/vigie/vigie.toml; }
check "the configuration is a conffile" conffile
check "only root reads the password" test "$(stat -c %a%U /etc/vigie/mqtt-password)" = 600root
systemctl stop vigie
is_state() { [ "$(systemctl show vigie -p "$1" --value)" = "$2" ]; }

check "the configuration is right" vigie check --config /etc/vigie/vigie.toml
vigie cameras > "$LOGS/cameras.txt" 2>&1
check "vigie cameras lists the photographs' camera" grep -q mjpeg-feed "$LOGS/cameras.txt"

# What the program sees in the photographs themselves is what it must see through a camera, where the score leaves room
# for the camera's pixel format (the configuration's threshold is 0.3).
vigie detect --model /host/model.onnx --json /host/pictures/*.jpg > "$LOGS/detect.jsonl" 2> "$LOGS/detect.txt" || cat "$LOGS/detect.txt"
expected=$(jq -r '.detections[] | select(.score >= 0.4) | .label' "$LOGS/detect.jsonl" | sort -u | tr '\n' ' ')
check "objects are detected in the photographs: $expected" test -n "$expected"

# The cameras show those photographs only: an emulated CPU takes seconds for a frame.
jq -r 'select(any(.detections[]; .score >= 0.4)) | .file' "$LOGS/detect.jsonl" | sed 's|.*/||; s|\.jpg$||' > /run/photographs
feed yuyv; feed mjpeg
INFERENCE=600   # the most seconds that any test waits for frames to go through the model

# --- start: systemd hears READY, subscribers hear the birth
mark
check "systemctl start returns when the daemon is ready" systemctl start vigie
systemctl --no-pager status vigie | head -12
check "systemd shows what it is doing" test -n "$(systemctl show vigie -p StatusText --value)"
check "it does not run as root" test "$(ps -o user= -p "$(systemctl show vigie -p MainPID --value)")" != root
check "birth: $T/status online" message 30 "$T/status" online
check "the birth is retained" retained "$T/status" online

# --- every camera comes on and its frames come out as detections
for camera in yuyv mjpeg vivid planes; do
  check "$camera: status online" message 60 "$T/$camera/status" online
  check "$camera: detections are published" message $INFERENCE "$T/$camera/detections" '\{'
done

# sees CAMERA LABEL… : all labels have been published for the camera
sees() {
  local camera=$1 label; shift
  payloads "$T/$camera/detections" | jq -r '.detections[].label' | sort -u > "/tmp/labels"
  for label in "$@"; do grep -qx -- "$label" /tmp/labels || return 1; done
}
for camera in yuyv mjpeg; do
  check "$camera: sees $expected" until_true $INFERENCE sees "$camera" $expected
done
# every message is whole: its own camera, the camera's size, boxes within it, scores of at least the threshold
whole='.schema == 1 and .device == "board" and .camera == $camera and .width == 640 and .height == $height
  and (.captured | test("^2[0-9]{3}-.*Z$")) and .captured_monotonic_ns > 0 and .latency_ms.infer > 0
  and all(.detections[]; .score >= 0.3 and .box[0] >= 0 and .box[1] >= 0 and .box[2] <= 640 and .box[3] <= $height
    and .box[0] < .box[2] and .box[1] < .box[3])'
is_whole() { payloads "$T/$1/detections" | jq -es --arg camera "$1" --argjson height "$2" "length > 0 and all(.[]; $whole)" >/dev/null; }
for camera in yuyv mjpeg; do check "$camera: every message is whole" is_whole "$camera" 480; done
for camera in vivid planes; do check "$camera: every message is whole" is_whole "$camera" 360; done
label=${expected%% *}
check "counts are published: yuyv/$label/count" message $INFERENCE "$T/yuyv/$label/count" '[1-9]'

stats() { payloads "$T/stats" | tail -1; }
counted() { stats | jq -e 'all(.cameras[]; .frames_captured > 0 and .frames_processed > 0)' >/dev/null; }
check "stats: every camera's frames were captured and processed" until_true $INFERENCE counted
stats | jq -c '{rss_mib, model, cameras: (.cameras | map_values({capture_fps, process_fps, frames_captured, frames_processed, infer: .latency_ms.infer.median}))}'

# --- a camera is unplugged, and plugged in again
note "vivid is unplugged"
mark
echo vivid.0 > /sys/bus/platform/drivers/vivid/unbind
check "unplugged: vivid/status offline" message 30 "$T/vivid/status" offline
check "the others go on" message $INFERENCE "$T/yuyv/detections" '\{'
mark
echo vivid.0 > /sys/bus/platform/drivers/vivid/bind
check "plugged in again: vivid/status online" message 60 "$T/vivid/status" online
check "plugged in again: detections" message $INFERENCE "$T/vivid/detections" '\{'

# --- a camera that says nothing any more
note "the feed stops"
mark
stop_feed mjpeg
check "silent camera: mjpeg/status leaves online" message 60 "$T/mjpeg/status" '(stalled|offline)'
feed mjpeg
check "fed again: mjpeg/status online" message 90 "$T/mjpeg/status" online
check "fed again: detections" message $INFERENCE "$T/mjpeg/detections" '\{'

# --- the broker goes away and comes back
note "the broker is restarted"
mark
systemctl restart mosquitto; subscribe
check "the broker is back: detections" message $INFERENCE "$T/yuyv/detections" '\{'
check "the broker is back: status online" retained "$T/status" online

# --- a clean stop, and a death
note "clean stop"
mark
check "systemctl stop" systemctl stop vigie
check "stopped: $T/status offline" message 10 "$T/status" offline
check "offline is retained" retained "$T/status" offline
check "it ended well" is_state Result success
# the spool's journal: in memory, in the service's own folder, which outlives the daemon; a clean stop leaves none
journals() { find /run/vigie/ -name 'vigie-*.journal' | wc -l; }
check "a clean stop leaves no journal of the spool" test "$(journals)" = 0
systemctl start vigie
check "started again" message 120 "$T/status" online
check "the spool has a journal in /run/vigie" test "$(journals)" = 1
touch /run/vigie/mark
note "kill -9"
mark
systemctl kill -s KILL vigie
check "killed: the last will says offline" message 30 "$T/status" offline
check "systemd starts it again" message 600 "$T/status" online
check "as often as it died" is_state NRestarts 1
check "/run/vigie was kept" test -e /run/vigie/mark
check "and has one journal" test "$(journals)" = 1

# --- a wrong configuration is said, and not tried again and again
systemctl stop vigie
echo 'max_fsp = 3' >> /etc/vigie/vigie.toml
systemctl start vigie 2>/dev/null
sleep 5
check "a wrong configuration ends with 2 and is not restarted" is_state ExecMainStatus 2
check "the journal names the key" sh -c 'journalctl -u vigie --no-pager | grep -q max_fsp'
