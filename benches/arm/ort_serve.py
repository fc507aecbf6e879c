"""onnxruntime as count.py's contestant: runs inside the arm64 root, speaks the protocol of `benches/int8.rs --serve`.

    python3 -I -S ort_serve.py SITE MODEL.onnx

SITE is the folder with onnxruntime and numpy. One session, one thread; prints "ready" after a first frame, then for each
empty line of standard input runs a frame and prints nanoseconds of wall and of thread time.
"""
import os
import sys
import time

sys.path.append(sys.argv[1])
import numpy as np
import onnxruntime as ort

F = np.float32


def picture(height, width):
    """The bytes that `picture` of benches/int8.rs makes."""
    c, y, x = np.ogrid[:3, :height, :width]
    wave = np.sin(F(0.03) * (x * (c + 2)).astype(F)), np.cos(F(0.07) * (y * (c + 1)).astype(F))
    return (F(128) + F(80) * wave[0] + F(40) * wave[1]).astype(np.uint8)[None]


options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(sys.argv[2], options, providers=["CPUExecutionProvider"])
feed = {session.get_inputs()[0].name: picture(*session.get_inputs()[0].shape[2:])}
session.run(None, feed)
os.write(1, b"ready\n")
for line in sys.stdin:
    wall, thread = time.perf_counter_ns(), time.thread_time_ns()
    session.run(None, feed)
    os.write(1, b"%d %d\n" % (time.perf_counter_ns() - wall, time.thread_time_ns() - thread))
