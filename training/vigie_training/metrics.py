"""COCO's average precision, with pictures that are labelled for some classes only.

The rules, which `vigie eval` follows too: a class that a picture does not list as labelled is not evaluated on that picture: its truth
boxes and its detections there are ignored (some of its objects may have a box, but nobody says that all of them have).
Crowds and `difficult` objects are ignore regions (COCO's `iscrowd` rule): neither found nor missed. A mean is over the classes that
have at least one object that counts.
"""

import contextlib
import io
from dataclasses import asdict, dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .data import Record, Split

ENOUGH = 30
"""Objects from which on a class's precision says something."""


@dataclass
class ClassScore:
    """Average precision of one class: at IoU 0.5, and the mean over 0.5 to 0.95."""

    ap50: float
    ap50_95: float
    boxes: int


@dataclass
class Scores:
    """What an evaluation found."""

    images: int
    map50: float
    map50_95: float
    map50_enough: float
    """Means over the classes with at least 30 objects."""
    map50_95_enough: float
    ap_small: float
    """By area in the picture's pixels: below 32², up to 96², above."""
    ap_medium: float
    ap_large: float
    ar100: float
    classes: dict[str, ClassScore]

    def to_dict(self) -> dict:
        return asdict(self)

    def table(self) -> str:
        """For people."""
        rows = [f"{'class':<16}{'AP50':>8}{'AP50-95':>9}{'objects':>9}"]
        rows += [f"{n:<16}{c.ap50:>8.3f}{c.ap50_95:>9.3f}{c.boxes:>9}" for n, c in self.classes.items()]
        rows.append(f"{'mean':<16}{self.map50:>8.3f}{self.map50_95:>9.3f}{sum(c.boxes for c in self.classes.values()):>9}")
        rows.append(f"{f'mean, >= {ENOUGH} each':<16}{self.map50_enough:>8.3f}{self.map50_95_enough:>9.3f}")
        rows.append(f"AP50-95 small {self.ap_small:.3f}, medium {self.ap_medium:.3f}, large {self.ap_large:.3f}; AR100 {self.ar100:.3f}")
        return "\n".join(rows)


@dataclass
class Found:
    """Detections in one picture, in its pixels."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


def score(split: Split, found: list[Found]) -> Scores:
    """Compare detections with a split's labels; `found` is in the order of its records."""
    counts = _counts(split)
    evaluation = _evaluation(split, found)
    if evaluation is None:
        return Scores(len(split), 0, 0, 0, 0, 0, 0, 0, 0, {n: ClassScore(0, 0, int(c)) for n, c in zip(split.names, counts) if c})
    precision = evaluation.eval["precision"][:, :, :, 0, 2]  # IoU x recall x class, all areas, 100 detections
    classes = {
        n: ClassScore(float(precision[0, :, i].mean()), float(precision[:, :, i].mean()), int(counts[i]))
        for i, n in enumerate(split.names)
        if counts[i]
    }
    stats = [float(v) for v in evaluation.stats]
    return Scores(len(split), stats[1], stats[0], *means(classes, ENOUGH), stats[3], stats[4], stats[5], stats[8], classes)


@dataclass(frozen=True)
class Point:
    """A place on a class's curve of precision and recall, at IoU 0.5."""

    score: float
    """From which score on detections count."""
    precision: float
    """As COCO counts it: the best one at this recall or a higher one."""
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-9)


def curves(split: Split, found: list[Found]) -> dict[str, tuple[list[Point], int]]:
    """For each class that has objects: its curve at a hundred recalls, from the surest detections on, and how many objects it has."""
    evaluation, counts = _evaluation(split, found), _counts(split)
    result = {}
    for i, name in enumerate(split.names):
        if not counts[i]:
            continue
        points = []
        if evaluation is not None:
            precision, scores = (evaluation.eval[key][0, :, i, 0, 2] for key in ("precision", "scores"))
            points = [Point(float(s), float(p), float(r)) for s, p, r in zip(scores, precision, evaluation.params.recThrs) if p > 0]
        result[name] = points, int(counts[i])
    return result


def _evaluation(split: Split, found: list[Found]) -> COCOeval | None:
    """COCO's own program's view of it; None if nothing was found at all."""
    results = [row for i, (r, f) in enumerate(zip(split.records, found, strict=True)) for row in _rows(i, r, f)]
    if not results:
        return None
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = _truth(split)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def means(classes: dict[str, ClassScore], at_least: int) -> tuple[float, float]:
    """Mean AP50 and AP50-95 over the classes with at least so many objects."""
    chosen = [c for c in classes.values() if c.boxes >= at_least]
    return (float(np.mean([c.ap50 for c in chosen])), float(np.mean([c.ap50_95 for c in chosen]))) if chosen else (0.0, 0.0)


def _counts(split: Split) -> np.ndarray:
    """Objects of each class that had to be found."""
    counts = np.zeros(len(split.names), int)
    for r in split.records:
        np.add.at(counts, r.labels[~r.ignore & r.labelled[r.labels]], 1)
    return counts


def _truth(split: Split) -> dict:
    annotations = []
    for i, r in enumerate(split.records):
        scored = r.labelled[r.labels]
        for box, label, ignore in zip(r.boxes[scored].tolist(), r.labels[scored].tolist(), r.ignore[scored].tolist()):
            w, h = box[2] - box[0], box[3] - box[1]
            row = {"id": len(annotations) + 1, "image_id": i, "category_id": label, "bbox": [box[0], box[1], w, h]}
            annotations.append(row | {"area": w * h, "iscrowd": int(ignore)})
    return {
        "images": [{"id": i, "width": r.width, "height": r.height} for i, r in enumerate(split.records)],
        "categories": [{"id": i, "name": n} for i, n in enumerate(split.names)],
        "annotations": annotations,
    }


def _rows(index: int, record: Record, found: Found):
    counted = record.labelled[found.labels]
    for box, value, label in zip(found.boxes[counted].tolist(), found.scores[counted].tolist(), found.labels[counted].tolist()):
        yield {"image_id": index, "category_id": label, "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]], "score": value}
