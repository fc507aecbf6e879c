"""What becomes of a machine's boxes beside people's, and the commands that merge sets and find pictures in two of them."""

import io
import json
import tarfile

import cv2
import numpy as np
import pytest
from test_commands import command

from vigie_training.data import DataSpec
from vigie_training.data.hashing import Alike, Prints, pairs, repeated
from vigie_training.data.merging import FATES, Rules, agreement, merge, overlaps
from vigie_training.dedup import from_voc

PEOPLE = [{"id": 3, "name": "motorbike"}, {"id": 4, "name": "dog"}, {"id": 9, "name": "person"}]
MACHINE = [{"id": i, "name": n} for i, n in enumerate(("person", "motorcycle", "truck", "dog", "cat"), 1)]


def merged_of(people: list, machine: list, labelled: list | None = None, rules: Rules | None = None):
    """Of one picture: (category id, x, y, w, h) with more keys for people, with the score as sixth for the machine."""
    image = {"id": 7, "file_name": "a.jpg", "width": 200, "height": 200} | ({"labelled_classes": labelled} if labelled is not None else {})
    theirs = [{"id": i, "image_id": 7, "category_id": c, "bbox": box} | more for i, (c, box, more) in enumerate(people)]
    its = [{"id": i, "image_id": 1, "category_id": c, "bbox": box, "score": s} for i, (c, box, s) in enumerate(machine)]
    return merge(
        {"images": [image], "annotations": theirs, "categories": PEOPLE},
        {"images": [image | {"id": 1}], "annotations": its, "categories": MACHINE},
        rules or Rules(),
    )


def fates(merged) -> list[tuple[str, str]]:
    return sorted((n, f) for n, counts in merged.fates.items() for f, count in counts.items() for _ in range(count))


def names_of(merged) -> dict:
    return {c["id"]: c["name"] for c in merged.coco["categories"]}


A, NEAR_A, B, C = [10, 10, 50, 50], [12, 12, 50, 50], [100, 10, 40, 80], [10, 120, 60, 60]


def test_overlaps_are_of_both_and_of_the_first():
    iou, within = overlaps(np.array([[0, 0, 10, 10]]), np.array([[0, 0, 20, 10], [30, 0, 5, 5]]))
    assert iou.tolist() == [[0.5, 0]] and within.tolist() == [[1, 0]]


def test_a_persons_box_wins():
    merged = merged_of([(3, A, {})], [(2, NEAR_A, 0.9)])
    assert fates(merged) == [("motorcycle", "confirmed")] and merged.judged == [(0.9, True)]
    (kept,) = merged.coco["annotations"]
    assert kept["bbox"] == A and "score" not in kept and names_of(merged)[kept["category_id"]] == "motorcycle"
    assert kept["image_id"] == 7


def test_what_people_labelled_and_did_not_draw_is_no_object():
    merged = merged_of([(3, A, {})], [(4, B, 0.4), (4, C, 0.8)])
    assert fates(merged) == [("dog", "contradicted"), ("dog", "doubtful")] and [j[1] for j in merged.judged] == [False, False]
    doubtful = merged.coco["annotations"][1]
    assert doubtful["bbox"] == C and doubtful["difficult"] == 1


def test_classes_that_people_did_not_label_are_the_machines():
    merged = merged_of([(3, A, {})], [(4, B, 0.4), (5, C, 0.25), (5, [150, 150, 20, 20], 0.1)], labelled=[3, 9])
    assert fates(merged) == [("cat", "added"), ("dog", "added")]
    assert [(names_of(merged)[a["category_id"]], a.get("score")) for a in merged.coco["annotations"]] == [
        ("motorcycle", None), ("dog", 0.4), ("cat", 0.25),
    ]  # fmt: skip
    names = {names_of(merged)[c] for c in merged.coco["images"][0]["labelled_classes"]}
    assert names == {"motorcycle", "person", "truck", "dog", "cat"} and merged.judged == []


def test_a_lone_box_of_a_class_that_is_not_labelled_wins_too():
    assert fates(merged_of([(4, A, {})], [(4, NEAR_A, 0.9), (4, C, 0.6)], labelled=[3])) == [("dog", "added"), ("dog", "confirmed")]


