"""Batches in a fixed order: everything random in a batch follows from (seed, step), so that a resumed run sees what it would have seen."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from .augment import Augmenter, Example
from .records import Split


@dataclass
class Batch:
    """Pictures B x S x S x 3 u8, boxes B x M x 4, labels B x M (-1: none), scores B x M, weight B x anchors x classes u8."""

    size: int
    pictures: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, size: int, examples: list[Example]) -> "Batch":
        most = max(1, max(len(e.labels) for e in examples))
        boxes = np.zeros((len(examples), most, 4), np.float32)
        labels = np.full((len(examples), most), -1, np.int64)
        scores = np.zeros((len(examples), most), np.float32)
        for i, e in enumerate(examples):
            count = len(e.labels)
            boxes[i, :count], labels[i, :count], scores[i, :count] = e.boxes, e.labels, e.scores
        return cls(size, np.stack([e.picture for e in examples]), boxes, labels, scores, np.stack([e.weight for e in examples]))


def repeat_factors(split: Split, threshold: float, most: float = 3.0) -> np.ndarray:
    """How often each picture is seen in an epoch: those with a class found in less than `threshold` of the pictures more often (LVIS)."""
    has = np.zeros((len(split), len(split.names)), bool)
    for i, r in enumerate(split.records):
        has[i, r.labels[~r.ignore]] = True
    share = np.maximum(has.mean(axis=0), 1e-6)
    return np.maximum(1, (has * np.clip(np.sqrt(threshold / share), 1, most)).max(axis=1))


class Order:
    """Which pictures are in the batch of a step."""

    def __init__(self, factors: np.ndarray, batch: int, seed: int):
        self.factors, self.batch, self.seed = factors, batch, seed
        # Fractional factors are rounded at random, so an epoch's length varies a little: count on slightly less.
        self.steps_per_epoch = max(1, int(factors.sum() * 0.98) // batch)
        self._epochs: dict[int, np.ndarray] = {}

    def __call__(self, step: int) -> np.ndarray:
        order = self._epoch(step // self.steps_per_epoch)
        start = step % self.steps_per_epoch * self.batch
        return np.take(order, range(start, start + self.batch), mode="wrap")

    def _epoch(self, epoch: int) -> np.ndarray:
        if epoch not in self._epochs:
            rng = np.random.default_rng([self.seed, 1, epoch])
            times = np.floor(self.factors).astype(int) + (rng.random(len(self.factors)) < self.factors % 1)
            order = rng.permutation(np.repeat(np.arange(len(self.factors)), times))
            # Two epochs are kept: batches made ahead may belong to the next one.
            self._epochs = {e: o for e, o in self._epochs.items() if e == epoch - 1} | {epoch: order}
        return self._epochs[epoch]


def make_batch(augmenter: Augmenter, order: Order, seed: int, step: int, size: int, mosaic: float) -> Batch:
    """The batch of a step."""
    rng = np.random.default_rng([seed, 2, step])
    return Batch.of(size, [augmenter.draw(rng, int(i), size, mosaic) for i in order(step)])


def prefetch(make: Callable[[int], Batch], first: int, workers: int) -> Iterator[Batch]:
    """Batches from step `first` on, made ahead by `workers` threads, in order. OpenCV and NumPy let the threads run side by side."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batch")
    ahead = deque(pool.submit(make, first + i) for i in range(workers + 2))
    step = first + len(ahead)
    try:
        while True:
            batch = ahead.popleft().result()
            ahead.append(pool.submit(make, step))
            step += 1
            yield batch
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
