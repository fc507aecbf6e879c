"""Static post-training quantization: what is quantized (`plan`), to which ranges (`ranges`), written as QDQ (`qdq`)."""

from .plan import Plan, make_plan
from .qdq import write_qdq
from .ranges import METHODS, Histograms, choose_ranges, collect

__all__ = ["METHODS", "Histograms", "Plan", "choose_ranges", "collect", "make_plan", "write_qdq"]
