"""From the network's output to boxes, in numpy: decoding of the logit maps, and non-maximum suppression for each class."""

import numpy as np

from .network.grid import anchor_grid


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Without overflow."""
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))


def decode_logits(maps: list[np.ndarray], height: int, width: int, reg_max: int) -> np.ndarray:
    """box8, cls8, box16, cls16, box32, cls32 (1 x C x h x w each) -> (4+nc) x N: cx, cy, w, h in pixels, probabilities."""
    box = np.concatenate([m.reshape(4, reg_max, -1) for m in maps[0::2]], axis=2).astype(np.float32)
    cls = np.concatenate([m.reshape(m.shape[1], -1) for m in maps[1::2]], axis=1)
    weights = np.exp(box - box.max(axis=1, keepdims=True))
    distances = (weights * np.arange(reg_max, dtype=np.float32)[:, None]).sum(axis=1) / weights.sum(axis=1)
    centres, strides = anchor_grid(height, width)
    near, far = distances[:2] * strides, distances[2:] * strides
    return np.concatenate((centres.T + (far - near) / 2, near + far, sigmoid(cls)))


def nms(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, iou: float, keep: int) -> np.ndarray:
    """Greedy suppression within each class. -> indices of what stays, best first, at most `keep`."""
    kept: list[np.ndarray] = []
    for label in np.unique(labels):
        order = np.flatnonzero(labels == label)
        order = order[np.argsort(-scores[order], kind="stable")]
        b = boxes[order]
        area = np.prod(b[:, 2:] - b[:, :2], axis=1)
        alive = np.ones(len(order), bool)
        for i in range(len(order)):
            if not alive[i]:
                continue
            rest = np.flatnonzero(alive[i + 1 :]) + i + 1
            overlap = np.minimum(b[i, 2:], b[rest, 2:]) - np.maximum(b[i, :2], b[rest, :2])
            inter = np.prod(np.maximum(overlap, 0), axis=1)
            alive[rest[inter > iou * (area[i] + area[rest] - inter)]] = False
        kept.append(order[alive])
    if not kept:
        return np.zeros(0, int)
    every = np.concatenate(kept)
    return every[np.argsort(-scores[every], kind="stable")][:keep]


def detections(
    prediction: np.ndarray, confidence: float, iou: float = 0.7, candidates: int = 3000, keep: int = 300
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(4+nc) x N -> boxes x1 y1 x2 y2, scores, classes, best first. An anchor may give several classes."""
    classes, anchors = np.nonzero(prediction[4:] > confidence)
    scores = prediction[4 + classes, anchors]
    if len(scores) > candidates:
        best = np.argpartition(-scores, candidates)[:candidates]
        classes, anchors, scores = classes[best], anchors[best], scores[best]
    centre, size = prediction[:2, anchors].T, prediction[2:4, anchors].T
    boxes = np.concatenate((centre - size / 2, centre + size / 2), axis=1)
    kept = nms(boxes, scores, classes, iou, keep)
    return boxes[kept], scores[kept], classes[kept]
