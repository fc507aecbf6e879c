"""What the network is trained to make small."""

from .assigner import Assignment, assign
from .boxes import complete_iou
from .detection import DetectionLoss, LossParts

__all__ = ["Assignment", "DetectionLoss", "LossParts", "assign", "complete_iou"]
