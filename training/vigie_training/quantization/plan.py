"""Decides which nodes of a detector are quantized, and which tensors must share a scale.

Integers: convolutions, linear layers, and what only moves their values about (concatenation, nearest-neighbour upsampling, max-pool,
split). Floats: layer norm, softmax, the two products of attention, the residual stream of the transformers, activation functions, the
decoding behind the heads. So a quantized tensor is always the *result* of convolution + SiLU (or + residual), never the middle:
an engine can do convolution, SiLU and requantization in one, and nothing is rounded twice.
"""

from dataclasses import dataclass

from onnx import ModelProto, NodeProto

from ..errors import InputError
from ..onnx_graph import consumers, initializer_names, producers

WEIGHTED = ("Conv", "MatMul")
MOVERS = ("Concat", "Resize", "MaxPool", "Split")
ELEMENTWISE = ("Sigmoid", "Mul", "Add")


@dataclass
class Plan:
    """What will be quantized."""

    nodes: list[str]
    """Names of the nodes that run on integers."""
    tensors: list[str]
    """Activations that need a range."""
    groups: list[list[str]]
    """Tensors that share one scale and zero point, because an op moves values between them unchanged."""
    fixed: dict[str, tuple[float, float]]
    """Ranges that are known, not measured: the pixels."""
    style: str
    balanced: bool = False
    """Whether the model's channels were divided before."""


def make_plan(model: ModelProto, style: str = "fused", shared_concat: bool = True) -> Plan:
    """`fused` quantizes behind the activation functions (for Vigie's engine); `every-op` around every operation (for runtimes that only
    know single quantized ops, such as onnxruntime)."""
    constants, makers, readers = initializer_names(model), producers(model), consumers(model)
    nodes = [n for n in model.graph.node if _has_weights(n, constants)]
    if not nodes:
        raise InputError("the model has no convolution and no linear layer to quantize")
    weighted = {n.name for n in nodes}
    nodes += [n for n in model.graph.node if n.op_type in MOVERS and _feeds(n, weighted, readers)]
    if style == "every-op":
        nodes += [
            n for n in model.graph.node if n.op_type in ELEMENTWISE and _behind(n, weighted, makers, constants) and _feeds(n, weighted, readers)
        ]
    order = {n.name: i for i, n in enumerate(model.graph.node)}
    nodes.sort(key=lambda n: order[n.name])

    measured: dict[str, None] = {}
    merged = _Groups()
    for node in nodes:
        touched = [i for i in node.input if i and i not in constants]
        if node.op_type in MOVERS:
            first = node.input[0]
            touched = [first, *node.output] if node.op_type != "Concat" else [*node.input, *node.output]
            if node.op_type != "Concat" or shared_concat:
                for other in touched:
                    merged.join(first, other)
        elif style == "every-op":
            touched += node.output
        measured.update(dict.fromkeys(touched))
    pixels = _pixel_tensors(model, makers)
    return Plan(
        [n.name for n in nodes], list(measured), merged.lists(), {t: (0.0, 1.0) for t in measured if t in pixels}, style
    )  # fmt: skip


def _has_weights(node: NodeProto, constants: set[str]) -> bool:
    return node.op_type in WEIGHTED and node.input[1] in constants


def _feeds(node: NodeProto, weighted: set[str], readers: dict[str, list[NodeProto]]) -> bool:
    """Whether a quantized convolution reads the result, through movers and element-wise ops at most."""
    pending, seen = [node], set()
    while pending:
        for output in pending.pop().output:
            for reader in readers.get(output, []):
                if reader.name in weighted:
                    return True
                if reader.op_type in MOVERS + ELEMENTWISE and reader.name not in seen:
                    seen.add(reader.name)
                    pending.append(reader)
    return False


def _behind(node: NodeProto, weighted: set[str], makers: dict[str, NodeProto], constants: set[str]) -> bool:
    """Whether an element-wise op belongs to a convolution: it reads one's result, directly or through another of them."""
    pending, seen = [node], set()
    while pending:
        for name in pending.pop().input:
            maker = makers.get(name)
            if maker is None or maker.name in seen:
                continue
            if maker.op_type == "Conv" and maker.name in weighted:
                return True
            if maker.op_type in ELEMENTWISE:
                seen.add(maker.name)
                pending.append(maker)
    return False


def _pixel_tensors(model: ModelProto, makers: dict[str, NodeProto]) -> set[str]:
    """The input scaled to 0..1: itself, or the product behind its cast."""
    image = model.graph.input[0].name
    cast = {n.output[0] for n in model.graph.node if n.op_type == "Cast" and n.input[0] == image}
    return {image} | {n.output[0] for n in model.graph.node if n.op_type == "Mul" and cast & set(n.input)}


class _Groups:
    """Union-find over tensor names."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def root(self, name: str) -> str:
        self.parent.setdefault(name, name)
        while self.parent[name] != name:
            name = self.parent[name]
        return name

    def join(self, a: str, b: str) -> None:
        self.parent[self.root(b)] = self.root(a)

    def lists(self) -> list[list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.parent:
            found.setdefault(self.root(name), []).append(name)
        return [g for g in found.values() if len(g) > 1]
