"""Reads and writes weights: `.pt` checkpoints of a training run, and `.safetensors` with the averaged weights alone."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from .errors import InputError
from .network import Detector, NetworkConfig


@dataclass
class Weights:
    """The averaged (EMA) weights of a run and what is needed to use them."""

    state: dict[str, torch.Tensor]
    names: list[str]
    config: NetworkConfig
    step: int = 0
    epoch: float = 0.0
    image_size: int | None = None
    """Side of the pictures that training ended with, where the file says."""

    def of_classes(self, names: list[str]) -> "Weights":
        """The same network for some of its classes, in this order: a class is a row of the last convolution of each class branch."""
        if unknown := [n for n in names if n not in self.names]:
            raise InputError(f"the weights have no class {unknown[0]!r}", f"they have {', '.join(self.names)}")
        if not names or len(set(names)) < len(names):
            raise InputError(f"{', '.join(names) or 'nothing'} is no list of classes", "name at least one, and none twice")
        rows = torch.tensor([self.names.index(n) for n in names])
        last = re.compile(r"head\.cls\.\d+\.2\.(weight|bias)")
        return replace(self, state={k: v[rows] if last.search(k) else v for k, v in self.state.items()}, names=list(names))

    def mean_with(self, others: list["Weights"]) -> "Weights":
        """The mean of several weights of one network. Where they began with the same ones and did not go far apart it may be better
        than each ("Model soups", Wortsman et al. 2022, arXiv 2203.05482); else it is worth nothing. Step and epoch are these weights'."""
        for other in others:
            if other.names != self.names:
                apart = f"weights of {', '.join(self.names)} have no mean with weights of {', '.join(other.names)}"
                raise InputError(apart, "choose classes that all have with --classes")
            if other.config != self.config:
                raise InputError(f"weights of network {self.config.name!r} have no mean with weights of another, {other.config.name!r}")
        states = [self.state, *(o.state for o in others)]
        # Counters, such as those of batches that the normalization saw, are not averaged.
        mean = {k: sum(s[k].float() for s in states) / len(states) if v.is_floating_point() else v for k, v in self.state.items()}
        return replace(self, state=mean)

    def detector(self) -> Detector:
        """The network with these weights, ready for inference."""
        model = Detector(len(self.names), self.config)
        try:
            model.load_state_dict(self.state)
        except RuntimeError as error:
            first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
            raise InputError(f"the weights do not fit network {self.config.name!r} with {len(self.names)} classes: {first}") from error
        return model.eval()


def load_weights(path: str | Path, which: str = "ema") -> Weights:
    """Weights of a `.pt` checkpoint (`which`: "ema", or "model" for those that the optimizer holds) or a `.safetensors` file."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no weights at {path}", "give the best.pt or last.pt of a run, or a .safetensors file")
    return _load_safetensors(path) if path.suffix == ".safetensors" else _load_pt(path, which)


def _load_pt(path: Path, which: str) -> Weights:
    try:
        # Weights alone: a checkpoint from elsewhere must not be able to run code.
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path} is not a checkpoint: {str(error).splitlines()[0]}") from error
    if not isinstance(raw, dict) or which not in raw or "names" not in raw:
        raise InputError(f"{path} is a PyTorch file without the keys {which!r} and 'names'", "only checkpoints of vigie-train can be used")
    config = raw.get("network") or raw.get("size")
    config = NetworkConfig.from_dict(config, str(path)) if isinstance(config, dict) else NetworkConfig.load(config or "xxs")
    seen, pictures = raw.get("seen", 0), max(1, raw.get("n_train", 1))
    return Weights(raw[which], list(raw["names"]), config, int(raw.get("step", 0)), seen / pictures, raw.get("image_size"))


def _load_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except Exception as error:
        raise InputError(f"{path} is not a safetensors file: {error}") from error
    if "vigie" not in meta:
        raise InputError(f"{path} has no 'vigie' entry in its metadata", "only files written by vigie-export --weights can be used")
    info = json.loads(meta["vigie"])
    config = NetworkConfig.from_dict(info["network"], str(path))
    return Weights(state, info["names"], config, info.get("step", 0), info.get("epoch", 0.0), info.get("image_size"))


def save_weights(weights: Weights, path: str | Path) -> None:
    """Write `.safetensors`: the weights, and classes and network as JSON in the metadata."""
    info = {
        "names": weights.names,
        "network": weights.config.to_dict(),
        "step": weights.step,
        "epoch": round(weights.epoch, 3),
        "image_size": weights.image_size,
    }
    tensors = {key: value.contiguous() for key, value in weights.state.items()}
    with replacing(path) as temporary:
        # Not `save_file`, which makes the file readable by its owner alone.
        temporary.write_bytes(save(tensors, metadata={"format": "pt", "vigie": json.dumps(info)}))


class replacing:
    """Write to a temporary file next to `path` and move it there at the end, so that a kill never leaves half a file."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.temporary = self.path.with_name(self.path.name + ".tmp")

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.temporary

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            self.temporary.replace(self.path)
        else:
            self.temporary.unlink(missing_ok=True)
