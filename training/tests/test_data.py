"""Reading of both formats, the errors a person may run into, and the augmentations."""

import json

import numpy as np
import pytest

from vigie_training.data import DataSpec, letterbox
from vigie_training.data.augment import Augmenter, Recipe
from vigie_training.data.batches import Batch, Order, make_batch, prefetch, repeat_factors
from vigie_training.data.pictures import PictureCache
from vigie_training.errors import InputError
from vigie_training.network import anchor_grid


def test_coco_and_yolo_give_the_same_records(coco, yolo):
    a, b = DataSpec.load(coco).read("train"), DataSpec.load(yolo / "data.yaml").read("train")
    assert a.names == b.names == ["disc", "square"]
    for i, record in enumerate(b.records):
        same = a.records[i]
        assert np.abs(same.boxes - record.boxes).max() < 0.01 and (same.labels == record.labels).all()
    x, y = PictureCache(a.records[:6], 416, progress=False), PictureCache(b.records, 416, progress=False)
    assert all((x[i] == y[i]).all() for i in range(6))


def test_parts_are_read_together_and_classes_can_be_chosen(coco, tmp_path):
    (tmp_path / "data.yaml").write_text(f"path: {coco}\ntrain: [train.json, val.json]\nval: val.json\nnames: [square]\n")
    split = DataSpec.load(tmp_path / "data.yaml").read("train")
    assert len(split) == 32 and split.names == ["square"] and all((r.labels == 0).all() for r in split.records)


def changed(coco, tmp_path, change):
    raw = json.loads((coco / "val.json").read_text())
    change(raw)
    (tmp_path / "val.json").write_text(json.dumps(raw))
    (tmp_path / "val-000.tar").write_bytes((coco / "val-000.tar").read_bytes())
    return DataSpec.load(tmp_path)


def test_labelled_classes_and_difficult_are_kept(coco, tmp_path):
    def change(raw):
        raw["images"][0]["labelled_classes"] = [6]
        raw["annotations"][0]["difficult"] = 1

    split = changed(coco, tmp_path, change).read("val")
    assert split.records[0].labelled.tolist() == [False, True] and split.records[1].labelled.all()
    assert split.records[0].ignore[0]


def test_boxes_outside_the_picture_are_refused_or_cut(coco, tmp_path):
    spec = changed(coco, tmp_path, lambda raw: raw["annotations"][0].update(bbox=[100, 50, 90, 40]))
    with pytest.raises(InputError, match=r"box 1 \(100.0, 50.0, 190.0, 90.0\) reaches outside the picture of 160x120"):
        spec.read("val")
    assert spec.read("val", clip_boxes=True).records[0].boxes[0].tolist() == [100, 50, 160, 90]


def test_missing_pictures_are_named(coco, tmp_path):
    spec = changed(coco, tmp_path, lambda raw: raw["images"][2].update(file_name="gone.png"))
    with pytest.raises(InputError, match=r"image gone.png is not in val-000.tar"):
        spec.read("val")


@pytest.mark.parametrize(
    "line, message",
    [
        ("7 0.5 0.5 0.1 0.1", "class 7 is not one of 0 to 1"),
        ("0 0.5 0.5 0.1", "4 numbers; expected 5"),
        ("disc 0.5 0.5 0.1 0.1", "is not a row of numbers"),
        ("0 0.9 0.5 0.5 0.1", "reaches outside the picture"),
    ],
)
def test_bad_yolo_lines_are_named(yolo, line, message):
    (yolo / "labels/train/3.txt").write_text(line)
    with pytest.raises(InputError, match=message):
        DataSpec.load(yolo).read("train")


def test_polygons_become_boxes(yolo):
    (yolo / "labels/train/0.txt").write_text("1 0.1 0.2 0.5 0.25 0.3 0.75")
    assert DataSpec.load(yolo).read("train").records[0].boxes[0].tolist() == pytest.approx([16, 24, 80, 90])


def test_empty_folders_and_absent_classes_are_refused(yolo, tmp_path):
    for file in (yolo / "labels/train").glob("*.txt"):
        file.write_text("0 0.5 0.5 0.2 0.2")
    with pytest.raises(InputError, match="class 'square' never occurs"):
        DataSpec.load(yolo).read("train").require_every_class()
    for file in (yolo / "labels/train").glob("*.txt"):
        file.unlink()
    with pytest.raises(InputError, match="6 pictures and not one labelled object"):
        DataSpec.load(yolo).read("train")
    for file in (yolo / "images/train").glob("*"):
        file.unlink()
    with pytest.raises(InputError, match="no pictures in"):
        DataSpec.load(yolo).read("train")
    with pytest.raises(InputError, match="no data set at"):
        DataSpec.load(tmp_path / "nowhere.yaml")


