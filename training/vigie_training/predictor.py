"""Runs a detector, whatever it is stored as: a checkpoint through PyTorch, an ONNX file through onnxruntime."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch

from .checkpoint import load_weights
from .errors import InputError
from .network import Detector, Stock
from .onnx_graph import class_names, warn_of_rounded_scores
from .postprocess import decode_logits

Run = Callable[[np.ndarray], np.ndarray]


@dataclass
class Predictor:
    """`run` takes B x H x W x 3 u8 RGB and gives B x (4+nc) x N: cx, cy, w, h in input pixels, probabilities."""

    names: list[str]
    size: tuple[int, int]
    run: Run
    batch: int
    description: str


def load_predictor(path: str, size: tuple[int, int] | None = None, threads: int = 1, device: str = "cpu") -> Predictor:
    """`size` is needed for weights (default 320), and given by an ONNX file."""
    return _load_onnx(Path(path), threads) if path.endswith(".onnx") else _load_weights(path, size or (320, 320), threads, device)


def _load_weights(path: str, size: tuple[int, int], threads: int, device: str) -> Predictor:
    torch.set_num_threads(threads)
    weights = load_weights(path)
    run = torch_runner(weights.detector(), device)
    return Predictor(weights.names, size, run, 16, f"{weights.config.name}, step {weights.step}, PyTorch")


def torch_runner(detector: Detector, device: str) -> Run:
    """The detector in inference mode on a device."""
    model = Stock(detector).eval().to(device, memory_format=torch.channels_last)

    def run(pictures: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            x = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float().div_(255)
            return model(x).float().cpu().numpy()

    return run


def _load_onnx(path: Path, threads: int) -> Predictor:
    if not path.is_file():
        raise InputError(f"no model at {path}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(f"{path} cannot be run by onnxruntime: {str(error).splitlines()[0]}") from error
    meta = session.get_modelmeta().custom_metadata_map
    names = class_names(meta, path)
    warn_of_rounded_scores(onnx.load(path), path)
    image = session.get_inputs()[0]
    height, width = image.shape[2:]
    if not isinstance(height, int) or not isinstance(width, int):
        raise InputError(f"{path}: input {image.name} has no fixed size: {image.shape}", "export it with fixed shapes")
    raw = len(session.get_outputs()) == 6
    as_floats = image.type == "tensor(float)"
    reg_max = int(meta.get("vigie.reg_max", 16))

    def one(picture: np.ndarray) -> np.ndarray:
        x = picture.transpose(2, 0, 1)[None]
        outputs = session.run(None, {image.name: x.astype(np.float32) / 255 if as_floats else np.ascontiguousarray(x)})
        return decode_logits(outputs, height, width, reg_max) if raw else outputs[0][0]

    def run(pictures: np.ndarray) -> np.ndarray:
        return np.stack([one(p) for p in pictures])

    return Predictor(names, (height, width), run, 1, f"{path.name}, onnxruntime {ort.__version__}")
