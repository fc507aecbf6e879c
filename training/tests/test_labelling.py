"""`vigie-label` with the program itself, on pictures and on clips; `vigie-adapt` against YOLOX's own arithmetic."""

import json
import os
import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_commands import command

from vigie_training.adapt import COCO
from vigie_training.data.clips import clip_frames
from vigie_training.data.coco import read_coco
from vigie_training.errors import InputError
from vigie_training.label import labelled

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models/vigie-xxs-320-fp32.onnx"


@pytest.fixture(scope="session")
def vigie() -> str:
    """The program; CI has built it by now."""
    program = os.environ.get("VIGIE_BINARY") or str(ROOT / "target/release/vigie")
    if shutil.which(program) is None:
        assert not os.environ.get("CI"), f"{program} is not built: cargo build --release"
        pytest.skip(f"{program} is not built: cargo build --release")
    return program


@pytest.fixture
def cat() -> bytes:
    return (ROOT / "demo/pictures/chelsea.jpg").read_bytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def avi(frames: list[bytes], rate: int = 5) -> bytes:
    """As recorders write it: headers, frames (an empty one repeats the one before), an index."""
    stream = chunk(b"LIST", b"strl" + chunk(b"strh", b"vidsMJPG" + struct.pack("<4I2I", 0, 0, 0, 1, rate, 0).ljust(48, b"\0")))
    movi = chunk(b"LIST", b"movi" + b"".join(chunk(b"JUNK", b"time") + chunk(b"00dc", f) for f in frames))
    return chunk(b"RIFF", b"AVI " + chunk(b"LIST", b"hdrl" + chunk(b"avih", bytes(56)) + stream) + movi + chunk(b"idx1", bytes(16)))


def jpeg(shade: int) -> bytes:
    return cv2.imencode(".jpg", np.full((16, 16, 3), shade, np.uint8))[1].tobytes()


def test_a_clips_frames_come_as_they_are_and_once_in_so_many_seconds(tmp_path):
    clip, shades = tmp_path / "a.avi", [jpeg(v) for v in (10, 60, 110, 160)]
    clip.write_bytes(avi([shades[0], b"", shades[1], shades[2], shades[3]]))
    # Five ticks a second, and the second frame comes after a repeat.
    assert [(f.number, round(f.seconds, 3)) for f in clip_frames(clip, 0.01)] == [(0, 0.0), (1, 0.4), (2, 0.6), (3, 0.8)]
    assert [f.jpeg for f in clip_frames(clip, 0.5)] == [shades[0], shades[2]]
    # The exact times lie beside it.
    clip.with_suffix(".json").write_text(json.dumps({"captured_monotonic_ns": [7_000_000_000, 7_100_000_000, 9_000_000_000, 9_400_000_000]}))
    assert [(f.number, f.seconds) for f in clip_frames(clip, 1)] == [(0, 0.0), (2, 2.0)]
    # Of another clip: the rate holds.
    clip.with_suffix(".json").write_text(json.dumps({"captured_monotonic_ns": [1, 2]}))
    assert len(list(clip_frames(clip, 0.01))) == 4


@pytest.mark.parametrize("end", [2, 40, 300])
def test_a_cut_clip_gives_what_is_whole(tmp_path, end):
    clip, whole = tmp_path / "a.avi", avi([jpeg(10), jpeg(200)])
    clip.write_bytes(whole[: len(whole) - 24 - end])
    assert [f.jpeg for f in clip_frames(clip, 0.01)] == [jpeg(10)]


def test_what_is_no_clip_is_said(tmp_path):
    for name, data, said in (("a.avi", b"\0\0\0\x18ftypmp42", "no AVI"), ("b.avi", avi([b"\0\0\0\1gH264"]), "no Motion-JPEG")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=said):
            list(clip_frames(tmp_path / name, 1))


