"""Takes pictures out of a new collection that are in another set already, or in itself twice.

    vigie-dedup new.json --against val.json val2.json train.json --out clean.json
    vigie-dedup new.json --against val.json --out clean.json --pairs pairs.csv --sheet pairs.png     # to be looked at

Pictures are compared by a perceptual hash, mirrored too. A picture whose name is one of PASCAL VOC's goes too (`2007_000027`, or six digits
in a path with VOC in it), since it may be in somebody's test set under another encoding: `--keep-names` keeps them.
"""

import argparse
import csv
import json
import re
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .checkpoint import replacing
from .data import letterbox
from .data.coco import parse_coco, picture_finder
from .data.hashing import Alike, Prints, pairs, repeated
from .data.pictures import decode
from .errors import InputError, run_command
from .merge import relocated
from .sheet import CELL, save, tile

YEAR = re.compile(r"(?<!\d)(19|20)\d\d_\d{6}(?!\d)")
SIX_DIGITS = re.compile(r"(?<!\d)\d{6}(?!\d)")
VOC = re.compile(r"voc", re.IGNORECASE)


def from_voc(image: dict) -> bool:
    """Whether one of a picture's names looks like PASCAL VOC's."""
    for path in (image["file_name"], image.get("original_name") or ""):
        base = path.rsplit("/", 1)[-1]
        if YEAR.search(base) or (VOC.search(path) and SIX_DIGITS.search(base)):
            return True
    return False


def main() -> None:
    """The command `vigie-dedup`."""
    alike = Alike()
    p = argparse.ArgumentParser(prog="vigie-dedup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("new", help="COCO JSON of the new collection")
    p.add_argument("--against", nargs="*", default=[], help="COCO JSON files whose pictures must not be in it")
    p.add_argument("--out", required=True, help="the collection without them")
    p.add_argument("--bits", type=int, default=alike.bits, help="hashes of one picture differ in at most so many of 64 (default: %(default)s)")
    p.add_argument("--correlation", type=float, default=alike.correlation, help="and its pixels correlate so well (default: %(default)s)")
    p.add_argument("--keep-names", action="store_true", help="keep pictures with names like VOC's")
    p.add_argument("--pairs", help="write the pairs found here, as CSV")
    p.add_argument("--sheet", help="write a contact sheet of pairs here, the least alike first: dropped, and what it repeats")
    args = p.parse_args()
    run_command(lambda: command(args))


def command(args: argparse.Namespace) -> None:
    """Everything between the arguments and the files."""
    path, out, alike = Path(args.new), Path(args.out), Alike(args.bits, args.correlation)
    raw = parse_coco(path)
    named = set() if args.keep_names else {i for i, image in enumerate(raw["images"]) if from_voc(image)}
    new = read_prints(path, raw["images"])
    why: dict[int, tuple[str, str, int, float]] = {}
    for other in map(Path, args.against):
        images = parse_coco(other)["images"]
        for a, b, bits, value in pairs(new, read_prints(other, images), alike):
            if a not in why or value > why[a][3]:
                why[a] = (str(other), images[b]["file_name"], bits, value)
    elsewhere = len(why.keys() - named)
    # A picture that is dropped for another reason must not take a second one with it.
    left = [i for i in range(len(new)) if i not in why and i not in named]
    own = Prints(new.hashes[left], new.pixels[left])
    for a, (b, bits, value) in repeated(pairs(own, own, alike)).items():
        why[left[a]] = (str(path), raw["images"][left[b]]["file_name"], bits, value)
    kept = [i for i in range(len(new)) if i not in why and i not in named]
    write(raw, kept, path, out)
    itself = len(new) - len(kept) - elsewhere - len(named)
    dropped = f"{len(named)} by name, {elsewhere} that other sets have, {itself} repeated"
    print(f"{path}: {len(new)} pictures; dropped: {dropped}; {len(kept)} kept in {out}")
    for other in args.against:
        print(f"  {sum(w[0] == str(Path(other)) for w in why.values()):>6} resemble one of {other} most")
    if args.pairs:
        with open(args.pairs, "w", newline="") as file:
            rows = [(raw["images"][a]["file_name"], *w) for a, w in why.items()]
            csv.writer(file).writerows([("dropped", "set", "repeats", "bits", "correlation"), *rows])
    if args.sheet and why:
        sheet(args.sheet, path, raw["images"], why)


def read_prints(path: Path, images: list[dict]) -> Prints:
    """Of a set's pictures, in the order of its entries."""
    find, parts = picture_finder(path, images), []
    for image in tqdm(images, f"reading {path.name}", disable=None, leave=False):
        parts.append(Prints.of([picture_of(path, image, find)]))
    if not parts:
        raise InputError(f"{path}: no images in it")
    return Prints(np.concatenate([p.hashes for p in parts]), np.concatenate([p.pixels for p in parts]))


def picture_of(path: Path, image: dict, find) -> np.ndarray:
    ref = find(image)
    if ref is None:
        raise InputError(f"image {image['file_name']} is not in {image.get('shard', path.parent)}")
    return decode(ref, image["file_name"])


def write(raw: dict, kept: list[int], path: Path, out: Path) -> None:
    """The set with these pictures alone."""
    images = relocated(path, out, [raw["images"][i] for i in kept])
    ids = {i["id"] for i in images}
    with replacing(out) as temporary:
        temporary.write_text(json.dumps(raw | {"images": images, "annotations": [a for a in raw["annotations"] if a["image_id"] in ids]}))


def sheet(file: str, path: Path, images: list[dict], why: dict[int, tuple[str, str, int, float]], most: int = 24) -> None:
    """Pairs side by side, the doubtful ones first."""
    sets = {path: images}
    cells = []
    for a, (where, name, _, _) in sorted(why.items(), key=lambda item: item[1][3])[:most]:
        other = Path(where)
        if other not in sets:
            sets[other] = parse_coco(other)["images"]
        twin = next(i for i in sets[other] if i["file_name"] == name)
        for set_, image in ((path, images[a]), (other, twin)):
            cells.append(letterbox(picture_of(set_, image, picture_finder(set_, [image])), CELL, CELL)[0])
    save(file, tile(cells, 8))


if __name__ == "__main__":
    main()
