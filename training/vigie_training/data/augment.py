"""Makes many pictures of one: mosaics, scaling, stretching, turning, cropping, flipping, and colour changes.

With every picture comes a weight for each anchor and class that says where the labels may be trusted: a mosaic of four pictures has
four sets of labelled classes, and an object of which a crop left a sliver is neither an object nor background.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from ..network.grid import anchor_grid
from .letterbox import PAD
from .pictures import PictureCache
from .records import Split

SLIVER = 0.4
"""Share of an object that must remain for it to count; of what is left of others nothing is learnt."""
SMALLEST = 2
"""Pixels that an object must have on each side."""


@dataclass(frozen=True)
class Recipe:
    """How much of what."""

    mosaic: float = 0.15
    """Share of examples made of four pictures. Half of them would show large objects 2.5 times as seldom as they are met."""
    scale: tuple[float, float] = (0.6, 1.5)
    mosaic_scale: tuple[float, float] = (0.4, 1.1)
    stretch: float = 0.1
    degrees: float = 0.0
    """Turning loosens boxes (the new one surrounds the turned old one): keep it small."""
    shear: float = 0.0
    flip: float = 0.5
    hue: float = 0.015
    saturation: float = 0.7
    brightness: float = 0.4


@dataclass
class Example:
    """One input of the network."""

    picture: np.ndarray
    """S x S x 3 u8 RGB."""
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    """How sure each object is: 1 where a person drew it."""
    weight: np.ndarray
    """Anchors x classes u8: 1 where the class loss counts."""


class Augmenter:
    """Draws examples from a split."""

    def __init__(self, split: Split, pictures: PictureCache, recipe: Recipe):
        self.split, self.pictures, self.recipe = split, pictures, recipe

    def plain(self, index: int, size: int) -> Example:
        """The picture as it is, fitted and centred."""
        rng = np.random.default_rng(0)
        canvas = _Canvas(size, len(self.split.names))
        picture = self.pictures[index]
        scale = size / max(picture.shape[:2])
        self._place(canvas, rng, index, picture, self._boxes(index, picture), (0, 0, size, size), (scale, scale), flip=False, centred=True)
        return canvas.example()

    def draw(self, rng: np.random.Generator, index: int, size: int, mosaic: float) -> Example:
        """A random variant, alone or with three other pictures around it (with probability `mosaic`)."""
        recipe = self.recipe
        canvas = _Canvas(size, len(self.split.names))
        if rng.random() < mosaic:
            x, y = (int(v) for v in rng.uniform(0.3, 0.7, 2) * size)
            regions = [(0, 0, x, y), (x, 0, size, y), (0, y, x, size), (x, y, size, size)]
            chosen = rng.permutation([index, *rng.integers(0, len(self.split), 3)])
            low, high = recipe.mosaic_scale
        else:
            regions, chosen = [(0, 0, size, size)], [index]
            low, high = recipe.scale
        for region, i in zip(regions, chosen):
            picture = self.pictures[i]
            picture, boxes = self._turned(rng, picture, self._boxes(i, picture))
            scale = size / max(picture.shape[:2]) * np.exp(rng.uniform(np.log(low), np.log(high)))
            stretch = np.exp(rng.uniform(-recipe.stretch, recipe.stretch))
            flip = rng.random() < recipe.flip
            self._place(canvas, rng, i, picture, boxes, region, (scale * stretch, scale / stretch), flip)
        canvas.picture = recolour(rng, canvas.picture, recipe)
        return canvas.example()

    def _boxes(self, index: int, picture: np.ndarray) -> np.ndarray:
        """In pixels of the cached picture."""
        r = self.split.records[index]
        height, width = picture.shape[:2]
        return r.boxes * np.array([width / r.width, height / r.height] * 2, np.float32)

    def _turned(self, rng: np.random.Generator, picture: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        recipe = self.recipe
        if not recipe.degrees and not recipe.shear:
            return picture, boxes
        height, width = picture.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-recipe.degrees, recipe.degrees), 1)
        slant = np.tan(np.radians(rng.uniform(-recipe.shear, recipe.shear)))
        matrix = np.array([[1, slant, -slant * height / 2], [0, 1, 0], [0, 0, 1]]) @ np.vstack([matrix, [0, 0, 1]])
        turned = cv2.warpAffine(picture, matrix[:2], (width, height), borderValue=(PAD, PAD, PAD))
        corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) @ matrix[:2, :2].T + matrix[:2, 2]
        return turned, np.concatenate((corners.min(1), corners.max(1)), axis=1).astype(np.float32)

    def _place(self, canvas, rng, index, picture, boxes, region, scale, flip, centred=False) -> None:
        record = self.split.records[index]
        patch, covered, to_canvas = fit_region(rng, picture, region, scale, flip, centred)
        x0, y0, x1, y1 = covered
        canvas.picture[y0:y1, x0:x1] = patch
        whole = to_canvas(boxes)
        seen = np.clip(whole, [x0, y0, x0, y0], [x1, y1, x1, y1])
        sides, area = seen[:, 2:] - seen[:, :2], np.prod(whole[:, 2:] - whole[:, :2], axis=1)
        visible = (sides > 0).all(axis=1)
        enough = (sides > SMALLEST).all(axis=1) & (np.prod(sides, axis=1) > SLIVER * np.maximum(area, 1e-6))
        canvas.distrust(covered, ~record.labelled)
        for box, label in zip(seen[visible & (record.ignore | ~enough)], record.labels[visible & (record.ignore | ~enough)]):
            canvas.distrust(box, label)
        keep = enough & ~record.ignore
        canvas.boxes.append(seen[keep])
        canvas.labels.append(record.labels[keep])
        canvas.scores.append(record.scores[keep])


class _Canvas:
    """An example in the making."""

    def __init__(self, size: int, nc: int):
        self.picture = np.full((size, size, 3), PAD, np.uint8)
        self.centres, _ = anchor_grid(size, size)
        self.weight = np.ones((len(self.centres), nc), np.uint8)
        self.boxes: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []
        self.scores: list[np.ndarray] = []

    def distrust(self, box: tuple | np.ndarray, classes: np.ndarray | int) -> None:
        """Nothing is to be learnt about these classes at anchors in the box."""
        x, y = self.centres[:, 0], self.centres[:, 1]
        inside = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
        if isinstance(classes, np.ndarray) and classes.ndim:
            if classes.any():
                self.weight[np.ix_(inside, classes)] = 0
        else:
            self.weight[inside, classes] = 0

    def example(self) -> Example:
        return Example(self.picture, np.concatenate(self.boxes), np.concatenate(self.labels), np.concatenate(self.scores), self.weight)


def fit_region(rng, picture, region, scale, flip, centred):
    """Scale a picture into a region at a random place: a larger one is cropped, a smaller one leaves grey around it.

    -> the patch, the rectangle of the canvas that it covers, and a function that takes boxes from the picture to the canvas.
    """
    left, top, right, bottom = region
    height, width = picture.shape[:2]
    new_w, new_h = max(2, round(width * scale[0])), max(2, round(height * scale[1]))
    scale_x, scale_y = new_w / width, new_h / height

    def offset(room: int) -> int:
        return room // 2 if centred else int(rng.integers(min(0, room), max(0, room) + 1))

    dx, dy = offset(right - left - new_w), offset(bottom - top - new_h)
    x0, y0 = max(0, dx), max(0, dy)
    x1, y1 = min(right - left, dx + new_w), min(bottom - top, dy + new_h)
    # Only the part that will be seen is resized.
    u0, v0 = max(0, int((x0 - dx) / scale_x)), max(0, int((y0 - dy) / scale_y))
    u1 = min(width, max(u0 + 1, round((x1 - dx) / scale_x)))
    v1 = min(height, max(v0 + 1, round((y1 - dy) / scale_y)))
    # Mostly the filter that inference uses; sometimes the other, because cameras scale in their own ways.
    averaged = scale_x < 1 and (centred or rng.random() < 0.7)
    patch = cv2.resize(picture[v0:v1, u0:u1], (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA if averaged else cv2.INTER_LINEAR)
    if flip:
        patch = patch[:, ::-1]
    zoom = np.array([(x1 - x0) / (u1 - u0), (y1 - y0) / (v1 - v0)] * 2, np.float32)
    origin = np.array([left + x0, top + y0] * 2, np.float32)

    def to_canvas(boxes: np.ndarray) -> np.ndarray:
        moved = (boxes - np.array([u0, v0, u0, v0], np.float32)) * zoom
        if flip:
            moved[:, [0, 2]] = (x1 - x0) - moved[:, [2, 0]]
        return moved + origin

    return patch, (left + x0, top + y0, left + x1, top + y1), to_canvas


def recolour(rng: np.random.Generator, picture: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Random hue, saturation and brightness."""
    gain = 1 + rng.uniform(-1, 1, 3) * (recipe.hue, recipe.saturation, recipe.brightness)
    level = np.arange(256, dtype=np.float32)
    table = np.stack([level * gain[0] % 180, np.clip(level * gain[1], 0, 255), np.clip(level * gain[2], 0, 255)], axis=1).astype(np.uint8)
    return cv2.cvtColor(cv2.LUT(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV), table[None]), cv2.COLOR_HSV2RGB)
