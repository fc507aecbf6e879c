"""Labels pictures with any ONNX detector that Vigie reads: for training a small model on what a large one sees.

    vigie-label pictures/ --model large.onnx --out train.json --sheet train.jpg      # look at train.jpg
    vigie-label clips/ --model large.onnx --out train.json --every 2                 # clips of `vigie record`
    vigie-label val-pictures/ --model large.onnx --out val.json --draft 0.4          # for people to correct

`train.json` is COCO's JSON with a `score` for each box, which `vigie-train` learns as surely as the model was of it (`--unsure`), and which
`vigie-merge` joins with labels by people. The less sure of two names for one thing is neither object nor background. Pictures stay where
they are; those of clips are written into `images/` beside the JSON, as the camera compressed them. The program `vigie` does the looking,
so that what it reads on the board is read here.
"""

import argparse
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .checkpoint import replacing
from .data.clips import clip_frames
from .data.coco import read_coco
from .data.merging import Rules, second_names
from .errors import InputError, run_command, warn
from .fitting.settings import Settings
from .metrics import Found
from .sheet import write_sheet

PICTURES = (".jpg", ".jpeg", ".png")
CLIPS = (".avi",)
AT_ONCE = 1000
"""Pictures for one run of `vigie detect`; the system limits how long a command line may be."""


def main() -> None:
    """The command `vigie-label`."""
    p = argparse.ArgumentParser(prog="vigie-label", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("inputs", nargs="+", metavar="FILE|DIR", help="pictures (JPEG, PNG), clips of `vigie record` (.avi), or folders of them")
    p.add_argument("--model", required=True, help="an ONNX detector that Vigie reads")
    p.add_argument("--out", required=True, help="the COCO JSON")
    p.add_argument("--classes", nargs="+", metavar="CLASS", help="label these of its classes alone (default: all)")
    p.add_argument("--least", type=float, default=0.05, help="leave out boxes below this score (default: %(default)s)")
    p.add_argument("--draft", type=float, metavar="SCORE", help="only boxes from this score on, and without scores: a draft for people to correct")
    p.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="of clips, one frame in so many seconds (default: %(default)s)")
    p.add_argument("--imgsz", nargs=2, type=int, metavar=("HEIGHT", "WIDTH"), help="input size, for a model of dynamic shapes")
    p.add_argument("--vigie", default="vigie", help="the program (default: %(default)s)")
    p.add_argument("--sheet", help="write a contact sheet here")
    p.add_argument("--sheet-pictures", type=int, default=40, help="default: %(default)s")
    args = p.parse_args()
    run_command(lambda: command(args))


def command(args: argparse.Namespace) -> None:
    """Everything between the arguments and the files."""
    for name in ("least", "draft"):
        value = getattr(args, name)
        if value is not None and not 0 <= value <= 1:
            raise InputError(f"--{name} {value:g} is no score", "scores are from 0 to 1")
    if args.every <= 0:
        raise InputError(f"--every {args.every:g} is no time between frames", "give seconds: --every 2")
    program = shutil.which(args.vigie)
    if program is None:
        hint = "install Vigie on this computer (README), or say where it is: --vigie target/release/vigie"
        raise InputError(f"there is no program {args.vigie!r}", hint)
    out = Path(args.out)
    names = chosen(classes(program, args.model, args.imgsz), args.classes)
    pictures = list(gather(args.inputs, out.parent, args.every))
    options = ["--model", args.model, *imgsz(args.imgsz), "--threshold", str(args.draft if args.draft is not None else args.least)]
    coco = labelled(looks(program, options, pictures), names, out.parent, args.draft is None)
    if not coco["images"]:
        raise InputError(f"none of the {len(pictures)} pictures could be read", "they have to be JPEG or PNG files")
    if missing := len(pictures) - len(coco["images"]):
        warn(f"{missing} of {len(pictures)} pictures could not be read and are left out", "see above which")
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        temporary.write_text(json.dumps(coco))
    report(coco, args.out)
    if args.sheet:
        sheet(args, out, names)


def classes(program: str, model: str, size: list[int] | None) -> list[str]:
    """The model's, in the order of their numbers."""
    done = subprocess.run([program, "model", "info", model, "--json", *imgsz(size)], stdout=subprocess.PIPE)
    if done.returncode != 0:
        raise InputError(f"{program} cannot use {model}, see above", "any YOLOv8 or YOLO11 export will do; vigie-adapt makes one of YOLOX's")
    return json.loads(done.stdout)["names"]


def imgsz(size: list[int] | None) -> list[str]:
    """The option, if it was given."""
    return ["--imgsz", *map(str, size)] if size else []


def chosen(names: list[str], wanted: list[str] | None) -> list[str]:
    """Those of the model's classes that are wanted, in its order."""
    if unknown := [n for n in wanted or [] if n not in names]:
        raise InputError(f"--classes: the model has no class {unknown[0]!r}", f"it has {', '.join(names)}")
    return [n for n in names if not wanted or n in wanted]


