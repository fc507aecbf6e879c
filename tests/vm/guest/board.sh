# The board itself: what the other tests stand on. No Vigie in here.

grep -m1 Features /proc/cpuinfo
[ "$(cat /host/cpu)" != cortex-a76 ] || check "the CPU has the dot products of a cortex-a76" grep -qw asimddp /proc/cpuinfo
no_failed_unit() { local failed; failed=$(systemctl list-units --failed --no-legend); [ -z "$failed" ] || { echo "$failed"; return 1; }; }
check "no unit of the system has failed" no_failed_unit
version() { timeout 10 mosquitto_sub -t '$SYS/broker/version' -C 1; }
check "mosquitto answers" version

# frames DEVICE COUNT BYTES : that many whole frames come out of the node
frames() { timeout 60 v4l2-ctl -d "$1" --stream-mmap --stream-count="$2" --stream-to=/tmp/frames >/dev/null 2>&1; [ "$(stat -c %s /tmp/frames)" -eq $(($2 * $3)) ]; }
v4l2-ctl -d /dev/video0 --set-fmt-video=width=640,height=360,pixelformat=YUYV >/dev/null
check "vivid gives frames" frames /dev/video0 10 $((640 * 360 * 2))
check "photographs come out of the loopback camera as YUYV" frames /dev/video20 6 $((640 * 480 * 2))
motion_jpeg() {
  timeout 60 v4l2-ctl -d /dev/video21 --stream-mmap --stream-count=6 --stream-to=/tmp/frames >/dev/null 2>&1
  [ "$(LC_ALL=C grep -aoP '\xff\xd8\xff' /tmp/frames | wc -l)" -ge 6 ]
}
check "photographs come out of the loopback camera as MJPEG" motion_jpeg
rm -f /tmp/frames
