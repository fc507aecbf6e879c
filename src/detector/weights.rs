//! Weights that are no numbers. What a runtime makes of them is not seen in its outputs: its activations clamp, and their
//! minima and maxima swallow NaN, so that a model of nothing reports boxes.

use std::collections::HashSet;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, TensorProto};
use tract_onnx::prelude::f16;

/// Operators whose weights are finite; elsewhere an infinite constant may be a mask or a bound.
const MULTIPLIES: [&str; 6] =
    ["Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "DequantizeLinear"];

/// Finds a weight that is no number, or an infinite one where that makes no sense.
pub(super) fn check(graph: &GraphProto) -> Result<(), String> {
    let multiplied = graph.node.iter().filter(|node| MULTIPLIES.contains(&&*node.op_type));
    let multiplied: HashSet<&str> = multiplied.flat_map(|node| &node.input).map(String::as_str).collect();
    let constants = graph.node.iter().filter(|node| node.op_type == "Constant");
    let constants = constants.flat_map(|node| {
        let name = node.output.first().map_or("", String::as_str);
        node.attribute.iter().filter_map(move |a| Some((name, a.t.as_ref()?)))
    });
    for (name, tensor) in graph.initializer.iter().map(|tensor| (&*tensor.name, tensor)).chain(constants) {
        let finite = multiplied.contains(name);
        if let Some(bad) = find(tensor, |v| v.is_nan() || finite && v.is_infinite()) {
            return Err(format!("the weights `{name}` hold {bad}, as after a training that went astray"));
        }
    }
    Ok(())
}

/// The first float that is bad.
fn find(tensor: &TensorProto, bad: impl Fn(f32) -> bool) -> Option<f32> {
    let bad = |v: &f32| bad(*v);
    let raw = &tensor.raw_data;
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) if raw.is_empty() => tensor.float_data.iter().copied().find(bad),
        Ok(DataType::Float) => raw.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).find(bad),
        Ok(DataType::Float16) if raw.is_empty() => {
            tensor.int32_data.iter().map(|bits| f16::from_bits(*bits as u16).to_f32()).find(bad)
        }
        Ok(DataType::Float16) => {
            raw.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).find(bad)
        }
        Ok(DataType::Double) if raw.is_empty() => tensor.double_data.iter().map(|v| *v as f32).find(bad),
        Ok(DataType::Double) => {
            raw.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32).find(bad)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::pb::NodeProto;

    fn says(op: &str, value: f32) -> Result<(), String> {
        let initializer = vec![TensorProto {
            name: "w".into(),
            data_type: 1,
            dims: vec![2],
            raw_data: [1.0, value].map(f32::to_le_bytes).concat(),
            ..Default::default()
        }];
        let node =
            vec![NodeProto { op_type: op.into(), input: vec!["x".into(), "w".into()], ..Default::default() }];
        check(&GraphProto { node, initializer, ..Default::default() })
    }

    #[test]
    fn what_is_no_number_is_told_and_masks_are_let_pass() {
        assert!(says("Conv", f32::NAN).unwrap_err().contains("`w` hold NaN"));
        assert!(says("Where", f32::NAN).is_err());
        assert!(says("Conv", f32::INFINITY).unwrap_err().contains("inf"));
        assert_eq!(says("Where", f32::NEG_INFINITY), Ok(()));
        assert_eq!(says("Conv", 2.0), Ok(()));
    }
}
