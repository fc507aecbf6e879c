#!/usr/bin/env python3
"""The same work by vigie and by a Python script with OpenCV + onnxruntime + paho, on one core, in the same run.

    python3 -m venv .venv && .venv/bin/pip install -r benches/peers/requirements.txt
    .venv/bin/python benches/peers/pipeline.py [--rounds 5] [--frames 40] [PICTURE ...]

Both decode the same JPEG files, letterbox them to the model's size, run the same ONNX file with one thread, decode and
suppress boxes. The two take turns (A B A B ...), pinned to one processor; medians over all rounds are printed, and the
ratio vigie / Python. Where a broker listens on 127.0.0.1:1883, the Python side publishes each result with paho, which
is part of its 'post'; vigie's own figure has no publishing in it (its client runs in another thread).
"""
import argparse
import ast
import json
import os
import resource
import statistics
import subprocess
import sys
import time


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("pictures", nargs="*", default=["demo/pictures"])
    p.add_argument("--vigie", default="target/release/vigie")
    p.add_argument("--model", default="models/vigie-xxs-320-fp32.onnx")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--frames", type=int, default=40)
    p.add_argument("--cpu", type=int, default=0)
    p.add_argument("--python-side", action="store_true", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.python_side:
        print(json.dumps(python_side(a)))
        return
    os.sched_setaffinity(0, {a.cpu})
    ours, theirs = [], []
    for n in range(a.rounds):
        command = [a.vigie, "bench", "--json", "--frames", str(a.frames), "--threads", "1", "--model", a.model]
        ours.append(json.loads(subprocess.run(command + a.pictures, check=True, stdout=subprocess.PIPE).stdout))
        command = [sys.executable, __file__, "--python-side", "--frames", str(a.frames), "--model", a.model]
        theirs.append(json.loads(subprocess.run(command + a.pictures, check=True, stdout=subprocess.PIPE).stdout))
        print(f"round {n + 1} of {a.rounds} done", file=sys.stderr)
    print(f"machine: {ours[0]['cpu']}, one core; model {a.model}; {a.frames} frames a round, {a.rounds} rounds, medians")
    print(f"{'':10}{'vigie':>10}{'python':>10}{'ratio':>8}")
    for stage in ("decode", "prepare", "infer", "post", "total"):
        v = statistics.median(r["stages"][stage]["median_ms"] for r in ours)
        t = statistics.median(r["stages"][stage]["median_ms"] for r in theirs)
        print(f"{stage:10}{v:8.2f}ms{t:8.2f}ms{v / t:8.2f}")
    v, t = (statistics.median(r["rss_peak_mib"] for r in rs) for rs in (ours, theirs))
    print(f"{'peak RSS':10}{v:7.0f}MiB{t:7.0f}MiB{v / t:8.2f}")


def python_side(a):
    import cv2
    import numpy as np
    import onnxruntime as ort

    cv2.setNumThreads(1)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(a.model, options, providers=["CPUExecutionProvider"])
    meta = session.get_modelmeta().custom_metadata_map
    height, width = ast.literal_eval(meta["imgsz"])
    feed = session.get_inputs()[0]
    raw = "uint8" in feed.type
    publish = publisher()
    files = [f for path in a.pictures for f in listed(path)]
    jpegs = [open(f, "rb").read() for f in files]
    stages = {k: [] for k in ("decode", "prepare", "infer", "post", "total")}
    for n in range(a.frames + 5):
        t0 = time.perf_counter()
        image = cv2.imdecode(np.frombuffer(jpegs[n % len(jpegs)], np.uint8), cv2.IMREAD_COLOR)
        t1 = time.perf_counter()
        h, w = image.shape[:2]
        s = min(width / w, height / h)
        nw, nh = round(w * s), round(h * s)
        small = cv2.resize(image, (nw, nh), interpolation=cv2.INTER_AREA if s < 1 else cv2.INTER_LINEAR)
        left, top = (width - nw) // 2, (height - nh) // 2
        box = cv2.copyMakeBorder(small, top, height - nh - top, left, width - nw - left, cv2.BORDER_CONSTANT, value=(114,) * 3)
        box = cv2.cvtColor(box, cv2.COLOR_BGR2RGB)
        x = np.ascontiguousarray(box.transpose(2, 0, 1)[None])
        x = x if raw else x.astype(np.float32) / 255
        t2 = time.perf_counter()
        out = session.run(None, {feed.name: x})
        t3 = time.perf_counter()
        boxes, scores, classes = decode(np, out, [o.name for o in session.get_outputs()], height, width)
        if len(boxes):
            xywh = [[float(b[0]), float(b[1]), float(b[2] - b[0]), float(b[3] - b[1])] for b in boxes]
            keep = np.array(cv2.dnn.NMSBoxesBatched(xywh, scores.tolist(), classes.tolist(), 0.4, 0.7)).flatten().astype(int)
        else:
            keep = []
        publish(json.dumps([[int(classes[i]), float(scores[i]), *map(float, boxes[i])] for i in keep]))
        t4 = time.perf_counter()
        if n >= 5:
            for k, d in zip(stages, (t1 - t0, t2 - t1, t3 - t2, t4 - t3, t4 - t0)):
                stages[k].append(d * 1e3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"stages": {k: {"median_ms": statistics.median(v)} for k, v in stages.items()}, "rss_peak_mib": peak}


def listed(path):
    if not os.path.isdir(path):
        return [path]
    return sorted(os.path.join(path, f) for f in os.listdir(path) if f.lower().endswith((".jpg", ".jpeg", ".png")))


def publisher():
    """Publishes to a local broker if there is one; else the message is made and thrown away."""
    import paho.mqtt.client as mqtt

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    try:
        client.connect("127.0.0.1", 1883)
    except OSError:
        print("no broker on 127.0.0.1:1883: the Python side publishes nothing", file=sys.stderr)
        return lambda text: None
    client.loop_start()
    return lambda text: client.publish("bench/detections", text)


def decode(np, outs, names, height, width, threshold=0.4):
    """Boxes (x1 y1 x2 y2), scores and classes above the threshold, of a stock or a raw-headed model."""
    if len(outs) == 1:
        p = outs[0][0]
        best, classes = p[4:].max(0), p[4:].argmax(0)
        k = best > threshold
        cx, cy, w, h = p[:4, k]
        return np.stack((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), 1), best[k], classes[k]
    by = dict(zip(names, outs))
    boxes, scores, classes = [], [], []
    for s in (8, 16, 32):
        cls = by[f"cls{s}"][0].reshape(by[f"cls{s}"].shape[1], -1)
        best, which = 1 / (1 + np.exp(-cls.max(0))), cls.argmax(0)
        k = np.flatnonzero(best > threshold)
        box = by[f"box{s}"][0].reshape(4, 16, -1)[:, :, k]
        e = np.exp(box - box.max(1, keepdims=True))
        d = (e / e.sum(1, keepdims=True) * np.arange(16)[None, :, None]).sum(1) * s
        x, y = (k % (width // s) + 0.5) * s, (k // (width // s) + 0.5) * s
        boxes.append(np.stack((x - d[0], y - d[1], x + d[2], y + d[3]), 1))
        scores.append(best[k])
        classes.append(which[k])
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(classes)


if __name__ == "__main__":
    main()
