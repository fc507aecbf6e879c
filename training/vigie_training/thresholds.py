"""Chooses for each class the score from which on a detection should count, and writes it into the model.

    vigie-thresholds models/vigie-xxs-320-int8.onnx --data data.yaml
    vigie-thresholds a.onnx --data data.yaml --dry-run                # only shows them

It is where the harmonic mean of precision and recall (F1) is highest on pictures that were not trained on, as a mean over scores up to 0.05
away: the peak of a few objects' own curve is luck. The program takes these scores where its configuration says nothing (`vigie.thresholds`
in the metadata: one number a class). A class with few objects gets the others' mean.
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
REACH = 5
"""How far the curve is smoothed to either side, in hundredths of a score."""


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
    """The threshold of each of the names: where its curve is best; the mean of all for a class that has no curve."""
    best = {name: peak(points) for name, points in found.items() if points}
    if not best:
        raise InputError(f"no class has {ENOUGH} objects to measure it by", "label more pictures")
    mean = float(np.mean(list(best.values())))
    return [round(best.get(name, mean), 2) for name in names]


def peak(points: list[Point]) -> float:
    """The score, in hundredths, around which the smoothed F1 of a curve is highest; of equal ones the highest, for it lets less through."""
    last = int(np.floor(points[-1].score * 100))
    scores = np.arange(last, 100) / 100
    # What counts from a score on: the points up to there, best first.
    counted = np.searchsorted([-point.score for point in points], -scores, side="right")
    f1 = np.array([0.0] + [point.f1 for point in points])[counted]
    smooth = [f1[max(0, i - REACH) : i + REACH + 1].mean() for i in range(len(f1))]
    return float(scores[len(smooth) - 1 - int(np.argmax(smooth[::-1]))])


if __name__ == "__main__":
    main()
