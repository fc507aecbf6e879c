"""Class names in COCO's words, whichever data set they come from, so that `motorbike` and `motorcycle` are one class."""

import re

_COCO = {
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "sofa": "couch",
    "tvmonitor": "tv",
    "pottedplant": "potted plant",
    "diningtable": "dining table",
    "trafficlight": "traffic light",
    "firehydrant": "fire hydrant",
    "stopsign": "stop sign",
    "cellphone": "cell phone",
}
"""PASCAL VOC's names, and COCO's own where others write them as one word; the keys are bare (`_bare`)."""


def in_cocos_words(name: str) -> str:
    """`Motorbike` -> `motorcycle`, `potted_plant` -> `potted plant`; a name that COCO hasn't stays as it is, in small letters."""
    return _COCO.get(_bare(name), name.strip().lower())


def same_class(a: str, b: str) -> bool:
    """Whether two names mean one class: case, spaces, hyphens and underscores don't matter."""
    return _bare(in_cocos_words(a)) == _bare(in_cocos_words(b))


def position(name: str, names: list[str]) -> int | None:
    """Where a class is in a list: under the very same name, else under another one for it."""
    if name in names:
        return names.index(name)
    return next((i for i, other in enumerate(names) if same_class(name, other)), None)


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
