"""The loop of a run, and its state on disk.

`last.pt` is written every few minutes, at each evaluation and on SIGTERM or SIGINT, always whole; the same command goes on from it.
`best.pt` is the state with the highest mAP50-95 on validation pictures so far.
"""

import contextlib
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ..checkpoint import replacing
from ..data.augment import Augmenter
from ..data.batches import Batch, Order, make_batch, prefetch, repeat_factors
from ..errors import InputError
from ..losses import DetectionLoss
from ..metrics import Scores
from ..network import Detector
from .average import MovingAverage
from .host import has_bf16
from .log import RunLog
from .schedule import Schedule
from .settings import Settings, differences

LOG_EVERY = 50
SAVE_EVERY_SECONDS = 300


class Trainer:
    """One run in one folder."""

    def __init__(self, model: Detector, names: list[str], augmenter: Augmenter, settings: Settings, folder: Path, device: str, workers: int = 1):
        self.names, self.settings, self.folder, self.device, self.workers = names, settings, folder, torch.device(device), workers
        self.augmenter = augmenter
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.average = MovingAverage(self.model, settings.ema)
        self.optimizer = _optimizer(self.model, settings)
        self.loss = DetectionLoss(model.nc, model.config.reg_max)
        fast = self.device.type == "cuda" or has_bf16()
        self.bf16 = settings.precision == "bf16" or (settings.precision == "auto" and fast)
        split = augmenter.split
        factors = repeat_factors(split, settings.repeat_threshold) if settings.repeat_threshold else np.ones(len(split))
        self.order = Order(factors, settings.batch, settings.seed)
        self.schedule = Schedule(settings, self.order.steps_per_epoch)
        self.step, self.seen, self.seconds, self.best = 0, 0, 0.0, -1.0
        self.evaluated = 0
        """Evaluations so far."""

    # --- state on disk

    def save(self, name: str) -> None:
        """Write the whole state."""
        state = {
            "model": self.model.state_dict(),
            "ema": self.average.model.state_dict(),
            "opt": self.optimizer.state_dict(),
            "step": self.step,
            "seen": self.seen,
            "spent": self.seconds,
            "best": self.best,
            "evaluated": self.evaluated,
            "n_train": len(self.augmenter.split),
            "names": self.names,
            "network": self.model.config.to_dict(),
            "image_size": self.schedule.picture_size(self.step, self.progress),
            "settings": self.settings.to_dict(),
            "torch_rng": torch.get_rng_state(),
        }
        with replacing(self.folder / name) as temporary:
            torch.save(state, temporary)

    def resume(self) -> bool:
        """Go on from `last.pt` if there is one. A run of other classes, network, batch or seed is refused; what else differs is said."""
        path = self.folder / "last.pt"
        if not path.is_file():
            return False
        state = torch.load(path, map_location="cpu", weights_only=True)
        if list(state["names"]) != self.names:
            raise InputError(f"{path} was trained on {len(state['names'])} other classes", "give another --out to begin a new run")
        changed = differences(state.get("settings", {}), self.settings)
        refuse_other_order(path, changed)
        try:
            self.model.load_state_dict(state["model"])
            self.average.model.load_state_dict(state["ema"])
            self.optimizer.load_state_dict(state["opt"])
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{path} is of another network: {str(error).splitlines()[0]}", "give another --out to begin a new run") from error
        self.step, self.seen, self.seconds = state["step"], state["seen"], state["spent"]
        self.best, self.evaluated = state.get("best", -1.0), state.get("evaluated", 0)
        torch.set_rng_state(state["torch_rng"])
        if (pictures := state.get("n_train", len(self.augmenter.split))) != len(self.augmenter.split):
            changed["training pictures"] = (pictures, len(self.augmenter.split))
        if changed:
            listed = ", ".join(f"{name} {before} -> {now}" for name, (before, now) in changed.items())
            print(f"other settings than up to step {self.step}: {listed}")
        return True

    # --- the loop

    @property
    def progress(self) -> float:
        return self.schedule.progress(self.step, self.seconds)

    def run(self, evaluate: Callable[[Detector, int], Scores], evaluations: int, log: RunLog, progress_bar: bool = True) -> bool:
        """Train to the end, evaluating so many times on the way. -> False if it was told to stop before."""
        # Sizes are compiled one by one: a graph for all of them at once took more than ten minutes and was not done.
        model: nn.Module = torch.compile(self.model, dynamic=False) if self.settings.compile else self.model
        means = _Means(self.seconds)
        saved = time.monotonic()
        bar = tqdm(
            total=100, desc="training", disable=None if progress_bar else True, bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed} {postfix}"
        )
        with _stop_signals() as stopped, contextlib.closing(prefetch(self.batch_of, self.step, self.workers)) as batches, bar:
            while self.progress < 1 and not stopped:
                tick = time.monotonic()
                batch = next(batches)
                lr = self.schedule.learning_rate(self.step, self.progress)
                if (losses := self._train(model, batch, lr)) is not None:
                    means.add(losses, batch)
                self.seconds += time.monotonic() - tick
                if self.step % LOG_EVERY == 0:
                    row = means.row(self, batch.size, lr)
                    log.row(row)
                    bar.set_postfix_str(f"step {self.step} epoch {row['epoch']:.1f} loss {row['loss']:.3f} {row['pictures_per_s']:.0f} pictures/s")
                    means = _Means(self.seconds)
                bar.n = round(100 * self.progress, 1)
                bar.refresh()
                if self.progress * evaluations >= self.evaluated + 1:
                    self._evaluate(evaluate, log)
                    saved = time.monotonic()
                elif time.monotonic() - saved > SAVE_EVERY_SECONDS:
                    self.save("last.pt")
                    saved = time.monotonic()
            self.save("last.pt")
            return not stopped

    def batch_of(self, step: int) -> Batch:
        """The batch that the run sees at this step."""
        progress = self.schedule.progress(step, self.seconds)
        size, mosaic = self.schedule.picture_size(step, progress), self.schedule.mosaic(progress)
        return make_batch(self.augmenter, self.order, self.settings.seed, step, size, mosaic)

    def _train(self, model: nn.Module, batch: Batch, lr: float) -> torch.Tensor | None:
        """One step. -> its losses, or None for a step left out because it was not finite: that leaves everything as it was."""
        model.train()
        statistics = [b.clone() for b in self.model.buffers()]
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        pictures = self._to_device(batch.pictures).permute(0, 3, 1, 2).float().div_(255)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = model(pictures)
        size = (batch.size, batch.size)
        loss, parts = self.loss(logits, size, *map(self._to_device, (batch.boxes, batch.labels, batch.scores, batch.weight)))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), self.settings.clip_gradient)
        finite = bool(torch.isfinite(norm) & torch.isfinite(loss))
        self.step += 1
        self.seen += len(batch.pictures)
        if not finite:
            tqdm.write(f"step {self.step - 1}: loss or gradient is not finite, the step is left out", file=sys.stderr)
            # The forward pass has moved the batch norms' running statistics already, and one infinity would stay in them for ever.
            for buffer, before in zip(self.model.buffers(), statistics):
                buffer.copy_(before)
            return None
        self.optimizer.step()
        self.average.update(self.model, self.step)
        # Left on the device: reading it would make the CPU wait for the GPU at every step.
        return torch.stack((loss.detach(), parts.box, parts.cls, parts.dfl))

    def _to_device(self, array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor

    def _evaluate(self, evaluate: Callable[[Detector, int], Scores], log: RunLog) -> None:
        # At the size that the run ends with, so that all its scores can be compared.
        scores = evaluate(self.average.model, self.schedule.stages[-1][0])
        self.evaluated += 1
        epoch = self.seen / len(self.augmenter.split)
        log.evaluation({"step": self.step, "minutes": self.seconds / 60, "epoch": epoch} | scores.to_dict())
        tqdm.write(f"step {self.step}, epoch {epoch:.1f}: mAP50 {scores.map50:.4f}, mAP50-95 {scores.map50_95:.4f}")
        better, self.best = scores.map50_95 > self.best, max(scores.map50_95, self.best)
        self.save("last.pt")
        if better:
            self.save("best.pt")


class _Means:
    """Sums since the last row of the log."""

    def __init__(self, seconds: float) -> None:
        self.sums: torch.Tensor | float = 0.0
        self.steps, self.pictures, self.objects, self.start = 0, 0, 0, seconds

    def add(self, losses: torch.Tensor, batch: Batch) -> None:
        self.sums = self.sums + losses
        self.steps += 1
        self.pictures += len(batch.pictures)
        self.objects += int((batch.labels >= 0).sum())

    def row(self, trainer: Trainer, size: int, lr: float) -> dict:
        loss, box, cls, dfl = (self.sums / self.steps).tolist() if self.steps else [float("nan")] * 4
        rate = self.pictures / max(1e-9, trainer.seconds - self.start)
        return {
            "step": trainer.step, "minutes": trainer.seconds / 60, "epoch": trainer.seen / len(trainer.augmenter.split), "size": size, "lr": lr,
            "loss": loss, "box": box, "cls": cls, "dfl": dfl, "objects": self.objects / max(1, self.pictures), "pictures_per_s": rate,
        }  # fmt: skip


def refuse_other_order(path: Path, changed: dict[str, tuple]) -> None:
    """Which pictures a step sees follows from batch and seed: with others the run would see some twice and some never."""
    for name in ("batch", "seed"):
        if name in changed:
            before, now = changed[name]
            raise InputError(
                f"{path} was trained with --{name} {before}, this run has --{name} {now}",
                f"give --{name} {before} to go on, or another --out to begin a new run (--weights {path} begins with these weights)",
            )


def _optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """AdamW; weight decay on matrices and filters alone, never on biases and norms."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.999), foreach=True)


@contextlib.contextmanager
def _stop_signals():
    """A list that gets an element on SIGTERM or SIGINT: the loop then saves and ends. A second signal ends it at once."""
    stopped: list[int] = []

    def stop(number: int, _frame: object) -> None:
        if stopped:
            raise KeyboardInterrupt
        stopped.append(number)

    before = {s: signal.signal(s, stop) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
