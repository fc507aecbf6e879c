"""A training run: its schedule, its averaged weights, its log, its state on disk."""

from .schedule import Schedule, parse_stages
from .settings import Settings
from .trainer import Trainer

__all__ = ["Schedule", "Settings", "Trainer", "parse_stages"]
