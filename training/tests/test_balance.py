"""Channels made even before quantization: the same network in floats, and a better one in bytes."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from conftest import NAMES, shaken
from onnx import helper, numpy_helper

from vigie_training.checkpoint import Weights
from vigie_training.data import DataSpec
from vigie_training.export import build
from vigie_training.network import Detector, NetworkConfig
from vigie_training.onnx_graph import producers
from vigie_training.quantization import balance, choose_ranges, collect, make_plan, signal_to_noise, table, write_qdq
from vigie_training.quantization.channels import trace
from vigie_training.quantization.ranges import watch
from vigie_training.quantize import calibration_inputs


def unequal(detector: Detector) -> Detector:
    """The same function, its expanded channels up to a thousand times apart: what a backbone from elsewhere looks like."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, module in detector.named_modules():
            if name.startswith("backbone.stage") and name.endswith((".conv.0.1", ".conv.1.1")):
                spread = 10 ** (torch.rand(module.weight.shape, generator=generator) * 2 - 1.5)
                module.weight *= spread
                module.bias *= spread
    return detector


@pytest.fixture(scope="module")
def raw():
    torch.manual_seed(5)
    config = NetworkConfig.load("xxs")
    return build(Weights(unequal(shaken(Detector(2, config))).state_dict(), NAMES, config, step=12, epoch=1.5), (64, 128), "raw")


@pytest.fixture(scope="module")
def pictures(raw, coco):
    return calibration_inputs(DataSpec.load(coco).read("train").subset(6), raw)


@pytest.fixture(scope="module")
def balanced(raw, pictures):
    return balance(raw, pictures)


def run(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"images": x})


def test_the_network_computes_the_same_in_floats(raw, balanced, pictures):
    model, divisors = balanced
    for got, want in zip(run(model, pictures[0]), run(raw, pictures[0])):
        assert np.abs(got - want).max() < 2e-3 * want.std()
    assert {"box8", "cls8"} & set(divisors) and all((divisors[o.name] == 1).all() for o in raw.graph.output)
    assert len(model.graph.output) == 6 and [o.name for o in model.graph.output] == [o.name for o in raw.graph.output]


def test_int8_is_closer_to_float(raw, balanced, pictures):
    ratios = []
    for model, divisors in ((raw, {}), balanced):
        plan = make_plan(model)
        int8 = write_qdq(model, plan, choose_ranges(plan, collect(model, plan.tensors, pictures), "mse"))
        ratios.append(signal_to_noise(raw, int8, plan, pictures[:2], divisors))
    before, after = ratios
    depthwise = [n for n in before if ".0/conv/conv.1/" in n]
    assert len(depthwise) >= 4 and np.mean([after[n] - before[n] for n in depthwise]) > 6
    assert np.mean(list(after.values())) > np.mean(list(before.values()))
    assert table(after).splitlines()[0].startswith("signal to noise") and len(table(after).splitlines()) == len(after) + 1


def test_vectors_stand_between_silu_and_quantize_linear_and_nowhere_else(raw, balanced, pictures):
    model, _ = balanced
    plan = make_plan(model)
    int8 = write_qdq(model, plan, choose_ranges(plan, collect(model, plan.tensors, pictures), "mse"))
    made, constants = producers(int8), {i.name: numpy_helper.to_array(i) for i in int8.graph.initializer}
    vectors = [n for n in int8.graph.node if n.op_type == "Mul" and n.input[1] in constants and constants[n.input[1]].size > 1]
    assert len(vectors) > 40
    for node in vectors:
        assert made[node.input[0]].op_type == "Mul"
        assert {n.op_type for n in int8.graph.node if node.output[0] in n.input} == {"QuantizeLinear"}
        factors = constants[node.input[1]]
        assert factors.dtype == np.float32 and (factors > 0).all() and np.isfinite(factors).all()
        assert factors.shape in ((factors.size,), (1, factors.size, 1, 1))


def small(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], outputs: list[str]) -> onnx.ModelProto:
    """A graph with an 1 x 4 x 6 x 6 input `x`."""
    given = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4, 6, 6])
    made = [helper.make_tensor_value_info(o, onnx.TensorProto.FLOAT, None) for o in outputs]
    constants = [numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights.items()]
    model = helper.make_model(helper.make_graph(nodes, "small", [given], made, constants), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def wide(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape) * 10 ** rng.uniform(-2, 1, (shape[0], *[1] * (len(shape) - 1)))


def test_factors_pass_through_what_moves_or_adds_and_stop_at_what_does_not():
    rng = np.random.default_rng(1)
    weights = {"a": wide(rng, 8, 4, 1, 1), "b": wide(rng, 8, 8, 3, 3), "c": wide(rng, 4, 16, 1, 1), "d": wide(rng, 4, 2, 1, 1), "bias": wide(rng, 8)}
    nodes = [
        helper.make_node("Conv", ["x", "a", "bias"], ["p"], name="p"),
        helper.make_node("Conv", ["p", "b", "bias"], ["q"], name="q", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["p", "q"], ["sum"], name="sum"),
        helper.make_node("MaxPool", ["sum"], ["pool"], name="pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Concat", ["pool", "p"], ["all"], name="all", axis=1),
        helper.make_node("Conv", ["all", "c"], ["r"], name="r"),
        # Nobody undoes a division in front of these.
        helper.make_node("Conv", ["r", "d"], ["s"], name="s", group=2),
        helper.make_node("Relu", ["q"], ["t"], name="t"),
    ]
    both = small(nodes, weights, ["s", "t"])
    found = trace(both)
    assert [m.output for m in found.makers] == ["p", "q", "r", "s"] and [n.name for n in found.readers] == ["q", "r"]
    roots = found.roots()
    assert (roots[found.factors["p"]] == roots[found.factors["pool"]]).all()
    x = rng.normal(size=(1, 4, 6, 6)).astype(np.float32)
    model, divisors = balance(both, [x])
    assert all((divisors[t] == 1).all() for t in ("p", "q", "r", "s"))
    # Without the Relu everything up to `r` is free.
    free = small(nodes[:-1], weights, ["s"])
    model, divisors = balance(free, [x])
    assert (divisors["p"] != 1).all() and (divisors["p"] == divisors["sum"]).all() and (divisors["r"] == 1).all()
    for (name, got), (_, want) in zip(watch(model, ["s", "sum"], [x]), watch(free, ["s", "sum"], [x])):
        assert np.abs(got * divisors[name].reshape(-1, 1, 1) - want).max() < 1e-4 * np.abs(want).max()


def test_a_channel_that_slept_is_not_blown_up():
    rng = np.random.default_rng(1)
    first = wide(rng, 8, 4, 1, 1)
    first[3] = 0
    nodes = [helper.make_node("Conv", ["x", "a"], ["p"], name="p"), helper.make_node("Conv", ["p", "b"], ["q"], name="q", group=8)]
    model = small(nodes, {"a": first, "b": rng.normal(size=(8, 1, 3, 3))}, ["q"])
    _, divisors = balance(model, [rng.normal(size=(1, 4, 6, 6)).astype(np.float32)])
    assert divisors["p"][3] == pytest.approx(1e-3 * divisors["p"].max())
