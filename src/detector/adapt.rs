//! What is changed in a graph before the runtime sees it, so that more exports run, and run as they were meant.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as DimValue;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::f16;

const FLOAT: i32 = DataType::Float as i32;
const HALF: i32 = DataType::Float16 as i32;

/// Attributes by which an operator says the type of what it makes.
const TYPES: [&str; 3] = ["to", "dtype", "output_dtype"];

/// Whether this processor has arithmetic in half precision; elsewhere tract computes halves one by one, a hundred times
/// slower than floats.
pub(super) fn fast_halves() -> bool {
    #[cfg(target_arch = "aarch64")]
    {
        std::arch::is_aarch64_feature_detected!("fp16")
    }
    #[cfg(not(target_arch = "aarch64"))]
    {
        false
    }
}

/// Forgets what an export for any size says of shapes inside the graph: for one size they follow from the input's, and
/// a runtime that is told both finds that a name and a number are not the same.
pub(super) fn drop_symbolic_shapes(model: &mut ModelProto) {
    if let Some(graph) = &mut model.graph {
        graph.value_info.retain(is_fixed);
    }
}

fn is_fixed(info: &ValueInfoProto) -> bool {
    let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return false;
    };
    let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
    dims.into_iter().all(|dim| matches!(dim.value, Some(DimValue::DimValue(n)) if n >= 0))
}

/// Whether anything in the graph is a 16-bit float.
pub(super) fn has_halves(model: &ModelProto) -> bool {
    let typed = |info: &ValueInfoProto| element(info) == Some(HALF);
    model.graph.as_ref().is_some_and(|graph| {
        graph.initializer.iter().any(|tensor| tensor.data_type == HALF)
            || graph.input.iter().any(typed)
            || graph.node.iter().any(|node| {
                node.attribute.iter().any(|a| {
                    TYPES.contains(&&*a.name) && a.i == i64::from(HALF)
                        || a.t.as_ref().is_some_and(|tensor| tensor.data_type == HALF)
                })
            })
    })
}

fn element(info: &ValueInfoProto) -> Option<i32> {
    let type_proto::Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()?;
    Some(tensor.elem_type)
}

/// Makes every 16-bit float of a model a 32-bit one: weights, inputs, outputs, and what is between them.
pub(super) fn widen(model: &mut ModelProto) {
    model.graph.iter_mut().for_each(widen_graph);
}

fn widen_graph(graph: &mut GraphProto) {
    graph.initializer.iter_mut().for_each(widen_tensor);
    for info in graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info) {
        if let Some(type_proto::Value::TensorType(tensor)) =
            info.r#type.as_mut().and_then(|t| t.value.as_mut())
            && tensor.elem_type == HALF
        {
            tensor.elem_type = FLOAT;
        }
    }
    graph.node.iter_mut().for_each(widen_node);
}

fn widen_node(node: &mut NodeProto) {
    for attribute in &mut node.attribute {
        if TYPES.contains(&&*attribute.name) && attribute.i == i64::from(HALF) {
            attribute.i = i64::from(FLOAT);
        }
        attribute.t.iter_mut().chain(&mut attribute.tensors).for_each(widen_tensor);
        // The depth is that of the protobuf, which its decoder bounds.
        attribute.g.iter_mut().chain(&mut attribute.graphs).for_each(widen_graph);
    }
}

fn widen_tensor(tensor: &mut TensorProto) {
    if tensor.data_type != HALF {
        return;
    }
    tensor.data_type = FLOAT;
    if tensor.raw_data.is_empty() {
        let halves = std::mem::take(&mut tensor.int32_data);
        tensor.float_data = halves.into_iter().map(|bits| f16::from_bits(bits as u16).to_f32()).collect();
    } else {
        let halves = tensor.raw_data.as_chunks::<2>().0;
        tensor.raw_data =
            halves.iter().flat_map(|bytes| f16::from_le_bytes(*bytes).to_f32().to_le_bytes()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_both_encodings_are_widened() {
        let raw = [1.5f32, f32::NEG_INFINITY].map(f16::from_f32).map(|h| h.to_le_bytes()).concat();
        let mut tensor = TensorProto { data_type: HALF, raw_data: raw, dims: vec![2], ..Default::default() };
        widen_tensor(&mut tensor);
        let floats = [1.5f32, f32::NEG_INFINITY].map(f32::to_le_bytes).concat();
        assert_eq!((tensor.data_type, &tensor.raw_data), (FLOAT, &floats));
        let bits = vec![i32::from(f16::from_f32(-2.25).to_bits())];
        let mut tensor =
            TensorProto { data_type: HALF, int32_data: bits, dims: vec![1], ..Default::default() };
        widen_tensor(&mut tensor);
        assert_eq!((tensor.float_data, tensor.int32_data), (vec![-2.25], vec![]));
    }
}