def gather(inputs: list[str], folder: Path, every: float) -> Iterator[Path]:
    """The pictures that were named; those of clips are written into `images/` of the folder, by the clip's name and the frame's number."""
    written = set()
    for given in map(Path, inputs):
        if given.is_dir():
            files = sorted(p for p in given.rglob("*") if p.is_file() and p.suffix.lower() in PICTURES + CLIPS)
            if not files:
                raise InputError(f"{given} holds no pictures and no clips", f"files that end in {', '.join(PICTURES + CLIPS)} are read")
        elif given.is_file():
            files = [given]
        else:
            raise InputError(f"there is no file or folder {given}")
        for file in files:
            if file.suffix.lower() not in CLIPS:
                yield file
                continue
            home = folder / "images" / (file.relative_to(given).parent if given.is_dir() else "")
            home.mkdir(parents=True, exist_ok=True)
            for frame in clip_frames(file, every):
                picture = home / f"{file.stem}-{frame.number:05}.jpg"
                if picture in written:
                    raise InputError(f"the pictures of {file} would replace those of another clip of that name", "rename one of them")
                written.add(picture)
                with replacing(picture) as temporary:
                    temporary.write_bytes(frame.jpeg)
                yield picture


def looks(program: str, options: list[str], pictures: list[Path]) -> Iterator[dict]:
    """What `vigie detect` says of each picture that it can read. Which it can't it says itself, on standard error."""
    unique = list(dict.fromkeys(os.path.normpath(p) for p in pictures))
    for start in range(0, len(unique), AT_ONCE):
        # A name that begins with a dash is a picture too.
        run = [program, "detect", "--json", *options, "--", *unique[start : start + AT_ONCE]]
        with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as process:
            yield from map(json.loads, process.stdout)
        # 1: some picture could not be read.
        if process.returncode not in (0, 1):
            raise InputError(f"`{program} detect` failed, see above")


def labelled(lines: Iterator[dict], names: list[str], folder: Path, scored: bool) -> dict:
    """As COCO's JSON, with pictures named from the folder."""
    ids = {n: i + 1 for i, n in enumerate(names)}
    images, annotations = [], []
    for line in lines:
        name = os.path.relpath(Path(line["file"]).resolve(), folder.resolve())
        image = {"id": len(images) + 1, "file_name": name, "width": line["width"], "height": line["height"]}
        images.append(image)
        rows = []
        for found in line["detections"]:
            x1, y1, x2, y2 = found["box"]
            x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, line["width"]), min(y2, line["height"])
            if found["label"] not in ids or x2 <= x1 or y2 <= y1:
                continue
            box = [round(v, 2) for v in (x1, y1, x2 - x1, y2 - y1)]
            row = {"image_id": image["id"], "category_id": ids[found["label"]], "bbox": box}
            rows.append(row | {"area": round(box[2] * box[3], 2), "iscrowd": 0, "score": found["score"]})
        for row, second in zip(rows, second_names(rows, Rules())):
            # Two names for one thing can't both be right. People see which one is; a training had better not be told.
            if not scored:
                del row["score"]
            elif second:
                row["difficult"] = 1
            annotations.append(row | {"id": len(annotations) + 1})
    return {"images": images, "annotations": annotations, "categories": [{"id": i, "name": n} for n, i in ids.items()]}


def report(coco: dict, out: str) -> None:
    """How much of each class, and how sure."""
    low, high = Settings().unsure
    names = {c["id"]: c["name"] for c in coco["categories"]}
    sure, unsure = Counter(), Counter()
    for a in coco["annotations"]:
        score = a.get("score", 1.0)
        if score >= low:
            (sure if score >= high and not a.get("difficult") else unsure)[names[a["category_id"]]] += 1
    empty = len(coco["images"]) - len({a["image_id"] for a in coco["annotations"] if a.get("score", 1.0) >= low})
    print(f"{out}: {len(coco['images'])} pictures, {sum(sure.values())} objects; {empty} pictures without any")
    print(f"{'class':<16} {'objects':>8} {f'unsure ({low:g} to {high:g})':>22}")
    for name in sorted(sure | unsure, key=lambda n: -sure[n]):
        print(f"{name:<16} {sure[name]:>8} {unsure[name]:>22}")


def sheet(args: argparse.Namespace, out: Path, names: list[str]) -> None:
    """Everything that it saw and that would be learnt, with scores."""
    split, found = read_coco(out, names, "labels", clip=True), []
    for r in split.records:
        found.append(Found(r.boxes, r.scores, r.labels))
        r.boxes = np.zeros((0, 4), np.float32)
    write_sheet(args.sheet, split, found, args.sheet_pictures, Settings().unsure[0])


if __name__ == "__main__":
    main()
