"""Pictures of a run: what went in (`batch.jpg`), and its curves (`curves.png`)."""

import csv
import json
from pathlib import Path

from .data.batches import Batch
from .sheet import colour, draw, save, tile


def write_batch(path: Path, batch: Batch, names: list[str]) -> None:
    """The first pictures of a batch with their boxes, as the network sees them."""
    cells = []
    for picture, boxes, labels in list(zip(batch.pictures, batch.boxes, batch.labels))[:16]:
        cell = picture.copy()
        for box, label in zip(boxes, labels):
            if label >= 0:
                draw(cell, box, colour(int(label)), names[label])
        cells.append(cell)
    save(path, tile(cells, 4))


def write_curves(folder: Path) -> None:
    """Loss and its parts, learning rate and mAP over the run, from its logs."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    with open(folder / "log.csv", newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    scores = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    figure, axes = plt.subplots(2, 3, figsize=(13, 7), layout="constrained")
    epochs = [r["epoch"] for r in rows]
    for axis, key in zip(axes.flat, ("loss", "box", "cls", "dfl", "lr")):
        axis.plot(epochs, [r[key] for r in rows])
        axis.set(title=key, xlabel="epoch")
    axis = axes.flat[5]
    for key, label in (("map50", "mAP50"), ("map50_95", "mAP50-95")):
        axis.plot([s["epoch"] for s in scores], [s[key] for s in scores], marker="o", label=label)
    axis.set(title="validation", xlabel="epoch")
    axis.legend()
    for axis in axes.flat:
        axis.grid(alpha=0.3)
    figure.savefig(folder / "curves.png", dpi=110)
    plt.close(figure)
