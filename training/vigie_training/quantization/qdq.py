"""Writes the quantized model with onnxruntime's QDQ quantizer: plain ONNX that any runtime can run."""

import numpy as np
import onnx
from onnx import ModelProto
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from ..onnx_graph import get_metadata, set_metadata
from .plan import ELEMENTWISE, MOVERS, WEIGHTED, Plan
from .ranges import Range


def write_qdq(
    model: ModelProto, plan: Plan, ranges: dict[str, Range], symmetric: bool = False, unsigned: bool = False
) -> ModelProto:
    """s8 activations (or u8; asymmetric unless `symmetric`), s8 weights per output channel, s32 biases."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    bounds = {n: TensorData(lowest=np.float32(low), highest=np.float32(high)) for n, (low, high) in ranges.items()}
    quantizer = QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8 if unsigned else QuantType.QInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, bounds),
        nodes_to_quantize=plan.nodes,
        nodes_to_exclude=[],
        op_types_to_quantize=[*WEIGHTED, *MOVERS, *(ELEMENTWISE if plan.style == "every-op" else ())],
        extra_options={
            "ActivationSymmetric": symmetric,
            "WeightSymmetric": True,
            # Max-pool, resize and split take their input's scale even where no convolution has asked for that input yet.
            "ForceQuantizeNoInputCheck": True,
            "OpTypesToExcludeOutputQuantization": list(WEIGHTED) if plan.style == "fused" else ["MatMul"],
            "QDQOpTypePerChannelSupportToAxis": {"MatMul": 1},
        },
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    result = quantizer.model.model
    set_metadata(result, get_metadata(model))
    del result.graph.value_info[:]
    used = {n.domain for n in result.graph.node}
    for unused in [o for o in result.opset_import if o.domain not in used]:
        result.opset_import.remove(unused)
    result = onnx.shape_inference.infer_shapes(result, strict_mode=True)
    onnx.checker.check_model(result, full_check=True)
    return result
