"""The ONNX files against PyTorch, and what is quantized in them."""

import ast
import copy
import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from conftest import NAMES, shaken
from onnx import numpy_helper

from vigie_training.checkpoint import Weights, load_weights, save_weights
from vigie_training.data import DataSpec
from vigie_training.errors import InputError
from vigie_training.export import RAW_OUTPUTS, build, compare, main, parse_size
from vigie_training.golden import drawn_picture, write_golden
from vigie_training.network import Detector, NetworkConfig, RawPixels
from vigie_training.onnx_graph import get_metadata, producers, set_metadata
from vigie_training.quantization import METHODS, choose_ranges, collect, make_plan, write_qdq
from vigie_training.quantization.ranges import BINS, least_squares, percentile
from vigie_training.quantize import calibration_inputs


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(5)
    config = NetworkConfig.load("xxs")
    return Weights(shaken(Detector(2, config)).state_dict(), NAMES, config, step=12, epoch=1.5)


@pytest.fixture(scope="module")
def raw(weights):
    return build(weights, (64, 128), "raw")


def run(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"images": x})


def test_raw_layout(raw, weights):
    image = raw.graph.input[0]
    assert image.name == "images" and image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [o.name for o in raw.graph.output] == RAW_OUTPUTS == ["box8", "cls8", "box16", "cls16", "box32", "cls32"]
    assert [(o.domain, o.version) for o in raw.opset_import] == [("", 17)]
    assert not any(n.op_type == "BatchNormalization" for n in raw.graph.node)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 128), dtype=np.uint8)
    with torch.no_grad():
        wanted = RawPixels(weights.detector())(torch.from_numpy(pixels))
    for got, want in zip(run(raw, pixels), wanted):
        assert np.abs(got - want.numpy()).max() < 1e-3


def test_stock_layout(weights):
    model = build(weights, (64, 64), "stock")
    assert [o.name for o in model.graph.output] == ["output0"]
    out = run(model, np.zeros((1, 3, 64, 64), np.float32))[0]
    assert out.shape == (1, 4 + 2, 64 + 16 + 4) and out.dtype == np.float32
    assert (out[:, 4:] >= 0).all() and (out[:, 4:] <= 1).all()


def test_metadata(raw):
    meta = get_metadata(raw)
    assert ast.literal_eval(meta["names"]) == {0: "disc", 1: "square"}
    assert ast.literal_eval(meta["imgsz"]) == [64, 128]
    assert meta["task"] == "detect" and meta["stride"] == "32"
    assert meta["vigie.layout"] == "raw" and meta["vigie.reg_max"] == "16" and meta["vigie.version"]


