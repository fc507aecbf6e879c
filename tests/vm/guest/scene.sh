# A moving scene, as subscribers hear of it: somebody comes, is in a zone, goes. And what they hear when the daemon, or
# broker and daemon, die in the middle of it.
T=vigie/board/stage

# events JQ : those since the mark for which that is true, one a line
events() { payloads "$T/events" | jq -c "select($1)" 2>/dev/null; }
# event SECONDS JQ : waits for one
event() { until_true "$1" some_event "$2"; }
some_event() { [ -n "$(events "$1")" ]; }
# id_of JQ : the object of the first such event
id_of() { events "$1" | head -1 | jq -r .id; }
is_state() { [ "$(systemctl show vigie -p "$1" --value)" = "$2" ]; }
LOOKS=300   # the most seconds that any test waits for somebody who comes, or goes

systemctl stop vigie
cat /host/scene.toml > /etc/vigie/vigie.toml
check "the scene's configuration is right" vigie check --config /etc/vigie/vigie.toml
systemctl reset-failed vigie 2>/dev/null

# --- new, zone, end
feed_scene; mark
systemctl start vigie
check "the camera is online" message 60 "$T/status" online
check "somebody came: new" event $LOOKS '.type == "new" and .label == "person" and .zones == []'
man=$(id_of '.type == "new"')
check "he came into the zone: update" event $LOOKS ".id == \"$man\" and .type == \"update\" and .zones == [\"right\"] and .entered_zones == [\"right\"]"
check "he crossed the line, inwards" event 5 ".id == \"$man\" and (.lines[0] | .line == \"middle\" and .direction == \"in\")"
check "the zone is occupied" message 30 "$T/zone/right/person/occupancy" ON
check "he went: end" event $LOOKS ".id == \"$man\" and .type == \"end\""
events 'true' | jq -r '[.type, .id, .captured, .score, (.zones | join("+")), .reason // ""] | @tsv'
order() { [ "$(events ".id == \"$man\"" | jq -r .type | uniq | tr '\n' ' ')" = "new update end " ]; }
check "new first, end last" order
check "one person, and nobody else" test "$(events '.type == "new"' | wc -l)" = 1
check "nobody is in the zone: OFF" message 60 "$T/zone/right/person/occupancy" OFF
check "the line's total: 1" retained "$T/line/middle/person/in" 1

# --- what it has recorded of him
recorded() { find /var/lib/vigie/clips/stage -name '*-person.json' 2>/dev/null | head -1; }
check "he was recorded" until_true 60 sh -c '[ -n "$(find /var/lib/vigie/clips/stage -name "*-person.json")" ]'
jq -c '{complete, frames, seconds, objects}' "$(recorded)"
check "the clip says who it is" jq -e --arg man "$man" '.complete and .frames > 5 and .objects[0].id == $man' "$(recorded)"
is_avi() { [ "$(head -c 4 "$1")" = RIFF ] && [ "$(tail -c +9 "$1" | head -c 4)" = "AVI " ]; }
clip=$(recorded)
check "it is AVI" is_avi "${clip%.json}.avi"

# --- the daemon is killed while somebody is there
note "kill -9 in the middle of the scene"
feed_scene; mark
check "somebody came again" event $LOOKS '.type == "new"'
man=$(id_of '.type == "new"')
systemctl kill -s KILL vigie
check "killed: the last will says offline" message 30 vigie/board/status offline
check "systemd starts it again" message 600 vigie/board/status online
check "he is still there: new, of another run" event $LOOKS ".type == \"new\" and .id != \"$man\""
man=$(id_of ".type == \"new\" and .id != \"$man\"")

# --- broker and daemon are both away while he goes
note "the broker stops, he goes, kill -9, and both come back"
systemctl stop mosquitto
stop_feed yuyv   # the camera stalls: what was there ends
gone() { journalctl -u vigie --no-pager -o cat --since "@$1" | grep -q 'camera stage: .*no usable frame'; }
stopped=$(date +%s)
check "the camera stalls while nobody hears of it" until_true 60 gone "$stopped"
sleep 3
killed=$(date -u +%FT%T)
systemctl kill -s KILL vigie
sleep 1
systemctl start mosquitto; subscribe
check "both are back" message 600 vigie/board/status online
check "his end arrives after all" event 60 ".id == \"$man\" and .type == \"end\""
end=$(events ".id == \"$man\" and .type == \"end\"" | head -1)
jq -c '{id, type, captured, first_seen, last_seen, reason}' <<< "$end"
check "with the time at which it was, before $killed" test "$(jq -r .captured <<< "$end")" '<' "$killed"
check "died twice, started twice" is_state NRestarts 2
systemctl stop vigie