def test_letterbox_centres_and_maps_back():
    picture = np.full((100, 200, 3), 255, np.uint8)
    fitted, placement = letterbox(picture, 128, 128)
    assert fitted.shape == (128, 128, 3) and (fitted[:32] == 114).all() and (fitted[32:96] == 255).all() and (fitted[96:] == 114).all()
    assert placement.to_picture(np.array([[0, 32, 128, 96.0]]), 200, 100).tolist() == [[0, 0, 200, 100]]


@pytest.fixture(scope="module")
def augmenter(coco):
    split = DataSpec.load(coco).read("train")
    return Augmenter(split, PictureCache(split.records, 416, progress=False), Recipe(degrees=5, shear=2))


def test_boxes_follow_the_objects_through_every_augmentation(coco):
    split = DataSpec.load(coco).read("train")
    recipe = Recipe(hue=0, saturation=0, brightness=0)
    augmenter = Augmenter(split, PictureCache(split.records, 416, progress=False), recipe)
    checked = 0
    for seed in range(30):
        example = augmenter.draw(np.random.default_rng(seed), seed % len(split), 128, mosaic=0.5)
        for (x1, y1, x2, y2), label in zip(example.boxes, example.labels):
            x, y = int((x1 + x2) / 2), int((y1 + y2) / 2)
            red, _, blue = example.picture[min(y, 127), min(x, 127)].astype(int)
            if min(x2 - x1, y2 - y1) > 12:
                checked += 1
                assert (red > 200 and blue < 110) if label == 0 else (red < 90 and blue > 110), (seed, label)
    assert checked > 50


def test_unlabelled_classes_are_masked_where_their_picture_lies(coco):
    split = DataSpec.load(coco).read("train")
    split.records[0].labelled[1] = False
    augmenter = Augmenter(split, PictureCache(split.records, 416, progress=False), Recipe())
    example = augmenter.plain(0, 128)
    centres, _ = anchor_grid(128, 128)
    inside = (centres[:, 1] >= 16) & (centres[:, 1] < 112)  # 160 x 120 fits as 128 x 96
    assert (example.weight[:, 0] == 1).all() and (example.weight[inside, 1] == 0).all() and (example.weight[~inside, 1] == 1).all()


def test_ignored_objects_are_masked_and_not_learnt(coco):
    split = DataSpec.load(coco).read("train")
    record = split.records[0]
    record.ignore[:] = True
    example = Augmenter(split, PictureCache(split.records, 416, progress=False), Recipe()).plain(0, 128)
    assert len(example.labels) == 0 and (example.weight == 0).any()


def test_batches_follow_from_seed_and_step(augmenter):
    order = Order(repeat_factors(augmenter.split, 0.05), 4, seed=1)

    def make(step: int) -> Batch:
        return make_batch(augmenter, order, 1, step, 128, 0.5)

    wanted = [make(s) for s in range(3, 8)]
    got = prefetch(make, 3, workers=2)
    for a, b in zip(wanted, got):
        assert (a.pictures == b.pictures).all() and (a.boxes == b.boxes).all() and (a.weight == b.weight).all()
    got.close()
    assert not (wanted[0].pictures == wanted[1].pictures).all()


def test_an_epoch_shows_every_picture():
    order = Order(np.ones(24), 4, seed=0)
    assert order.steps_per_epoch == 5  # 98 % of 24, whole batches
    seen = np.concatenate([order(s) for s in range(order.steps_per_epoch)])
    assert len(set(seen.tolist())) == 20


def test_pictures_of_rare_classes_are_seen_more_often(coco):
    split = DataSpec.load(coco).read("train")
    for i, r in enumerate(split.records):
        r.labels = np.zeros_like(r.labels) if i else np.ones_like(r.labels)
    factors = repeat_factors(split, threshold=0.5)
    assert factors[0] == 3 and (factors[1:] == 1).all()


def relabel(record, *boxes):
    """Discs at these places and nothing else."""
    record.boxes, record.labels = np.array(boxes, np.float32).reshape(-1, 4), np.zeros(len(boxes), np.int64)
    record.ignore, record.scores = np.zeros(len(boxes), bool), np.ones(len(boxes), np.float32)


def shares_of_sizes(boxes: list[np.ndarray], size: int) -> np.ndarray:
    """Shares of boxes whose longer side is up to a quarter, a half, or more of the input's."""
    sides = np.concatenate([(b[:, 2:] - b[:, :2]).max(axis=1) for b in boxes if len(b)]) / size
    return np.histogram(sides, [0, 0.25, 0.5, np.inf])[0] / len(sides)


