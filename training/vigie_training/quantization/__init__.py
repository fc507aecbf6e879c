"""Static post-training quantization: what is quantized (`plan`), channels made even (`channels`), to which ranges (`ranges`), written as QDQ
(`qdq`), weights rounded together (`rounding`), and what it all costs (`report`)."""

from .channels import balance
from .plan import Plan, make_plan
from .qdq import write_qdq
from .ranges import METHODS, Histograms, choose_ranges, collect
from .report import signal_to_noise, table
from .rounding import compensate

__all__ = [
    "METHODS",
    "Histograms",
    "Plan",
    "balance",
    "choose_ranges",
    "collect",
    "compensate",
    "make_plan",
    "signal_to_noise",
    "table",
    "write_qdq",
]
