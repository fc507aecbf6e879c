"""Golden outputs: what onnxruntime gives for a drawn picture, kept in the model's metadata under `vigie.golden`.

    vigie-golden MODEL.onnx               # a model from elsewhere; vigie-export and vigie-quantize write them by themselves
    vigie-golden MODEL.onnx --beside      # leaves the model as it is, and writes MODEL.onnx.golden.json

The daemon draws the same picture at load, runs the model and compares, so that a runtime that computes wrongly is noticed before
it reports things that aren't there. The format is read by `src/detector/golden.rs`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError
from onnx import ModelProto

from .errors import InputError, run_command
from .onnx_graph import get_metadata, set_metadata, warn_of_rounded_scores

KEY = "vigie.golden"
PROBES = 256
# Relative to the spread of the outputs. Integer kernels may round differently in every layer.
FLOAT_TOLERANCE, INT8_TOLERANCE = 0.01, 0.1
# Scores are compared as logits, which end here.
EDGE = 1e-5
ELEMENTS = {"tensor(uint8)": np.uint8, "tensor(float16)": np.float16, "tensor(float)": np.float32}


def drawn_picture(height: int, width: int) -> np.ndarray:
    """Gradients, blocks and curves in integer arithmetic, the same in every language. H x W x 3 u8."""
    y, x, c = np.ogrid[:height, :width, :3]
    gradient = (x * (7 + 2 * c) + y * (5 + 3 * c)) >> 2
    blocks = (((x >> 4) ^ (y >> 4)) & 7) * 23
    curves = (x * x + y * y * (c + 1)) >> 7
    return ((gradient + blocks + curves) & 255).astype(np.uint8)


def feed(session: ort.InferenceSession, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """H x W x 3 u8 pixels as the session's input wants them: bytes, or floats from 0 to 1."""
    entry = session.get_inputs()[0]
    if entry.type not in ELEMENTS:
        raise InputError(f"input {entry.name!r} is a {entry.type}", "u8, float16 or float pixels are known")
    planes, kind = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]), ELEMENTS[entry.type]
    return {entry.name: planes if kind == np.uint8 else (planes.astype(np.float32) / 255).astype(kind)}


def golden_of(model: ModelProto, tolerance: float | None = None) -> dict:
    """The outputs for the drawn picture at evenly spaced places: of box8, box16, …, and of the classes (as logits)."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    size = session.get_inputs()[0].shape[2:]
    if len(size) != 2 or not all(isinstance(side, int) for side in size):
        raise InputError(f"the input's shape {session.get_inputs()[0].shape} is not fixed", "export it with a fixed size")
    outputs = session.run(None, feed(session, drawn_picture(*size)))
    if len(outputs) == 1:
        boxes = outputs[0][0, :4].ravel()
        scores = np.clip(outputs[0][0, 4:].astype(np.float32).ravel(), EDGE, 1 - EDGE)
        classes = np.log(scores / (1 - scores))
    else:
        named = dict(zip((o.name for o in session.get_outputs()), outputs))
        strides = sorted(int(name[3:]) for name in named if name.startswith("box"))
        boxes, classes = (np.concatenate([named[f"{part}{s}"].ravel() for s in strides]) for part in ("box", "cls"))
    if tolerance is None:
        quantized = any(n.op_type == "QuantizeLinear" for n in model.graph.node)
        tolerance = INT8_TOLERANCE if quantized else FLOAT_TOLERANCE
    return {"version": 1, "size": list(size), "tolerance": tolerance, "boxes": _probes(boxes), "classes": _probes(classes)}


def add_golden(model: ModelProto, tolerance: float | None = None) -> None:
    """Compute the outputs and put them into the metadata, in place."""
    value = json.dumps(golden_of(model, tolerance), separators=(",", ":"))
    set_metadata(model, get_metadata(model) | {KEY: value})


def _probes(values: np.ndarray) -> list[float]:
    at = (2 * np.arange(PROBES) + 1) * values.size // (2 * PROBES)
    return [float(f"{v:.6g}") for v in values[at]]


def main() -> None:
    """The command `vigie-golden`."""
    p = argparse.ArgumentParser(prog="vigie-golden", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", help="ONNX file")
    p.add_argument("--tolerance", type=float, help=f"of the outputs' spread (default: {FLOAT_TOLERANCE}, {INT8_TOLERANCE} for a quantized model)")
    p.add_argument("--beside", action="store_true", help="write MODEL.onnx.golden.json and leave the model alone")
    args = p.parse_args()
    run_command(lambda: write_golden(Path(args.model), args.tolerance, args.beside))


def write_golden(path: Path, tolerance: float | None, beside: bool) -> None:
    """Into the model, or into a file beside it."""
    if not path.is_file():
        raise InputError(f"no model at {path}")
    try:
        model = onnx.load(path)
    except DecodeError as error:
        raise InputError(f"{path} is not an ONNX file") from error
    warn_of_rounded_scores(model, path)
    if beside:
        to = path.with_name(path.name + ".golden.json")
        to.write_text(json.dumps(golden_of(model, tolerance)))
    else:
        to = path
        add_golden(model, tolerance)
        onnx.save(model, path)
    print(f"{to}: {PROBES} values each of boxes and classes")


if __name__ == "__main__":
    main()
