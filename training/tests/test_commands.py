"""The four commands one after the other, as a user runs them, and what they say when something is wrong."""

import argparse
import csv
import importlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

from vigie_training.checkpoint import Weights, save_weights
from vigie_training.network import Detector, NetworkConfig
from vigie_training.onnx_graph import get_metadata, score_step, set_metadata
from vigie_training.train import new_model

TINY = "channels: [8, 8, 8, 16, 16, 16]\ndims: [16, 16, 16]\ndepths: [1, 1, 1]\nexpand: 2\nneck: [16, 24, 32]\nreg_max: 8\n"


def command(module: str, *args: object, fails: bool = False, warns: bool = False) -> str:
    """Run a command within this process (importing PyTorch takes seconds). -> what it printed; of errors if it is to fail or warn."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with mock.patch.object(sys, "argv", [module, *map(str, args)]), redirect_stdout(out), redirect_stderr(err):
        try:
            importlib.import_module(f"vigie_training.{module}").main()
        except SystemExit as exit_:
            code = exit_.code
    assert code == (2 if fails else 0), out.getvalue() + err.getvalue()
    return (err if fails or warns else out).getvalue()


@pytest.fixture(scope="module")
def run(coco, tmp_path_factory) -> Path:
    """A short run of a tiny network."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.yaml").write_text(TINY)
    command("train", *training(coco, folder, steps=100))
    return folder


def training(coco, folder, steps, size=128):
    # 24 pictures at 8 a batch are 2 steps an epoch; no colour change, since colour is all that these objects have.
    return [
        "--data", coco, "--network", folder / "tiny.yaml", "--out", folder / "out", "--epochs", steps / 2, "--stages", size, "--batch", 8,
        "--lr", 0.005, "--warmup-steps", 20, "--ema", 0.95, "--evaluations", 2, "--threads", 1, "--repeat-threshold", 0,
    ]  # fmt: skip


def test_training_learns_and_leaves_its_record(run):
    out = run / "out"
    rows = list(csv.DictReader(open(out / "log.csv")))
    assert [int(r["step"]) for r in rows] == [50, 100]
    assert float(rows[-1]["loss"]) < 0.7 * float(rows[0]["loss"])
    scores = [json.loads(line) for line in (out / "evaluations.jsonl").read_text().splitlines()]
    assert len(scores) == 2 and scores[-1]["map50"] > 0.3
    for name in ("last.pt", "best.pt", "settings.yaml", "batch.jpg", "predictions.jpg", "curves.png"):
        assert (out / name).stat().st_size > 0


def test_the_way_from_weights_to_int8(run, coco):
    best, fp32, int8 = run / "out/best.pt", run / "fp32.onnx", run / "int8.onnx"
    command("export", best, "--out", fp32, "--size", 128, "--weights", run / "w.safetensors")
    command("export", run / "w.safetensors", "--out", run / "stock.onnx", "--size", 128, "--layout", "stock")
    assert "convolutions and" in command("quantize", fp32, "--data", coco, "--out", int8, "--pictures", 8)
    scores = {}
    for model in (best, fp32, run / "stock.onnx", int8):
        size = ["--size", 128] if model.suffix == ".pt" else []
        command("evaluate", model, "--data", coco, "--json", run / "scores.json", "--sheet", run / "sheet.jpg", *size)
        scores[model.name] = json.loads((run / "scores.json").read_text())["map50_95"]
    assert scores["best.pt"] == pytest.approx(scores["fp32.onnx"], abs=1e-3)
    assert scores["stock.onnx"] == pytest.approx(scores["fp32.onnx"], abs=1e-3)
    assert scores["int8.onnx"] == pytest.approx(scores["fp32.onnx"], abs=0.05)
    assert (run / "sheet.jpg").stat().st_size > 5000


def test_a_killed_run_goes_on_where_it_was(coco, tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    arguments = [sys.executable, "-m", "vigie_training.train", *map(str, training(coco, tmp_path, steps=4000, size=64))]
    killed = subprocess.Popen(arguments, cwd=Path(__file__).parents[1], env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True)
    log = tmp_path / "out/log.csv"
    for _ in range(600):
        if log.is_file() and len(log.read_text().splitlines()) > 1:
            break
        time.sleep(0.1)
    killed.send_signal(signal.SIGTERM)
    output, _ = killed.communicate(timeout=60)
    stopped = int(re.search(r"stopped at step (\d+)", output)[1])
    assert killed.returncode == 0 and stopped >= 50
    state = torch.load(tmp_path / "out/last.pt", weights_only=True)
    assert state["step"] == stopped
    output = command("train", *training(coco, tmp_path, steps=stopped + 5, size=64))
    assert f"going on from step {stopped}" in output and "done" in output
    assert torch.load(tmp_path / "out/last.pt", weights_only=True)["step"] == stopped + 5


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["train", "--data", "nowhere", "--out", "x"], "no data set at nowhere"),
        (["train", "--data", "COCO", "--out", "x", "--stages", "300"], "stages '300' are not SIZE:UNTIL pairs"),
        (["train", "--data", "COCO", "--out", "x", "--network", "xxl"], "network 'xxl' is neither a preset nor a file"),
        (["train", "--data", "COCO", "--out", "x", "--batch", "1"], "batch 1 is too small for batch norm"),
        (["evaluate", "missing.onnx", "--data", "COCO"], "no model at missing.onnx"),
        (["export", "missing.pt", "--out", "x.onnx"], "no weights at missing.pt"),
        (["quantize", "missing.onnx", "--data", "COCO", "--out", "x.onnx"], "no model at missing.onnx"),
    ],
)
def test_mistakes_are_explained(coco, arguments, message):
    output = command(*[coco if a == "COCO" else a for a in arguments], fails=True)
    assert message in output and "Traceback" not in output


