"""What is known of each picture, whichever format it came from, and the checks that every format shares."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import InputError
from .pictures import PictureRef
from .words import same_class


@dataclass
class Record:
    """One labelled picture. Boxes are x1, y1, x2, y2 in its pixels."""

    name: str
    picture: PictureRef
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    ignore: np.ndarray
    """Crowds and `difficult` objects: neither object nor background, in training and in evaluation."""
    labelled: np.ndarray
    """For each class, whether every object of it in this picture has a box. Of other classes nothing may be concluded."""
    scores: np.ndarray | None = None
    """How sure the one who drew each box was, 0 to 1; a person's are 1, and so are all without an entry."""
    source: str = ""
    coco_id: Any = None

    def __post_init__(self) -> None:
        if self.scores is None:
            self.scores = np.ones(len(self.labels), np.float32)


@dataclass
class Split:
    """The pictures of a train or val split."""

    name: str
    names: list[str]
    records: list[Record] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records)

    def object_counts(self) -> np.ndarray:
        """Objects of each class, those to be ignored left out."""
        counts = np.zeros(len(self.names), int)
        for r in self.records:
            np.add.at(counts, r.labels[~r.ignore], 1)
        return counts

    def instructive(self) -> tuple["Split", int]:
        """Without the pictures that teach nothing: no object in them, and no class that is surely absent. -> and how many those are."""
        kept = [r for r in self.records if r.labelled.any() or not r.ignore.all()]
        return Split(self.name, self.names, kept), len(self) - len(kept)

    def judged(self, low: float, high: float) -> "Split":
        """What machines drew, by its score: below `low` it is nothing, below `high` neither object nor background, above it an object."""
        return Split(self.name, self.names, [_judged(r, low, high) for r in self.records])

    def subset(self, limit: int | None, seed: int = 0) -> "Split":
        """`limit` pictures drawn evenly at random (always the same ones for a seed), in their order; all where there are no more."""
        if not limit or limit >= len(self):
            return self
        chosen = np.sort(np.random.default_rng(seed).choice(len(self), limit, replace=False))
        return Split(f"{self.name} ({limit} of {len(self)} pictures, seed {seed})", self.names, [self.records[i] for i in chosen])

    def require_every_class(self) -> None:
        """Training on a class that never occurs gives an output that is noise: say so before hours are spent."""
        absent = [n for n, c in zip(self.names, self.object_counts()) if c == 0]
        if absent:
            raise InputError(
                f"{self.name} split: class {absent[0]!r} never occurs" + (f", nor do {len(absent) - 1} others" if len(absent) > 1 else ""),
                "remove it from `names` in data.yaml, or train with --allow-empty-classes",
            )


def _judged(r: Record, low: float, high: float) -> Record:
    keep = r.scores >= low
    ignore = (r.ignore | (r.scores < high))[keep]
    return replace(r, boxes=r.boxes[keep], labels=r.labels[keep], scores=r.scores[keep], ignore=ignore)


def require_same_classes(model: list[str], data: list[str]) -> None:
    """A model can only be measured on, and quantized with, pictures of its own classes (`motorbike` is `motorcycle`)."""
    if len(model) == len(data) and all(same_class(a, b) for a, b in zip(model, data)):
        return
    if len(model) != len(data):
        first = f"{', '.join(model[:4])}, … and {', '.join(data[:4])}, …"
    else:
        at = next(i for i, (a, b) in enumerate(zip(model, data)) if not same_class(a, b))
        first = f"class {at} is {model[at]!r} in the model and {data[at]!r} in the data set"
    raise InputError(
        f"the model's {len(model)} classes are not the data set's {len(data)}: {first}",
        "give a data.yaml whose `names` are the model's, in its order",
    )


def checked_boxes(name: str, boxes: np.ndarray, width: int, height: int, clip: bool, problems: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes cut to the picture and which of them remain. What is wrong goes to `problems`; rounding (1 % + 1 px) isn't."""
    keep = np.ones(len(boxes), bool)
    limit = np.array([width, height, width, height], np.float32)
    slack = 1 + 0.01 * limit
    for i, box in enumerate(boxes):
        if not np.isfinite(box).all():
            problems.append(f"{name}: box {i + 1} has a coordinate that is not a number")
            keep[i] = False
        elif ((box < -slack) | (box > limit + slack)).any() and not clip:
            corners = ", ".join(f"{v:.1f}" for v in box)
            problems.append(f"{name}: box {i + 1} ({corners}) reaches outside the picture of {width}x{height}")
    inside = np.clip(boxes, 0, limit).astype(np.float32)
    return inside, keep & ((inside[:, 2:] - inside[:, :2]) > 0).all(axis=1)


def raise_problems(where: str, problems: Iterable[str], hint: str) -> None:
    """One error for all that is wrong with a file, the first few spelled out."""
    problems = list(problems)
    if not problems:
        return
    shown = "\n  ".join(problems[:5])
    more = f"\n  and {len(problems) - 5} more" if len(problems) > 5 else ""
    raise InputError(f"{where}: {len(problems)} problem{'s' if len(problems) > 1 else ''}\n  {shown}{more}", hint)
