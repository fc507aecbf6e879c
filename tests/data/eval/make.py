#!/usr/bin/env python3
"""Makes the random labelled set on which the two evaluators, `vigie-evaluate` and `vigie eval`, must give the same figures.

instances.json   COCO instances: partly labelled pictures (`labelled_classes`), crowds, `difficult` objects
detections.json  COCO results for it
expected.json    what `vigie-evaluate`'s arithmetic gives, in the form of `vigie eval --json`

`training/tests/test_agreement.py` and `tests/eval_agreement.rs` read them. Needs `training/` installed; run without arguments.
"""

import json
import tempfile
from pathlib import Path

import numpy as np

from vigie_training.data import DataSpec
from vigie_training.metrics import Found, Scores, score

HERE = Path(__file__).parent
# Ids with gaps, so that an id isn't taken for an index. Of `kite` there is no object, of `owl` only where it isn't labelled.
CATEGORIES = {3: "cat", 7: "dog", 8: "kite", 12: "bus", 20: "owl"}
IDS = list(CATEGORIES)


def draw(seed: int = 20, pictures: int = 40) -> tuple[dict, list[dict]]:
    """-> instances, detections. Boxes lie on quarters of a pixel, scores on few steps: so there are ties, as in int8 models."""
    rng = np.random.default_rng(seed)
    images, annotations, detections = [], [], []
    for i in range(pictures):
        image = {"id": 5 + 2 * i, "file_name": f"{i:02}.png", "width": 320, "height": 240}
        labelled = IDS[:4] if i % 3 == 0 else sorted(int(c) for c in rng.choice(IDS[:4], rng.integers(0, 4), replace=False))
        if i % 3 or i % 2:
            image["labelled_classes"] = labelled
        images.append(image)
        for _ in range(rng.integers(0, 7)):
            category = int(rng.choice([3, 3, 7, 12]))
            if i % 3 and rng.random() < 0.15:
                category = 20
            box = _box(rng)
            # Some truth boxes are of classes that their picture doesn't list: neither they nor what finds them counts.
            row = {"id": len(annotations) + 1, "image_id": image["id"], "category_id": category, "bbox": box, "area": box[2] * box[3]}
            kind = rng.random()
            annotations.append(row | {"iscrowd": int(kind < 0.08)} | ({"difficult": True} if 0.08 <= kind < 0.16 else {}))
            for _ in range(rng.choice([0, 1, 1, 2])):
                detections.append(_found(rng, image["id"], category, _moved(rng, box)))
        for _ in range(130 if i == 4 else rng.integers(0, 4)):
            detections.append(_found(rng, image["id"], int(rng.choice(IDS)) if i != 4 else 3, _box(rng)))
    categories = [{"id": c, "name": n} for c, n in CATEGORIES.items()]
    return {"images": images, "categories": categories, "annotations": annotations}, detections


def _box(rng: np.random.Generator) -> list[float]:
    w, h = (rng.integers(40, 480, 2) / 4).tolist()
    return [float(rng.integers(0, int(4 * (320 - w)))) / 4, float(rng.integers(0, int(4 * (240 - h)))) / 4, w, h]


def _moved(rng: np.random.Generator, box: list[float]) -> list[float]:
    x, y, w, h = box
    dx, dy, dw, dh = np.round(rng.normal(0, 0.06, 4) * [w, h, w, h] * 4) / 4
    return [float(x + dx), float(y + dy), float(max(1, w + dw)), float(max(1, h + dh))]


def _found(rng: np.random.Generator, image: int, category: int, box: list[float]) -> dict:
    return {"image_id": image, "category_id": category, "bbox": box, "score": float(rng.integers(1, 64)) / 64}


def evaluated(instances: Path, detections: Path) -> Scores:
    """The figures of `vigie-evaluate`, of the files as a user would give them."""
    with tempfile.TemporaryDirectory() as folder:
        data = json.loads(instances.read_text())
        # Every picture must be there when a split is read; none is looked at.
        for image in data["images"]:
            (Path(folder) / image["file_name"]).touch()
        (Path(folder) / "val.json").write_text(json.dumps(data))
        split = DataSpec.load(folder).read("val")
    rows: dict[int, list[dict]] = {}
    for row in json.loads(detections.read_text()):
        rows.setdefault(row["image_id"], []).append(row)
    of_id = {c["id"]: split.names.index(c["name"]) for c in data["categories"]}
    return score(split, [_as_found(rows.get(r.coco_id, []), of_id) for r in split.records])


def _as_found(rows: list[dict], of_id: dict[int, int]) -> Found:
    boxes = np.array([r["bbox"] for r in rows], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Found(boxes, np.array([r["score"] for r in rows]), np.array([of_id[r["category_id"]] for r in rows], int))


def as_json(scores: Scores) -> dict:
    """What `vigie eval --json` prints."""
    classes = {n: {"ap50": c.ap50, "ap50_95": c.ap50_95, "boxes": c.boxes} for n, c in sorted(scores.classes.items())}
    return {"images": scores.images, "map50": scores.map50, "map50_95": scores.map50_95, "classes": classes}


def _rows(entries: list[dict]) -> str:
    """JSON with a line an entry."""
    return "[\n" + ",\n".join(json.dumps(e) for e in entries) + "\n]"


def main() -> None:
    instances, detections = draw()
    parts = ",\n".join(f'"{key}": {_rows(value)}' for key, value in instances.items())
    (HERE / "instances.json").write_text("{" + parts + "}\n")
    (HERE / "detections.json").write_text(_rows(detections) + "\n")
    scores = evaluated(HERE / "instances.json", HERE / "detections.json")
    (HERE / "expected.json").write_text(json.dumps(as_json(scores), indent=1) + "\n")


if __name__ == "__main__":
    main()
