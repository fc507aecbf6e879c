"""Where the predictions sit: one anchor point at the centre of every cell of the three output maps."""

from functools import lru_cache

import numpy as np

STRIDES = (8, 16, 32)
"""Input pixels for each cell of the three output maps."""


@lru_cache(maxsize=32)
def anchor_grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres in input pixels (N x 2: x, y) and strides (N), f32; stride 8 first, each map row by row."""
    centres, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[0 : height // stride, 0 : width // stride].astype(np.float32) + 0.5
        centres.append(np.stack((x.ravel(), y.ravel()), axis=1) * stride)
        strides.append(np.full(x.size, stride, np.float32))
    return np.concatenate(centres), np.concatenate(strides)
