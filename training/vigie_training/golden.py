"""Golden outputs: what onnxruntime gives for a drawn picture, kept in the model's metadata under `vigie.golden`.

The daemon draws the same picture at load, runs the model and compares, so that a runtime that computes wrongly is noticed before
it reports things that aren't there. The format is read by `src/detector/golden.rs`.
"""

import json

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, TensorProto

from .onnx_graph import get_metadata, set_metadata

KEY = "vigie.golden"
PROBES = 256
# Relative to the spread of the outputs. Integer kernels may round differently in every layer.
FLOAT_TOLERANCE, INT8_TOLERANCE = 0.01, 0.1


def drawn_picture(height: int, width: int) -> np.ndarray:
    """Gradients, blocks and curves in integer arithmetic, the same in every language. H x W x 3 u8."""
    y, x, c = np.ogrid[:height, :width, :3]
    gradient = (x * (7 + 2 * c) + y * (5 + 3 * c)) >> 2
    blocks = (((x >> 4) ^ (y >> 4)) & 7) * 23
    curves = (x * x + y * y * (c + 1)) >> 7
    return ((gradient + blocks + curves) & 255).astype(np.uint8)


def add_golden(model: ModelProto) -> None:
    """Compute the outputs and put them into the metadata, in place."""
    image = model.graph.input[0].type.tensor_type
    height, width = (d.dim_value for d in image.shape.dim[2:])
    planes = np.ascontiguousarray(drawn_picture(height, width).transpose(2, 0, 1)[None])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = planes.astype(np.float32) / 255 if image.elem_type == TensorProto.FLOAT else planes
    outputs = session.run(None, {model.graph.input[0].name: given})
    if len(outputs) == 1:
        boxes, scores = outputs[0][0, :4].ravel(), np.clip(outputs[0][0, 4:].ravel(), 1e-5, 1 - 1e-5)
        classes = np.log(scores / (1 - scores))
    else:
        boxes, classes = (np.concatenate([o.ravel() for o in outputs[k::2]]) for k in (0, 1))
    quantized = any(n.op_type == "QuantizeLinear" for n in model.graph.node)
    golden = {
        "version": 1,
        "size": [height, width],
        "tolerance": INT8_TOLERANCE if quantized else FLOAT_TOLERANCE,
        "boxes": _probes(boxes),
        "classes": _probes(classes),
    }
    set_metadata(model, get_metadata(model) | {KEY: json.dumps(golden, separators=(",", ":"))})


def _probes(values: np.ndarray) -> list[float]:
    """Values at evenly spaced places."""
    at = (2 * np.arange(PROBES) + 1) * values.size // (2 * PROBES)
    return [float(f"{v:.6g}") for v in values[at]]
