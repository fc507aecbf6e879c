"""`data.yaml`: which pictures are for training, which for validation, and what the classes are called.

path: ../dataset            # optional; relative to this file
train: images/train         # a folder, a text file of paths, a COCO .json, or a list of these
val: [val.json, val2.json]
names: [person, car]        # or {0: person, 1: car}; with COCO files it may be left out, or choose some of their classes
aliases: {van: car}         # optional; more names that COCO files may have for a class. VOC's and COCO's are known:
                            # `motorbike` is `motorcycle`, `aeroplane` is `airplane`, `sofa` is `couch`, …
"""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ..errors import InputError
from .coco import category_names, read_coco
from .records import Split
from .words import position, same_class
from .yolo import read_yolo


@dataclass(frozen=True)
class DataSpec:
    """A data set as described by its `data.yaml`."""

    names: list[str]
    splits: dict[str, list[Path]]
    where: Path
    aliases: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path) -> "DataSpec":
        """From a `data.yaml`, a folder that holds one, or a folder with `train.json` and `val.json`."""
        path = Path(path)
        if path.is_dir():
            if not (path / "data.yaml").is_file():
                return cls._of_folder(path)
            path = path / "data.yaml"
        if not path.is_file():
            raise InputError(f"no data set at {path}", "give a data.yaml, or a folder with one or with train.json and val.json")
        try:
            raw = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise InputError(f"{path} is not valid YAML: {error}") from error
        if not isinstance(raw, dict):
            raise InputError(f"{path}: expected keys `train`, `val`, `names`")
        root = path.parent / raw.get("path", ".")
        splits = {}
        for key in ("train", "val", "test"):
            entries = raw.get(key) or []
            splits[key] = [root / e for e in ([entries] if isinstance(entries, str) else entries)]
            for entry in splits[key]:
                if not entry.exists():
                    raise InputError(f"{path}: {key}: {entry} does not exist", "paths are relative to `path`, and that to the file")
        names = cls._names(raw.get("names"), splits, path)
        return cls(names, splits, path, cls._aliases(raw.get("aliases") or {}, names, path))

    @classmethod
    def _of_folder(cls, folder: Path) -> "DataSpec":
        splits = {k: [p] if (p := folder / f"{k}.json").is_file() else [] for k in ("train", "val", "test")}
        if not any(splits.values()):
            raise InputError(f"{folder} has no data.yaml, no train.json and no val.json")
        return cls(cls._names(None, splits, folder), splits, folder)

    @staticmethod
    def _names(raw: object, splits: dict[str, list[Path]], where: Path) -> list[str]:
        if isinstance(raw, dict):
            if sorted(raw) != list(range(len(raw))):
                raise InputError(f"{where}: the keys of `names` are not 0 to {len(raw) - 1}")
            raw = [raw[i] for i in range(len(raw))]
        if raw is None:
            files = [p for paths in splits.values() for p in paths if p.suffix == ".json"]
            if not files:
                raise InputError(f"{where}: `names` is missing", "list the classes in the order of their numbers in the label files")
            raw = category_names(files[0])
        names = [str(n) for n in raw]
        if not names or any(same_class(a, b) for i, a in enumerate(names) for b in names[:i]):
            raise InputError(f"{where}: `names` is empty or names a class twice")
        return names

    @staticmethod
    def _aliases(raw: object, names: list[str], where: Path) -> dict[str, str]:
        if not isinstance(raw, dict):
            raise InputError(f"{where}: `aliases` is not a mapping", "one line a name, as in `aliases: {van: car}`")
        unknown = [n for n in raw.values() if position(str(n), names) is None]
        if unknown:
            raise InputError(f"{where}: aliases: {unknown[0]!r} is none of `names`", "the classes stand on the right, as in {van: car}")
        return {str(k): str(v) for k, v in raw.items()}

    def read(self, split: str, clip_boxes: bool = False) -> Split:
        """The pictures of a split, all its parts together."""
        if not self.splits.get(split):
            raise InputError(f"{self.where}: there is no {split} split")
        merged = Split(split, self.names)
        for path in self.splits[split]:
            if path.suffix == ".json":
                merged.records += read_coco(path, self.names, split, clip_boxes, self.aliases).records
            else:
                merged.records += read_yolo(path, self.names, split, clip_boxes).records
        return merged
