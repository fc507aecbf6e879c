"""The figures of the random set in `tests/data/eval`, which the daemon's own evaluator must give too (`tests/eval_agreement.rs`)."""

import importlib.util
import json
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "tests/data/eval"


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make_eval", DATA / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_those_that_are_drawn(make):
    instances, detections = make.draw()
    assert json.loads((DATA / "instances.json").read_text()) == instances
    assert json.loads((DATA / "detections.json").read_text()) == detections


def test_the_random_set_has_the_expected_figures(make):
    got = make.as_json(make.evaluated(DATA / "instances.json", DATA / "detections.json"))
    expected = json.loads((DATA / "expected.json").read_text())
    assert got["classes"].keys() == expected["classes"].keys() and got["images"] == expected["images"]
    for name, figures in expected["classes"].items():
        assert got["classes"][name] == pytest.approx(figures, abs=1e-9), name
    assert (got["map50"], got["map50_95"]) == pytest.approx((expected["map50"], expected["map50_95"]), abs=1e-9)


def test_the_set_has_what_the_evaluators_could_see_differently(make):
    instances, detections = make.draw()
    listed = {i["id"]: i.get("labelled_classes", list(make.CATEGORIES)) for i in instances["images"]}
    unlisted = [a for a in instances["annotations"] if a["category_id"] not in listed[a["image_id"]]]
    false = [d for d in detections if d["category_id"] not in listed[d["image_id"]]]
    assert len(unlisted) > 15 and len(false) > 15
    assert sum(a["iscrowd"] for a in instances["annotations"]) > 3 and sum("difficult" in a for a in instances["annotations"]) > 3
    assert max(sum(d["image_id"] == i and d["category_id"] == 3 for d in detections) for i in listed) > 100
    assert "owl" not in json.loads((DATA / "expected.json").read_text())["classes"]
