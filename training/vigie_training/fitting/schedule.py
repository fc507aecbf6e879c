"""What changes during a run: the learning rate, the size of the pictures, whether mosaics are made. All follow its progress, 0 to 1."""

import math

import numpy as np

from ..errors import InputError
from .settings import Settings


def parse_stages(text: str) -> list[tuple[int, float]]:
    """`256:0.45,320:1` -> [(256, 0.45), (320, 1.0)]; a lone `320` is the size of the whole run."""
    stages = []
    try:
        for part in text.split(","):
            size, _, until = part.partition(":")
            stages.append((int(size), float(until or 1)))
    except ValueError:
        stages = []
    ends = [until for _, until in stages]
    if not stages or any(s < 64 or s % 64 for s, _ in stages) or sorted(set(ends)) != ends or ends[-1] != 1:
        raise InputError(f"stages {text!r} are not SIZE:UNTIL pairs", "sizes are multiples of 64, the shares rise to 1: 256:0.45,320:1")
    return stages


class Schedule:
    """The plan of a run; `progress` is the share of it that is done."""

    def __init__(self, settings: Settings, steps_per_epoch: int):
        self.settings = settings
        self.stages = parse_stages(settings.stages)
        self.steps = max(1, math.ceil(settings.epochs * steps_per_epoch))
        # A few pictures make few steps: the rise must not take most of them.
        self.warmup = settings.warmup_steps if settings.minutes else min(settings.warmup_steps, self.steps // 10)

    def progress(self, step: int, seconds: float) -> float:
        """By the clock where the run is given minutes, else by steps."""
        done = seconds / 60 / self.settings.minutes if self.settings.minutes else step / self.steps
        return min(1.0, done)

    def learning_rate(self, step: int, progress: float) -> float:
        """A linear rise (at most a tenth of the steps), then half a cosine down to 1 %."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        return self.settings.lr * rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))

    def picture_size(self, step: int, progress: float) -> int:
        """Of the batch of this step."""
        size = next(s for s, until in self.stages if progress < until or until == 1)
        if not self.settings.multi_scale:
            return size
        return max(128, size + 64 * int(np.random.default_rng([self.settings.seed, 3, step]).integers(-1, 2)))

    def mosaic(self, progress: float) -> float:
        """How probable a mosaic is."""
        return self.settings.recipe.mosaic if progress < 1 - self.settings.no_mosaic_last else 0.0
