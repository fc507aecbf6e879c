"""An exponential moving average of the weights: smoother than the weights themselves, and what is evaluated and shipped."""

import copy
import math

import torch
from torch import nn


class MovingAverage:
    """Follows a model; early on it follows fast, so that it isn't held back by the random start."""

    def __init__(self, model: nn.Module, decay: float, ramp_steps: int = 300):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.ramp_steps = decay, ramp_steps

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model's weights, and towards its batch-norm statistics."""
        decay = self.decay * (1 - math.exp(-step / self.ramp_steps))
        mine, theirs = self.model.state_dict(), model.state_dict()
        floating = [k for k, v in mine.items() if v.is_floating_point()]
        torch._foreach_lerp_([mine[k] for k in floating], [theirs[k] for k in floating], 1 - decay)
        for key in mine.keys() - set(floating):
            mine[key].copy_(theirs[key])
