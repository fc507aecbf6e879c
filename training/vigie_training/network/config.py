"""Widths and depths of a network, read from a small YAML file or one of the presets (`xxs`, `xs`, `s`)."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import yaml

from ..errors import InputError

PRESETS = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """The sizes that come with the package, smallest first."""
    return ["xxs", "xs", "s"]


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that gives the network its shape, apart from the number of classes."""

    name: str
    channels: tuple[int, ...]
    """Channels after the stem and after each of the five stages."""
    dims: tuple[int, ...]
    """Token widths of the three transformers (strides 8, 16, 32)."""
    depths: tuple[int, ...]
    """Layers of the three transformers."""
    expand: int
    """How much an inverted residual widens inside."""
    neck: tuple[int, ...] = (64, 128, 256)
    """Channels of the neck's three outputs."""
    heads: int = 4
    dim_head: int = 8
    mlp_ratio: int = 2
    reg_max: int = 16
    """Bins of the distance distribution of each box side."""

    def __post_init__(self) -> None:
        for key, length in (("channels", 6), ("dims", 3), ("depths", 3), ("neck", 3)):
            value = tuple(getattr(self, key))
            if len(value) != length or not all(isinstance(v, int) and v > 0 for v in value):
                raise InputError(f"network {self.name!r}: {key} = {list(value)} is not {length} positive integers")
            object.__setattr__(self, key, value)
        for key in ("expand", "heads", "dim_head", "mlp_ratio"):
            if not isinstance(getattr(self, key), int) or getattr(self, key) < 1:
                raise InputError(f"network {self.name!r}: {key} = {getattr(self, key)!r} is not a positive integer")
        if not 2 <= self.reg_max <= 64:
            raise InputError(f"network {self.name!r}: reg_max = {self.reg_max} is not between 2 and 64")

    @classmethod
    def load(cls, name_or_path: str) -> "NetworkConfig":
        """`xxs`, `xs`, `s`, or the path of a YAML file with the same keys."""
        path = PRESETS / f"{name_or_path}.yaml" if name_or_path in preset_names() else Path(name_or_path)
        if not path.is_file():
            raise InputError(f"network {name_or_path!r} is neither a preset nor a file", f"presets: {', '.join(preset_names())}")
        try:
            raw = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise InputError(f"network file {path}: not valid YAML: {error}") from error
        if not isinstance(raw, dict):
            raise InputError(f"network file {path}: expected keys and values")
        raw.setdefault("name", path.stem)
        return cls.from_dict(raw, str(path))

    @classmethod
    def from_dict(cls, raw: dict, where: str) -> "NetworkConfig":
        """From plain values; `where` is named in errors."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(raw) - known):
            raise InputError(f"{where}: unknown key {unknown[0]!r}", f"known keys: {', '.join(sorted(known))}")
        if missing := sorted({"channels", "dims", "depths", "expand"} - set(raw)):
            raise InputError(f"{where}: missing key {missing[0]!r}")
        return cls(**raw)

    def to_dict(self) -> dict:
        """Plain values, for a checkpoint."""
        return asdict(self)
