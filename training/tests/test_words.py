"""Names of classes: VOC's, COCO's, and other people's."""

import json

import pytest

from vigie_training.data import DataSpec
from vigie_training.data.records import require_same_classes
from vigie_training.data.words import in_cocos_words, position, same_class
from vigie_training.errors import InputError


def test_names_of_voc_become_those_of_coco():
    voc = "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep sofa train tvmonitor"
    coco = "airplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,dining table,dog,horse,motorcycle,person,potted plant,sheep,couch,train,tv"
    assert [in_cocos_words(n) for n in voc.split()] == coco.split(",")
    assert [in_cocos_words(n) for n in coco.split(",")] == coco.split(",")
    assert in_cocos_words("Traffic_Light") == "traffic light" and in_cocos_words("Fox") == "fox"


def test_position_prefers_the_very_name():
    assert position("motorbike", ["motorcycle", "motorbike"]) == 1
    assert position("motorbike", ["person", "motorcycle"]) == 1 and position("fox", ["person"]) is None
    assert same_class("TV monitor", "tv") and not same_class("car", "cat")


def renamed(coco, tmp_path, names, change=lambda raw: None):
    raw = json.loads((coco / "val.json").read_text())
    for category, name in zip(raw["categories"], names):
        category["name"] = name
    change(raw)
    (tmp_path / "val.json").write_text(json.dumps(raw))
    (tmp_path / "val-000.tar").write_bytes((coco / "val-000.tar").read_bytes())


def test_a_data_set_in_other_words_is_read(coco, tmp_path):
    renamed(coco, tmp_path, ["motorbike", "van"])
    (tmp_path / "data.yaml").write_text("val: val.json\nnames: [motorcycle, car]\naliases: {van: car}\n")
    plain, other = DataSpec.load(coco).read("val"), DataSpec.load(tmp_path).read("val")
    assert other.names == ["motorcycle", "car"]
    assert all((a.labels == b.labels).all() and b.labelled.all() for a, b in zip(plain.records, other.records))


def test_a_class_of_two_categories_is_labelled_where_both_are(coco, tmp_path):
    def change(raw):
        raw["images"][0]["labelled_classes"] = [5]
        raw["images"][1]["labelled_classes"] = [5, 6]

    renamed(coco, tmp_path, ["car", "van"], change)
    (tmp_path / "data.yaml").write_text("val: val.json\nnames: [car]\naliases: {van: car}\n")
    records = DataSpec.load(tmp_path).read("val").records
    assert not records[0].labelled[0] and records[1].labelled[0] and records[2].labelled[0]


@pytest.mark.parametrize(
    "text, message",
    [
        ("names: [car]\naliases: {van: lorry}", "aliases: 'lorry' is none of `names`"),
        ("names: [car]\naliases: [van]", "`aliases` is not a mapping"),
        ("names: [motorbike, motorcycle]", "names a class twice"),
    ],
)
def test_mistakes_in_names_are_explained(coco, tmp_path, text, message):
    (tmp_path / "data.yaml").write_text(f"path: {coco}\nval: val.json\n{text}\n")
    with pytest.raises(InputError, match=message):
        DataSpec.load(tmp_path)


def test_a_model_in_other_words_has_the_same_classes():
    require_same_classes(["motorbike", "tvmonitor"], ["motorcycle", "tv"])
    with pytest.raises(InputError, match="class 1 is 'tv' in the model and 'car' in the data set"):
        require_same_classes(["motorbike", "tv"], ["motorcycle", "car"])
