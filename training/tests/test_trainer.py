"""The loop of a run: what a step that is not finite leaves behind, and going on from `last.pt`."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch
from conftest import NAMES

from vigie_training.data import DataSpec
from vigie_training.data.augment import Augmenter, Recipe
from vigie_training.data.pictures import PictureCache
from vigie_training.errors import InputError
from vigie_training.fitting import Settings, Trainer
from vigie_training.fitting.log import RunLog
from vigie_training.metrics import Scores
from vigie_training.network import Detector, NetworkConfig

TINY = {"name": "tiny", "channels": [8, 8, 8, 16, 16, 16], "dims": [16, 16, 16], "depths": [1, 1, 1], "expand": 2, "neck": [16, 24, 32], "reg_max": 8}
# 24 pictures at 8 a batch are 2 steps an epoch: 12 steps.
SETTINGS = Settings(batch=8, epochs=6, stages="64", warmup_steps=2, repeat_threshold=0, recipe=Recipe(mosaic=0.3), seed=3)


@pytest.fixture(scope="module")
def trainer_in(coco):
    split = DataSpec.load(coco).read("train")
    pictures = PictureCache(split.records, 416, progress=False)

    def make(folder, settings=SETTINGS) -> Trainer:
        torch.manual_seed(11)
        model = Detector(2, NetworkConfig.from_dict(TINY, "test"))
        folder.mkdir(parents=True, exist_ok=True)
        return Trainer(model, NAMES, Augmenter(split, pictures, settings.recipe), settings, folder, "cpu")

    return make


def state_of(trainer: Trainer) -> dict:
    """Every tensor that a run has, copied."""
    found = {f"model.{k}": v for k, v in trainer.model.state_dict().items()}
    found |= {f"average.{k}": v for k, v in trainer.average.model.state_dict().items()}
    for parameter, moments in trainer.optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{parameter}.{k}": v for k, v in moments.items()}
    return {k: v.clone() for k, v in found.items()}


def other(a: dict, b: dict) -> list[str]:
    """What is not equal bit for bit."""
    assert a.keys() == b.keys()
    return [k for k in a if not torch.equal(a[k], b[k])]


def step(trainer: Trainer) -> torch.Tensor | None:
    return trainer._train(trainer.model, trainer.batch_of(trainer.step), 1e-3)


@pytest.mark.parametrize("where", ["activations", "loss"])
def test_a_step_that_is_not_finite_leaves_everything_as_it_was(trainer_in, tmp_path, capsys, where):
    trainer = trainer_in(tmp_path)
    for _ in range(2):
        assert step(trainer) is not None
    before = state_of(trainer)
    if where == "activations":
        broken = trainer.model.register_forward_pre_hook(lambda _, args: (args[0] * float("inf"),))
        assert step(trainer) is None
        broken.remove()
    else:
        loss, trainer.loss = trainer.loss, lambda *args: (lambda total, parts: (total * float("nan"), parts))(*loss(*args))
        assert step(trainer) is None
        trainer.loss = loss
    assert other(state_of(trainer), before) == []
    assert "not finite, the step is left out" in capsys.readouterr().err
    assert trainer.step == 3, "the batch is not tried again"
    assert torch.isfinite(step(trainer)).all() and len(other(state_of(trainer), before)) > 100


def test_a_log_row_without_a_finite_step_says_so(trainer_in, tmp_path):
    trainer = trainer_in(tmp_path, replace(SETTINGS, epochs=25))
    trainer.model.register_forward_pre_hook(lambda _, args: (args[0] * float("inf"),))
    log = RunLog(tmp_path, tensorboard=False)
    assert trainer.run(lambda *_: scores(0.0), 1, log, progress_bar=False)
    log.close()
    row = (tmp_path / "log.csv").read_text().splitlines()[1].split(",")
    assert row[0] == "50" and row[5] == "nan"


def scores(value: float) -> Scores:
    return Scores(1, value, value, value, value, 0, 0, 0, 0, {})


def run(trainer: Trainer, stop_at_evaluation: int | None = None) -> bool:
    """Train to the end; or be told to stop, as by a user, during an evaluation."""
    log = RunLog(trainer.folder, tensorboard=False)

    def evaluate(model: Detector, size: int) -> Scores:
        if trainer.evaluated + 1 == stop_at_evaluation:
            os.kill(os.getpid(), signal.SIGTERM)
        # Any function of the weights will do: other weights would give another score.
        return scores(float(model.state_dict()["head.box.0.0.0.weight"].abs().mean()))

    finished = trainer.run(evaluate, 4, log, progress_bar=False)
    log.close()
    return finished


def without_times(folder) -> list[dict]:
    return [json.loads(line) | {"minutes": 0} for line in (folder / "evaluations.jsonl").read_text().splitlines()]


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(trainer_in, tmp_path):
    whole = trainer_in(tmp_path / "whole")
    assert run(whole) and whole.step == 12

    first = trainer_in(tmp_path / "parts")
    assert not run(first, stop_at_evaluation=2) and first.step == 6
    # A new process has other random numbers behind it.
    torch.rand(100)
    second = trainer_in(tmp_path / "parts")
    assert second.resume() and second.step == 6
    assert other(state_of(second), state_of(first)) == []
    assert run(second) and second.step == 12

    assert other(state_of(second), state_of(whole)) == []
    assert without_times(tmp_path / "parts") == without_times(tmp_path / "whole")
    for name in ("last.pt", "best.pt"):
        a, b = (torch.load(tmp_path / run_ / name, weights_only=True) for run_ in ("whole", "parts"))
        assert all(torch.equal(a["ema"][k], b["ema"][k]) for k in a["ema"]) and torch.equal(a["torch_rng"], b["torch_rng"])
        assert {k: a[k] for k in ("step", "seen", "best", "evaluated")} == {k: b[k] for k in ("step", "seen", "best", "evaluated")}


@pytest.mark.parametrize("name, value", [("batch", 4), ("seed", 4)])
def test_going_on_with_another_order_of_pictures_is_refused(trainer_in, tmp_path, name, value):
    begun = trainer_in(tmp_path)
    begun.save("last.pt")
    was = getattr(SETTINGS, name)
    with pytest.raises(InputError, match=rf"last.pt was trained with --{name} {was}, this run has --{name} {value}") as refused:
        trainer_in(tmp_path, replace(SETTINGS, **{name: value})).resume()
    assert f"give --{name} {was} to go on" in str(refused.value)


def test_going_on_with_other_settings_says_which(trainer_in, tmp_path, capsys):
    trainer_in(tmp_path).save("last.pt")
    assert trainer_in(tmp_path).resume()
    assert capsys.readouterr().out == ""
    assert trainer_in(tmp_path, replace(SETTINGS, lr=0.25, recipe=replace(SETTINGS.recipe, scale=(0.9, 1.1)))).resume()
    assert capsys.readouterr().out == "other settings than up to step 0: lr 0.0015 -> 0.25, scale (0.6, 1.5) -> (0.9, 1.1)\n"
