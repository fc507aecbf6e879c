"""Node-RED hears an event through examples/node-red/flows.json, and answers. Run by run.sh, which says where the program
($VIGIE) and Node-RED ($NODE_RED) are."""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

from processes import SOURCES, Broker, Daemon, Lines, free_port, one_camera
from scenery import twice

SETTINGS = """
module.exports = {
    uiHost: '127.0.0.1', uiPort: %d, httpAdminRoot: false, flowFile: 'flows.json',
    telemetry: { enabled: false, updateNotification: false },
};
"""


def main(folder):
    """The flow as it is shipped, but for the broker's port."""
    broker = Broker(folder)
    user = folder / "node-red"
    user.mkdir()
    flows = json.loads((SOURCES / "examples/node-red/flows.json").read_text())
    for node in flows:
        if node["type"] == "mqtt-broker":
            node["broker"], node["port"] = "127.0.0.1", str(broker.port)
    (user / "flows.json").write_text(json.dumps(flows))
    (user / "settings.js").write_text(SETTINGS % free_port())
    command = ["node", os.environ["NODE_RED"], "--userDir", user, "--settings", user / "settings.js"]
    log = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    listen = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", "vigie-notice/#", "-F", "%t %p"]
    listener = subprocess.Popen(listen, stdout=subprocess.PIPE, text=True)
    try:
        said = Lines(log.stdout)
        broker.has_subscriber("vigie/+/+/events")
        broker.has_subscriber("vigie-notice/#")
        shown = folder / "shown"
        twice(SOURCES / "demo/pictures/musicians.jpg", shown)
        notices = Lines(listener.stdout)
        daemon = Daemon(folder, one_camera(broker.port, shown))
        print("ok:", notices.until(re.compile(r"^vigie-notice/front There is a person at front \(\d+ %\)\.$")))
        daemon.stop()
        print("ok:", notices.until(re.compile(r"^vigie-notice/front The person at front is gone after \d+ s\.$")))
        # What it says of its own settings has no node in brackets.
        complaints = [line for line in said.heard if re.search(r"\[error\]|\[warn\] \[", line)]
        assert not complaints, complaints
    finally:
        log.kill()
        listener.kill()
        broker.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
