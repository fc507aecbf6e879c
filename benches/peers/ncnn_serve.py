"""ncnn as a contestant of int8.py and of arm/count.py: speaks the protocol of `benches/int8.rs --serve`.

    python3 ncnn_serve.py MODEL THREADS SIZE [SITE]

MODEL.param and MODEL.bin are what ncnn_model.py made for pictures of SIZE × SIZE; SITE is a folder with ncnn and numpy. Prints "ready"
after a first frame, then for each empty line of standard input runs a frame and prints nanoseconds of wall and of thread time.
"""
import os
import sys
import time

model, threads, size, *site = sys.argv[1:]
sys.path.extend(site)
import ncnn
import numpy as np

net = ncnn.Net()
net.opt.num_threads = int(threads)
net.load_param(model + ".param")
net.load_model(model + ".bin")
outputs = net.output_names()
rng = np.random.default_rng(0)
feed = rng.integers(0, 256, (1, 3, int(size), int(size)), dtype=np.uint8).astype(np.float32)


def frame():
    with net.create_extractor() as run:
        run.input("in0", ncnn.Mat(feed, batch_index=0).clone())
        for name in outputs:
            run.extract(name)


frame()
os.write(1, b"ready\n")
for line in sys.stdin:
    wall, thread = time.perf_counter_ns(), time.thread_time_ns()
    frame()
    os.write(1, b"%d %d\n" % (time.perf_counter_ns() - wall, time.thread_time_ns() - thread))
