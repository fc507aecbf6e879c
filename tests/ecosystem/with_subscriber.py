"""examples/subscriber.py prints the events of the real daemon. Run by run.sh, which says where the program is ($VIGIE)."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from processes import SOURCES, Broker, Daemon, Lines, one_camera
from scenery import twice


def main(folder):
    """A person is there, and gone when the daemon stops."""
    broker = Broker(folder)
    shown = folder / "shown"
    twice(SOURCES / "demo/pictures/musicians.jpg", shown)
    command = [sys.executable, SOURCES / "examples/subscriber.py", f"127.0.0.1:{broker.port}"]
    subscriber = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        lines = Lines(subscriber.stdout)
        broker.has_subscriber("vigie/+/+/events")
        daemon = Daemon(folder, one_camera(broker.port, shown))
        print("ok:", lines.until(re.compile(r"^\d\d:\d\d:\d\d front: person \d+% is there$")))
        daemon.stop()
        print("ok:", lines.until(re.compile(r"^\d\d:\d\d:\d\d front: person \d+% is gone \(stopping\)$")))
    finally:
        subscriber.kill()
        broker.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
