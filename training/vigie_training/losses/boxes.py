"""Overlap of boxes (x1, y1, x2, y2 in the last axis)."""

import math

import torch
from torch import Tensor

EPSILON = 1e-7


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """CIoU (Zheng et al., 2020): IoU, less the distance of the centres and the difference in shape. 1 for equal boxes, may be negative."""
    size_a, size_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    iou = overlap / (size_a.prod(-1) + size_b.prod(-1) - overlap + EPSILON)

    around = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    between = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    distance = between.square().sum(-1) / (around.square().sum(-1) + EPSILON)

    def angle(size: Tensor) -> Tensor:
        return torch.atan(size[..., 0] / (size[..., 1] + EPSILON))

    shape = (angle(size_b) - angle(size_a)).square() * (4 / math.pi**2)
    with torch.no_grad():
        trade_off = shape / (shape - iou + 1 + EPSILON)
    return iou - distance - trade_off * shape
