"""Measures the values of a model's activations on real pictures and chooses the range that 8 bits shall cover.

A range too wide wastes levels, one too narrow cuts peaks off. `minmax` cuts nothing; `percentile` cuts a fixed share of the
values; `entropy` keeps the distribution as it was (Kullback-Leibler, as TensorRT does); `mse` makes the expected squared error least.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto

from .plan import Plan

BINS = 2048
LEVELS = 256
Range = tuple[float, float]


@dataclass
class Histograms:
    """For each tensor its least and greatest value, and how often each of 2048 steps between occurred."""

    low: dict[str, float]
    high: dict[str, float]
    counts: dict[str, np.ndarray]


def collect(model: ModelProto, tensors: list[str], pictures: Iterable[np.ndarray], threads: int = 1) -> Histograms:
    """Run the model on the pictures (model inputs, 1 x 3 x H x W each; iterated twice) and look at the tensors."""
    low, high = dict.fromkeys(tensors, np.inf), dict.fromkeys(tensors, -np.inf)
    for name, value in watch(model, tensors, pictures, threads):
        low[name], high[name] = min(low[name], float(value.min())), max(high[name], float(value.max()))
    counts = {t: np.zeros(BINS, np.int64) for t in tensors}
    for name, value in watch(model, tensors, pictures, threads):
        step = (BINS - 1e-3) / max(high[name] - low[name], 1e-12)
        bins = ((value.ravel() - low[name]) * step).astype(np.int32)
        counts[name] += np.bincount(bins, minlength=BINS)[:BINS]
    return Histograms(low, high, counts)


def watch(
    model: ModelProto, tensors: Iterable[str], pictures: Iterable[np.ndarray], threads: int = 1, as_written: bool = False
) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor's value for every picture, but the model's own input. `as_written` runs the graph node by node, without optimizations."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    own_input, outputs = model.graph.input[0].name, [o.name for o in model.graph.output]
    watched = [t for t in tensors if t != own_input]
    shown.graph.output.extend(onnx.ValueInfoProto(name=t) for t in watched if t not in outputs)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for picture in pictures:
        yield from zip(watched, session.run(watched, {own_input: picture}))


def choose_ranges(plan: Plan, found: Histograms, method: str) -> dict[str, Range]:
    """The range of every tensor in the plan; tensors of a group get the union of what each of them needs."""
    choose = METHODS[method]
    ranges = {}
    for name in plan.tensors:
        low, high = plan.fixed.get(name) or choose(found.low[name], found.high[name], found.counts[name])
        ranges[name] = (min(low, 0.0), max(high, 0.0))
    for group in plan.groups:
        members = [ranges[t] for t in group if t in ranges]
        union = (min(r[0] for r in members), max(r[1] for r in members))
        ranges.update(dict.fromkeys(group, union))
    return ranges


def minmax(low: float, high: float, counts: np.ndarray) -> Range:
    """All that was seen."""
    return low, high


def percentile(share: float) -> Callable[[float, float, np.ndarray], Range]:
    """Covers this share of the values on either side."""

    def choose(low: float, high: float, counts: np.ndarray) -> Range:
        below = np.cumsum(counts) / max(1, counts.sum())
        edges = np.linspace(low, high, BINS + 1)
        first = int(np.searchsorted(below, 1 - share, side="right"))
        last = int(np.searchsorted(below, share))
        return float(edges[min(first, BINS - 1)]), float(edges[min(last + 1, BINS)])

    return choose


def least_squares(low: float, high: float, counts: np.ndarray) -> Range:
    """The ends that make rounding plus cutting cost least, tried one after the other on a grid."""
    centres = low + (np.arange(BINS) + 0.5) * (high - low) / BINS

    def cost(a: float, b: float) -> float:
        rounding = ((b - a) / (LEVELS - 1)) ** 2 / 12
        cut = centres - np.clip(centres, a, b)
        return float((counts * np.where(cut == 0, rounding, cut**2)).sum())

    shares = np.linspace(0.15, 1, 86)
    a, b = low, high
    for _ in range(2):
        b = min((high * s for s in shares), key=lambda end: cost(a, end)) if high > 0 else b
        a = min((low * s for s in shares), key=lambda end: cost(end, b)) if low < 0 else a
    return a, b


def entropy(low: float, high: float, counts: np.ndarray) -> Range:
    """The upper end that loses least information; the lower end stays (behind SiLU it is -0.28 and holds much of the mass)."""
    total = counts.astype(np.float64)
    best, best_end = np.inf, BINS
    for end in range(LEVELS, BINS + 1, 16):
        kept = total[:end].copy()
        kept[-1] += total[end:].sum()
        groups = (np.arange(end) * LEVELS) // end
        occupied = total[:end] > 0
        share = np.bincount(groups, total[:end], LEVELS) / np.maximum(1, np.bincount(groups, occupied, LEVELS))
        coarse = np.where(occupied, share[groups], 0)
        p, q = kept / kept.sum(), coarse / max(coarse.sum(), 1e-12)
        both = (p > 0) & (q > 0)
        # Mass that the coarse histogram cannot hold at all counts as a large loss, not as an infinite one.
        loss = float((p[both] * np.log(p[both] / q[both])).sum() + p[(p > 0) & (q == 0)].sum() * 20)
        if loss < best:
            best, best_end = loss, end
    return low, low + (high - low) * best_end / BINS


METHODS: dict[str, Callable[[float, float, np.ndarray], Range]] = {
    "minmax": minmax,
    "percentile": percentile(0.9999),
    "percentile-99.999": percentile(0.99999),
    "mse": least_squares,
    "entropy": entropy,
}
