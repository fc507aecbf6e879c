"""Task-aligned assignment (TOOD, Feng et al., 2021): which anchors shall learn which object.

An anchor is a candidate for an object when its centre lies in the object's box. An object so thin that no centre does is given those
around it: its box counts as one cell of the finest map wide and high, at least, so that it isn't learnt as background.
Candidates are ranked by score^alpha · CIoU^beta, so that those are chosen that already find both class and place; the best `top` of
each object become positive.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..network.grid import STRIDES
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
    candidate = centres_inside(centres, objects) & (labels >= 0)[:, :, None]  # B x M x N
    missed = ((labels >= 0) & ~candidate.any(2)).nonzero(as_tuple=True)
    candidate[missed] = centres_inside(centres, widened(objects[missed])[None])[0]

    b, m, n = candidate.nonzero(as_tuple=True)
    overlap = scores.new_zeros(batch, count, anchors)
    overlap[b, m, n] = complete_iou(objects[b, m], boxes[b, n]).clamp(min=0)
    alignment = torch.zeros_like(overlap)
    alignment[b, m, n] = scores[b, n, labels[b, m]].pow(alpha) * overlap[b, m, n].pow(beta)

    # Where a candidate's alignment is nought, another anchor's must not come before it.
    best = alignment.masked_fill(~candidate, -1).topk(min(top, anchors), dim=2).indices
    chosen = torch.zeros_like(candidate).scatter_(2, best, True) & candidate
    # An anchor wanted by several objects goes to the one that it overlaps most.
    contested = (chosen.sum(1) > 1)[:, None]
    favourite = F.one_hot((overlap * candidate).argmax(1), count).transpose(1, 2).bool()
    chosen = torch.where(contested, favourite & candidate, chosen)

    alignment = alignment * chosen
    reached = (overlap * chosen).amax(2, keepdim=True)
    quality = (alignment / (alignment.amax(2, keepdim=True) + 1e-9) * reached).amax(1)
    return Assignment(chosen.any(1), chosen.float().argmax(1), quality)


def centres_inside(centres: Tensor, boxes: Tensor) -> Tensor:
    """N x 2 and B x M x 4 -> B x M x N."""
    return torch.minimum(centres - boxes[:, :, None, :2], boxes[:, :, None, 2:] - centres).amin(-1) > 1e-9


def widened(boxes: Tensor, least: float = STRIDES[0] + 0.01) -> Tensor:
    """Sides shorter than `least` pixels lengthened to it on both ends. By default a centre lies in every such box that is on the picture."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, ((boxes[:, 2:] - boxes[:, :2]) / 2).clamp(min=least / 2)
    return torch.cat((middle - half, middle + half), dim=1)
