#!/usr/bin/env python3
"""How old a fact is when a subscriber hears it, without the model's own time: capture to subscriber, on one machine.

    cargo build --release && python3 benches/delay.py [--seconds 30] [--fps 15] [--max-fps 5] [--source '{ testcard = true }']

Starts a mosquitto of its own on a free port, the daemon with one camera, and mosquitto_sub, and reads of each detections
message when its frame was captured, how long the model took, and when it arrived. Prints a table: `waited` is what
passed between capture and the look's end beyond its stages (the frame waits for its turn), `stages` decoding, preparing
and post-processing, `delivery` from the message to the subscriber. Exits with 1 if the 95th percentile of their sum is
over --limit milliseconds.
"""
import argparse
import json
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime

CONFIG = """
[device]
name = "delay"
[mqtt]
url = "mqtt://127.0.0.1:{port}"
[model]
path = "{model}"
[detect]
max_fps = {max_fps}
detections_rate = {max_fps}
[[camera]]
name = "camera"
source = {source}
"""


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--vigie", default="target/release/vigie")
    p.add_argument("--model", default="models/vigie-xxs-320-int8.onnx")
    p.add_argument("--seconds", type=float, default=30)
    p.add_argument("--fps", type=float, default=15, help="what the camera delivers")
    p.add_argument("--max-fps", type=float, default=5, help="looks a second")
    p.add_argument("--source", default="{{ testcard = true, fps = {fps} }}", help="a `source` of the configuration")
    p.add_argument("--limit", type=float, default=5.0, help="milliseconds")
    a = p.parse_args()
    messages = listen(a)
    rows = [parts(received, message) for received, message in messages]
    if len(rows) < a.seconds:
        sys.exit(f"only {len(rows)} messages came")
    print(f"{len(rows)} looks, {a.fps:g} frames and {a.max_fps:g} looks a second; milliseconds")
    print(f"{'':10}{'median':>10}{'p95':>10}{'most':>10}")
    for name in rows[0]:
        values = sorted(row[name] for row in rows)
        p95 = statistics.quantiles(values, n=20)[18]
        print(f"{name:10}{statistics.median(values):10.2f}{p95:10.2f}{values[-1]:10.2f}")
    print(f"limit of the last line's p95: {a.limit:g} ms: {'kept' if p95 <= a.limit else 'missed'}")
    sys.exit(p95 > a.limit)


def parts(received, message):
    """Of one message, what its delay is made of, in milliseconds."""
    latency = message["latency_ms"]
    stages = sum(latency[stage] for stage in ("decode", "prepare", "post"))
    captured = datetime.fromisoformat(message["captured"].replace("Z", "+00:00")).timestamp()
    total = (received - captured) * 1e3
    return {
        "waited": latency["capture_to_publish"] - stages - latency["infer"],
        "stages": stages,
        "delivery": total - latency["capture_to_publish"],
        "infer": latency["infer"],
        "without it": total - latency["infer"],
    }


def listen(a):
    """What the subscriber heard: pairs of the time and the message."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / "broker.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        source = a.source.format(fps=a.fps)
        model = pathlib.Path(a.model).resolve()
        config = CONFIG.format(port=port, model=model, max_fps=a.max_fps, source=source)
        (folder / "vigie.toml").write_text(config)
        broker = subprocess.Popen(["mosquitto", "-c", folder / "broker.conf"], stderr=subprocess.DEVNULL)
        heard = folder / "heard"
        started = []
        try:
            time.sleep(1)
            with open(heard, "wb") as out:
                topic = "vigie/delay/camera/detections"
                command = ["mosquitto_sub", "-p", str(port), "-t", topic, "-F", "%U %p"]
                started.append(subprocess.Popen(command, stdout=out))
            command = [a.vigie, "run", "--config", folder / "vigie.toml"]
            started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            time.sleep(a.seconds + 3)
        finally:
            for process in [*started[::-1], broker]:
                process.terminate()
                process.wait()
        lines = [line.split(" ", 1) for line in heard.read_text().splitlines()]
        # The first looks are those of a machine that warms up.
        return [(float(received), json.loads(message)) for received, message in lines][5:]


if __name__ == "__main__":
    main()
