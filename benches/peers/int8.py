#!/usr/bin/env python3
"""The integer engine beside other runtimes: the same models, one thread each, frames interleaved in one run.

    cargo bench --bench int8 --no-run            # prints the executable's path
    python3 benches/peers/int8.py --bench target/release/deps/int8-… --int8 MODEL-int8.onnx --fp32 MODEL-fp32.onnx

Prints medians and least times of wall and of thread time, and the ratios of the thread times' medians. Needs onnxruntime
and numpy.
"""
import argparse
import statistics
import subprocess
import time

import numpy as np
import onnxruntime as ort


class Onnxruntime:
    def __init__(self, path):
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        i = self.session.get_inputs()[0]
        rng = np.random.default_rng(0)
        x = rng.integers(0, 256, i.shape, dtype=np.uint8)
        self.feed = {i.name: x if "uint8" in i.type else x.astype(np.float32) / np.float32(255)}

    def frame(self):
        wall, thread = time.perf_counter(), time.thread_time()
        self.session.run(None, self.feed)
        return time.perf_counter() - wall, time.thread_time() - thread


class Vigie:
    """The bench's executable with --serve: one line in, one frame, its times out."""

    def __init__(self, bench, path, *flags):
        self.process = subprocess.Popen(
            [bench, path, "--serve", *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.process.stdout.readline().strip() == "ready"

    def frame(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        wall, thread = self.process.stdout.readline().split()
        return int(wall) / 1e9, int(thread) / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the executable that `cargo bench --bench int8 --no-run` names")
    parser.add_argument("--int8", required=True, help="the QDQ model, for the engine")
    parser.add_argument("--ort-int8", help="the QDQ model for onnxruntime, where it is another (default: the same)")
    parser.add_argument("--fp32", help="the float model")
    parser.add_argument("--frames", type=int, default=30)
    args = parser.parse_args()
    runs = {"vigie int8": Vigie(args.bench, args.int8), "onnxruntime int8": Onnxruntime(args.ort_int8 or args.int8)}
    if args.fp32:
        runs["onnxruntime fp32"] = Onnxruntime(args.fp32)
        runs["tract fp32"] = Vigie(args.bench, args.fp32, "--stock")
    times = {name: [] for name in runs}
    for run in runs.values():
        run.frame()
    for _ in range(args.frames):
        for name, run in runs.items():
            times[name].append(run.frame())
    first = None
    print(f"{'one thread':<18} {'median ms':>10} {'least ms':>10} {'thread ms':>10} {'least':>8} {'vigie / it':>10}")
    for name, t in times.items():
        wall, thread = [x[0] * 1e3 for x in t], [x[1] * 1e3 for x in t]
        median = statistics.median(thread)
        first = first or median
        print(
            f"{name:<18} {statistics.median(wall):>10.2f} {min(wall):>10.2f} {median:>10.2f} {min(thread):>8.2f}"
            f" {first / median:>10.2f}"
        )


if __name__ == "__main__":
    main()
