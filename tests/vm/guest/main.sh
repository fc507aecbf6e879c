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

for test in $(cat /host/tests); do
  note "$test"
  (. "/host/guest/$test.sh") || fail "$test ended with $?"
done
journalctl -u vigie --no-pager -o short-monotonic > "$LOGS/vigie.txt" 2>&1
dmesg > "$LOGS/dmesg.txt"
note "done"
