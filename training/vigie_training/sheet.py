"""Contact sheets: many pictures with their boxes on one, to be looked at."""

from pathlib import Path

import cv2
import numpy as np

from .data import Split, letterbox
from .data.pictures import decode
from .metrics import Found

CELL = 288
TRUTH = (255, 255, 255)


def colour(index: int) -> tuple[int, int, int]:
    """Well apart for neighbouring classes; RGB."""
    hsv = np.uint8([[[int(index * 180 * 0.618) % 180, 220, 255]]])
    return tuple(int(v) for v in cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0])


def draw(cell: np.ndarray, box: np.ndarray, rgb: tuple[int, int, int], text: str = "", width: int = 2) -> None:
    """A box and its label, in place."""
    x0, y0, x1, y1 = (round(float(v)) for v in box)
    cv2.rectangle(cell, (x0, y0), (x1, y1), rgb, width, cv2.LINE_AA)
    if not text:
        return
    (w, h), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.38, 1)
    x, y = max(0, min(x0, cell.shape[1] - w - 4)), y0 if y0 >= h + 4 else y0 + h + 4
    cv2.rectangle(cell, (x, y - h - 4), (x + w + 4, y), rgb, -1)
    ink = (0, 0, 0) if sum(rgb) > 380 else (255, 255, 255)
    cv2.putText(cell, text, (x + 2, y - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.38, ink, 1, cv2.LINE_AA)


def tile(cells: list[np.ndarray], columns: int) -> np.ndarray:
    """Side by side, row by row."""
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    page = np.full((rows * (height + 4), columns * (width + 4), 3), 32, np.uint8)
    for i, cell in enumerate(cells):
        y, x = i // columns * (height + 4), i % columns * (width + 4)
        page[y : y + height, x : x + width] = cell
    return page


def save(path: str | Path, page: np.ndarray) -> None:
    """As JPEG or PNG, by the name."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 88] if Path(path).suffix.lower() in (".jpg", ".jpeg") else []
    cv2.imwrite(str(path), cv2.cvtColor(page, cv2.COLOR_RGB2BGR), quality)


def write_sheet(path: str, split: Split, found: list[Found], count: int, confidence: float) -> None:
    """`count` pictures spread over the split: true boxes thin and white, detections coloured with class and score."""
    chosen = np.unique(np.linspace(0, len(split) - 1, min(count, len(split))).round().astype(int))
    cells = []
    for i in chosen:
        record, seen = split.records[i], found[i]
        cell, placement = letterbox(decode(record.picture, record.name), CELL, CELL)
        scale = np.array([placement.scale_x, placement.scale_y] * 2)
        shift = np.array([placement.left, placement.top] * 2)
        for box in record.boxes:
            draw(cell, box * scale + shift, TRUTH, width=1)
        sure = np.flatnonzero(seen.scores >= confidence)
        for k in sure[::-1]:
            label = int(seen.labels[k])
            draw(cell, seen.boxes[k] * scale + shift, colour(label), f"{split.names[label]} {seen.scores[k]:.2f}")
        cells.append(cell)
    save(path, tile(cells, 8 if len(cells) > 20 else 5))
