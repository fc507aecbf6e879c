"""Divides channels by factors of their own before they share one 8-bit scale, without changing what the network computes.

A tensor has one scale for all its channels. In a network that began with ImageNet's weights some channels of a tensor are hundreds of times
larger than others, and rounding leaves the small ones nothing. So channel c is divided by d[c] where it is made, and the weights
that read it are multiplied by d[c] (SmoothQuant: Xiao et al., 2022). For those weights it costs precision if d[c] is large, so d is a
compromise; a depthwise convolution has a weight scale for each channel, and its input is made fully even.

Where the division goes: into the weights and bias of a convolution or linear layer that no activation follows, into the gain and bias
of a LayerNorm, and behind SiLU into a Mul by a constant vector, which an engine adds to what it multiplies by anyway. Concatenation,
splitting, max-pool, nearest-neighbour upsampling and shortcuts hand the factors on.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from ..onnx_graph import consumers, initializer_names
from .ranges import watch

SHARE = 0.75
"""How much of a channel's range dense weights take over, as an exponent; the rest is left to the activation."""
TYPICAL = 0.9
"""A channel's range is what this share of the pictures stays within; of the largest value anywhere one picture decides."""
LEAST = 1e-3
"""A channel counts as at least this part of its tensor's largest, so that one that slept in all pictures may wake up."""
HANDS_ON = ("MaxPool", "Resize")


@dataclass
class Maker:
    """What a channel's division is folded into."""

    kind: str
    """`weights` of a Conv or MatMul, `norm`, or `silu`: a Mul behind it."""
    node: NodeProto
    bias: NodeProto | None
    """The Add of a MatMul's bias."""
    output: str
    axes: int
    """4 of pictures, whose channels stand second; 3 or less of rows, where they stand last."""


@dataclass
class Trace:
    """Which channels of which tensors must be divided by the same factor, and who makes and reads them."""

    factors: dict[str, np.ndarray] = field(default_factory=dict)
    """For each tensor, the number of each channel's factor."""
    makers: list[Maker] = field(default_factory=list)
    readers: list[NodeProto] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    """Union-find: factors that were found to be the same."""
    pinned: list[np.ndarray] = field(default_factory=list)
    """Factors that have to be 1: somebody reads the channels who can't undo the division."""

    def fresh(self, channels: int) -> np.ndarray:
        """Factors that nothing is known of yet."""
        first = len(self.parents)
        self.parents.extend(range(first, first + channels))
        return np.arange(first, first + channels)

    def join(self, a: np.ndarray, b: np.ndarray) -> None:
        """Channel by channel the same factor."""
        for x, y in zip(a, b):
            self.parents[self._root(y)] = self._root(x)

    def _root(self, i: int) -> int:
        while self.parents[i] != i:
            self.parents[i] = i = self.parents[self.parents[i]]
        return i

    def roots(self) -> np.ndarray:
        """The representative of each factor."""
        return np.array([self._root(i) for i in range(len(self.parents))], dtype=np.int64)


def trace(model: ModelProto) -> Trace:
    """Follow channels from where they are made to where they are read."""
    found = _Follower(model)
    for node in model.graph.node:
        found.follow(node)
    outputs = {o.name for o in model.graph.output}
    found.trace.pinned += [f for t, f in found.trace.factors.items() if t in outputs]
    return found.trace