def test_pictures_and_clips_are_labelled_as_vigie_sees_them(vigie, cat, tmp_path):
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/deep/-cat.jpg").write_bytes(cat)
    (tmp_path / "in/clip.avi").write_bytes(avi([cat] * 8))
    (tmp_path / "in/broken.png").write_bytes(b"no picture")
    out = tmp_path / "out/found.json"
    said = command("label", tmp_path / "in", "--model", MODEL, "--vigie", vigie, "--out", out, "--sheet", tmp_path / "sheet.png")
    assert "3 pictures, " in said and "cat" in said, said
    raw = json.loads(out.read_text())
    assert [i["file_name"] for i in raw["images"]] == ["images/clip-00000.jpg", "images/clip-00005.jpg", "../in/deep/-cat.jpg"]
    assert (tmp_path / "out/images/clip-00005.jpg").read_bytes() == cat
    assert min(a["score"] for a in raw["annotations"]) >= 0.05
    split = read_coco(out, [c["name"] for c in raw["categories"]], "labels", clip=False)
    best = [(split.names[r.labels[r.scores.argmax()]], round(float(r.scores.max()), 3)) for r in split.records]
    assert best[0][0] == "cat" and best[0][1] > 0.3 and len(set(best)) == 1, best
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None


def test_two_clips_of_one_name_do_not_replace_each_other(vigie, cat, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "clip.avi").write_bytes(avi([cat]))
    given = [tmp_path / "a", tmp_path / "b", "--model", MODEL, "--vigie", vigie, "--out", tmp_path / "found.json"]
    assert "would replace those of another clip" in command("label", *given, fails=True)


def test_of_two_names_for_one_thing_the_less_sure_one_teaches_nothing(tmp_path):
    found = [{"label": n, "score": s, "box": b} for n, s, b in (("dog", 0.5, [10, 10, 60, 60]), ("cat", 0.8, [10, 10, 61, 60]), ("dog", 0.4, [70, 10, 90, 30]))]
    line = {"file": str(tmp_path / "a.png"), "width": 100, "height": 80, "detections": found}
    rows = labelled(iter([line]), ["cat", "dog"], tmp_path, scored=True)["annotations"]
    assert [(a["category_id"], a["score"], a.get("difficult", 0)) for a in rows] == [(2, 0.5, 1), (1, 0.8, 0), (2, 0.4, 0)]
    assert [a["id"] for a in rows] == [1, 2, 3]
    # People decide it.
    assert not any({"score", "difficult"} & a.keys() for a in labelled(iter([line]), ["cat", "dog"], tmp_path, scored=False)["annotations"])


def test_a_draft_has_no_scores_and_one_may_choose_classes(vigie, cat, tmp_path):
    (tmp_path / "cat.jpg").write_bytes(cat)
    given = [tmp_path / "cat.jpg", "--model", MODEL, "--vigie", vigie, "--out", tmp_path / "draft.json", "--draft", 0.3]
    command("label", *given, "--classes", "cat", "dog")
    raw = json.loads((tmp_path / "draft.json").read_text())
    assert {c["name"] for c in raw["categories"]} == {"cat", "dog"}
    assert raw["annotations"] and not any("score" in a for a in raw["annotations"])


def test_what_cannot_be_labelled_is_said_before_anything_is_done(vigie, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "no.onnx").write_bytes(b"no model")
    common = ["--vigie", vigie, "--out", tmp_path / "found.json"]
    for given, said in (
        ([tmp_path / "empty", "--model", MODEL], "holds no pictures and no clips"),
        ([tmp_path / "absent", "--model", MODEL], "there is no file or folder"),
        ([tmp_path / "broken.jpg", "--model", MODEL], "none of the 1 pictures could be read"),
        ([tmp_path / "broken.jpg", "--model", tmp_path / "no.onnx"], "cannot use"),
        ([tmp_path / "broken.jpg", "--model", MODEL, "--classes", "unicorn"], "no class 'unicorn'"),
        ([tmp_path / "broken.jpg", "--model", MODEL, "--least", 2], "--least 2 is no score"),
        ([tmp_path / "broken.jpg", "--model", MODEL, "--every", 0], "--every 0"),
        ([tmp_path / "broken.jpg", "--model", MODEL, "--vigie", tmp_path / "nowhere"], "there is no program"),
    ):
        assert said in command("label", *common, *given, fails=True)
    assert not (tmp_path / "found.json").exists()


