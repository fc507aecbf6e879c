#!/usr/bin/env python3
"""Counts the instructions that tracker and scene execute a look on aarch64, and what part of a look with the model that is.

    eval "$(scripts/cross-toolchain.sh)"
    cargo build --release --locked --target aarch64-unknown-linux-gnu --example facts
    python3 benches/arm/facts.py target/aarch64-unknown-linux-gnu/release/examples/facts --inference 217.2

--inference is the model's millions of instructions a frame, as count.py prints them.
"""

import argparse
import pathlib
import statistics
import tempfile

import count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--inference", type=float, help="millions of instructions of a frame's inference")
    parser.add_argument("--cpu", default="cortex-a76", choices=count.CPUS)
    parser.add_argument("--libraries", default="/usr/aarch64-linux-gnu", help="where the guest's libc is")
    args = parser.parse_args()
    print("| objects | thousand instructions a look, median | at most | part of inference |\n| ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        emulator = [count.find_qemu(), "-cpu", args.cpu, "-L", args.libraries, "-plugin", count.compile_plugin(folder)]
        for objects in (1, 10, 50):
            steps = count.count(emulator, [args.program, str(objects)], 300, 50, folder)
            looks = [step["all"] for step in steps]
            median, most = statistics.median(looks), max(looks)
            part = f"{median / args.inference / 1e4:.2f} %" if args.inference else ""
            print(f"| {objects} | {median / 1e3:.0f} | {most / 1e3:.0f} | {part} |")


if __name__ == "__main__":
    main()
