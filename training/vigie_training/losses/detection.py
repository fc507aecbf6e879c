"""YOLOv8's loss: binary cross-entropy for classes, CIoU and the distribution focal loss for boxes, on task-aligned anchors.

The class loss takes a weight for every anchor and class: 0 where the labels say nothing (a class not exhaustively labelled in that
picture, a crowd), so that an unlabelled car is not learnt as background. An object has a score: how sure the one who labelled it was, 1
for a person, less for a machine. The class aims at that share of what it would aim at, and the box counts so much less.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..network.detector import Logits
from ..network.grid import anchor_grid
from .assigner import assign
from .boxes import complete_iou


@dataclass
class LossParts:
    """Unweighted, for the log."""

    box: Tensor
    cls: Tensor
    dfl: Tensor


class DetectionLoss:
    """Gains are YOLOv8's."""

    def __init__(self, nc: int, reg_max: int = 16, box: float = 7.5, cls: float = 0.5, dfl: float = 1.5):
        self.nc, self.reg_max = nc, reg_max
        self.gains = (box, cls, dfl)

    def __call__(
        self, logits: Logits, size: tuple[int, int], objects: Tensor, labels: Tensor, scores: Tensor, weight: Tensor
    ) -> tuple[Tensor, LossParts]:
        """objects B x M x 4 (x1, y1, x2, y2 in input pixels), labels B x M (-1: none), scores B x M, weight B x N x nc.

        -> the sum to minimize, its parts.
        """
        box = torch.cat([b.flatten(2) for b, _ in logits], dim=2).float().transpose(1, 2)  # B x N x 4·reg_max
        cls = torch.cat([c.flatten(2) for _, c in logits], dim=2).float().transpose(1, 2)  # B x N x nc
        centres, strides = (torch.from_numpy(a).to(box.device) for a in anchor_grid(*size))
        predicted = self.decode(box, centres, strides)
        found = assign(cls.detach().sigmoid(), predicted.detach(), centres, labels, objects)

        b, n = found.positive.nonzero(as_tuple=True)
        chosen = found.objects[b, n]
        label, quality = labels[b, chosen], found.quality[b, n] * scores[b, chosen]
        # Divided by the sum of the targets, not by their number: weak matches count little on either side.
        total = quality.sum().clamp(min=1.0)

        target = torch.zeros_like(cls)
        target[b, n, label] = quality
        weight = weight.to(cls.dtype, copy=True)
        weight[b, n, label] = 1.0
        cls_loss = (F.binary_cross_entropy_with_logits(cls, target, reduction="none") * weight).sum() / total
        goal = objects[b, chosen]
        box_loss = ((1 - complete_iou(predicted[b, n], goal)) * quality).sum() / total
        distances = torch.cat((centres[n] - goal[:, :2], goal[:, 2:] - centres[n]), dim=1) / strides[n, None]
        dfl_loss = (distribution_loss(box[b, n], distances, self.reg_max) * quality).sum() / total
        sum_ = self.gains[0] * box_loss + self.gains[1] * cls_loss + self.gains[2] * dfl_loss
        return sum_, LossParts(box_loss.detach(), cls_loss.detach(), dfl_loss.detach())

    def decode(self, box: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
        """B x N x 4·reg_max logits -> B x N x 4 boxes in pixels."""
        bins = torch.arange(self.reg_max, dtype=box.dtype, device=box.device)
        distances = box.unflatten(2, (4, self.reg_max)).softmax(-1) @ bins * strides[:, None]
        return torch.cat((centres - distances[..., :2], centres + distances[..., 2:]), dim=2)


def distribution_loss(logits: Tensor, distances: Tensor, reg_max: int) -> Tensor:
    """Distribution focal loss (Li et al., 2020): the two bins around each true distance share the probability. K x 4·reg_max, K x 4 -> K."""
    distances = distances.clamp(0, reg_max - 1.01)
    lower = distances.long()
    above = distances - lower
    log_p = logits.unflatten(1, (4, reg_max)).log_softmax(-1)

    def loss_at(bin_: Tensor) -> Tensor:
        return -log_p.gather(2, bin_[..., None]).squeeze(2)

    return (loss_at(lower) * (1 - above) + loss_at(lower + 1) * above).mean(1)