def test_two_names_for_one_thing_are_not_both_learnt():
    merged = merged_of([(3, A, {})], [(3, A, 0.7), (4, B, 0.4), (5, B, 0.6)], labelled=[3])
    assert fates(merged) == [("cat", "added"), ("dog", "second"), ("truck", "renamed")]
    ignored = {names_of(merged)[a["category_id"]] for a in merged.coco["annotations"] if a.get("difficult")}
    assert ignored == {"dog", "truck"}


def test_boxes_in_crowds_are_dropped():
    merged = merged_of([(9, [0, 0, 190, 190], {"iscrowd": 1})], [(1, A, 0.9), (1, B, 0.5)])
    assert fates(merged) == [("person", "ignored")] * 2 and merged.judged == []


def test_every_fate_is_explained_and_agreement_is_counted():
    assert set(FATES) == {"confirmed", "ignored", "contradicted", "doubtful", "renamed", "second", "added"}
    rows = agreement([(0.1, False), (0.15, True), (0.9, True)], (0.1, 0.5))
    assert rows == [(0.1, 0.5, 2, 0.5), (0.5, 1.0, 1, 1.0)]


@pytest.fixture
def machine(coco, tmp_path):
    """The drawn shapes' train.json as people labelled it (discs alone), and squares of a machine's."""
    raw = json.loads((coco / "train.json").read_text())
    discs, squares = ([a for a in raw["annotations"] if a["category_id"] == c] for c in (5, 6))
    (tmp_path / "machine.json").write_text(json.dumps(raw | {"annotations": [a | {"score": 0.6} for a in squares + discs]}))
    raw["images"] = [i | {"labelled_classes": [5]} for i in raw["images"]]
    (tmp_path / "people.json").write_text(json.dumps(raw | {"annotations": discs}))
    (tmp_path / "train-000.tar").write_bytes((coco / "train-000.tar").read_bytes())
    return tmp_path, len(discs), len(squares)


def test_the_merged_file_can_be_read_from_its_own_folder(coco, machine):
    folder, discs, squares = machine
    out = folder / "deeper/merged.json"
    said = command("merge", folder / "people.json", "--machine", folder / "machine.json", "--out", out, "--sheet", folder / "sheet.png")
    assert f"24 pictures, {discs + squares} boxes, {squares} of them the machine's" in said
    assert f"0.60 to 0.70: 100.0% of {discs}" in said and "disc               1.000    1.000" in said
    (folder / "data.yaml").write_text(f"train: {out}\nnames: [disc, square]\n")
    split = DataSpec.load(folder / "data.yaml").read("train")
    whole = DataSpec.load(coco).read("train")
    for a, b in zip(split.records, whole.records):
        assert sorted(map(tuple, a.boxes.tolist())) == sorted(map(tuple, b.boxes.tolist())) and a.labelled.all()
        assert (a.scores == np.where(a.labels == 1, np.float32(0.6), 1)).all() and a.picture.read() == b.picture.read()
    assert (folder / "sheet.png").stat().st_size > 5000


def test_a_run_says_what_it_makes_of_machines_boxes(machine):
    folder, _, squares = machine
    command("merge", folder / "people.json", "--machine", folder / "machine.json", "--out", folder / "train.json")
    (folder / "val.json").write_bytes((folder / "train.json").read_bytes())
    (folder / "tiny.yaml").write_text("channels: [8, 8, 8, 16, 16, 16]\ndims: [16, 16, 16]\ndepths: [1, 1, 1]\nexpand: 2\nneck: [16, 24, 32]\n")
    run = ["train", "--data", folder, "--network", folder / "tiny.yaml", "--epochs", 0.5, "--stages", 64, "--batch", 8, "--evaluations", 1]
    said = command(*run, "--out", folder / "a")
    assert f"{squares} boxes by machines: {squares} are learnt, 0 neither object nor background, 0 nothing" in said
    said = command(*run, "--out", folder / "b", "--unsure", 0.5, 0.7, "--allow-empty-classes")
    assert f"{squares} boxes by machines: 0 are learnt, {squares} neither object nor background, 0 nothing" in said
    assert "is not a band of scores" in command(*run, "--out", folder / "c", "--unsure", 0.7, 0.5, fails=True)


def test_merging_mistakes_are_explained(coco, machine):
    folder, *_ = machine
    out = ["--out", folder / "x.json"]
    assert "annotations have no score" in command("merge", folder / "people.json", "--machine", coco / "train.json", *out, fails=True)
    raw = json.loads((folder / "machine.json").read_text())
    raw["images"] = [i | {"file_name": f"other{i['id']}.png"} for i in raw["images"]]
    (folder / "machine.json").write_text(json.dumps(raw))
    assert "has none of the 24 pictures" in command("merge", folder / "people.json", "--machine", folder / "machine.json", *out, fails=True)


