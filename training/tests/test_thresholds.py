"""Thresholds from the curve of precision and recall, and the classes that an export keeps."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from test_commands import command, run  # noqa: F401 (a fixture)

from vigie_training.checkpoint import load_weights
from vigie_training.data import Record, Split
from vigie_training.data.pictures import PictureRef
from vigie_training.errors import InputError
from vigie_training.metrics import Found, Point, curves
from vigie_training.network import Stock
from vigie_training.onnx_graph import get_metadata
from vigie_training.thresholds import choose

ROOT = Path(__file__).parents[2]


def test_a_curve_goes_from_the_surest_detection_to_the_last_that_finds_something():
    box = np.array([[10, 10, 50, 50]], np.float32)
    records, found = [], []
    # One object a picture. The five surest of ten are right, then every other one is.
    for i, right in enumerate([True] * 5 + [True, False, True, False, True]):
        records.append(Record(str(i), PictureRef(Path("none")), 100, 100, box, np.array([0]), np.array([False]), np.array([True, True])))
        found.append(Found(box if right else box + 45, np.array([0.9 - 0.05 * i]), np.array([0])))
    measured = curves(Split("val", ["thing", "absent"], records), found)
    assert list(measured) == ["thing"]
    points, objects = measured["thing"]
    assert objects == 10
    assert points[0] == Point(pytest.approx(0.9), 1.0, 0.0)
    assert points[-1] == Point(pytest.approx(0.45), pytest.approx(0.8), pytest.approx(0.8))
    # Half of the objects without a false alarm: F1 0.667; eight of ten with two of them: 0.8.
    assert choose({"thing": points}, ["thing"]) == [0.45]


def test_a_lucky_point_is_no_threshold():
    # F1 rises gently down to 0.4 and falls below; at 0.7 one class has a peak of its own.
    f1 = {score: 0.6 - abs(score - 40) / 200 for score in range(90, 10, -1)}
    plain = [Point(score / 100, value, value) for score, value in f1.items()]
    lucky = [Point(score / 100, value, value) for score, value in (f1 | {70: 0.62}).items()]
    assert choose({"plain": plain, "lucky": lucky}, ["plain", "lucky"]) == [0.4, 0.4]


def test_a_class_without_a_curve_gets_the_mean_of_the_others():
    found = {"a": [Point(0.8, 1, 0.2), Point(0.306, 0.8, 0.8)], "b": [Point(0.505, 0.9, 0.7), Point(0.1, 0.2, 0.9)]}
    assert choose(found, ["b", "rare", "a"]) == [0.45, 0.38, 0.3]
    with pytest.raises(InputError, match="no class has 30 objects"):
        choose({}, ["a"])


def test_thresholds_are_written_where_the_program_reads_them(run, coco, tmp_path, monkeypatch):
    model = tmp_path / "m.onnx"
    command("export", run / "out/last.pt", "--out", model, "--size", 128)
    before = get_metadata(onnx.load(model))
    assert "no class has 30 objects" in command("thresholds", model, "--data", coco, fails=True)
    # The set of drawn shapes is too small.
    monkeypatch.setattr("vigie_training.thresholds.ENOUGH", 10)
    shown = command("thresholds", model, "--data", coco, "--split", "train", "--dry-run")
    assert "disc" in shown and get_metadata(onnx.load(model)) == before
    assert "written into" in command("thresholds", model, "--data", coco, "--split", "train")
    after = get_metadata(onnx.load(model))
    values = json.loads(after.pop("vigie.thresholds"))
    assert after == before and len(values) == 2 and all(0 < v < 1 for v in values)


def test_an_export_may_keep_some_classes_in_any_order(run, tmp_path):
    whole = load_weights(run / "out/last.pt")
    command("export", run / "out/last.pt", "--classes", "square", "--out", tmp_path / "one.onnx", "--size", 128, "--weights", tmp_path / "one.safetensors")
    one, both = load_weights(tmp_path / "one.safetensors"), whole.of_classes(["square", "disc"])
    assert one.names == ["square"] and both.names == ["square", "disc"]
    picture = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        full, turned, less = (Stock(w.detector()).eval()(picture) for w in (whole, both, one))
    torch.testing.assert_close(turned, full[:, [0, 1, 2, 3, 5, 4]])
    torch.testing.assert_close(less, full[:, [0, 1, 2, 3, 5]])
    assert "no class 'fox'" in command("export", run / "out/last.pt", "--classes", "fox", "--out", tmp_path / "x.onnx", fails=True)
    assert "none twice" in command("export", run / "out/last.pt", "--classes", "disc", "disc", "--out", tmp_path / "x.onnx", fails=True)
