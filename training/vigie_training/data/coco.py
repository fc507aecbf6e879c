"""COCO's JSON: `images`, `annotations` (`bbox` x, y, w, h in pixels), `categories`.

Beyond COCO, an image may have `shard` (the tar file that holds it, next to the JSON) and `labelled_classes` (ids of the
categories that are exhaustively labelled in it; without the key: all), an annotation `difficult`, and `score` if a machine drew it:
how sure it was, from 0 to 1.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from ..errors import InputError
from .pictures import PictureRef, index_shard
from .records import Record, Split, checked_boxes, raise_problems
from .words import position


def category_names(path: Path) -> list[str]:
    """The file's class names in the order of their ids."""
    return [c["name"] for c in sorted(parse_coco(path)["categories"], key=lambda c: c["id"])]


def parse_coco(path: Path) -> dict:
    try:
        raw = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(raw, dict) or (missing := [k for k in ("images", "annotations", "categories") if k not in raw]):
        raise InputError(f"{path} is not a COCO file: no {missing[0] if isinstance(raw, dict) else 'object'!r} in it")
    return raw


def read_coco(path: Path, names: list[str], split: str, clip: bool, aliases: dict[str, str] | None = None) -> Split:
    """Categories are matched with `names` by name; VOC's words mean COCO's, and `aliases` adds more. Objects of others are left out."""
    raw = parse_coco(path)
    if not raw["images"]:
        raise InputError(f"{path}: no images in it")
    aliases = aliases or {}
    of_id = {c["id"]: position(aliases.get(c["name"], c["name"]), names) for c in raw["categories"]}
    annotations = defaultdict(list)
    for a in raw["annotations"]:
        annotations[a["image_id"]].append(a)
    find = picture_finder(path, raw["images"])
    problems: list[str] = []
    result = Split(split, names)
    for image in raw["images"]:
        try:
            result.records.append(_record(path, image, annotations[image["id"]], of_id, len(names), find, clip, problems))
        except KeyError as error:
            problems.append(f"image {image.get('file_name', image.get('id'))}: key or category {error} is missing")
    raise_problems(str(path), problems, "correct the labels, or read them with --clip-boxes")
    return result


def picture_finder(path: Path, images: list[dict]) -> Callable[[dict], PictureRef | None]:
    """-> function from an image's entry to its bytes."""
    shards = {s: index_shard(path.parent / s) for s in sorted({i["shard"] for i in images if "shard" in i})}

    def find(image: dict) -> PictureRef | None:
        if "shard" in image:
            return shards[image["shard"]].get(Path(image["file_name"]).name)
        for folder in (path.parent, path.parent / "images", path.parent.parent / "images"):
            if (file := folder / image["file_name"]).is_file():
                return PictureRef(file)
        return None

    return find


def _record(path, image, annotations, of_id, nc, find, clip, problems) -> Record:
    picture = find(image)
    if picture is None:
        problems.append(f"image {image['file_name']} is not in {image.get('shard', path.parent)}")
        picture = PictureRef(path)
    annotations = [a for a in annotations if of_id[a["category_id"]] is not None]
    boxes = np.array([a["bbox"] for a in annotations], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    boxes, keep = checked_boxes(image["file_name"], boxes, image["width"], image["height"], clip, problems)
    labels = np.array([of_id[a["category_id"]] for a in annotations], np.int64)
    ignore = np.array([bool(a.get("iscrowd") or a.get("difficult")) for a in annotations], bool)
    scores = np.array([a.get("score", 1.0) for a in annotations], np.float32)
    if ((scores < 0) | (scores > 1)).any():
        problems.append(f"{image['file_name']}: a score of {scores[(scores < 0) | (scores > 1)][0]:g} is not between 0 and 1")
    return Record(
        image["file_name"], picture, image["width"], image["height"], boxes[keep], labels[keep], ignore[keep],
        _labelled(image.get("labelled_classes", of_id), of_id, nc), scores[keep], image.get("source", ""), image["id"],
    )  # fmt: skip


def _labelled(listed: Iterable[int], of_id: dict[int, int | None], nc: int) -> np.ndarray:
    """A class is labelled where every category that means it is listed."""
    listed = {c for c in listed if of_id[c] is not None}
    labelled = np.zeros(nc, bool)
    labelled[[of_id[c] for c in listed]] = True
    labelled[[i for c, i in of_id.items() if i is not None and c not in listed]] = False
    return labelled
