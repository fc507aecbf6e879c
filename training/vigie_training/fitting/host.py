"""What a run may ask of the machine that it runs on. Nothing here changes what is computed, and nothing here fails."""

import atexit
import contextlib
import ctypes
import os
import platform
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")
CPUINFO = Path("/proc/cpuinfo")


def has_bf16(cpuinfo: Path = CPUINFO) -> bool:
    """Whether the processor multiplies bf16 numbers, rather than widening them first."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((line.split(":", 1)[1].split() for line in lines if line.lower().startswith(("flags", "features"))), [])
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags))


def keep_memory() -> bool:
    """Tell glibc's malloc to keep what was freed. -> whether it is there to be told.

    It gives every tensor of more than 32 MiB back to the kernel when it is freed, and has its pages cleared when the next step asks for
    them again. These are `mallopt`'s names for MALLOC_MMAP_MAX_=0, MALLOC_TRIM_THRESHOLD_=-1 and MALLOC_TOP_PAD_=268435456.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mmap_max, trim_threshold, top_pad = -4, -1, -2
    libc = ctypes.CDLL(None)
    return all([libc.mallopt(mmap_max, 0), libc.mallopt(trim_threshold, -1), libc.mallopt(top_pad, 256 << 20)])


def take_share(wanted: str, autogroup: Path = AUTOGROUP) -> str:
    """Ask for a `greedy` or a `yield`ing share of the processors; `fair` leaves it. -> what came of it, for the log; empty for nothing.

    Linux shares processors between sessions (autogroups) first, and between the processes of one by their nice values: beside a build in
    another terminal `nice` alone does nothing. The session's value is put back when this process ends.
    """
    if wanted == "fair":
        return ""
    nice = {"greedy": -15, "yield": 19}[wanted]
    done = []
    try:
        os.nice(nice - os.nice(0))
        done.append("this process")
    except OSError:
        pass
    try:
        before = autogroup.read_text().split()[-1]
        autogroup.write_text(str(nice))
        atexit.register(_put_back, autogroup, before)
        done.append("its session (autogroup)")
    except (OSError, IndexError):
        pass
    return f"nice {nice}: {' and '.join(done)}" if done else f"nice {nice} is not allowed, going on as it is"


def _put_back(autogroup: Path, before: str) -> None:
    with contextlib.suppress(OSError):
        autogroup.write_text(before)
