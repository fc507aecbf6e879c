"""The broker and the daemon as processes of the test's own."""

import os
import queue
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

PATIENCE = 60

SOURCES = Path(__file__).resolve().parents[2]


def free_port():
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """A mosquitto that lets everybody in."""

    def __init__(self, folder):
        self.port = free_port()
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true"]
        if os.geteuid() == 0:
            # Otherwise it would change to a user that can't read the test's folder.
            lines.append("user root")
        config = Path(folder) / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n")
        known = [path for path in ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto") if os.path.exists(path)]
        self.log = Path(folder) / "mosquitto.log"
        with open(self.log, "wb") as log:
            command = [*(known or ["mosquitto"])[:1], "-v", "-c", config]
            self.child = subprocess.Popen(command, stdout=log, stderr=log)
        start = time.monotonic()
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                assert time.monotonic() - start < PATIENCE, "mosquitto does not start"
                time.sleep(0.05)

    def has_subscriber(self, topic):
        """Waits until somebody has subscribed to a topic."""
        start = time.monotonic()
        while f"\t{topic} (QoS" not in self.log.read_text():
            assert time.monotonic() - start < PATIENCE, f"nobody subscribes to {topic}"
            time.sleep(0.05)

    def clear(self, topic):
        """Makes it forget a retained message."""
        subprocess.run(
            ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "-t", topic, "-r", "-n", "-q", "1"], check=True
        )

    def retained(self, pattern):
        """What it keeps, by topic."""
        command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(self.port), "-t", pattern, "-F", "%t %p"]
        done = subprocess.run([*command, "--retained-only", "-W", "1"], capture_output=True, text=True)
        return dict(line.split(" ", 1) for line in done.stdout.splitlines())

    def stop(self):
        """Ends it."""
        self.child.kill()
        self.child.wait()


class Daemon:
    """A running `vigie run`."""

    def __init__(self, folder, config):
        folder = Path(folder)
        file = folder / "vigie.toml"
        file.write_text(config)
        self.log = folder / "vigie.log"
        environment = {"VIGIE_MODEL_DIR": str(SOURCES / "models"), **os.environ}
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                [os.environ["VIGIE"], "run", "--config", file], env=environment, stdout=log, stderr=log
            )
        while "watching" not in self.log.read_text():
            assert self.child.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def kill(self):
        """`kill -9`."""
        self.child.kill()
        self.child.wait()

    def stop(self):
        """A clean stop."""
        self.child.send_signal(signal.SIGTERM)
        assert self.child.wait(PATIENCE) == 0, self.log.read_text()


class Lines:
    """The lines that a stream gives, as they come."""

    def __init__(self, stream):
        self.heard, self.waiting = [], queue.Queue()
        threading.Thread(target=self.read, args=(stream,), daemon=True).start()

    def read(self, stream):
        """On a thread of its own."""
        for line in stream:
            self.heard.append(line.rstrip("\n"))
            self.waiting.put(self.heard[-1])

    def until(self, pattern):
        """The next line that fits."""
        start = time.monotonic()
        while (left := start + PATIENCE - time.monotonic()) > 0:
            try:
                line = self.waiting.get(timeout=left)
            except queue.Empty:
                break
            if pattern.search(line):
                return line
        raise AssertionError(f"no line like {pattern.pattern}; there came: {self.heard}")


def one_camera(port, pictures):
    """The configuration of a board with one camera that shows the pictures of a folder."""
    return f"""
device.name = 'porch'
mqtt.url = 'mqtt://127.0.0.1:{port}'
detect = {{ max_fps = 30, hold = '1s', thresholds = {{ '*' = 0.35 }} }}
[[camera]]
name = 'front'
source = {{ pictures = '{pictures}', fps = 5 }}
"""