# --- one picture in two sets


def photograph(seed: int, side: int = 160) -> np.ndarray:
    """Smooth blobs of colour, such as no other seed gives."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.float32)
    return np.clip(cv2.resize(noise, (side * 4 // 3, side), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def disguises(picture: np.ndarray) -> dict[str, np.ndarray]:
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])
    return {
        "encoded": cv2.imdecode(jpeg, cv2.IMREAD_COLOR),
        "scaled": cv2.resize(picture, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
        "squared": cv2.resize(picture, (120, 120)),
        "mirrored": picture[:, ::-1],
        "brightened": np.clip(picture * 0.8 + 40, 0, 255).astype(np.uint8),
    }


def test_a_picture_is_found_in_every_disguise_and_no_other():
    originals = [photograph(s) for s in range(40)]
    known = Prints.of(originals)
    for kind in disguises(originals[0]):
        found = pairs(Prints.of([disguises(p)[kind] for p in originals]), known, Alike())
        assert [(a, b) for a, b, *_ in found] == [(i, i) for i in range(40)], kind
    assert pairs(Prints.of([photograph(s) for s in range(100, 160)]), known, Alike()) == []


def test_of_repeated_pictures_the_first_is_kept():
    a, b = photograph(1), photograph(2)
    own = Prints.of([a, b, disguises(a)["mirrored"], disguises(b)["encoded"], disguises(a)["scaled"]])
    assert {k: v[0] for k, v in repeated(pairs(own, own, Alike())).items()} == {2: 0, 3: 1, 4: 0}


@pytest.mark.parametrize(
    "name, is_voc",
    [
        ("2007_000027.jpg", True),
        ("train/2008_003141_jpg.rf.0a1b2c.jpg", True),
        ("VOCdevkit/VOC2007/JPEGImages/000005.jpg", True),
        ("images/000005.jpg", False),
        ("20210714_164223.jpg", False),
        ("voc/photo_12345678.jpg", False),
        ("frame_2019_0000271.jpg", False),
    ],
)
def test_names_like_vocs(name, is_voc):
    assert from_voc({"file_name": "a.jpg", "original_name": name}) == is_voc
    assert from_voc({"file_name": name}) == is_voc


def write_set(path, pictures: dict[str, np.ndarray]) -> None:
    with tarfile.open(path.with_suffix(".tar"), "w") as tar:
        for name, picture in pictures.items():
            data = cv2.imencode(".png", picture)[1].tobytes()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    images = [
        {"id": i, "file_name": n, "width": p.shape[1], "height": p.shape[0], "shard": path.with_suffix(".tar").name}
        for i, (n, p) in enumerate(pictures.items())
    ]
    boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [5, 5, 20, 20]} for i in range(len(images))]
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "dog"}]}))


def test_the_command_keeps_what_is_new(tmp_path):
    write_set(tmp_path / "val.json", {f"v{s}.png": photograph(s) for s in range(3)})
    again = disguises(photograph(1))["mirrored"]
    fresh, other = photograph(50), photograph(51)
    pictures = {"n0.png": fresh, "n1.png": again, "n2.png": cv2.resize(fresh, (100, 100)), "2007_000001.png": other, "n4.png": photograph(52)}
    write_set(tmp_path / "new.json", pictures)
    options = ["--against", tmp_path / "val.json", "--pairs", tmp_path / "pairs.csv", "--sheet", tmp_path / "pairs.png"]
    said = command("dedup", tmp_path / "new.json", "--out", tmp_path / "sub/clean.json", *options)
    assert "5 pictures; dropped: 1 by name, 1 that other sets have, 1 repeated; 2 kept" in said
    clean = json.loads((tmp_path / "sub/clean.json").read_text())
    assert [i["file_name"] for i in clean["images"]] == ["n0.png", "n4.png"] and [a["image_id"] for a in clean["annotations"]] == [0, 4]
    assert [line.split(",")[0] for line in (tmp_path / "pairs.csv").read_text().split()] == ["dropped", "n1.png", "n2.png"]
    assert (tmp_path / "pairs.png").stat().st_size > 5000
    (tmp_path / "data.yaml").write_text("train: sub/clean.json\n")
    assert len(DataSpec.load(tmp_path / "data.yaml").read("train")) == 2
