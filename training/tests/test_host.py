"""What a run asks of its machine: in processes of their own, since it can't be taken back."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from vigie_training.fitting.host import has_bf16, take_share


def python(code: str, *arguments: str) -> str:
    run = subprocess.run([sys.executable, "-c", code, *arguments], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    return run.stdout.strip()


FAULTS = """
import resource, numpy as np
from vigie_training.fitting.host import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        np.ones(12 << 20)  # 96 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults()
assert keep_memory()
faults()
print(given_back, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc alone is told")
def test_memory_that_was_freed_is_not_cleared_again():
    given_back, kept = map(int, python(FAULTS).split())
    assert given_back > 8 and kept < given_back / 4


def test_a_fair_share_is_what_one_has():
    before = os.nice(0)
    assert take_share("fair") == "" and os.nice(0) == before


SHARE = """
import os, sys, pathlib
from vigie_training.fitting.host import take_share
print(take_share(sys.argv[1], pathlib.Path(sys.argv[2])), os.nice(0))
"""


def test_yielding_is_always_allowed_and_the_session_gets_its_value_back(tmp_path):
    group = tmp_path / "group"
    group.write_text("/autogroup-104 nice 3\n")
    said = python(SHARE + "print(pathlib.Path(sys.argv[2]).read_text())", "yield", str(group))
    assert said.split("\n") == ["nice 19: this process and its session (autogroup) 19", "19"] and group.read_text() == "3"
    assert python(SHARE, "yield", str(tmp_path / "none/group")) == "nice 19: this process 19"


def test_greed_that_is_not_allowed_is_no_error(tmp_path):
    said = python(SHARE, "greedy", str(tmp_path / "none/group"))
    assert said in ("nice -15: this process -15", f"nice -15 is not allowed, going on as it is {os.nice(0)}")


@pytest.mark.parametrize(
    "text, has",
    [
        ("model name\t: x\nflags\t\t: fpu avx512f avx512_bf16 sse\n", True),
        ("flags\t\t: fpu avx2 avx512_vnni\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp i8mm bf16\n", True),
        ("", False),
    ],
)
def test_bf16_is_read_from_the_processors_flags(tmp_path, text, has):
    (tmp_path / "cpuinfo").write_text(text)
    assert has_bf16(tmp_path / "cpuinfo") == has
    assert not has_bf16(tmp_path / "missing")
