"""Labelled pictures: where they are, how they are read, and how they become batches."""

from .letterbox import Placement, letterbox
from .records import Record, Split
from .spec import DataSpec

__all__ = ["DataSpec", "Placement", "Record", "Split", "letterbox"]
