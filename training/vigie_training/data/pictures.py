"""Reads pictures from files and from uncompressed tar shards, and keeps decoded ones in memory."""

import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ..errors import InputError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True)
class PictureRef:
    """Where a picture's bytes are: a whole file, or a piece of a tar shard."""

    path: Path
    offset: int = 0
    size: int | None = None

    def read(self) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size if self.size is not None else -1)


def index_shard(path: Path) -> dict[str, PictureRef]:
    """The members of an uncompressed tar by file name."""
    if not path.is_file():
        raise InputError(f"shard {path} is missing")
    try:
        with tarfile.open(path, "r:") as tar:
            return {Path(m.name).name: PictureRef(path, m.offset_data, m.size) for m in tar if m.isfile()}
    except tarfile.TarError as error:
        raise InputError(f"shard {path} is not an uncompressed tar file: {error}") from error


def decode(ref: PictureRef, name: str) -> np.ndarray:
    """H x W x 3 u8 RGB. EXIF rotation is applied, as the labelling tools do."""
    try:
        data = np.frombuffer(ref.read(), np.uint8)
    except OSError as error:
        raise InputError(f"picture {name}: cannot read {ref.path}: {error.strerror}") from error
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if picture is None:
        raise InputError(f"picture {name}: {ref.path} holds no picture that can be decoded", "JPEG, PNG, WebP, BMP and TIFF can")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def shrink(picture: np.ndarray, side: int) -> np.ndarray:
    """At most `side` pixels on the longer side."""
    scale = side / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


class PictureCache:
    """Decoded pictures of a split, at most `side` pixels long; those beyond `budget` bytes are decoded again at each use."""

    def __init__(self, records: list, side: int, budget: int = 8 << 30, workers: int = 2, progress: bool = True):
        self.records, self.side = records, side
        self.kept: list[np.ndarray | None] = [None] * len(records)
        used = 0
        with ThreadPoolExecutor(workers) as pool:
            pictures = pool.map(self._load, range(len(records)))
            for i, picture in enumerate(tqdm(pictures, "decoding", len(records), disable=None if progress else True, leave=False)):
                used += picture.nbytes
                if used > budget:
                    pool.shutdown(wait=False, cancel_futures=True)
                    break
                self.kept[i] = picture
        self.bytes = min(used, budget)

    def _load(self, i: int) -> np.ndarray:
        return shrink(decode(self.records[i].picture, self.records[i].name), self.side)

    def __getitem__(self, i: int) -> np.ndarray:
        kept = self.kept[i]
        return kept if kept is not None else self._load(i)
