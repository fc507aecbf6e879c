"""Pictures of a split by what they have in common, so that a mean over all doesn't hide where a detector fails."""

from collections.abc import Callable

import numpy as np

from .data import Split
from .data.pictures import decode
from .data.records import Record
from .metrics import Found, score

DARK, DIM = 60, 100
"""Of 0 to 255: below this mean luma a picture is dark, or dim."""


def light(record: Record) -> str:
    """How bright a picture is: ITU-R BT.601 luma, averaged over every fourth pixel of every fourth line."""
    luma = float((decode(record.picture, record.name)[::4, ::4].astype(np.float32) @ np.float32([0.299, 0.587, 0.114])).mean())
    return f"1 dark, luma < {DARK}" if luma < DARK else f"2 dim, luma < {DIM}" if luma < DIM else "3 bright"


def source(record: Record) -> str:
    """Where a picture comes from, as its labels say."""
    return record.source or "unknown"


KEYS: dict[str, Callable[[Record], str]] = {"light": light, "source": source}
"""What may be asked for."""


def table(split: Split, found: list[Found], by: str) -> str:
    """A row for each group: its pictures and objects, the mean over the classes that it has, and of each with 10 or more objects."""
    groups: dict[str, list[int]] = {}
    for i, record in enumerate(split.records):
        groups.setdefault(KEYS[by](record), []).append(i)
    rows = [f"{'by ' + by:<22}{'pictures':>9}{'objects':>8}{'AP50':>7}{'AP50-95':>9}  classes with 10 objects or more"]
    for name, members in sorted(groups.items()):
        part = Split(split.name, split.names, [split.records[i] for i in members])
        scores = score(part, [found[i] for i in members])
        objects = sum(c.boxes for c in scores.classes.values())
        classes = ", ".join(f"{n} {c.ap50:.2f}" for n, c in scores.classes.items() if c.boxes >= 10)
        # Without objects there is nothing to find: that is no failure.
        means = f"{scores.map50:>7.3f}{scores.map50_95:>9.3f}" if objects else f"{'-':>7}{'-':>9}"
        rows.append(f"{name:<22}{len(part):>9}{objects:>8}{means}  {classes}".rstrip())
    return "\n".join(rows)
