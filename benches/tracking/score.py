"""Scores Vigie's tracker, a plain IoU tracker and Norfair on the same boxes: IDF1, MOTA, switches.

    cargo build --release --locked --example track
    pip install -r benches/tracking/requirements.txt
    python benches/tracking/score.py target/release/examples/track
"""

from __future__ import annotations

import argparse
import subprocess

import motmetrics
import norfair
import numpy as np
from worlds import World, all_worlds

GOOD, MIN_HITS = 0.4, 3
PATIENCE = 2.0  # seconds that an object may be unseen, for all


def vigie(world: World, program: str) -> list[list[tuple]]:
    lines = [f"{n + 1},-1,{x},{y},{w},{h},{score},{cls}"
             for n, look in enumerate(world.looks) for x, y, w, h, score, cls in look.boxes]
    command = [program, str(world.fps), *map(str, world.size)]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True)
    tracks = [[] for _ in world.looks]
    for line in done.stdout.splitlines():
        frame, own, x, y, w, h, *_ = line.split(",")
        tracks[int(frame) - 1].append((int(own), float(x), float(y), float(w), float(h)))
    return tracks


def iou(a, b) -> float:
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def plain_iou(world: World, _program: str) -> list[list[tuple]]:
    """Greedy by overlap, no motion: what a first attempt looks like (Bochinski et al. 2017, with patience)."""
    tracks, next_id, out = [], 1, []
    for n, look in enumerate(world.looks):
        boxes = [box for box in look.boxes if box[4] >= GOOD]
        overlaps = ((iou(t["box"], b), i, j) for i, t in enumerate(tracks) for j, b in enumerate(boxes))
        taken, given = set(), set()
        for overlap, i, j in sorted(overlaps, reverse=True):
            if overlap >= 0.3 and i not in taken and j not in given:
                taken.add(i)
                given.add(j)
                tracks[i].update(box=boxes[j], seen=n, hits=tracks[i]["hits"] + 1)
        for j, box in enumerate(boxes):
            if j not in given:
                tracks.append({"box": box, "seen": n, "hits": 1, "id": 0})
        tracks = [t for t in tracks if n - t["seen"] <= PATIENCE * world.fps]
        for track in tracks:
            if track["hits"] >= MIN_HITS and not track["id"]:
                track["id"], next_id = next_id, next_id + 1
        out.append([(t["id"], *t["box"][:4]) for t in tracks if t["id"] and t["seen"] == n])
    return out


def by_norfair(world: World, _program: str) -> list[list[tuple]]:
    tracker = norfair.Tracker(distance_function="iou", distance_threshold=0.7, initialization_delay=MIN_HITS - 1,
                              hit_counter_max=max(int(PATIENCE * world.fps), MIN_HITS))
    out = []
    for look in world.looks:
        boxes = [box for box in look.boxes if box[4] >= GOOD]
        detections = [norfair.Detection(np.array([[x, y], [x + w, y + h]]), scores=np.array([s, s]))
                      for x, y, w, h, s, _ in boxes]
        found = []
        for track in tracker.update(detections=detections):
            if track.last_detection in detections:
                (x1, y1), (x2, y2) = track.estimate
                found.append((track.id, x1, y1, x2 - x1, y2 - y1))
        out.append(found)
    return out


TRACKERS = {"Vigie": vigie, "Norfair": by_norfair, "plain IoU": plain_iou}


def score(world: World, tracks: list[list[tuple]]):
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for look, found in zip(world.looks, tracks, strict=True):
        truth = np.array([box[1:5] for box in look.truth]).reshape(-1, 4)
        boxes = np.array([box[1:5] for box in found]).reshape(-1, 4)
        distances = motmetrics.distances.iou_matrix(truth, boxes, max_iou=0.5)
        accumulator.update([box[0] for box in look.truth], [box[0] for box in found], distances)
    return accumulator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the example `track`, built")
    program = parser.parse_args().program
    worlds, metrics = all_worlds(), ["idf1", "mota", "num_switches"]
    results = {name: [score(world, follow(world, program)) for world in worlds] for name, follow in TRACKERS.items()}
    computer = motmetrics.metrics.create()
    names = [world.name for world in worlds]
    print(f"| world | {' | '.join(f'{name}: IDF1 | MOTA | switches' for name in TRACKERS)} |")
    print(f"| --- |{' ---: | ---: | ---: |' * len(TRACKERS)}")
    tables = {name: computer.compute_many(rows, metrics=metrics, names=names, generate_overall=True)
              for name, rows in results.items()}
    for name in [*names, "OVERALL"]:
        rows = (table.loc[name] for table in tables.values())
        cells = [f"{row.idf1:.3f} | {row.mota:.3f} | {int(row.num_switches)}" for row in rows]
        print(f"| {name if name != 'OVERALL' else '**all**'} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
