#!/usr/bin/env python3
"""Prints what Vigie tells of objects: subscriber.py [HOST[:PORT]]. It needs paho-mqtt 2: pip install paho-mqtt"""

import json
import sys

from paho.mqtt import client as mqtt


def subscribe(client, *_):
    client.subscribe("vigie/+/+/events", qos=1)


def told(_client, _userdata, message):
    event = json.loads(message.payload)
    what = {"new": "is there", "update": "goes on", "end": f"is gone ({event.get('reason')})"}[event["type"]]
    where = f" in {', '.join(event['zones'])}" if event["zones"] else ""
    print(f"{event['captured'][11:19]} {event['camera']}: {event['label']} {event['score']:.0%} {what}{where}", flush=True)


host, _, port = (sys.argv[1] if len(sys.argv) > 1 else "localhost").partition(":")
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_connect, client.on_message = subscribe, told
client.connect(host, int(port or 1883))
client.loop_forever()
