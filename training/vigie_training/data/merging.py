"""Labels by people and labels by a machine, made into one set.

People win. A machine's box on what a person has boxed as the same class is dropped; where people have labelled a class in a picture, they
have labelled all of it, and a machine's further box of that class is a mistake or shows one: a sure one becomes neither object nor
background (`difficult`), others are dropped. Of the classes that people have not labelled in a picture the machine's boxes are the labels,
with their scores. Two names for one thing can't both be right: the machine's becomes neither where a person, or the machine itself with a
higher score, gave the other.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np

from .words import in_cocos_words


@dataclass(frozen=True)
class Rules:
    """When boxes are the same, and what counts."""

    least: float = 0.2
    """Machine's boxes below this score are not looked at."""
    same: float = 0.5
    """IoU from which on two boxes of a class are one object."""
    same_place: float = 0.8
    """IoU from which on two boxes of different classes are two names for one thing."""
    doubt: float = 0.5
    """Score from which on a machine's box of a class that people labelled, but not there, is neither object nor background."""


FATES = {
    "confirmed": "on a person's box of the same class: dropped",
    "ignored": "in a crowd or on a difficult object: dropped",
    "contradicted": "of a class that people labelled in the picture, but not there: dropped",
    "doubtful": "the same, but sure: neither object nor background",
    "renamed": "another name for a person's box: neither object nor background",
    "second": "another name for a surer box of the machine's: neither object nor background",
    "added": "of a class that people did not label in the picture: a label",
}
"""What may become of a machine's box."""


@dataclass
class Merged:
    """The set, and how it came about."""

    coco: dict
    fates: dict[str, Counter]
    """For each class, how many of the machine's boxes went which way."""
    judged: list[tuple[float, bool]] = field(default_factory=list)
    """Score of each of the machine's boxes on which people have spoken, and whether they agreed."""
    unseen: int = 0
    """Pictures that the machine has not labelled."""


def overlaps(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """N and M boxes x, y, w, h -> IoU, and intersection over the area of a: N x M each."""
    a, b = a.reshape(-1, 1, 4), b.reshape(1, -1, 4)
    sides = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.prod(np.clip(sides, 0, None), axis=2)
    own, other = np.prod(a[..., 2:], axis=2), np.prod(b[..., 2:], axis=2)
    return shared / np.maximum(own + other - shared, 1e-9), shared / np.maximum(own, 1e-9)


def merge(human: dict, machine: dict, rules: Rules) -> Merged:
    """Both as COCO's JSON; pictures are matched by file name, classes by COCO's words. All pictures are those of `human`."""
    names = list(dict.fromkeys(in_cocos_words(c["name"]) for part in (human, machine) for c in part["categories"]))
    theirs, its = (_renumbered(part, names) for part in (human, machine))
    known = sorted({its.ids[c["id"]] for c in machine["categories"]})
    merged = Merged({"images": [], "annotations": [], "categories": [{"id": i + 1, "name": n} for i, n in enumerate(names)]}, defaultdict(Counter))
    for image in human["images"]:
        labelled = {theirs.ids[c] for c in image.get("labelled_classes", theirs.ids)}
        drawn = theirs.boxes[image["file_name"]]
        kept = list(drawn)
        if image["file_name"] in its.pictures:
            boxes = [a for a in its.boxes[image["file_name"]] if a["score"] >= rules.least]
            for box, fate in zip(boxes, _fates(boxes, drawn, labelled, rules)):
                merged.fates[names[box["category_id"] - 1]][fate] += 1
                if box["category_id"] in labelled and fate != "ignored":
                    merged.judged.append((box["score"], fate == "confirmed"))
                if fate in ("added", "doubtful", "renamed", "second"):
                    kept.append(box if fate == "added" else box | {"difficult": 1})
            labelled = labelled.union(known)
        else:
            merged.unseen += 1
        merged.coco["images"].append(image | {"labelled_classes": sorted(labelled)})
        for box in kept:
            merged.coco["annotations"].append(box | {"id": len(merged.coco["annotations"]) + 1, "image_id": image["id"]})
    return merged


@dataclass
class _Boxes:
    """A set's annotations by picture, with the merged set's category ids."""

    ids: dict[int, int]
    pictures: set[str]
    boxes: dict[str, list[dict]]


def _renumbered(part: dict, names: list[str]) -> _Boxes:
    ids = {c["id"]: names.index(in_cocos_words(c["name"])) + 1 for c in part["categories"]}
    files = {i["id"]: i["file_name"] for i in part["images"]}
    boxes = defaultdict(list)
    for a in part["annotations"]:
        boxes[files[a["image_id"]]].append(a | {"category_id": ids[a["category_id"]]})
    return _Boxes(ids, set(files.values()), boxes)


def _fates(boxes: list[dict], drawn: list[dict], labelled: set[int], rules: Rules) -> list[str]:
    """What becomes of a picture's machine boxes, given what people drew in it and which classes they labelled."""
    own, people = (np.array([b["bbox"] for b in some], float).reshape(-1, 4) for some in (boxes, drawn))
    iou, within = overlaps(own, people)
    scores, second = np.array([b["score"] for b in boxes]), second_names(boxes, rules)
    called = np.array([b["category_id"] for b in drawn], int)
    ignored = np.array([bool(b.get("iscrowd") or b.get("difficult")) for b in drawn], bool)
    fates = []
    for i, c in enumerate(b["category_id"] for b in boxes):
        alike = called == c
        if (iou[i, alike & ~ignored] >= rules.same).any():
            fates.append("confirmed")
        elif (within[i, alike & ignored] >= rules.same).any():
            fates.append("ignored")
        elif c in labelled:
            fates.append("doubtful" if scores[i] >= rules.doubt else "contradicted")
        elif (iou[i, ~alike] >= rules.same_place).any():
            fates.append("renamed")
        else:
            fates.append("second" if second[i] else "added")
    return fates


def second_names(boxes: list[dict], rules: Rules) -> np.ndarray:
    """Which of a picture's boxes, in COCO's form and with scores, are another name for a thing that a surer one names."""
    own = np.array([b["bbox"] for b in boxes], float).reshape(-1, 4)
    classes, scores = (np.array([b[key] for b in boxes]) for key in ("category_id", "score"))
    same_place = overlaps(own, own)[0] >= rules.same_place
    return (same_place & (classes[:, None] != classes[None]) & (scores[None] > scores[:, None])).any(axis=1)


def agreement(judged: list[tuple[float, bool]], edges: tuple[float, ...]) -> list[tuple[float, float, int, float]]:
    """For each band of scores: its ends, how many boxes, and the share of them that people confirmed."""
    scores, right = np.array([s for s, _ in judged]), np.array([r for _, r in judged], bool)
    rows = []
    for low, high in zip(edges, [*edges[1:], np.inf]):
        band = (scores >= low) & (scores < high)
        rows.append((low, min(high, 1.0), int(band.sum()), float(right[band].mean()) if band.any() else float("nan")))
    return rows