def test_weights_for_other_classes_are_matched_by_name(weights_file):
    file, weights = weights_file
    model = new_model(argparse.Namespace(weights=str(file), network=None), ["zebra", *reversed(weights.names)])
    for key in ("head.cls.0.2.weight", "head.cls.2.2.bias"):
        assert torch.equal(model.state_dict()[key][1:], weights.state[key].flip(0))
    assert all(torch.equal(model.state_dict()[k], v) for k, v in weights.state.items() if k.startswith(("backbone.", "neck.")))


def test_weights_of_a_backbone_alone_are_said_to_be_that(weights_file, capsys):
    file, weights = weights_file
    backbone = {k: v for k, v in weights.state.items() if k.startswith("backbone.")}
    save_weights(Weights(backbone, weights.names, weights.config, 0), file)
    model = new_model(argparse.Namespace(weights=str(file), network=None), ["zebra"])
    assert all(torch.equal(model.state_dict()[k], v) for k, v in backbone.items())
    assert capsys.readouterr().out.endswith("w.safetensors: the backbone alone; neck and head begin with random weights\n")


@pytest.fixture
def weights_file(tmp_path):
    config = NetworkConfig.load("xxs")
    weights = Weights(Detector(3, config).state_dict(), ["a", "b", "c"], config, 0)
    save_weights(weights, tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors", weights


def other_classes(coco, tmp_path, names) -> Path:
    (tmp_path / "data.yaml").write_text(f"path: {coco}\ntrain: train.json\nval: val.json\nnames: {names}\n")
    return tmp_path / "data.yaml"


def exported(weights_file, tmp_path, layout="raw") -> Path:
    path = tmp_path / f"{layout}.onnx"
    command("export", weights_file[0], "--out", path, "--size", 64, "--layout", layout)
    return path


def test_a_data_set_of_other_classes_is_refused(coco, weights_file, tmp_path):
    model = exported(weights_file, tmp_path)
    for module in ("quantize", "evaluate"):
        out = ["--out", tmp_path / "int8.onnx"] if module == "quantize" else []
        said = command(module, model, "--data", other_classes(coco, tmp_path, ["square", "disc"]), *out, fails=True)
        assert "the model's 3 classes are not the data set's 2" in said and "whose `names` are the model's" in said
        said = command(module, model, "--data", other_classes(coco, tmp_path, ["a", "c", "b"]), *out, fails=True)
        assert "class 1 is 'b' in the model and 'c' in the data set" in said
    assert not (tmp_path / "int8.onnx").exists()


class Noise(CalibrationDataReader):
    """Two calibration pictures."""

    def __init__(self):
        self.left = [np.random.default_rng(i).random((1, 3, 64, 64), np.float32) for i in range(2)]

    def get_next(self):
        return {"images": self.left.pop()} if self.left else None


def test_a_model_whose_scores_were_rounded_away_is_warned_of(coco, weights_file, tmp_path):
    stock, every = exported(weights_file, tmp_path, "stock"), tmp_path / "every.onnx"
    quantize_static(stock, every, Noise(), quant_format=QuantFormat.QDQ)
    model = onnx.load(every)
    set_metadata(model, get_metadata(onnx.load(stock)))
    onnx.save(model, every)
    # Boxes of tens of pixels and more, in 255 steps.
    assert score_step(model) > 0.1
    data = other_classes(coco, tmp_path, ["a", "b", "c"])
    warned = "boxes in pixels and scores from 0 to 1 share an 8-bit output in steps of"
    for said in (
        command("golden", every, warns=True),
        command("evaluate", every, "--data", data, warns=True),
        command("quantize", every, "--data", data, "--out", tmp_path / "x.onnx", fails=True),
    ):
        assert warned in said and "nodes_to_exclude" in said
    assert "is quantized already" in said and "give the f32 model" in said
    int8 = tmp_path / "int8.onnx"
    assert "warning" not in command("quantize", stock, "--data", data, "--out", int8, warns=True)
    assert score_step(onnx.load(int8)) is None and "warning" not in command("evaluate", int8, "--data", data, warns=True)