def yolox(classes: int, size: int) -> onnx.ModelProto:
    """The shape of YOLOX's export around one convolution a level."""
    rng = np.random.default_rng(5)
    nodes, weights, levels = [], [], []
    for s in (8, 16, 32):
        w = rng.normal(0, 0.004, (5 + classes, 3, 1, 1)).astype(np.float32)
        weights.append(numpy_helper.from_array(w, f"w{s}"))
        nodes += [
            helper.make_node("AveragePool", ["images"], [f"p{s}"], kernel_shape=[s, s], strides=[s, s]),
            helper.make_node("Conv", [f"p{s}", f"w{s}"], [f"c{s}"]),
            helper.make_node("Split", [f"c{s}"], [f"box{s}", f"cls{s}"], axis=1, split=[4, 1 + classes]),
            helper.make_node("Sigmoid", [f"cls{s}"], [f"p{s}cls"]), helper.make_node("Concat", [f"box{s}", f"p{s}cls"], [f"all{s}"], axis=1),
            helper.make_node("Reshape", [f"all{s}", "flat"], [f"r{s}"]),
        ]  # fmt: skip
        levels.append(f"r{s}")
    weights.append(numpy_helper.from_array(np.array([1, 5 + classes, -1], np.int64), "flat"))
    nodes += [helper.make_node("Concat", levels, ["all"], axis=2), helper.make_node("Transpose", ["all"], ["output"], perm=[0, 2, 1])]
    places = sum((size // s) ** 2 for s in (8, 16, 32))
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, d) for n, d in (("images", [1, 3, size, size]), ("output", [1, places, 5 + classes]))]
    graph = helper.make_graph(nodes, "yolox", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


@pytest.mark.parametrize("size", [None, 192])
def test_yolox_gives_the_same_boxes_in_vigies_layout(vigie, tmp_path, size):
    model = yolox(80, 128)
    onnx.save(model, tmp_path / "yolox.onnx")
    said = command("adapt", tmp_path / "yolox.onnx", "--out", tmp_path / "vigie.onnx", *(["--size", size] if size else []))
    size = size or 128
    assert f"{size}x{size}, 80 classes" in said
    rgb = np.random.default_rng(3).integers(0, 256, (1, 3, size, size)).astype(np.float32)
    (ours,) = ort.InferenceSession(str(tmp_path / "vigie.onnx")).run(None, {"vigie.images": rgb / 255})

    # YOLOX's own decoding, place by place, of what the network says of B G R.
    weights = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    expected = []
    for s in (8, 16, 32):
        mean = rgb[0, ::-1].reshape(3, size // s, s, size // s, s).mean((2, 4))
        for y, x in np.ndindex(size // s, size // s):
            v = weights[f"w{s}"][:, :, 0, 0] @ mean[:, y, x]
            v[4:] = 1 / (1 + np.exp(-v[4:]))
            expected.append([(v[0] + x) * s, (v[1] + y) * s, np.exp(v[2]) * s, np.exp(v[3]) * s, *(v[4] * v[5:])])
    assert ours.shape == (1, 84, len(expected))
    np.testing.assert_allclose(ours[0].T, expected, rtol=1e-3, atol=1e-3)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 64, 3), np.uint8))
    command("label", tmp_path / "a.png", "--model", tmp_path / "vigie.onnx", "--vigie", vigie, "--out", tmp_path / "found.json")
    assert [c["name"] for c in json.loads((tmp_path / "found.json").read_text())["categories"]] == COCO


def test_what_is_not_yolox_is_said(tmp_path):
    onnx.save(yolox(3, 128), tmp_path / "three.onnx")
    (tmp_path / "no.onnx").write_bytes(b"no model")
    for given, said in (
        ([MODEL], "6 outputs"),
        ([tmp_path / "three.onnx"], "has 3 classes, and 80 are named"),
        ([tmp_path / "no.onnx"], "cannot be read as ONNX"),
        ([tmp_path / "three.onnx", "--names", "a", "b", "c", "--size", 100], "multiples of 64"),
    ):
        assert said in command("adapt", *given, "--out", tmp_path / "out.onnx", fails=True)
    assert not (tmp_path / "out.onnx").exists()
