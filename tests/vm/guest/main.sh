#!/bin/bash
# main.sh : runs on the board, as root, when it is up. Starts what the tests share, then the tests that /host/tests
# names, one file after the other. What they print goes to /host/output.txt.
. /host/guest/lib.sh
mkdir -p "$LOGS"
modprobe -a vivid v4l2loopback
feed yuyv; feed mjpeg

# two doors to the broker: 1883 for the tests, 1884 asks the daemon for a password
mosquitto_passwd -b -c /etc/mosquitto/passwords vigie "secret of the board"; chown mosquitto /etc/mosquitto/passwords
cat > /etc/mosquitto/conf.d/board.conf <<'CONF'
per_listener_settings true
listener 1883 127.0.0.1
allow_anonymous true
listener 1884 127.0.0.1
allow_anonymous false
password_file /etc/mosquitto/passwords
CONF
systemctl restart mosquitto
subscribe

# The capture room alone against the drivers' faults: it loads them with options of its own, so everything else lets go.
capture_faults() {
  systemctl stop vigie 2>/dev/null
  stop_feed yuyv; stop_feed mjpeg; sleep 1
  modprobe -r v4l2loopback vivid
  mkdir -p /tmp/frames
  cp /host/pictures/*.jpg /tmp/frames/
  for picture in /host/pictures/*.ppm; do   # bytes of photographs; what they show does not matter here
    tail -c 614400 "$picture" > "/tmp/frames/$(basename "$picture" .ppm).640x480.yuyv"
  done
  VIGIE=/host/vigie GRAB=/host/grab FEEDER=/host/feed FRAMES=/tmp/frames sh /host/guest/capture-faults.sh
}

for test in $(cat /host/tests); do
  note "$test"
  case $test in
    capture-faults) capture_faults ;;
    *) (. "/host/guest/$test.sh") ;;
  esac || fail "$test ended with $?"
done
journalctl -u vigie --no-pager -o short-monotonic > "$LOGS/vigie.txt" 2>&1
dmesg > "$LOGS/dmesg.txt"
note "done"
