#!/bin/bash
# main.sh : runs on the board, as root, when it is up. Starts what the tests share, then the tests that /host/tests
# names, one file after the other. What they print goes to /host/output.txt.
. /host/guest/lib.sh
mkdir -p "$LOGS"
modprobe -a vivid v4l2loopback
feed yuyv; feed mjpeg
mosquitto_sub -t 'vigie/#' -F '%U %r %t %p' > "$MESSAGES" & disown

for test in $(cat /host/tests); do
  note "$test"
  (. "/host/guest/$test.sh") || fail "$test ended with $?"
done
journalctl -u vigie --no-pager -o short-monotonic > "$LOGS/vigie.txt" 2>&1
dmesg > "$LOGS/dmesg.txt"
note "done"
