"""Task-aligned assignment (TOOD, Feng et al., 2021): which anchors shall learn which object.

An anchor is a candidate for an object when its centre lies in the object's box. Candidates are ranked by score^alpha · CIoU^beta,
so that those are chosen that already find both class and place; the best `top` of each object become positive.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .boxes import complete_iou


@dataclass
class Assignment:
    """For each anchor of each picture (B x N)."""

    positive: Tensor
    """Whether an object is assigned."""
    objects: Tensor
    """Which one (an index into the picture's objects); 0 where none is."""
    quality: Tensor
    """The class score to aim at: the best anchor of an object aims at the IoU it reached, the others at a share of it. 0 where none is."""


@torch.no_grad()
def assign(
    scores: Tensor, boxes: Tensor, centres: Tensor, labels: Tensor, objects: Tensor, top: int = 10, alpha: float = 0.5, beta: float = 6.0
) -> Assignment:
    """scores B x N x nc (probabilities), boxes B x N x 4, centres N x 2, labels B x M (-1: no object), objects B x M x 4; pixels."""
    batch, anchors, _ = scores.shape
    count = labels.shape[1]
    inside = torch.minimum(centres - objects[:, :, None, :2], objects[:, :, None, 2:] - centres).amin(-1) > 1e-9
    candidate = inside & (labels >= 0)[:, :, None]  # B x M x N

    b, m, n = candidate.nonzero(as_tuple=True)
    overlap = scores.new_zeros(batch, count, anchors)
    overlap[b, m, n] = complete_iou(objects[b, m], boxes[b, n]).clamp(min=0)
    alignment = torch.zeros_like(overlap)
    alignment[b, m, n] = scores[b, n, labels[b, m]].pow(alpha) * overlap[b, m, n].pow(beta)

    best = alignment.topk(min(top, anchors), dim=2).indices
    chosen = torch.zeros_like(candidate).scatter_(2, best, True) & candidate
    # An anchor wanted by several objects goes to the one that it overlaps most.
    contested = (chosen.sum(1) > 1)[:, None]
    favourite = F.one_hot((overlap * candidate).argmax(1), count).transpose(1, 2).bool()
    chosen = torch.where(contested, favourite & candidate, chosen)

    alignment = alignment * chosen
    reached = (overlap * chosen).amax(2, keepdim=True)
    quality = (alignment / (alignment.amax(2, keepdim=True) + 1e-9) * reached).amax(1)
    return Assignment(chosen.any(1), chosen.float().argmax(1), quality)
