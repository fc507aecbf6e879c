#!/usr/bin/env python3
"""The integer engine beside other runtimes: the same models, one thread each (or --threads 2), frames interleaved in one run.

    cargo bench --bench int8 --no-run            # prints the executable's path
    python3 benches/peers/int8.py --bench target/release/deps/int8-… --int8 MODEL-int8.onnx --fp32 MODEL-fp32.onnx

Prints medians and least times of wall and of thread time, and the ratios of the medians: of thread time with one thread, of
wall time with more, and for rten, which has none of its own. With --pictures DIR it compares results instead: the head's numbers, and the detections after decoding and NMS, with those of
onnxruntime computing what ONNX says (graph optimizations off: its fast x86 kernels without VNNI saturate), on every picture
of the directory. Needs onnxruntime and numpy, for pictures opencv. rten is a program of its own:

    cargo build --release --manifest-path benches/peers/rten/Cargo.toml     # --rten benches/peers/rten/target/release/rten-peer

ncnn needs the packages that ncnn_model.py names, and its model made by it:

    python3 benches/peers/ncnn_model.py models/vigie-xxs-320-fp32.onnx build/vigie-xxs-320      # --ncnn build/vigie-xxs-320
"""
import argparse
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime as ort


class Onnxruntime:
    def __init__(self, path, threads=1, exact=False):
        options = ort.SessionOptions()
        if exact:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        i = self.session.get_inputs()[0]
        rng = np.random.default_rng(0)
        x = rng.integers(0, 256, i.shape, dtype=np.uint8)
        self.feed = {i.name: x if "uint8" in i.type else x.astype(np.float32) / np.float32(255)}

    def frame(self):
        wall, thread = time.perf_counter(), time.thread_time()
        self.session.run(None, self.feed)
        return time.perf_counter() - wall, time.thread_time() - thread


    def results(self, x):
        return self.session.run(None, {self.session.get_inputs()[0].name: x})


