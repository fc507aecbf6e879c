"""Small edits of ONNX graphs: metadata, constant folding, and the questions that export and quantization ask of a graph."""

import tempfile
from pathlib import Path

import onnx
import onnxruntime as ort
from onnx import ModelProto, NodeProto


def set_metadata(model: ModelProto, entries: dict[str, str]) -> None:
    """Replace the model's metadata_props."""
    del model.metadata_props[:]
    for key, value in entries.items():
        model.metadata_props.add(key=key, value=value)


def get_metadata(model: ModelProto) -> dict[str, str]:
    """The model's metadata_props."""
    return {p.key: p.value for p in model.metadata_props}


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
