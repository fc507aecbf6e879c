"""Weights rounded together: closer on real inputs than each to its nearest step, and the same file in everything else."""

import numpy as np
import onnx
import pytest
import torch
from conftest import NAMES, shaken
from onnx import helper, numpy_helper

from vigie_training.checkpoint import Weights
from vigie_training.data import DataSpec
from vigie_training.export import build
from vigie_training.network import Detector, NetworkConfig
from vigie_training.onnx_graph import producers
from vigie_training.quantization import choose_ranges, collect, compensate, make_plan, signal_to_noise, write_qdq
from vigie_training.quantization.ranges import watch
from vigie_training.quantization.rounding import MOST, Moments, _inputs, round_rows
from vigie_training.quantize import calibration_inputs


def moments(x: np.ndarray) -> Moments:
    """Of inputs groups x positions x K."""
    return Moments(x.shape[1], x.sum(axis=1), np.einsum("gnk,gnl->gkl", x, x))


def correlated(rng: np.random.Generator, groups: int, k: int) -> np.ndarray:
    """Inputs that go together, and not around zero."""
    return rng.normal(size=(groups, 2000, 4)) @ rng.normal(size=(groups, 4, k)) + 0.1 * rng.normal(size=(groups, 2000, k)) + 1.0


def test_errors_cancel_on_inputs_that_go_together():
    rng = np.random.default_rng(2)
    x, rows = correlated(rng, 1, 24), rng.normal(size=(6, 24))
    steps = np.full((6, 1), 0.2)
    rounded, lost = round_rows(rows, steps, moments(x), centred=True)
    nearest = np.round(rows / steps)
    assert (rounded == np.round(rounded)).all() and np.abs(rounded - nearest).max() > 0

    def noise(w):
        left = x[0] @ (rows - w * steps).T
        return (left - left.mean(axis=0)).var()

    assert noise(rounded) < 0.2 * noise(nearest)
    assert lost == pytest.approx((x[0] @ (rows - rounded * steps).T).mean(axis=0))


def test_each_channel_of_a_depthwise_convolution_has_inputs_of_its_own():
    rng = np.random.default_rng(3)
    x, rows = correlated(rng, 5, 9), rng.normal(size=(5, 9))
    steps = rng.uniform(0.1, 0.4, (5, 1))
    rounded, lost = round_rows(rows, steps, moments(x), centred=True)
    for c in range(5):
        own, mean = round_rows(rows[c : c + 1], steps[c : c + 1], moments(x[c : c + 1]), centred=True)
        assert (own[0] == rounded[c]).all() and mean[0] == pytest.approx(lost[c])


def test_no_weight_leaves_the_seven_bits_and_a_sign():
    rng = np.random.default_rng(4)
    rounded, _ = round_rows(rng.normal(size=(3, 8)), np.full((3, 1), 0.005), moments(correlated(rng, 1, 8)), centred=False)
    assert np.abs(rounded).max() == MOST


class InOrder:
    """Draws no lots: all positions are looked at as they stand."""

    def permutation(self, n: int) -> np.ndarray:
        return np.arange(n)


@pytest.mark.parametrize("group, stride, pads", [(1, 1, [1, 1, 1, 1]), (1, 2, [0, 1, 1, 0]), (4, 2, [1, 1, 1, 1])])
def test_inputs_are_what_the_convolution_multiplies(group, stride, pads):
    rng = np.random.default_rng(5)
    x, w = rng.normal(size=(1, 4, 7, 7)).astype(np.float32), rng.normal(size=(4, 4 // group, 3, 3)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=group, strides=[stride, stride], pads=pads)
    given = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)
    made = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "one", [given], [made], [numpy_helper.from_array(w, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    ((_, want),) = watch(model, ["y"], [x])
    got = np.einsum("gnk,gmk->gmn", _inputs(node, list(w.shape), x, InOrder()), w.reshape(group, -1, 9 * 4 // group))
    assert got.reshape(want.shape) == pytest.approx(want, abs=1e-4)


@pytest.mark.parametrize("layout", ["raw", "stock"])
def test_a_network_is_closer_to_float_and_the_graph_the_same(coco, layout):
    torch.manual_seed(5)
    config = NetworkConfig.load("xxs")
    model = build(Weights(shaken(Detector(2, config)).state_dict(), NAMES, config, step=12, epoch=1.5), (64, 128), layout)
    pictures = calibration_inputs(DataSpec.load(coco).read("train").subset(6), model)
    plan = make_plan(model)
    nearest = write_qdq(model, plan, choose_ranges(plan, collect(model, plan.tensors, pictures), "mse"))
    together = onnx.ModelProto.FromString(nearest.SerializeToString())
    assert compensate(together, model, pictures) > 90
    assert [n.SerializeToString() for n in together.graph.node] == [n.SerializeToString() for n in nearest.graph.node]
    ratios = [np.mean(list(signal_to_noise(model, int8, plan, pictures, {}).values())) for int8 in (nearest, together)]
    assert ratios[1] > ratios[0] + 0.5, ratios
    before, after = ({i.name: i for i in m.graph.initializer} for m in (nearest, together))
    assert {n: (t.data_type, list(t.dims)) for n, t in before.items()} == {n: (t.data_type, list(t.dims)) for n, t in after.items()}
    changed = {n for n in before if before[n].SerializeToString() != after[n].SerializeToString()}
    of_steps = {i for n in together.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear") for i in n.input[1:]}
    assert not changed & of_steps
    stem = next(n for n in together.graph.node if n.op_type == "Conv")
    assert (producers(together)[stem.input[1]].input[0] in changed) == (layout == "raw")
