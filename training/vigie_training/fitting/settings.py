"""Everything that decides how a run goes."""

from dataclasses import asdict, dataclass, field, fields

from ..data.augment import Recipe


@dataclass(frozen=True)
class Settings:
    """Defaults are what has served best so far (`EXPERIMENTS.md`), apart from the length of a run."""

    batch: int = 16
    epochs: float = 100.0
    minutes: float = 0.0
    """Where not 0: train for so long instead of so many epochs; the schedule follows the clock."""
    stages: str = "256:0.45,320:1"
    """Picture sizes: 256 until 45 % of the run, 320 to its end."""
    multi_scale: bool = False
    """Also draw sizes one step of 64 above and below."""
    lr: float = 1.5e-3
    weight_decay: float = 0.02
    warmup_steps: int = 300
    ema: float = 0.999
    clip_gradient: float = 10.0
    recipe: Recipe = field(default_factory=Recipe)
    no_mosaic_last: float = 0.12
    """Share of the run at its end without mosaics, so that it ends on pictures as they are."""
    repeat_threshold: float = 0.05
    """Pictures with a class found in less than this share of pictures are seen more often; 0: never."""
    unsure: tuple[float, float] = (0.2, 0.35)
    """Boxes that a machine drew: with a score below the first they are nothing, below the second neither object nor background."""
    seed: int = 0
    precision: str = "auto"
    """fp32, bf16, or auto: bf16 on a GPU, and on a processor that multiplies it (AVX-512 BF16, AMX, ARM's BF16)."""
    compile: bool = False

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: dict) -> "Settings":
        known = {f.name for f in fields(cls)} & set(raw)
        values = _tuples({k: raw[k] for k in known})
        if isinstance(values.get("recipe"), dict):
            values["recipe"] = Recipe(**_tuples(values["recipe"]))
        return cls(**values)


def differences(before: dict, now: Settings) -> dict[str, tuple]:
    """What a checkpoint's settings (`to_dict`) have otherwise: name -> (before, now). What the checkpoint doesn't know isn't compared."""
    was, is_ = _flat(before), _flat(now.to_dict())
    return {name: (was[name], value) for name, value in is_.items() if name in was and was[name] != value}


def _flat(settings: dict) -> dict:
    """The recipe's entries beside the others, and lists as tuples: a checkpoint may have either."""
    return _tuples({k: v for k, v in settings.items() if k != "recipe"} | dict(settings.get("recipe") or {}))


def _tuples(values: dict) -> dict:
    """Lists as tuples: YAML and the command line give lists."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