@pytest.mark.parametrize("mosaic", [0.0, Recipe().mosaic])
def test_augmented_objects_are_as_large_as_those_to_be_found(coco, mosaic):
    """What a network hardly sees it doesn't find: val's sizes must occur in training, and not much more seldom."""
    split = DataSpec.load(coco).read("train")
    # Objects of 24 to 120 of 160 pixels, so that there are small ones and such as fill the picture.
    sides = np.random.default_rng(5).integers(24, 120, len(split))
    for record, side in zip(split.records, sides):
        relabel(record, [20, 0, 20 + side, side])
    augmenter = Augmenter(split, PictureCache(split.records, 416, progress=False), Recipe())
    val = shares_of_sizes([augmenter.plain(i, 320).boxes for i in range(len(split))], 320)
    drawn = shares_of_sizes([augmenter.draw(np.random.default_rng(s), s % len(split), 320, mosaic).boxes for s in range(480)], 320)
    assert (val > 0.25).all(), "there are all sizes"
    assert (drawn > 0.65 * val).all(), (drawn, val)


def test_pictures_that_teach_nothing_are_left_out(coco):
    split = DataSpec.load(coco).read("train")
    split.records = split.records[:4]
    nothing, ignored, absent, partly = split.records
    relabel(nothing)
    relabel(absent)
    ignored.ignore[:] = True
    for r in (nothing, ignored, partly):
        r.labelled[:] = False
    kept, left_out = split.instructive()
    # Knowing that there is no disc and no square is something, and so is an object in a picture that may have more.
    assert left_out == 2 and [id(r) for r in kept.records] == [id(absent), id(partly)]


def test_what_is_left_of_an_object_counts_from_two_fifths_on(coco):
    split = DataSpec.load(coco).read("train")
    relabel(split.records[0], [0, 0, 160, 120])
    augmenter = Augmenter(split, PictureCache(split.records[:1], 416, progress=False), Recipe(scale=(1.0, 4.0), stretch=0))
    seen, lost = 0, 0
    for seed in range(60):
        example = augmenter.draw(np.random.default_rng(seed), 0, 128, mosaic=0)
        if len(example.boxes):
            seen += 1
        else:
            lost += 1
            assert (example.weight[:, 0] == 0).mean() > 0.5, "a part that is no object is no background either"
    # Magnified by s, the square shows 0.75 s by s of which 1 by 1 is seen: less than two fifths of it from s = 1.83 on.
    assert seen > 15 and lost > 15


def test_scores_of_machines_are_kept_and_judged(coco, tmp_path):
    def change(raw):
        first = raw["images"][0]["id"]
        raw["annotations"] = [a for a in raw["annotations"] if a["image_id"] != first]
        for i, score in enumerate((0.1, 0.3, 0.7, None)):
            row = {"id": 900 + i, "image_id": first, "category_id": 5, "bbox": [10 + 30 * i, 10, 20, 20]}
            raw["annotations"].append(row | ({"score": score} if score else {}))

    record = changed(coco, tmp_path, change).read("val").records[0]
    assert record.scores.tolist() == pytest.approx([0.1, 0.3, 0.7, 1.0]) and not record.ignore.any()
    judged = changed(coco, tmp_path, change).read("val").judged(0.2, 0.35)
    kept = judged.records[0]
    assert kept.scores.tolist() == pytest.approx([0.3, 0.7, 1.0]) and kept.ignore.tolist() == [True, False, False]
    example = Augmenter(judged, PictureCache(judged.records[:1], 416, progress=False), Recipe()).plain(0, 128)
    assert example.scores.tolist() == pytest.approx([0.7, 1.0])
    batch = Batch.of(128, [example, Augmenter(judged, PictureCache(judged.records, 416, progress=False), Recipe()).plain(1, 128)])
    assert batch.scores[0, :2].tolist() == pytest.approx([0.7, 1.0]) and (batch.scores[1][batch.labels[1] >= 0] == 1).all()
    assert ((batch.scores > 0) == (batch.labels >= 0)).all()
    # The one of 0.3 is neither: nothing is learnt of discs where it is.
    centres, _ = anchor_grid(128, 128)
    x1, y1, x2, y2 = kept.boxes[0] * 0.8 + [0, 16, 0, 16]
    inside = (centres[:, 0] >= x1) & (centres[:, 0] < x2) & (centres[:, 1] >= y1) & (centres[:, 1] < y2)
    assert inside.any() and (example.weight[inside, 0] == 0).all() and (example.weight[~inside] == 1).all()


def test_a_score_that_is_none_is_refused(coco, tmp_path):
    with pytest.raises(InputError, match="a score of 1.5 is not between 0 and 1"):
        changed(coco, tmp_path, lambda raw: raw["annotations"][0].update(score=1.5)).read("val")
