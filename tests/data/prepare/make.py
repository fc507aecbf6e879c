#!/usr/bin/env python3
"""Makes the reference tensors beside it: what OpenCV makes of the demonstration's photographs.

    cvtColor to RGB, resize with INTER_AREA, copyMakeBorder with grey: a letterbox of 128 x 128

Run again only to change them (needs numpy and opencv-python-headless).
"""

import pathlib

import cv2
import numpy as np

here = pathlib.Path(__file__).parent
photos = here.parents[2] / "demo" / "pictures"
SIDE = 128


def letterbox(rgb, size=None):
    h, w = rgb.shape[:2]
    k = min(SIDE / (size or rgb.shape)[1], SIDE / (size or rgb.shape)[0])
    inner_w, inner_h = round((size or rgb.shape)[1] * k), round((size or rgb.shape)[0] * k)
    small = cv2.resize(rgb, (inner_w, inner_h), interpolation=cv2.INTER_AREA)
    left, top = (SIDE - inner_w) // 2, (SIDE - inner_h) // 2
    return cv2.copyMakeBorder(
        small, top, SIDE - inner_h - top, left, SIDE - inner_w - left, cv2.BORDER_CONSTANT, value=(114, 114, 114)
    )


def save(name, rgb):
    cv2.imwrite(str(here / name), rgb[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def limited_bt601(rgb):
    """Y, Cb, Cr planes at full size, as real numbers."""
    r, g, b = (rgb[:, :, i].astype(np.float64) for i in range(3))
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    return (
        16.0 + luma * 219.0 / 255.0,
        128.0 + (b - luma) / 1.772 * 224.0 / 255.0,
        128.0 + (r - luma) / 1.402 * 224.0 / 255.0,
    )


def byte(x):
    return np.clip(np.floor(x + 0.5), 0, 255).astype(np.uint8)


for name in ["mariachi", "musicians"]:
    file = str(photos / f"{name}.jpg")
    rgb = cv2.imread(file)[:, :, ::-1]
    rgb = np.ascontiguousarray(rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2])  # OpenCV wants even sizes
    save(f"{name}-rgb3.png", letterbox(rgb))
    y, u, v = limited_bt601(rgb)
    y = byte(y)
    u2, v2 = (byte((x[:, 0::2] + x[:, 1::2]) / 2.0) for x in (u, v))
    packed = np.empty((*y.shape, 2), np.uint8)
    packed[:, :, 0], packed[:, 0::2, 1], packed[:, 1::2, 1] = y, u2, v2
    save(f"{name}-yuyv.png", letterbox(cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_YUY2)))
    u4, v4 = (byte((x[0::2, 0::2] + x[0::2, 1::2] + x[1::2, 0::2] + x[1::2, 1::2]) / 4.0) for x in (u, v))
    nv12 = np.concatenate([y, np.stack([u4, v4], -1).reshape(y.shape[0] // 2, y.shape[1])])
    save(f"{name}-nv12.png", letterbox(cv2.cvtColor(nv12, cv2.COLOR_YUV2RGB_NV12)))
    # A JPEG is shrunk by the inverse DCT as far as it goes, by the same library.
    h, w = cv2.imread(file).shape[:2]
    reduced = cv2.imread(file, cv2.IMREAD_REDUCED_COLOR_4)[:, :, ::-1]
    save(f"{name}-mjpg.png", letterbox(np.ascontiguousarray(reduced), (h, w)))
