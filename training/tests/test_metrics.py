"""Average precision, suppression and decoding against cases worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vigie_training.data.pictures import PictureRef
from vigie_training.data.records import Record, Split
from vigie_training.groups import table
from vigie_training.metrics import Found, score
from vigie_training.postprocess import decode_logits, detections, nms


def record(boxes, labels, ignore=None, labelled=(True, True)):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    ignore = np.zeros(len(boxes), bool) if ignore is None else np.array(ignore)
    return Record("p", PictureRef("p"), 400, 300, boxes, np.array(labels, int), ignore, np.array(labelled))


def found(*rows):
    """(class, score, box) each."""
    boxes = np.array([r[2] for r in rows], np.float32).reshape(-1, 4)
    return Found(boxes, np.array([r[1] for r in rows]), np.array([r[0] for r in rows], int))


A, B, C = [10, 10, 60, 60], [100, 100, 180, 160], [200, 50, 260, 200]


def test_finding_everything_scores_one():
    scores = score(Split("val", ["a", "b"], [record([A, B], [0, 1])]), [found((0, 0.9, A), (1, 0.8, B))])
    assert scores.map50 == pytest.approx(1) and scores.map50_95 == pytest.approx(1)
    assert scores.classes["a"].boxes == 1


def test_finding_half_of_a_class_scores_half():
    scores = score(Split("val", ["a", "b"], [record([A, B], [0, 0])]), [found((0, 0.9, A))])
    # Precision is 1 at recall 0 to 0.5: 51 of COCO's 101 points.
    assert scores.classes["a"].ap50 == pytest.approx(51 / 101) and scores.map50 == pytest.approx(51 / 101)


def test_a_false_alarm_before_the_object_halves_precision():
    scores = score(Split("val", ["a", "b"], [record([A], [0])]), [found((0, 0.9, C), (0, 0.8, A))])
    assert scores.classes["a"].ap50 == pytest.approx(0.5)


def test_detections_of_classes_that_are_not_labelled_are_no_false_alarms():
    split = Split("val", ["a", "b"], [record([A], [0], labelled=(True, False)), record([B], [1])])
    scores = score(split, [found((0, 0.9, A), (1, 0.99, C)), found((1, 0.5, B))])
    assert scores.map50 == pytest.approx(1)


def test_objects_of_classes_that_are_not_labelled_are_not_missed():
    partly = record([A, B], [0, 1], labelled=(True, False))
    scores = score(Split("val", ["a", "b"], [partly, record([C], [1])]), [found((0, 0.9, A)), found((1, 0.5, C))])
    assert scores.map50 == pytest.approx(1) and {n: c.boxes for n, c in scores.classes.items()} == {"a": 1, "b": 1}
    # Found or not found: it is all the same.
    assert score(Split("val", ["a", "b"], [partly]), [found((0, 0.9, A), (1, 0.8, B))]).classes.keys() == {"a"}
    assert score(Split("val", ["a", "b"], [partly]), [found()]).classes.keys() == {"a"}


def test_difficult_objects_are_neither_found_nor_missed():
    split = Split("val", ["a", "b"], [record([A, B], [0, 0], ignore=[False, True])])
    assert score(split, [found((0, 0.9, A))]).map50 == pytest.approx(1)
    scores = score(split, [found((0, 0.95, B), (0, 0.9, A))])
    assert scores.map50 == pytest.approx(1) and scores.classes["a"].boxes == 1


def test_nothing_found_scores_nothing():
    scores = score(Split("val", ["a", "b"], [record([A], [0])]), [found()])
    assert scores.map50 == 0 and list(scores.classes) == ["a"]


def test_suppression_is_within_a_class_and_keeps_the_best():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 10], [20, 20, 30, 30]], float)
    assert nms(boxes, np.array([0.5, 0.9, 0.6, 0.1]), np.array([0, 0, 1, 0]), 0.7, 300).tolist() == [1, 2, 3]
    assert nms(boxes, np.array([0.5, 0.9, 0.6, 0.1]), np.array([0, 0, 1, 0]), 0.95, 2).tolist() == [1, 2]


def test_logits_decode_to_distances_from_the_anchor():
    maps = []
    for s in (8, 16, 32):
        box = np.full((1, 64, 64 // s, 64 // s), -50.0, np.float32)
        box[:, [0 + 1, 16 + 2, 32 + 3, 48 + 4]] = 50  # left 1, top 2, right 3, bottom 4 strides
        maps += [box, np.full((1, 2, 64 // s, 64 // s), -9.0, np.float32)]
    maps[1][0, 1, 3, 4] = 4.0
    boxes, scores, labels = detections(decode_logits(maps, 64, 64, 16), 0.5)
    assert labels.tolist() == [1] and scores[0] == pytest.approx(1 / (1 + np.exp(-4)))
    assert boxes[0].tolist() == pytest.approx([36 - 8, 28 - 16, 36 + 24, 28 + 32])


def test_a_mean_over_all_hides_nothing_by_light_and_source(tmp_path):
    for name, value in (("night", 20), ("day", 200)):
        Image.fromarray(np.full((30, 40, 3), value, np.uint8)).save(tmp_path / f"{name}.png")
    records = [replace(record([A, B], [0, 1]), picture=PictureRef(tmp_path / f"{n}.png"), source=n) for n in ("day", "night")]
    split = Split("val", ["a", "b"], records)
    both = [found((0, 0.9, A), (1, 0.8, B)), found()]
    by_light, by_source = table(split, both, "light").splitlines(), table(split, both, "source").splitlines()
    assert [row.split() for row in by_light[1:]] == [
        ["1", "dark,", "luma", "<", "60", "1", "2", "0.000", "0.000"],
        ["3", "bright", "1", "2", "1.000", "1.000"],
    ]
    assert by_source[1].startswith("day ") and "1.000" in by_source[1] and by_source[2].startswith("night ") and "0.000" in by_source[2]
    nothing = Split("val", ["a", "b"], [replace(record([], []), picture=records[0].picture, source="day")])
    assert table(nothing, [found()], "source").splitlines()[1].split() == ["day", "1", "0", "-", "-"]
