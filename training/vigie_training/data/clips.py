"""The pictures in a clip that `vigie record` wrote: Motion-JPEG in AVI, whose chunks are JPEG files already, so that none is compressed anew."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

LISTS = (b"RIFF", b"LIST")
JPEG = b"\xff\xd8"
OTHERS = "take the pictures of other clips out with ffmpeg: ffmpeg -i CLIP -vf fps=1 pictures/%05d.jpg"


@dataclass(frozen=True)
class ClipFrame:
    """A frame of a clip."""

    number: int
    """From 0 on."""
    seconds: float
    """After the first frame."""
    jpeg: bytes


def clip_frames(path: Path, every: float) -> Iterator[ClipFrame]:
    """The first frame, and each one that is at least `every` seconds after the last that was taken.

    When each frame was captured stands in the clip's `.json`; without that, the AVI's even rate holds.
    """
    data = path.read_bytes()
    if data[:4] != b"RIFF" or data[8:12] != b"AVI ":
        raise InputError(f"{path} is no AVI file", "clips of `vigie record` are read; " + OTHERS)
    chunks = list(_chunks(data))
    # An empty chunk repeats the frame before it, for players that know nothing but an even rate.
    spans = [(start, end) for start, end in chunks if end > start]
    if not any(data[start : start + 2] == JPEG for start, _ in spans):
        raise InputError(f"{path} holds no Motion-JPEG", OTHERS)
    times = _captured(path, len(spans)) or _evenly(data, chunks)
    last = -every
    for number, (start, end) in enumerate(spans):
        if times[number] - last >= every - 1e-6:
            last = times[number]
            yield ClipFrame(number, last, data[start:end])


def _chunks(data: bytes) -> Iterator[tuple[int, int]]:
    """Where each video chunk (`NNdc`, `NNdb`) begins and ends; lists are entered, all else is passed over. A cut file ends where it ends."""
    at = 0
    while at + 12 <= len(data):
        kind, length = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if kind in LISTS:
            at += 12
            continue
        if kind[2:] in (b"dc", b"db") and kind[:2].isdigit() and at + 8 + length <= len(data):
            yield at + 8, at + 8 + length
        at += 8 + length + length % 2


def _captured(path: Path, count: int) -> list[float]:
    """Seconds of each frame after the first, by the clip's `.json`; nothing if there is none, or one of another clip."""
    try:
        ns = json.loads(path.with_suffix(".json").read_bytes())["captured_monotonic_ns"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    fits = isinstance(ns, list) and len(ns) == count and all(isinstance(n, int) for n in ns)
    return [(n - ns[0]) / 1e9 for n in ns] if fits else []


def _evenly(data: bytes, chunks: list[tuple[int, int]]) -> list[float]:
    """The same by the file's rate: `scale` and `rate` of the first video stream."""
    head = data.find(b"strh", 0, 4096)
    scale, rate = struct.unpack_from("<II", data, head + 28) if 0 <= head <= len(data) - 36 else (0, 0)
    period = scale / rate if scale and rate else 0.2
    return [i * period for i, (start, end) in enumerate(chunks) if end > start]
