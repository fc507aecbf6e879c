"""Merges labels by people with labels by a machine into one COCO file.

    vigie-merge train.json --machine found.json --out merged.json
    vigie-merge train.json --machine found.json --out merged.json --sheet merged.jpg     # to be looked at

`found.json` is COCO's JSON with a `score` for each annotation, of the same pictures (matched by file name). People win; where they have not
labelled a class in a picture (`labelled_classes`), the machine's boxes are the labels. Pictures are named, not copied.
"""

import argparse
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np

from .checkpoint import replacing
from .data.coco import parse_coco, picture_finder, read_coco
from .data.merging import FATES, Merged, Rules, agreement, merge
from .data.words import in_cocos_words
from .errors import InputError, run_command
from .metrics import ENOUGH, Found, score
from .sheet import write_sheet

BANDS = (0.05, 0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8)


def main() -> None:
    """The command `vigie-merge`."""
    rules = Rules()
    p = argparse.ArgumentParser(prog="vigie-merge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("human", help="COCO JSON, as people labelled it")
    p.add_argument("--machine", required=True, help="COCO JSON with scores")
    p.add_argument("--out", required=True, help="the merged COCO JSON")
    p.add_argument("--least", type=float, default=rules.least, help="leave out the machine's boxes below this score (default: %(default)s)")
    p.add_argument("--same", type=float, default=rules.same, help="IoU from which boxes of a class are one object (default: %(default)s)")
    p.add_argument(
        "--same-place", type=float, default=rules.same_place, help="IoU from which boxes of two classes are one thing (default: %(default)s)"
    )
    p.add_argument(
        "--doubt", type=float, default=rules.doubt,
        help="score from which a box that people contradict is neither object nor background (default: %(default)s)",
    )  # fmt: skip
    p.add_argument("--sheet", help="write a contact sheet here: people's boxes white, the machine's that were added coloured")
    p.add_argument("--sheet-pictures", type=int, default=40, help="default: %(default)s")
    p.add_argument("--sheet-classes", nargs="+", metavar="CLASS", help="show these classes alone")
    args = p.parse_args()
    run_command(lambda: command(args))


def command(args: argparse.Namespace) -> None:
    """Everything between the arguments and the files."""
    path, out = Path(args.human), Path(args.out)
    human, machine = parse_coco(path), parse_coco(Path(args.machine))
    if unscored := sum("score" not in a for a in machine["annotations"]):
        raise InputError(f"{args.machine}: {unscored} annotations have no score", "a machine's labels say how sure it was of each")
    merged = merge(human, machine, Rules(args.least, args.same, args.same_place, args.doubt))
    if merged.unseen == len(human["images"]):
        raise InputError(f"{args.machine} has none of the {merged.unseen} pictures of {path}", "they are matched by `file_name`")
    merged.coco["images"] = relocated(path, out, merged.coco["images"])
    with replacing(out) as temporary:
        temporary.write_text(json.dumps(merged.coco))
    report(merged, args.out)
    against_people(path, human, machine)
    if args.sheet:
        sheet(args, out)


def relocated(path: Path, out: Path, images: list[dict]) -> list[dict]:
    """The images' entries with their shards and files named as they are found from the new file's folder."""
    find = picture_finder(path, images)
    moved = []
    for image in images:
        ref = find(image)
        if ref is None:
            raise InputError(f"image {image['file_name']} is not in {image.get('shard', path.parent)}")
        key = "shard" if "shard" in image else "file_name"
        moved.append(image | {key: os.path.relpath(ref.path.resolve(), out.parent.resolve())})
    return moved


def report(merged: Merged, out: str) -> None:
    """What became of the machine's boxes, and how often people agreed with it."""
    images, annotations = merged.coco["images"], merged.coco["annotations"]
    soft = sum(a.get("score", 1) < 1 and not a.get("difficult") for a in annotations)
    print(f"{out}: {len(images)} pictures, {len(annotations)} boxes, {soft} of them the machine's; {merged.unseen} pictures it has not seen")
    totals = sum(merged.fates.values(), Counter())
    for fate, meaning in FATES.items():
        most = sorted(((c[fate], n) for n, c in merged.fates.items() if c[fate]), reverse=True)[:8]
        print(f"  {totals[fate]:>7} {meaning}" + (f" ({', '.join(f'{n} {count}' for count, n in most)})" if most else ""))
    print("\nwhere people have labelled, they confirm of the machine's boxes")
    for low, high, count, share in agreement(merged.judged, BANDS):
        if count:
            print(f"  {low:.2f} to {high:.2f}: {share:6.1%} of {count}")


def against_people(path: Path, human: dict, machine: dict) -> None:
    """The machine's precision, measured as a model's would be."""
    theirs = {in_cocos_words(c["name"]) for c in human["categories"]}
    names = [n for c in machine["categories"] if (n := in_cocos_words(c["name"])) in theirs]
    split = read_coco(path, names, "people's labels", clip=True)
    scores = score(split, found_by(machine, split.names, [r.name for r in split.records]))
    print(f"\nthe machine against people, {scores.images} pictures (classes with at least {ENOUGH} objects: mAP50 {scores.map50_enough:.3f})")
    print(scores.table())


def found_by(machine: dict, names: list[str], files: list[str]) -> list[Found]:
    """Its boxes of these classes, picture by picture."""
    of_id = {c["id"]: names.index(n) for c in machine["categories"] if (n := in_cocos_words(c["name"])) in names}
    where = {i["id"]: i["file_name"] for i in machine["images"]}
    rows = {f: [] for f in files}
    for a in machine["annotations"]:
        if a["category_id"] in of_id and where[a["image_id"]] in rows:
            rows[where[a["image_id"]]].append((*a["bbox"], a["score"], of_id[a["category_id"]]))
    return [_found(np.array(rows[f], float).reshape(-1, 6)) for f in files]


def _found(rows: np.ndarray) -> Found:
    return Found(np.concatenate((rows[:, :2], rows[:, :2] + rows[:, 2:4]), axis=1), rows[:, 4], rows[:, 5].astype(int))


def sheet(args: argparse.Namespace, out: Path) -> None:
    """People's boxes as truth, the machine's additions as what was found."""
    names = [c["name"] for c in parse_coco(out)["categories"]]
    if args.sheet_classes:
        names = [n for n in names if n in {in_cocos_words(c) for c in args.sheet_classes}]
    split, found = read_coco(out, names, "merged", clip=True), []
    for r in split.records:
        added = (r.scores < 1) & ~r.ignore
        found.append(Found(r.boxes[added], r.scores[added], r.labels[added]))
        r.boxes = r.boxes[r.scores == 1]
    shown = [i for i, f in enumerate(found) if len(f.labels)]
    split.records, found = [split.records[i] for i in shown], [found[i] for i in shown]
    if shown:
        write_sheet(args.sheet, split, found, args.sheet_pictures, 0.0)


if __name__ == "__main__":
    main()