class Served:
    """A program that answers lines: the bench's executable with --serve, or rten's. One line in, one frame, its times out."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.process.stdout.readline().strip() == "ready"

    def frame(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        wall, thread = self.process.stdout.readline().split()
        return int(wall) / 1e9, int(thread) / 1e9


    def results(self, x, shapes):
        with tempfile.NamedTemporaryFile(suffix=".bin") as f:
            x.tofile(f.name)
            self.process.stdin.write(f.name + "\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline().strip() == "done"
            out = pathlib.Path(f.name + ".out")
            flat = np.fromfile(out, dtype=np.float32)
            out.unlink()
        ends = np.cumsum([np.prod(s) for s in shapes])
        return [part.reshape(s) for part, s in zip(np.split(flat, ends[:-1]), shapes)]


def decode(heads, threshold):
    """Raw heads (box and class logits for strides 8, 16, 32) to rows x1, y1, x2, y2, score, class after NMS."""
    rows = []
    for stride, box, cls in zip((8, 16, 32), heads[::2], heads[1::2]):
        _, _, h, w = box.shape
        p = box.reshape(4, 16, h * w)
        p = np.exp(p - p.max(1, keepdims=True))
        left, top, right, bottom = (p / p.sum(1, keepdims=True) * np.arange(16).reshape(1, 16, 1)).sum(1) * stride
        y, x = np.divmod(np.arange(h * w), w)
        x, y = (x + 0.5) * stride, (y + 0.5) * stride
        score = 1 / (1 + np.exp(-cls.reshape(cls.shape[1], -1)))
        c, at = np.nonzero(score > threshold)
        rows.append(np.stack((x[at] - left[at], y[at] - top[at], x[at] + right[at], y[at] + bottom[at], score[c, at], c), 1))
    rows = np.concatenate(rows)
    kept = []
    for row in rows[np.argsort(-rows[:, 4])]:
        if all(k[5] != row[5] or iou(k, row) < 0.6 for k in kept):
            kept.append(row)
    return kept


def iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def compare(args):
    import cv2

    exact, vigie = Onnxruntime(args.int8, exact=True), Served(*shlex.split(args.bench), args.int8, "--serve")
    height, width = exact.session.get_inputs()[0].shape[2:]
    errors, sizes, both, only, apart, overlaps = [], [], 0, 0, [], []
    pictures = sorted(p for p in pathlib.Path(args.pictures).rglob("*") if p.suffix in (".jpg", ".png", ".webp"))
    for path in pictures[: args.frames]:
        x = cv2.resize(cv2.imread(str(path)), (width, height), interpolation=cv2.INTER_AREA)
        x = np.ascontiguousarray(x[:, :, ::-1].transpose(2, 0, 1)[None])
        expected = exact.results(x)
        got = vigie.results(x, [e.shape for e in expected])
        errors += [np.abs(g - e).mean() for g, e in zip(got, expected)]
        sizes += [e.std() for e in expected]
        want, have = decode(expected, 0.3), decode(got, 0.3)
        for w in want:
            same = [h for h in have if h[5] == w[5] and iou(h, w) > 0.8]
            both += bool(same)
            only += not same
            apart += [min(abs(h[4] - w[4]) for h in same)] if same else []
            overlaps += [max(iou(h, w) for h in same)] if same else []
        only += sum(not any(h[5] == w[5] and iou(h, w) > 0.8 for w in want) for h in have)
    if not apart:
        raise SystemExit(f"{len(pictures)} pictures in {args.pictures}, and nothing detected in common on them")
    print(f"{len(pictures[: args.frames])} pictures; logits: mean error {np.mean(errors):.4f}, their spread {np.mean(sizes):.3f}")
    print(
        f"detections (score > 0.3, NMS 0.6): {both} in both, {only} in one only; scores apart {np.mean(apart):.4f} on average,"
        f" {np.max(apart):.4f} at most; mean IoU {np.mean(overlaps):.4f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the executable that `cargo bench --bench int8 --no-run` names; an emulator may stand before it")
    parser.add_argument("--int8", required=True, help="the QDQ model, for the engine")
    parser.add_argument("--ort-int8", help="another QDQ model for onnxruntime: one made with --style every-op, which it runs best")
    parser.add_argument("--fp32", help="the float model")
    parser.add_argument("--rten", help="rten-peer's executable")
    parser.add_argument("--ncnn", help="what ncnn_model.py made of the float model, without .param")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--pictures", help="compare results on this directory's pictures")
    args = parser.parse_args()
    if args.pictures:
        return compare(args)
    n = args.threads
    runs = {
        "vigie int8": Served(*shlex.split(args.bench), args.int8, "--serve", "--threads", str(n)),
        "onnxruntime, same file": Onnxruntime(args.int8, n),
    }
    if args.ort_int8:
        runs["onnxruntime int8"] = Onnxruntime(args.ort_int8, n)
    if args.fp32:
        runs["onnxruntime fp32"] = Onnxruntime(args.fp32, n)
        if n == 1:  # The bench gives stock tract no threads.
            runs["tract fp32"] = Served(*shlex.split(args.bench), args.fp32, "--serve", "--stock")
    if args.rten:
        for name, path in ("int8, same file", args.int8), ("int8", args.ort_int8), ("fp32", args.fp32):
            if path:
                runs[f"rten {name}"] = Served(args.rten, path, str(n))
    if args.ncnn:
        size = ort.InferenceSession(args.int8).get_inputs()[0].shape[2]
        serve = pathlib.Path(__file__).with_name("ncnn_serve.py")
        runs["ncnn fp32"] = Served(sys.executable, serve, args.ncnn, str(n), str(size))
    times = {name: [] for name in runs}
    for run in runs.values():
        run.frame()
    for _ in range(args.frames):
        for name, run in runs.items():
            times[name].append(run.frame())
    first = None
    print(f"{f'threads: {n}':<22} {'median ms':>10} {'least ms':>10} {'thread ms':>10} {'least':>8} {'vigie / it':>10}")
    for name, t in times.items():
        wall, thread = [x[0] * 1e3 for x in t], [x[1] * 1e3 for x in t]
        median = statistics.median(thread)
        if n > 1:
            median = statistics.median(wall)
        first = first or median
        print(
            f"{name:<22} {statistics.median(wall):>10.2f} {min(wall):>10.2f} {statistics.median(thread):>10.2f} {min(thread):>8.2f}"
            f" {first / median:>10.2f}"
        )


if __name__ == "__main__":
    main()
