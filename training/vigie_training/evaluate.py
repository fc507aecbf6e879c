"""Measures a detector on labelled pictures: COCO's mean average precision, for each class and by size.

vigie-evaluate models/vigie-xxs-320-int8.onnx --data data.yaml
vigie-evaluate runs/a/best.pt --data data.yaml --size 384 --by light --json scores.json --sheet sheet.jpg
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .data import DataSpec, Split, letterbox
from .data.pictures import decode
from .data.records import require_same_classes
from .errors import run_command
from .metrics import Found, Scores, score
from .postprocess import detections
from .predictor import Predictor, Run

CONFIDENCE, IOU = 0.001, 0.7
"""COCO's custom: keep nearly everything, and let the precision-recall curve sort it out."""


def find_all(run: Run, split: Split, size: tuple[int, int], batch: int = 16, progress: bool = True) -> list[Found]:
    """Detections in every picture of the split."""
    found = []
    for start in tqdm(range(0, len(split), batch), "evaluating", disable=None if progress else True, leave=False):
        records = split.records[start : start + batch]
        fitted = [letterbox(decode(r.picture, r.name), *size) for r in records]
        for record, (_, placement), prediction in zip(records, fitted, run(np.stack([f[0] for f in fitted]))):
            boxes, scores, labels = detections(prediction, CONFIDENCE, IOU)
            found.append(Found(placement.to_picture(boxes, record.width, record.height), scores, labels))
    return found


def evaluate(predictor: Predictor, split: Split, progress: bool = True) -> tuple[Scores, list[Found]]:
    """Detect and score. The classes must be the split's."""
    require_same_classes(predictor.names, split.names)
    found = find_all(predictor.run, split, predictor.size, predictor.batch, progress)
    return score(split, found), found


def main() -> None:
    """The command `vigie-evaluate`."""
    parser = argparse.ArgumentParser(prog="vigie-evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help=".onnx, .pt or .safetensors")
    parser.add_argument("--data", required=True, help="data.yaml, or a folder with train.json and val.json")
    parser.add_argument("--split", default="val", help="default: %(default)s")
    parser.add_argument("--size", help="input size for weights (default: 320); an ONNX file has its own")
    parser.add_argument("--limit", type=int, help="only so many pictures, drawn evenly")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--device", default="cpu", help="for weights: cpu or cuda (default: %(default)s)")
    parser.add_argument("--clip-boxes", action="store_true", help="cut boxes that reach outside their picture instead of refusing them")
    parser.add_argument("--by", choices=["light", "source"], action="append", default=[], help="a table of each group of pictures, too")
    parser.add_argument("--json", help="write the scores here")
    parser.add_argument("--sheet", help="write a contact sheet of pictures with their detections here")
    parser.add_argument("--sheet-pictures", type=int, default=40, help="default: %(default)s")
    parser.add_argument("--sheet-confidence", type=float, default=0.4, help="default: %(default)s")
    args = parser.parse_args()
    run_command(lambda: command(args))


def command(args: argparse.Namespace) -> None:
    """Everything between the arguments and the files."""
    # Imported late: PyTorch takes seconds to load and a mistyped path shouldn't wait for it.
    from .export import parse_size
    from .predictor import load_predictor

    split = DataSpec.load(args.data).read(args.split, args.clip_boxes).subset(args.limit)
    predictor = load_predictor(args.model, parse_size(args.size) if args.size else None, args.threads, args.device)
    start = time.perf_counter()
    scores, found = evaluate(predictor, split)
    seconds = time.perf_counter() - start
    print(f"{predictor.description}, {predictor.size[0]}x{predictor.size[1]}, {split.name}: {len(split)} pictures, {seconds:.0f} s")
    print(scores.table())
    if args.by:
        from .groups import table

        for by in args.by:
            print(table(split, found, by))
    if args.json:
        written = {"model": Path(args.model).name, "size": list(predictor.size), "split": split.name} | scores.to_dict()
        Path(args.json).write_text(json.dumps(written, indent=1) + "\n")
    if args.sheet:
        from .sheet import write_sheet

        write_sheet(args.sheet, split, found, args.sheet_pictures, args.sheet_confidence)


if __name__ == "__main__":
    main()
