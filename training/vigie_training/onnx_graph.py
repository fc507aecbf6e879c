"""Small edits of ONNX graphs: metadata, constant folding, and the questions that export and quantization ask of a graph."""

import ast
import tempfile
from pathlib import Path

import onnx
import onnxruntime as ort
from onnx import ModelProto, NodeProto, numpy_helper

from .errors import InputError, warn

COARSE = 1 / 64
"""Steps of scores from which on thresholds can't tell them apart."""


def set_metadata(model: ModelProto, entries: dict[str, str]) -> None:
    """Replace the model's metadata_props."""
    del model.metadata_props[:]
    for key, value in entries.items():
        model.metadata_props.add(key=key, value=value)


def get_metadata(model: ModelProto) -> dict[str, str]:
    """The model's metadata_props."""
    return {p.key: p.value for p in model.metadata_props}


def class_names(metadata: dict[str, str], path: object) -> list[str]:
    """The classes in the order of their numbers, from `names` as Ultralytics writes it: a Python literal."""
    if "names" not in metadata:
        raise InputError(f"{path} has no `names` in its metadata", "export it with vigie-export or with Ultralytics' export")
    try:
        names = ast.literal_eval(metadata["names"])
        return [str(names[i]) for i in range(len(names))]
    except (ValueError, SyntaxError, TypeError, KeyError) as error:
        raise InputError(f"{path}: `names` in its metadata is {metadata['names'][:60]!r}", "it should be {0: 'first class', 1: …}") from error


def score_step(model: ModelProto) -> float | None:
    """The step of the last rounding to 8 bits in front of a single output: boxes in pixels and scores up to 1 share it. None: there is none."""
    if len(model.graph.output) != 1:
        return None
    makers = producers(model)
    node = makers.get(model.graph.output[0].name)
    while node is not None and node.op_type in ("Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Cast", "Slice"):
        node = makers.get(node.input[0])
    if node is None or node.op_type != "DequantizeLinear":
        return None
    constants = {i.name: i for i in model.graph.initializer}
    scale = constants.get(node.input[1])
    return float(numpy_helper.to_array(scale).max()) if scale is not None else None


def warn_of_rounded_scores(model: ModelProto, path: object) -> None:
    """Quantizers that quantize every node round the scores of a stock export away; nothing else in such a file looks wrong."""
    step = score_step(model)
    if step is not None and step > COARSE:
        warn(
            f"{path}: boxes in pixels and scores from 0 to 1 share an 8-bit output in steps of {step:.3g}: scores become 0, and nothing is found",
            "quantize the f32 model with vigie-quantize, or leave all behind the last convolutions in floats (onnxruntime: `nodes_to_exclude`)",
        )


def tidy(model: ModelProto) -> ModelProto:
    """Fold constants with onnxruntime's basic optimizations, infer every shape, and declare no operator set that isn't used."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(path := Path(folder) / "tidy.onnx")
        # MatMul + Add would become Reshape + Gemm + Reshape: harder to quantize, and no faster.
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=["MatMulAddFusion"])
        model = onnx.load(path)
    used = {node.domain for node in model.graph.node}
    for unused in [o for o in model.opset_import if o.domain not in used]:
        model.opset_import.remove(unused)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def producers(model: ModelProto) -> dict[str, NodeProto]:
    """Which node makes each tensor."""
    return {output: node for node in model.graph.node for output in node.output}


def consumers(model: ModelProto) -> dict[str, list[NodeProto]]:
    """Which nodes read each tensor."""
    found: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def initializer_names(model: ModelProto) -> set[str]:
    """Names of the constants."""
    return {i.name for i in model.graph.initializer}
