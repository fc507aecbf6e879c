"""The log of a run: `log.csv`, a row every 50 steps; `evaluations.jsonl`, a line an evaluation; TensorBoard where it is installed."""

import csv
import json
from pathlib import Path

COLUMNS = ["step", "minutes", "epoch", "size", "lr", "loss", "box", "cls", "dfl", "objects", "pictures_per_s"]


class RunLog:
    """Appends, so that a resumed run goes on in the same files."""

    def __init__(self, folder: Path, tensorboard: bool):
        folder.mkdir(parents=True, exist_ok=True)
        self.steps = open(folder / "log.csv", "a", newline="")
        self.rows = csv.writer(self.steps)
        if self.steps.tell() == 0:
            self.rows.writerow(COLUMNS)
        self.evaluations = open(folder / "evaluations.jsonl", "a")
        self.board = _board(folder) if tensorboard else None

    def row(self, values: dict) -> None:
        """The mean over the last steps."""
        self.rows.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in (values[c] for c in COLUMNS)])
        self.steps.flush()
        for key in COLUMNS[4:] if self.board else ():
            self.board.add_scalar(f"train/{key}", values[key], values["step"])

    def evaluation(self, values: dict) -> None:
        """Scores and where in the run they were taken."""
        self.evaluations.write(json.dumps(values) + "\n")
        self.evaluations.flush()
        for key in ("map50", "map50_95", "ar100") if self.board else ():
            self.board.add_scalar(f"val/{key}", values[key], values["step"])

    def close(self) -> None:
        self.steps.close()
        self.evaluations.close()
        if self.board:
            self.board.close()


def _board(folder: Path):
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))
