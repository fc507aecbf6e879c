"""Rounds weights so that their errors cancel on real inputs, instead of each to its nearest step.

One input after the other is rounded, and what that changes in the results is made up for by the weights that are still to come, as far as their
inputs go together with it (GPTQ: Frantar et al., 2023). What remains on average goes into the bias. Scales, types and the graph stay as they
are: the file costs nothing more to run.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from ..onnx_graph import consumers, producers
from .ranges import watch

POSITIONS = 256
"""Output positions of a layer that are looked at in each picture."""
DAMPING = 0.01
"""Of the mean variance, added to every input's: how far the pictures are trusted."""
MOST = 127


@dataclass
class Moments:
    """Of a layer's inputs, as its weights see them: K for each output channel, or 9 for each channel of a depthwise convolution."""

    count: int
    first: np.ndarray
    """Sums: groups x K."""
    second: np.ndarray
    """Sums of products: groups x K x K."""


def compensate(int8: ModelProto, model: ModelProto, pictures: Iterable[np.ndarray], threads: int = 1) -> int:
    """Round the int8 model's weights anew, in place; `model` is what it was made of, with the same names. -> layers."""
    layers = {n.name: n for n in int8.graph.node if n.op_type in ("Conv", "MatMul")}
    made, read = producers(int8), consumers(int8)
    constants = {i.name: i for i in int8.graph.initializer}
    chosen = [n for n in model.graph.node if n.name in layers and _dequantized(layers[n.name], 1, made, constants)]
    floats = {i.name: i for i in model.graph.initializer}
    # What reads the input itself, in the layout `stock`, is not watched; it keeps its nearest steps.
    chosen = [n for n in chosen if n.input[0] != model.graph.input[0].name]
    moments = measure(chosen, floats, model, pictures, threads)
    for node in chosen:
        layer = layers[node.name]
        weights = numpy_helper.to_array(floats[node.input[1]]).astype(np.float64)
        rows = weights.T if node.op_type == "MatMul" else weights.reshape(len(weights), -1)
        stored, scale = (constants[made[layer.input[1]].input[i]] for i in (0, 1))
        steps = np.broadcast_to(numpy_helper.to_array(scale).astype(np.float64).reshape(-1, 1), (len(rows), 1))
        bias = _Bias(layer, made, read, constants)
        rounded, left = round_rows(rows, steps, moments[node.name], centred=bias.exists)
        rounded = rounded.T if node.op_type == "MatMul" else rounded.reshape(weights.shape)
        stored.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(rounded).astype(np.int8), stored.name))
        bias.add(left)
    return len(chosen)


def measure(
    nodes: list[NodeProto], floats: dict[str, TensorProto], model: ModelProto, pictures: Iterable[np.ndarray], threads: int
) -> dict[str, Moments]:
    """What the layers' inputs are like on the pictures."""
    rng = np.random.default_rng(0)
    found: dict[str, Moments] = {}
    readers: dict[str, list[NodeProto]] = {}
    for node in nodes:
        readers.setdefault(node.input[0], []).append(node)
    for name, value in watch(model, list(readers), pictures, threads):
        for node in readers[name]:
            x = _inputs(node, list(floats[node.input[1]].dims), value, rng)
            sums = x.sum(axis=1), np.einsum("gnk,gnl->gkl", x, x, optimize=True)
            if (m := found.get(node.name)) is None:
                found[node.name] = Moments(x.shape[1], *sums)
            else:
                found[node.name] = Moments(m.count + x.shape[1], m.first + sums[0], m.second + sums[1])
    return found


def round_rows(rows: np.ndarray, steps: np.ndarray, moments: Moments, centred: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows of weights (channels x K) in steps. -> whole numbers, and what each channel's mean result has lost."""
    mean = moments.first / moments.count
    spread = moments.second / moments.count
    if centred:
        spread = spread - mean[:, :, None] * mean[:, None, :]
    groups, k = mean.shape
    diagonal = np.einsum("gkk->gk", spread)
    spread = spread + np.eye(k) * (DAMPING * diagonal.mean(axis=1) + 1e-12)[:, None, None]
    rounded = np.empty_like(rows)
    for g in range(groups):
        own = slice(g, g + 1) if groups > 1 else slice(None)
        order = np.argsort(-diagonal[g])
        # Of the inverse only the upper factor is needed: its row i says how input i's error is spread over those to come.
        inverse = np.linalg.inv(spread[g][np.ix_(order, order)])
        upper = np.linalg.cholesky((inverse + inverse.T) / 2).T
        left, result = rows[own][:, order].copy(), np.empty_like(rows[own])
        for i in range(k):
            result[:, i] = np.clip(np.round(left[:, i] / steps[own, 0]), -MOST, MOST)
            error = (left[:, i] - result[:, i] * steps[own, 0]) / upper[i, i]
            left[:, i:] -= error[:, None] * upper[i, i:]
        rounded[own] = result[:, np.argsort(order)]
    lost = rows - rounded * steps
    return rounded, (lost * (mean if groups > 1 else mean[0])).sum(axis=1)


def _inputs(node: NodeProto, weights: list[int], value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Some positions' inputs: groups x positions x K, one group unless it is depthwise."""
    if node.op_type == "MatMul":
        x = value.reshape(-1, value.shape[-1])
        return x[rng.permutation(len(x))[:POSITIONS]].astype(np.float64)[None]
    given = {a.name: list(a.ints) or a.i for a in node.attribute}
    top, left, bottom, right = given.get("pads", [0, 0, 0, 0])
    down, across = given.get("strides", [1, 1])
    padded = np.pad(value[0], ((0, 0), (top, bottom), (left, right)))
    windows = sliding_window_view(padded, weights[2:], axis=(1, 2))[:, ::down, ::across]
    channels, height, width = windows.shape[:3]
    y, x = np.divmod(rng.permutation(height * width)[:POSITIONS], width)
    picked = windows[:, y, x].astype(np.float64).reshape(channels, len(y), -1)
    return picked if weights[1] == 1 < channels else picked.transpose(1, 0, 2).reshape(1, len(y), -1)


def _dequantized(node: NodeProto, at: int, made: dict[str, NodeProto], constants: dict[str, TensorProto]) -> bool:
    maker = made.get(node.input[at]) if len(node.input) > at else None
    return maker is not None and maker.op_type == "DequantizeLinear" and maker.input[0] in constants


class _Bias:
    """A layer's bias: 32-bit numbers of its own step, or floats in the Add behind a linear layer."""

    def __init__(self, layer: NodeProto, made: dict[str, NodeProto], read: dict[str, list[NodeProto]], constants: dict[str, TensorProto]):
        self.values: TensorProto | None = None
        self.steps: np.ndarray | None = None
        behind = read.get(layer.output[0], [])
        if layer.op_type == "Conv" and _dequantized(layer, 2, made, constants):
            maker = made[layer.input[2]]
            self.values, self.steps = constants[maker.input[0]], numpy_helper.to_array(constants[maker.input[1]]).astype(np.float64)
        elif layer.op_type == "MatMul" and len(behind) == 1 and behind[0].op_type == "Add":
            found = [constants[i] for i in behind[0].input if i in constants and len(constants[i].dims) == 1]
            self.values = found[0] if len(found) == 1 else None

    @property
    def exists(self) -> bool:
        return self.values is not None

    def add(self, what: np.ndarray) -> None:
        if self.values is None:
            return
        now = numpy_helper.to_array(self.values)
        changed = now + (what if self.steps is None else np.round(what / self.steps))
        self.values.CopyFrom(numpy_helper.from_array(changed.astype(now.dtype), self.values.name))