def test_golden_outputs_are_those_of_the_drawn_picture(raw):
    pixels = drawn_picture(320, 320)
    # The same figures stand in the daemon's test of its own drawing.
    assert pixels[0, 0].tolist() == [0, 0, 0] and pixels[3, 17].tolist() == [58, 69, 80] and pixels[319, 319].tolist() == [243, 156, 70]
    assert int(pixels.astype(int).sum()) == 38_938_720
    golden = json.loads(get_metadata(raw)["vigie.golden"])
    outputs = run(raw, np.ascontiguousarray(drawn_picture(64, 128).transpose(2, 0, 1)[None]))
    assert golden["size"] == [64, 128] and len(golden["boxes"]) == len(golden["classes"]) == 256
    boxes = np.concatenate([o.ravel() for o in outputs[0::2]])
    assert golden["boxes"][3] == pytest.approx(float(boxes[7 * boxes.size // 512]), rel=1e-4)


def test_golden_outputs_of_a_model_from_elsewhere(raw, tmp_path):
    bare, path = copy.deepcopy(raw), tmp_path / "bare.onnx"
    set_metadata(bare, {k: v for k, v in get_metadata(raw).items() if k != "vigie.golden"})
    onnx.save(bare, path)
    write_golden(path, None, beside=True)
    written = json.loads((tmp_path / "bare.onnx.golden.json").read_text())
    assert written == json.loads(get_metadata(raw)["vigie.golden"])
    assert "vigie.golden" not in get_metadata(onnx.load(path))
    write_golden(path, 0.05, beside=False)
    assert json.loads(get_metadata(onnx.load(path))["vigie.golden"]) == written | {"tolerance": 0.05}
    path.write_bytes(b"no model")
    with pytest.raises(InputError, match="not an ONNX file"):
        write_golden(path, None, beside=False)


def test_no_tensor_has_more_than_four_axes(raw):
    assert max(len(v.type.tensor_type.shape.dim) for v in raw.graph.value_info) == 4


def test_an_export_that_differs_is_refused(raw):
    wrong = copy.deepcopy(raw)
    bias = next(i for i in wrong.graph.initializer if i.name.endswith("head.cls.0.2.bias"))
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 0.1, bias.name))
    x = np.zeros((1, 3, 64, 128), np.uint8)
    with pytest.raises(InputError, match=r"output cls8 differs from PyTorch by up to 0.1"):
        compare(wrong, x, run(raw, x), "raw")


def test_sizes_are_checked():
    assert parse_size("320") == (320, 320) and parse_size("256x448") == (256, 448)
    for bad in ("300", "0", "big", "64x64x64"):
        with pytest.raises(InputError, match="multiples of 64"):
            parse_size(bad)


def test_safetensors_hold_all_that_is_needed(weights, tmp_path):
    save_weights(weights, tmp_path / "w.safetensors")
    again = load_weights(tmp_path / "w.safetensors")
    assert again.names == NAMES and again.config == weights.config and again.step == 12
    assert all(torch.equal(again.state[k], v) for k, v in weights.state.items())
    (tmp_path / "bad.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="is not a checkpoint"):
        load_weights(tmp_path / "bad.pt")


@pytest.fixture(scope="module")
def calibrated(raw, coco):
    plan = make_plan(raw)
    inputs = calibration_inputs(DataSpec.load(coco).read("train").subset(6), raw)
    return plan, collect(raw, plan.tensors, inputs), inputs


def test_int8_says_what_float_says(raw, calibrated):
    plan, found, inputs = calibrated
    int8 = write_qdq(raw, plan, choose_ranges(plan, found, "minmax"))
    assert len(int8.SerializeToString()) < 0.4 * len(raw.SerializeToString())
    for got, want in zip(run(int8, inputs[0]), run(raw, inputs[0])):
        noise = np.sqrt(np.mean((got - want) ** 2)) / want.std()
        assert noise < 0.25, noise


def test_quantized_values_are_results_never_intermediates(raw, calibrated):
    plan, found, _ = calibrated
    int8 = write_qdq(raw, plan, choose_ranges(plan, found, "percentile"))
    made = producers(int8)
    constants = {i.name: numpy_helper.to_array(i) for i in int8.graph.initializer}

    def from_integers(name: str) -> bool:
        return made[name].op_type == "DequantizeLinear"

    kinds = {"Conv": 0, "MatMul": 0, "attention": 0}
    for node in int8.graph.node:
        if node.op_type == "Conv":
            kinds["Conv"] += 1
            assert all(from_integers(i) for i in node.input)
            weight = made[node.input[1]]
            assert constants[weight.input[0]].dtype == np.int8 and constants[weight.input[1]].shape == constants[weight.input[0]].shape[:1]
            assert constants[made[node.input[2]].input[0]].dtype == np.int32
        elif node.op_type == "MatMul":
            linear = from_integers(node.input[0]) and from_integers(node.input[1])
            assert linear or not (from_integers(node.input[0]) or from_integers(node.input[1]))
            kinds["MatMul" if linear else "attention"] += 1
        elif node.op_type in ("Sigmoid", "Softmax", "LayerNormalization"):
            assert not from_integers(node.input[0])
        elif node.op_type == "QuantizeLinear":
            assert constants[node.input[2]].dtype == np.int8 and constants[node.input[1]].shape == ()
    assert kinds == {"Conv": 72, "MatMul": 36, "attention": 18}


def test_what_only_moves_values_has_one_scale(raw, calibrated):
    plan, found, _ = calibrated
    int8 = write_qdq(raw, plan, choose_ranges(plan, found, "mse"))
    made = producers(int8)
    constants = {i.name: numpy_helper.to_array(i).item() for i in int8.graph.initializer if not i.dims}
    seen = 0
    for node in int8.graph.node:
        if node.op_type not in ("Concat", "Split", "MaxPool", "Resize"):
            continue
        pairs = {tuple(constants[c] for c in made[i].input[1:]) for i in node.input if i in made}
        pairs |= {tuple(constants[c] for c in q.input[1:]) for q in int8.graph.node if q.op_type == "QuantizeLinear" and q.input[0] in node.output}
        assert len(pairs) == 1, node.name
        seen += 1
    assert seen == 21


def test_pixels_are_quantized_without_loss(raw, calibrated):
    plan, found, _ = calibrated
    int8 = write_qdq(raw, plan, choose_ranges(plan, found, "mse"))
    constants = {i.name: numpy_helper.to_array(i) for i in int8.graph.initializer}
    first = next(n for n in int8.graph.node if n.op_type == "QuantizeLinear")
    assert constants[first.input[1]] == np.float32(1 / 255) and constants[first.input[2]] == -128


def test_unsigned_activations_are_the_signed_ones_shifted(raw, calibrated):
    plan, found, inputs = calibrated
    ranges = choose_ranges(plan, found, "percentile")
    signed, unsigned = write_qdq(raw, plan, ranges), write_qdq(raw, plan, ranges, unsigned=True)
    zero_points = [
        {n.output[0]: i for n in m.graph.node if n.op_type == "QuantizeLinear" for i in [constants[n.input[2]]]}
        for m, constants in ((m, {i.name: numpy_helper.to_array(i) for i in m.graph.initializer}) for m in (signed, unsigned))
    ]
    assert len(zero_points[0]) == len(zero_points[1]) > 50
    for a, b in zip(*(z.values() for z in zero_points)):
        assert b.dtype == np.uint8 and int(a) + 128 == int(b)
    for got, want in zip(run(unsigned, inputs[0]), run(signed, inputs[0])):
        assert np.abs(got - want).max() < 0.2 * want.std()


def test_range_methods_on_a_known_histogram():
    counts = np.zeros(BINS, np.int64)
    counts[:1024] = 1000  # values 0 to 1 evenly
    counts[-1] = 1  # and one stray at 2
    assert percentile(0.9999)(0.0, 2.0, counts) == pytest.approx((0, 1), abs=0.01)
    low, high = least_squares(0.0, 2.0, counts)
    assert low == 0 and 0.95 < high < 1.1
    assert METHODS["minmax"](0.0, 2.0, counts) == (0, 2)


def test_the_mean_of_two_runs_is_exported(weights, tmp_path, monkeypatch):
    torch.manual_seed(6)
    other = replace(weights, state=shaken(Detector(2, weights.config)).state_dict(), step=40)
    for name, w in (("a", weights), ("b", other)):
        save_weights(w, tmp_path / f"{name}.safetensors")
    a, b, out = (str(tmp_path / f"{name}.safetensors") for name in ("a", "b", "mean"))
    monkeypatch.setattr("sys.argv", ["vigie-export", b, a, "--weights", out])
    main()
    mean = load_weights(out)
    assert mean.step == 40 and mean.names == NAMES
    for name, tensor in mean.state.items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor, (weights.state[name] + other.state[name]) / 2, atol=1e-6), name


def test_weights_that_differ_in_classes_or_network_have_no_mean(weights):
    with pytest.raises(InputError, match="disc, square have no mean with weights of square"):
        weights.mean_with([weights.of_classes(["square"])])
    xs = NetworkConfig.load("xs")
    with pytest.raises(InputError, match="'xxs' have no mean with weights of another, 'xs'"):
        weights.mean_with([replace(weights, config=xs)])
