"""A small labelled data set of drawn shapes, written to disk as COCO with shards and as YOLO text."""

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

NAMES = ["disc", "square"]


def picture(rng: np.random.Generator, width: int = 160, height: int = 120) -> tuple[np.ndarray, list[tuple[int, list[int]]]]:
    """A grey picture with one to three bright discs and dark squares. -> it and (class, x1 y1 x2 y2)."""
    image = np.full((height, width, 3), 128, np.uint8)
    image += rng.integers(0, 20, image.shape, dtype=np.uint8)
    objects = []
    for slot in rng.permutation(3)[: rng.integers(1, 4)]:
        side = int(rng.integers(24, 44))
        x, y = int(slot) * 52 + int(rng.integers(2, 8)), int(rng.integers(2, height - side - 2))
        label = int(rng.integers(2))
        if label == 0:
            cv2.circle(image, (x + side // 2, y + side // 2), side // 2, (250, 220, 60), -1)
        else:
            cv2.rectangle(image, (x, y), (x + side, y + side), (20, 30, 160), -1)
        objects.append((label, [x, y, x + side, y + side]))
    return image, objects


def write_coco(folder: Path, split: str, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images, annotations = [], []
    with tarfile.open(folder / f"{split}-000.tar", "w") as tar:
        for i in range(count):
            pixels, objects = picture(rng)
            data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
            member = tarfile.TarInfo(f"{split}/{i}.png")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
            images.append({"id": 10 + i, "file_name": f"{i}.png", "width": 160, "height": 120, "shard": f"{split}-000.tar"})
            for label, (x1, y1, x2, y2) in objects:
                row = {"id": len(annotations) + 1, "image_id": 10 + i, "category_id": 5 + label, "bbox": [x1, y1, x2 - x1, y2 - y1]}
                annotations.append(row | {"iscrowd": 0})
    categories = [{"id": 5 + i, "name": n} for i, n in enumerate(NAMES)]
    (folder / f"{split}.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def write_yolo(folder: Path, split: str, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for kind in ("images", "labels"):
        (folder / kind / split).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels, objects = picture(rng)
        cv2.imwrite(str(folder / "images" / split / f"{i}.png"), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        lines = [
            f"{label} {(x1 + x2) / 320:.6f} {(y1 + y2) / 240:.6f} {(x2 - x1) / 160:.6f} {(y2 - y1) / 120:.6f}"
            for label, (x1, y1, x2, y2) in objects
        ]  # fmt: skip
        (folder / "labels" / split / f"{i}.txt").write_text("\n".join(lines))


@pytest.fixture(scope="session")
def coco(tmp_path_factory) -> Path:
    """A folder with train.json, val.json and their shards."""
    folder = tmp_path_factory.mktemp("coco")
    write_coco(folder, "train", 24, seed=1)
    write_coco(folder, "val", 8, seed=2)
    return folder


@pytest.fixture
def yolo(tmp_path) -> Path:
    """A folder with a data.yaml and YOLO text labels."""
    write_yolo(tmp_path, "train", 6, seed=1)
    write_yolo(tmp_path, "val", 3, seed=2)
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: {0: disc, 1: square}\n")
    return tmp_path


@pytest.fixture(autouse=True)
def one_thread():
    """Tests share the machine, and small tensors gain nothing from threads."""
    torch.set_num_threads(1)


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """Give batch norms other statistics than 0 and 1, so that forgetting them shows."""
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2),
                (module.weight, 0.5, 1.5),
                (module.bias, -0.3, 0.3),
            ):
                tensor.data.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
    return model.eval()