class _Follower:
    def __init__(self, model: ModelProto) -> None:
        self.trace = Trace()
        self.constants, self.readers = initializer_names(model), consumers(model)
        self.shapes = {i.name: list(i.dims) for i in model.graph.initializer}
        for value in [*model.graph.value_info, *model.graph.output]:
            self.shapes[value.name] = [d.dim_value for d in value.type.tensor_type.shape.dim]
        self.biases: set[str] = set()

    def follow(self, node: NodeProto) -> None:
        factors, output = self.trace.factors, node.output[0] if node.output else ""
        data = [i for i in node.input if i and i not in self.constants]
        if has_weights(node, self.constants):
            self.read(node)
            bias = self.bias_behind(node)
            made = bias.output[0] if bias else output
            if self.silu_behind(made) is None:
                self.make("weights", node, bias, made)
        elif output in self.biases or (node.op_type == "Sigmoid" and self.silu_behind(node.input[0]) is not None):
            pass
        elif node.op_type == "Mul" and any(self.silu_behind(i) == output for i in data):
            self.make("silu", node, None, output)
        elif node.op_type == "LayerNormalization" and all(i in self.constants for i in node.input[1:]):
            self.pin(data)
            self.make("norm", node, None, output)
        elif not all(i in factors for i in data) or not data:
            self.pin(data)
        elif node.op_type == "Add" and len(data) == 2 and len(factors[data[0]]) == len(factors[data[1]]):
            self.trace.join(factors[data[0]], factors[data[1]])
            factors[output] = factors[data[0]]
        elif node.op_type == "Concat" and axis(node) == 1:
            factors[output] = np.concatenate([factors[i] for i in data])
        elif node.op_type == "Split" and axis(node) == 1:
            ends = np.cumsum([self.channels(o) for o in node.output])[:-1]
            factors.update(zip(node.output, np.split(factors[data[0]], ends)))
        elif node.op_type in HANDS_ON and len(node.output) == 1:
            factors[output] = factors[data[0]]
        else:
            self.pin(data)

    def pin(self, tensors: list[str]) -> None:
        self.trace.pinned += [self.trace.factors[t] for t in tensors if t in self.trace.factors]

    def make(self, kind: str, node: NodeProto, bias: NodeProto | None, output: str) -> None:
        if self.channels(output):
            self.trace.factors[output] = self.trace.fresh(self.channels(output))
            self.trace.makers.append(Maker(kind, node, bias, output, len(self.shapes[output])))

    def read(self, node: NodeProto) -> None:
        """A convolution or linear layer whose weights can undo the division."""
        if node.input[0] not in self.trace.factors:
            return
        inside, given = self.shapes[node.input[1]], len(self.trace.factors[node.input[0]])
        depth = inside[0] if node.op_type == "MatMul" or is_depthwise(node, inside) else inside[1]
        if depth == given and (node.op_type == "MatMul" or group(node) == 1 or is_depthwise(node, inside)):
            self.trace.readers.append(node)
        else:
            self.pin([node.input[0]])

    def channels(self, name: str) -> int:
        """Of pictures, or of rows; 0 where that isn't known."""
        shape = self.shapes.get(name, [])
        return 0 if len(shape) < 3 or 0 in shape else shape[1] if len(shape) == 4 else shape[-1]

    def bias_behind(self, node: NodeProto) -> NodeProto | None:
        readers = self.readers.get(node.output[0], [])
        if node.op_type != "MatMul" or len(readers) != 1 or readers[0].op_type != "Add":
            return None
        add = readers[0]
        if sum(i in self.constants and len(self.shapes[i]) == 1 for i in add.input) != 1:
            return None
        self.biases.add(add.output[0])
        return add

    def silu_behind(self, name: str) -> str | None:
        """The result of x · sigmoid(x), where nothing else reads x."""
        readers = self.readers.get(name, [])
        if sorted(r.op_type for r in readers) != ["Mul", "Sigmoid"]:
            return None
        mul, sigmoid = sorted(readers, key=lambda r: r.op_type)
        whole = set(mul.input) == {name, sigmoid.output[0]} and len(self.readers.get(sigmoid.output[0], [])) == 1
        return mul.output[0] if whole else None


def has_weights(node: NodeProto, constants: set[str]) -> bool:
    """Whether it is a convolution or a linear layer."""
    return node.op_type in ("Conv", "MatMul") and node.input[1] in constants


def axis(node: NodeProto) -> int:
    """The attribute `axis`, 0 where it is missing."""
    return next((a.i for a in node.attribute if a.name == "axis"), 0)


def group(node: NodeProto) -> int:
    """A convolution's groups."""
    return next((a.i for a in node.attribute if a.name == "group"), 1)


def is_depthwise(node: NodeProto, weights: list[int]) -> bool:
    """One channel in for each channel out."""
    return node.op_type == "Conv" and weights[1] == 1 and group(node) == weights[0] > 1


