"""Fits a picture into the network's input: scaled to fit, centred, the rest grey 114. The daemon does the same."""

from dataclasses import dataclass

import cv2
import numpy as np

PAD = 114


@dataclass(frozen=True)
class Placement:
    """Where the picture lies in the input."""

    scale_x: float
    scale_y: float
    left: int
    top: int

    def to_picture(self, boxes: np.ndarray, width: int, height: int) -> np.ndarray:
        """Boxes from input pixels back to the picture's, cut at its edges."""
        shifted = (boxes - [self.left, self.top] * 2) / [self.scale_x, self.scale_y, self.scale_x, self.scale_y]
        return np.clip(shifted, 0, [width, height, width, height])


def letterbox(picture: np.ndarray, height: int, width: int) -> tuple[np.ndarray, Placement]:
    """-> height x width x 3 u8 and where the picture lies in it."""
    h, w = picture.shape[:2]
    scale = min(height / h, width / w)
    new_w, new_h = max(1, round(w * scale)), max(1, round(h * scale))
    if (new_w, new_h) != (w, h):
        picture = cv2.resize(picture, (new_w, new_h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - new_w) // 2, (height - new_h) // 2
    canvas = np.full((height, width, 3), PAD, np.uint8)
    canvas[top : top + new_h, left : left + new_w] = picture
    return canvas, Placement(new_w / w, new_h / h, left, top)
