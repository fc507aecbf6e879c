#!/usr/bin/env python3
"""How many aarch64 instructions one frame of inference executes, for Vigie's int8 engine and for peers, under QEMU.

    benches/arm/root.sh
    python3 benches/arm/count.py --bench target/aarch64-unknown-linux-gnu/release/deps/int8-…

Prints a table for each CPU: millions of instructions a frame, Vigie's int8 engine divided by each, and the classes of insn.c.
README.md says what that means and how the executable is built; without --bench only onnxruntime is counted. Needs
nothing but Python, gcc and a qemu-aarch64 with plugins.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("VIGIE_BUILD_DIR", ROOT / "build"))
CLASSES = "all", "dot", "imul", "fmul", "load", "store"

# What a board's /proc/cpuinfo says of each CPU: its part, and its features. onnxruntime reads it, besides the auxiliary vector.
CPUS = {
    "cortex-a72": ("0xd08", "fp asimd evtstrm crc32 cpuid"),
    "cortex-a76": (
        "0xd0b",
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
}
BUILD_BENCH = (
    'eval "$(scripts/cross-toolchain.sh)" && cargo bench --target aarch64-unknown-linux-gnu --bench int8 --no-run'
)


class Missing(Exception):
    """Something isn't there: what, and the command that gets it."""

    def __init__(self, what, command):
        super().__init__(f"{what}; to get it: {command}")


def need(path, what, command):
    if not pathlib.Path(path).exists():
        raise Missing(f"no {what} at {path}", command)
    return str(pathlib.Path(path).resolve())


def find_qemu():
    qemu = shutil.which("qemu-aarch64")
    command = "apt-get install --no-install-recommends qemu-user (Debian 12's, 7.2)"
    if not qemu:
        raise Missing("no qemu-aarch64", command)
    if "-plugin" not in subprocess.run([qemu, "-help"], capture_output=True, text=True).stdout:
        raise Missing(f"{qemu} takes no -plugin (a static one never does)", command)
    return qemu


def compile_plugin(folder):
    if not shutil.which("gcc"):
        raise Missing("no gcc", "apt-get install gcc libc6-dev")
    plugin = folder / "libinsn.so"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", plugin, HERE / "insn.c"], check=True)
    return plugin


def make_board(folder, root, cpu):
    """The root as a board with one such CPU has it: what the guest reads of /proc and /sys is not this machine's."""
    board = folder / cpu
    system = board / "sys/devices/system/cpu"
    system.mkdir(parents=True)
    for entry in pathlib.Path(root).iterdir():
        (board / entry.name).symlink_to(entry)
    for name in "possible", "present", "online":
        (system / name).write_text("0\n")
    (board / "proc").mkdir()
    part, features = CPUS[cpu]
    (board / "proc/cpuinfo").write_text(
        f"processor\t: 0\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        f"CPU variant\t: 0x0\nCPU part\t: {part}\nCPU revision\t: 3\n\n"
    )
    return board


def count(emulator, program, frames, warm_up, folder):
    """-> the counts of each class for each frame after the warm-up."""
    out, errors = folder / "counts", folder / "errors"
    command = [*emulator[:-1], f"{emulator[-1]},out={out}", *program]
    environment = {f"{pool}_NUM_THREADS": "1" for pool in ("RAYON", "OPENBLAS", "OMP")}
    with errors.open("w") as stderr, subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
    ) as process:
        answers = [process.stdout.readline()]
        try:
            while answers[0] == "ready\n" and answers[-1] and len(answers) <= warm_up + frames:
                process.stdin.write("\n")
                process.stdin.flush()
                answers.append(process.stdout.readline())
            process.stdin.close()
        except BrokenPipeError:
            answers.append("")
        if not answers[-1] or answers[0] != "ready\n":
            process.kill()
    if answers[0] != "ready\n" or not answers[-1]:
        said = errors.read_text().strip().splitlines()[-5:]
        raise RuntimeError("\n  ".join([f"no 'ready', or no answer to a line, from: {' '.join(map(str, command))}", *said]))
    totals = [[int(n) for n in line.split()] for line in out.read_text().splitlines()]
    if len(totals) != len(answers):
        raise RuntimeError(f"{len(totals)} writes for {len(answers)} answers: {program[0]} writes something else too")
    steps = [dict(zip(CLASSES, (b - a for a, b in zip(*pair)))) for pair in zip(totals, totals[1:])]
    return steps[warm_up:]


