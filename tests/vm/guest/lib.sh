# Words shared by the tests on the board. Every check is one line, PASS or FAIL; a test file goes on after a FAIL.

LOGS=/host/logs
MESSAGES=$LOGS/mqtt.txt   # "time retained topic payload", one message a line, from the subscriber below

up() { cut -d' ' -f1 /proc/uptime; }
note() { echo "---- @$(up) $*"; }
pass() { echo "PASS @$(up) $*"; }
fail() { echo "FAIL @$(up) $*"; }

# check WORDS COMMAND… : PASS when the command succeeds
check() {
  local words=$1; shift
  if "$@"; then pass "$words"; else fail "$words"; fi
}

# until_true SECONDS COMMAND… : succeeds as soon as the command does
until_true() {
  local end=$((SECONDS + $1)); shift
  until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.3; done
}

# subscribe : writes every message of the broker into $MESSAGES, from now on
subscribe() {
  [ ! -e /run/subscriber ] || kill "$(cat /run/subscriber)" 2>/dev/null
  until mosquitto_pub -t tests/begin -m "$(up)" 2>/dev/null; do sleep 0.2; done
  mosquitto_sub -t 'vigie/#' -F '%U %r %t %p' >> "$MESSAGES" & echo $! > /run/subscriber; disown
}

# mark : remembers how many messages there were, so that the next `message` looks at later ones only
mark() { MARK=$(wc -l < "$MESSAGES"); }
since_mark() { tail -n +$((${MARK:-0} + 1)) "$MESSAGES"; }

# message SECONDS TOPIC PAYLOAD : waits for a message after the mark; TOPIC and PAYLOAD are extended regular expressions
message() { until_true "$1" grep_since_mark "^[^ ]+ [01] $2 $3"; }
grep_since_mark() { since_mark | grep -aE -- "$1" >/dev/null; }

# payloads TOPIC : the payloads of that topic's messages after the mark
payloads() { since_mark | sed -nE "s|^[^ ]+ [01] $1 ||p"; }

# retained TOPIC PAYLOAD : what a subscriber who comes now is told
retained() { [ "$(timeout 10 mosquitto_sub -t "$1" -C 1 -W 5 -F '%r %p' 2>/dev/null)" = "1 $2" ]; }

# feed yuyv|mjpeg : (re)starts the camera made of photographs, all of them or those that /run/photographs names: five
# frames a second, three seconds a photograph
feed() {
  local kind=$1 node=/dev/video20 suffix=ppm files=()
  stop_feed "$kind"
  [ "$kind" = yuyv ] || { node=/dev/video21; suffix=jpg; }
  if [ -s /run/photographs ]; then mapfile -t files < <(sed "s|.*|/host/pictures/&.$suffix|" /run/photographs)
  else files=(/host/pictures/*."$suffix"); fi
  /host/feed "$node" 5/15 "${files[@]}" 2>> "$LOGS/feed.txt" &
  echo $! > "/run/feed-$kind"; disown
}

# feed_scene : the YUYV camera sees the moving scene once, from its beginning; two seconds a step, some 90 in all, and
# then nobody for as long as a test takes
feed_scene() {
  local empty=/host/scene/000.ppm nobody=()
  stop_feed yuyv
  for _ in {1..60}; do nobody+=("$empty"); done
  /host/feed /dev/video20 5/10 /host/scene/*.ppm "${nobody[@]}" 2>> "$LOGS/feed.txt" &
  echo $! > /run/feed-yuyv; disown
}
stop_feed() { [ ! -e "/run/feed-$1" ] || { kill "$(cat "/run/feed-$1")" 2>/dev/null; rm "/run/feed-$1"; }; }