def balance(model: ModelProto, pictures: Iterable[np.ndarray], threads: int = 1) -> tuple[ModelProto, dict[str, np.ndarray]]:
    """-> the same network with its channels divided, and what each tensor's channels are divided by where it has kept its name.

    `pictures` are the model's inputs, as for `collect`.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    found = trace(result)
    divisors = _choose(result, found, _ranges(model, list(found.factors), pictures, threads))
    _Writer(result, found, divisors).write()
    result = onnx.shape_inference.infer_shapes(result, strict_mode=True)
    behind_silu = {m.output for m in found.makers if m.kind == "silu"}
    return result, {t: divisors[f] for t, f in found.factors.items() if t not in behind_silu}


def _ranges(model: ModelProto, tensors: list[str], pictures: Iterable[np.ndarray], threads: int) -> dict[str, np.ndarray]:
    """The largest absolute value of every channel in a typical picture."""
    largest: dict[str, list[np.ndarray]] = {}
    for name, value in watch(model, tensors, pictures, threads):
        axes = (0, 2, 3) if value.ndim == 4 else tuple(range(value.ndim - 1))
        largest.setdefault(name, []).append(np.abs(value).max(axis=axes))
    return {name: np.quantile(values, TYPICAL, axis=0) for name, values in largest.items()}


def _choose(model: ModelProto, found: Trace, ranges: dict[str, np.ndarray]) -> np.ndarray:
    """What each factor's channels are divided by: activations^SHARE / weights^(1 - SHARE), or the activations where no dense weights read."""
    roots = found.roots()
    count = len(roots)
    activations, weights, free = np.full(count, 1e-20), np.zeros(count), np.ones(count, bool)
    for name, values in ranges.items():
        np.maximum.at(activations, roots[found.factors[name]], np.maximum(values, LEAST * values.max()))
    constants = {i.name: i for i in model.graph.initializer}
    for node in found.readers:
        w = np.abs(numpy_helper.to_array(constants[node.input[1]]))
        if not is_depthwise(node, list(w.shape)):
            column = w.max(axis=(0, 2, 3)) if node.op_type == "Conv" else w.max(axis=1)
            np.maximum.at(weights, roots[found.factors[node.input[0]]], np.maximum(column, LEAST * column.max()))
    for factors in found.pinned:
        free[roots[factors]] = False
    shared = activations**SHARE / np.where(weights > 0, weights, 1.0) ** (1 - SHARE)
    return np.where(free, np.where(weights > 0, shared, activations), 1.0)[roots]


class _Writer:
    """Folds divisors into a graph."""

    def __init__(self, model: ModelProto, found: Trace, divisors: np.ndarray) -> None:
        self.graph, self.found, self.divisors = model.graph, found, divisors
        self.constants = {i.name: i for i in model.graph.initializer}
        self.uses: dict[str, int] = {}
        for node in model.graph.node:
            for name in node.input:
                self.uses[name] = self.uses.get(name, 0) + 1

    def write(self) -> None:
        for node in self.found.readers:
            d = self.divisors[self.found.factors[node.input[0]]]
            depthwise = is_depthwise(node, list(self.constants[node.input[1]].dims))
            self.multiply(node, 1, d, 0 if node.op_type == "MatMul" or depthwise else 1)
        behind: dict[str, NodeProto] = {}
        for maker in self.found.makers:
            d = self.divisors[self.found.factors[maker.output]]
            if maker.kind == "silu":
                if (d != 1).any():
                    behind[maker.output] = self.factors(maker, 1 / d)
                continue
            self.multiply(maker.node, 1, 1 / d, 1 if maker.node.op_type == "MatMul" else 0)
            if maker.bias is not None:
                self.multiply(maker.bias, int(maker.bias.input[1] in self.constants), 1 / d, 0)
            elif len(maker.node.input) > 2:
                self.multiply(maker.node, 2, 1 / d, 0)
        nodes = []
        for node in self.graph.node:
            for i, name in enumerate(node.input):
                if name in behind:
                    node.input[i] = behind[name].output[0]
            nodes += [node, *(behind[o] for o in node.output if o in behind)]
        del self.graph.node[:]
        self.graph.node.extend(nodes)

    def multiply(self, node: NodeProto, at: int, by: np.ndarray, along: int) -> None:
        """A constant input along an axis; a copy of it where others read it too."""
        if (by == 1).all():
            return
        constant = self.constants[node.input[at]]
        values = numpy_helper.to_array(constant)
        by = by.reshape([-1 if i == along else 1 for i in range(values.ndim)])
        values = (values.astype(np.float64) * by).astype(np.float32)
        if self.uses[constant.name] > 1:
            self.uses[constant.name] -= 1
            node.input[at] = f"{constant.name}/{node.name}"
            self.uses[node.input[at]] = 1
            self.graph.initializer.append(numpy_helper.from_array(values, node.input[at]))
            self.constants[node.input[at]] = self.graph.initializer[-1]
        else:
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))

    def factors(self, maker: Maker, by: np.ndarray) -> NodeProto:
        """A Mul by a constant vector, for behind a SiLU."""
        name = maker.output
        values = by.astype(np.float32).reshape((1, -1, 1, 1) if maker.axes == 4 else (-1,))
        self.graph.initializer.append(numpy_helper.from_array(values, f"{name}/factors"))
        return helper.make_node("Mul", [name, f"{name}/factors"], [f"{name}/divided"], name=f"{maker.node.name}/channels")
