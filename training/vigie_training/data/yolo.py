"""YOLO's text labels: `images/…/a.jpg` with `labels/…/a.txt`, a line an object: class, centre x, y, width, height as fractions.

A line of more numbers is a polygon and gives the box around it. A picture without a text file holds no object.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import InputError
from .pictures import SUFFIXES, PictureRef
from .records import Record, Split, checked_boxes, raise_problems


def read_yolo(path: Path, names: list[str], split: str, clip: bool) -> Split:
    """`path` is a folder of pictures or a text file that lists them."""
    pictures = _listed(path) if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not pictures:
        raise InputError(f"no pictures in {path}", f"looked for {', '.join(sorted(SUFFIXES))}, in its sub-folders too")
    problems: list[str] = []
    result = Split(split, names)
    for picture in pictures:
        try:
            with Image.open(picture) as opened:
                width, height = opened.size
                if opened.getexif().get(0x0112) in (5, 6, 7, 8):
                    width, height = height, width
        except OSError as error:
            problems.append(f"{picture}: {error}")
            continue
        labels, boxes = _labels(label_path(picture), len(names), problems)
        boxes, keep = checked_boxes(picture.name, boxes * [width, height, width, height], width, height, clip, problems)
        count = int(keep.sum())
        every = np.ones(len(names), bool)
        result.records.append(Record(picture.name, PictureRef(picture), width, height, boxes[keep], labels[keep], np.zeros(count, bool), every))
    raise_problems(str(path), problems, "correct the labels, or read them with --clip-boxes")
    if not any(len(r.labels) for r in result.records):
        raise InputError(f"{path}: {len(pictures)} pictures and not one labelled object", f"labels are expected as {label_path(pictures[0])}")
    return result


def label_path(picture: Path) -> Path:
    """Where a picture's labels are: the last folder `images` in its path becomes `labels`; else next to it."""
    parts = list(picture.with_suffix(".txt").parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts)


def _listed(path: Path) -> list[Path]:
    lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    return [p if p.is_absolute() else path.parent / p for p in map(Path, lines)]


def _labels(path: Path, nc: int, problems: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """-> classes, boxes as fractions (x1, y1, x2, y2)."""
    labels, boxes = [], []
    for number, line in enumerate(path.read_text().splitlines() if path.is_file() else [], 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            values = [float(v) for v in line.split()]
        except ValueError:
            problems.append(f"{where}: {line.strip()[:60]!r} is not a row of numbers")
            continue
        label, rest = values[0], values[1:]
        if label != int(label) or not 0 <= label < nc:
            problems.append(f"{where}: class {label:g} is not one of 0 to {nc - 1}")
        elif len(rest) == 4:
            cx, cy, w, h = rest
            labels.append(int(label))
            boxes.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
        elif len(rest) >= 6 and len(rest) % 2 == 0:
            xs, ys = rest[0::2], rest[1::2]
            labels.append(int(label))
            boxes.append((min(xs), min(ys), max(xs), max(ys)))
        else:
            problems.append(f"{where}: {len(values)} numbers; expected 5 (class, centre x, y, width, height) or a polygon")
    return np.array(labels, np.int64), np.array(boxes, np.float32).reshape(-1, 4)