def contestants(args, root):
    """-> name: command line in the guest."""
    int8 = need(args.int8, "int8 model", "git checkout models")
    fp32 = need(args.fp32, "fp32 model", "git checkout models")
    ort = [f"{root}/usr/bin/python3", "-I", "-S", str(HERE / "ort_serve.py"), f"{root}/opt/site"]
    found = {}
    if args.bench:
        bench = need(args.bench, "executable of benches/int8.rs", BUILD_BENCH)
        found["vigie int8"] = [bench, int8, "--serve"]
        found["tract fp32"] = [bench, fp32, "--serve", "--stock"]
    else:
        print(f"count: without --bench only onnxruntime is counted; to build it: {BUILD_BENCH}", file=sys.stderr)
    if args.every_op:
        command = f"vigie-quantize {args.fp32} --data DATA --style every-op --out {args.every_op}"
        found["onnxruntime int8, every op"] = [*ort, need(args.every_op, "int8 model in the style every-op", command)]
    if args.ncnn:
        command = f"python3 benches/peers/ncnn_model.py {args.fp32} {args.ncnn}"
        need(f"{args.ncnn}.bin", "ncnn model", command)
        serve = HERE.parent / "peers/ncnn_serve.py"
        found["ncnn fp16"] = [*ort[:3], str(serve), str(pathlib.Path(args.ncnn).resolve()), "1", "320", f"{root}/opt/site"]
    found["onnxruntime int8, same file"] = [*ort, int8]
    found["onnxruntime fp32"] = [*ort, fp32]
    return found


def show(cpu, runs):
    vigie = runs.get("vigie int8")
    print(f"\n{cpu:<28} {'Minsn':>8} {'vigie / it':>10}  " + " ".join(f"{c:>7}" for c in (*CLASSES[1:], "other")))
    for name, frames in runs.items():
        median = {c: statistics.median(f[c] for f in frames) / 1e6 for c in CLASSES}
        classes = [median[c] for c in CLASSES[1:]]
        ratio = f"{statistics.median(f['all'] for f in vigie) / 1e6 / median['all']:.2f}" if vigie else "–"
        cells = " ".join(f"{n:>7.1f}" for n in (*classes, median["all"] - sum(classes)))
        print(f"{name:<28} {median['all']:>8.1f} {ratio:>10}  {cells}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", help="the aarch64 executable of benches/int8.rs; without it only onnxruntime")
    parser.add_argument("--int8", default=ROOT / "models/vigie-xxs-320-int8.onnx", help="default: %(default)s")
    parser.add_argument("--fp32", default=ROOT / "models/vigie-xxs-320-fp32.onnx", help="default: %(default)s")
    parser.add_argument("--every-op", help="an int8 model with Q/DQ around every operation, for onnxruntime too")
    parser.add_argument("--ncnn", help="what benches/peers/ncnn_model.py made of the fp32 model, without .param")
    parser.add_argument("--root", default=BUILD / "arm-root", help="what root.sh made (default: %(default)s)")
    parser.add_argument("--cpu", action="append", choices=CPUS, help="may be given twice (default: a76, then a72)")
    parser.add_argument("--frames", type=int, default=3, help="to take the median of (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=1, help="besides the one before 'ready' (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="every frame's counts instead of tables")
    args = parser.parse_args()
    if args.frames < 1 or args.warm_up < 0:
        parser.error("at least one frame, and no negative warm-up")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        try:
            root = need(args.root, "arm64 root", "benches/arm/root.sh")
            programs, qemu, plugin = contestants(args, root), find_qemu(), compile_plugin(folder)
            results = {}
            for cpu in args.cpu or ("cortex-a76", "cortex-a72"):
                emulator = [qemu, "-cpu", cpu, "-L", make_board(folder, root, cpu), "-plugin", plugin]
                runs = results[cpu] = {}
                for name, program in programs.items():
                    runs[name] = count(emulator, program, args.frames, args.warm_up, folder)
                if not args.json:
                    show(cpu, runs)
        except (Missing, RuntimeError) as error:
            raise SystemExit(f"error: {error}")
    if args.json:
        versions = (pathlib.Path(root) / "versions").read_text().strip()
        print(json.dumps({"versions": versions, "instructions": results}, indent=1))


if __name__ == "__main__":
    main()
