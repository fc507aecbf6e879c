#!/usr/bin/env python3
"""Frame to letterboxed tensor: Vigie against OpenCV, one core each, in turns.

    cargo build --release --example prepare_rounds
    benches/peers/prepare.py [path/to/prepare_rounds]

OpenCV does what a Python program would: cvtColor (or imdecode), resize with INTER_AREA, copyMakeBorder, into buffers that
it reuses. For JPEG it is measured twice: decoding whole, and with IMREAD_REDUCED, which few programs use. Each round
times both programs on the same frame, in processor time of one thread; the ratio's median over the rounds is what
counts. A busy machine still distorts it: other programs push the larger buffers of OpenCV out of the caches. Needs numpy and opencv-python-headless.
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import cv2
import numpy as np

ROUNDS, FRAMES, SIDE = 11, 15, 320
root = pathlib.Path(__file__).resolve().parents[2]
program = sys.argv[1] if len(sys.argv) > 1 else str(root / "target/release/examples/prepare_rounds")
photo = cv2.imread(str(root / "demo/pictures/horses.jpg"))
cv2.setNumThreads(1)


def median_us(work):
    times = []
    for _ in range(FRAMES):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return statistics.median(times) * 1e6


class OpenCv:
    """One camera's pipeline in OpenCV."""

    def __init__(self, width, height):
        scale = min(SIDE / width, SIDE / height)
        self.inner = round(width * scale), round(height * scale)
        self.left, self.top = (SIDE - self.inner[0]) // 2, (SIDE - self.inner[1]) // 2
        self.rgb = np.empty((height, width, 3), np.uint8)
        self.small = np.empty((self.inner[1], self.inner[0], 3), np.uint8)
        self.tensor = np.empty((SIDE, SIDE, 3), np.uint8)

    def finish(self, rgb):
        cv2.resize(rgb, self.inner, dst=self.small, interpolation=cv2.INTER_AREA)
        below, right = SIDE - self.inner[1] - self.top, SIDE - self.inner[0] - self.left
        cv2.copyMakeBorder(
            self.small, self.top, below, self.left, right, cv2.BORDER_CONSTANT, dst=self.tensor, value=(114, 114, 114)
        )

    def raw(self, frame, code):
        cv2.cvtColor(frame, code, dst=self.rgb)
        self.finish(self.rgb)

    def jpeg(self, data, flag):
        decoded = cv2.imdecode(data, flag)
        self.finish(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=None))


def yuv420(bgr):
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)


def frames(width, height):
    """Format, bytes, OpenCV's way, for a photograph of that size."""
    bgr = cv2.resize(photo, (width, height), interpolation=cv2.INTER_LINEAR)
    peer = OpenCv(width, height)
    i420 = yuv420(bgr)
    y = i420[:height]
    u, v = (plane.reshape(height // 2, width // 2) for plane in np.split(i420[height:].reshape(-1), 2))
    packed = np.empty((height, width, 2), np.uint8)
    packed[:, :, 0], packed[:, 0::2, 1], packed[:, 1::2, 1] = y, np.repeat(u, 2, 0), np.repeat(v, 2, 0)
    nv12 = np.concatenate([y, np.stack([u, v], -1).reshape(height // 2, width)])
    yield "YUYV", packed, lambda: peer.raw(packed, cv2.COLOR_YUV2RGB_YUY2)
    yield "NV12", nv12, lambda: peer.raw(nv12, cv2.COLOR_YUV2RGB_NV12)
    yield "YU12", i420, lambda: peer.raw(i420, cv2.COLOR_YUV2RGB_I420)
    yield "BGR3", bgr, lambda: peer.raw(bgr, cv2.COLOR_BGR2RGB)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    yield "MJPG", data, lambda: peer.jpeg(data, cv2.IMREAD_COLOR)
    yield "MJPG", data, lambda: peer.jpeg(data, reduced(width, height))


def reduced(width, height):
    inner = min(SIDE / width, SIDE / height)
    for factor in (8, 4, 2):
        if inner <= 1 / factor:
            return getattr(cv2, f"IMREAD_REDUCED_COLOR_{factor}")
    return cv2.IMREAD_COLOR


print(f"OpenCV {cv2.__version__}, {ROUNDS} rounds of {FRAMES} frames each, model {SIDE} x {SIDE}")
print(f"{'frame':<16}{'Vigie ms':>10}{'OpenCV ms':>11}{'ratio':>8}   (lowest, highest)")
for width, height in [(640, 480), (848, 480), (1280, 720), (1920, 1080)]:
    jpegs = 0
    for name, data, work in frames(width, height):
        with tempfile.NamedTemporaryFile() as file:
            file.write(data.tobytes())
            file.flush()
            command = [program, name, str(width), str(height), str(SIDE), file.name]
            vigie = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            ours, theirs = [], []
            for turn in range(ROUNDS + 1):
                vigie.stdin.write(f"{FRAMES}\n")
                vigie.stdin.flush()
                one, other = float(vigie.stdout.readline()), median_us(work)
                if turn:  # the first warms up
                    ours.append(one)
                    theirs.append(other)
            vigie.stdin.close()
            vigie.wait()
        ratios = sorted(a / b for a, b in zip(ours, theirs))
        jpegs += name == "MJPG"
        label = f"{name}{' reduced' if jpegs == 2 else ''} {width}x{height}"
        a, b = statistics.median(ours) / 1000, statistics.median(theirs) / 1000
        print(
            f"{label:<24}{a:>7.3f}{b:>10.3f}{statistics.median(ratios):>9.2f}   ({ratios[0]:.2f}, {ratios[-1]:.2f})",
            flush=True,
        )
