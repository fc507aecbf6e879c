"""Chooses for each class the score from which on a detection should count, and writes it into the model.

    vigie-thresholds models/vigie-xxs-320-int8.onnx --data data.yaml
    vigie-thresholds a.onnx --data data.yaml --dry-run                # only shows them

It is where the harmonic mean of precision and recall (F1) is highest on pictures that were not trained on. The program takes these scores
where its configuration says nothing (`vigie.thresholds` in the metadata: one number a class). A class with few objects gets the others' mean.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx

from .checkpoint import replacing
from .data import DataSpec
from .data.records import require_same_classes
from .errors import InputError, run_command
from .metrics import ENOUGH, Point, curves
from .onnx_graph import get_metadata, set_metadata

KEY = "vigie.thresholds"


def main() -> None:
    """The command `vigie-thresholds`."""
    p = argparse.ArgumentParser(prog="vigie-thresholds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", help="ONNX file")
    p.add_argument("--data", required=True, help="data.yaml, or a folder with train.json and val.json")
    p.add_argument("--split", default="val", help="default: %(default)s")
    p.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    p.add_argument("--dry-run", action="store_true", help="leave the model as it is")
    args = p.parse_args()
    run_command(lambda: command(args))


def command(args: argparse.Namespace) -> None:
    """Everything between the arguments and the file."""
    from .evaluate import find_all
    from .predictor import load_predictor

    path = Path(args.model)
    if path.suffix != ".onnx":
        raise InputError(f"{path} is no ONNX file", "export the weights first: vigie-export")
    split = DataSpec.load(args.data).read(args.split)
    predictor = load_predictor(args.model, threads=args.threads)
    require_same_classes(predictor.names, split.names)
    found = curves(split, find_all(predictor.run, split, predictor.size, predictor.batch))
    best = choose({n: points for n, (points, objects) in found.items() if objects >= ENOUGH}, predictor.names)
    print(f"{'class':<16}{'threshold':>10}{'precision':>10}{'recall':>8}{'objects':>9}")
    for name, threshold in zip(predictor.names, best):
        points, objects = found.get(name, ([], 0))
        counted = [point for point in points if point.score >= threshold]
        at = counted[-1] if counted else Point(threshold, float("nan"), 0.0)
        print(f"{name:<16}{threshold:>10.2f}{at.precision:>10.3f}{at.recall:>8.2f}{objects:>9}")
    if not args.dry_run:
        model = onnx.load(path)
        set_metadata(model, get_metadata(model) | {KEY: repr(best)})
        with replacing(path) as temporary:
            onnx.save(model, temporary)
        print(f"written into {path}")


def choose(found: dict[str, list[Point]], names: list[str]) -> list[float]:
    """The threshold of each of the names: the score of its curve's best point; the mean of all for a class that has no curve."""
    best = {name: max(points, key=lambda point: point.f1).score for name, points in found.items() if points}
    if not best:
        raise InputError(f"no class has {ENOUGH} objects to measure it by", "label more pictures")
    mean = float(np.mean(list(best.values())))
    # Rounded down, so that the point itself still counts.
    return [float(np.floor(best.get(name, mean) * 100) / 100) for name in names]


if __name__ == "__main__":
    main()
