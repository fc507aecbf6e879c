#!/usr/bin/env python3
"""What a second thread gives the int8 engine, beside what a second core of this machine gives at all.

    python3 benches/peers/scaling.py target/release/deps/int8-… models/vigie-xxs-320-int8.onnx [ROUNDS]

Each round times a frame on one thread, the same on two threads, and a frame of two processes at once that have nothing in common, one a
core. Their throughput over one process's is all that two cores can give here: on virtual machines, whose cores may be the two
threads of one, it can be far from 2. Linux only (taskset); needs nothing but Python.
"""
import os
import statistics
import subprocess
import sys
import threading
import time


class Engine:
    """benches/int8.rs --serve on the given cores."""

    def __init__(self, cores, *command):
        self.process = subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, cores)), *command, "--threads", str(len(cores))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        if self.process.stdout.readline().strip() != "ready":
            raise SystemExit(f"error: no 'ready' from {' '.join(command)}")

    def frame(self):
        """-> milliseconds"""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline().split()[0]) / 1e6


def together(engines):
    """A frame of each at once. -> milliseconds until the last is done"""
    start = time.perf_counter()
    threads = [threading.Thread(target=e.frame) for e in engines]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return (time.perf_counter() - start) * 1e3


def main():
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    command, rounds = [*sys.argv[1:3], "--serve"], int(sys.argv[3]) if len(sys.argv) == 4 else 60
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SystemExit("error: two cores are needed")
    each, both = [Engine([c], *command) for c in cores], Engine(cores, *command)
    one, two, apart = [], [], []
    for _ in range(rounds):
        one.append(each[0].frame())
        two.append(both.frame())
        apart.append(together(each))
    print(f"{'':<34} {'median ms':>9} {'least':>7} {'gain':>6} {'least':>6}")
    for name, times, frames in ("one thread", one, 1), ("two threads", two, 1), ("two processes, a frame of each", apart, 2):
        gain = frames * statistics.median(one) / statistics.median(times)
        print(f"{name:<34} {statistics.median(times):>9.2f} {min(times):>7.2f} {gain:>6.2f} {frames * min(one) / min(times):>6.2f}")


if __name__ == "__main__":
    main()
