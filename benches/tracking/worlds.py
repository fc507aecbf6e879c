"""Worlds to follow: people whom others annotated, and scenes made for what is hard. Each is a list of looks."""

from __future__ import annotations

import dataclasses
import pathlib

import motmetrics
import numpy as np

PERSON, CAR = 0, 2


@dataclasses.dataclass
class Look:
    """The objects that are there (id, x, y, w, h, class), and what a detector says (x, y, w, h, score, class)."""

    truth: list[tuple]
    boxes: list[tuple]


@dataclasses.dataclass
class World:
    name: str
    fps: float
    size: tuple[int, int]
    looks: list[Look]


def see(truth: list[tuple], size: tuple[int, int], rng: np.random.Generator, recall: float) -> list[tuple]:
    """What a weak detector makes of it: boxes that shake, scores that vary, misses, and a phantom now and then.

    Objects that another one covers are missed more often, or seen with a low score.
    """
    boxes = []
    for own, x, y, w, h, cls in truth:
        hidden = max((cover((x, y, w, h), other[1:5]) for other in truth
                      if other[0] != own and other[2] + other[4] > y + h), default=0.0)
        if hidden > 0.7 or rng.random() > recall * (1 - 0.6 * hidden):
            continue
        score = float(np.clip(rng.normal(0.58 - 0.3 * hidden, 0.16), 0.05, 0.98))
        dx, dy = rng.normal(0, 0.04, 2) * (w, h)
        sw, sh = np.exp(rng.normal(0, 0.05, 2))
        said = cls if rng.random() > 0.05 else 7
        if score >= 0.1:
            boxes.append((x + dx - w * (sw - 1) / 2, y + dy - h * (sh - 1) / 2, w * sw, h * sh, score, said))
    if rng.random() < 0.08:
        w, h = rng.uniform(15, 60), rng.uniform(30, 120)
        boxes.append((rng.uniform(0, size[0] - w), rng.uniform(0, size[1] - h), w, h, rng.uniform(0.3, 0.6), PERSON))
    return boxes


def cover(a, b) -> float:
    """The part of `a` that lies in `b`."""
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(w, 0) * max(h, 0) / (a[2] * a[3])


def annotated(name: str, every: int, recall: float, seed: int) -> World:
    """One of the TUD sequences that motmetrics carries (25 frames a second), every so manieth frame of it."""
    folder = pathlib.Path(motmetrics.__file__).parent / "data" / name
    table = motmetrics.io.loadtxt(folder / "gt.txt", fmt="mot15-2D")
    size, rng, looks = (640, 480), np.random.default_rng(seed), []
    for frame in range(1, int(table.index.get_level_values(0).max()) + 1, every):
        rows = table.loc[frame] if frame in table.index.get_level_values(0) else None
        truth = [] if rows is None else [(int(i), r.X, r.Y, r.Width, r.Height, PERSON) for i, r in rows.iterrows()]
        looks.append(Look(truth, see(truth, size, rng, recall)))
    return World(f"{name} at {25 / every:g} fps, recall {recall}", 25 / every, size, looks)


def scene(name: str, fps: float, seconds: float, objects, recall: float, seed: int, drop=0.0) -> World:
    """A made scene: `objects` gives for a time what there is, ordered from behind to before."""
    size, rng, looks = (640, 480), np.random.default_rng(seed), []
    for n in range(int(seconds * fps)):
        truth = objects(n / fps)
        seen = [] if rng.random() < drop else see(truth, size, rng, recall)
        looks.append(Look(truth, seen))
    return World(f"{name} at {fps:g} fps", fps, size, looks)


def walker(own, x, y, vx, vy=0.0, height=100.0, width=40.0, cls=PERSON):
    return lambda t: (own, x + vx * t - width / 2, y + vy * t - height / 2, width, height, cls)


def inside(boxes):
    return [b for b in boxes if 0 < b[1] + b[3] / 2 < 640 and 0 < b[2] + b[4] / 2 < 480]


def crossing(t):
    """Two pairs that meet, and one who overtakes another."""
    walkers = [walker(1, 60, 200, 70), walker(2, 580, 206, -70), walker(3, 40, 330, 60, height=130, width=50),
               walker(4, 600, 338, -65, height=135, width=52), walker(5, 20, 420, 90), walker(6, 90, 424, 60)]
    return inside([w(t) for w in walkers])


def occlusion(t):
    """Three who pass behind a pillar of 90 pixels, which nobody sees through."""
    walkers = [walker(1, 60, 220, 60), walker(2, 600, 260, -75), walker(3, 30, 330, 50, height=140, width=55)]
    boxes = inside([w(t) for w in walkers])
    return [b for b in boxes if not 300 < b[1] + b[3] / 2 < 390]


def street(t):
    """Cars that pass fast, one that is parked, people on the pavement."""
    boxes = [(1, 400, 200, 160, 90, CAR)]
    for n in range(6):
        start = 3.0 * n
        if start <= t:
            boxes.append(walker(10 + n, -60, 330, 220, height=100, width=190, cls=CAR)(t - start))
    boxes += [walker(30, 620, 420, -45, height=110, width=44)(t), walker(31, 560, 426, -45, height=112, width=44)(t)]
    return inside(boxes)


def crowd(t):
    """Twenty people who go about."""
    rng = np.random.default_rng(7)
    boxes = []
    for n in range(20):
        x, y, r = rng.uniform(60, 580), rng.uniform(120, 420), rng.uniform(20, 90)
        w, phase = rng.uniform(0.3, 0.8), rng.uniform(0, 6.28)
        boxes.append(walker(n + 1, x + r * np.cos(w * t + phase), y + 0.3 * r * np.sin(w * t + phase), 0)(0))
    return inside(sorted(boxes, key=lambda b: b[2]))


def all_worlds() -> list[World]:
    worlds = []
    for seed, name in enumerate(("TUD-Campus", "TUD-Stadtmitte")):
        for every, recall, shift in ((1, 0.8, 0), (5, 0.9, 0), (5, 0.7, 10)):
            worlds.append(annotated(name, every, recall, shift + seed))
    for seed, objects in enumerate((crossing, occlusion, street, crowd)):
        worlds += [scene(objects.__name__, fps, 20, objects, 0.85, 100 * seed + int(fps)) for fps in (2, 5, 15)]
        name = f"{objects.__name__}, a third of the looks dropped"
        worlds.append(scene(name, 5, 20, objects, 0.85, 40 + seed, drop=0.33))
    return worlds
