"""Finds pictures that are one picture: scaled, stretched, encoded again, brightened, mirrored.

A difference hash of 64 bits (whether each of 8 x 8 cells is brighter than its right neighbour) finds the candidates, the correlation of
the pictures at 32 x 32 grey pixels confirms them. A crop is another picture to both.
"""

from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 32


@dataclass(frozen=True)
class Alike:
    """From when on two pictures are one."""

    bits: int = 10
    """At most so many of the 64 bits differ."""
    correlation: float = 0.9


@dataclass
class Prints:
    """What is compared of N pictures: hashes N x 2 u64 and pixels N x 2 x 1024, as they are and mirrored."""

    hashes: np.ndarray
    pixels: np.ndarray

    @classmethod
    def of(cls, pictures: list[np.ndarray]) -> "Prints":
        both = [fingerprint(view) for p in pictures for view in (p, p[:, ::-1])]
        hashes = np.array([h for h, _ in both], np.uint64).reshape(-1, 2)
        return cls(hashes, np.array([v for _, v in both], np.float32).reshape(-1, 2, SIDE * SIDE))

    def __len__(self) -> int:
        return len(self.hashes)


def fingerprint(picture: np.ndarray) -> tuple[int, np.ndarray]:
    """H x W x 3 RGB -> the hash, and the grey pixels with mean 0 and length 1."""
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    cells = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(int)
    bits = (cells[:, :-1] > cells[:, 1:]).ravel()
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    return int.from_bytes(np.packbits(bits).tobytes(), "big"), small / max(float(np.linalg.norm(small)), 1e-6)


def pairs(new: Prints, known: Prints, alike: Alike, chunk: int = 512) -> list[tuple[int, int, int, float]]:
    """All pairs that are alike: which of `new`, which of `known`, bits that differ, correlation."""
    found = {}
    for mirrored in (0, 1):
        for start in range(0, len(new), chunk):
            differ = np.bitwise_count(new.hashes[start : start + chunk, mirrored, None] ^ known.hashes[None, :, 0])
            rows, columns = np.nonzero(differ <= alike.bits)
            related = np.einsum("ij,ij->i", new.pixels[start + rows, mirrored], known.pixels[columns, 0])
            for a, b, bits, value in zip(rows + start, columns, differ[rows, columns], related):
                if value >= alike.correlation and value > found.get((a, b), (0, 0.0))[1]:
                    found[a, b] = (int(bits), float(value))
    return [(int(a), int(b), bits, value) for (a, b), (bits, value) in sorted(found.items())]


def repeated(among: list[tuple[int, int, int, float]]) -> dict[int, tuple[int, int, float]]:
    """From the pairs of a set with itself: which pictures repeat an earlier one that is kept -> that one, bits, correlation."""
    dropped: dict[int, tuple[int, int, float]] = {}
    for later, earlier, bits, value in among:
        if earlier < later and earlier not in dropped and later not in dropped:
            dropped[later] = (earlier, bits, value)
    return dropped
