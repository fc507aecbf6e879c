//! Reading a protobuf that nobody vouches for: attributes, constants and shapes, each with its bounds checked.

use std::collections::HashMap;

use tract_onnx::pb::tensor_shape_proto::dimension::Value as DimValue;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto, type_proto};

/// ONNX's codes of the element types that are read here.
pub mod dtype {
    pub const F32: i32 = 1;
    pub const U8: i32 = 2;
    pub const I8: i32 = 3;
    pub const I32: i32 = 6;
    pub const I64: i32 = 7;
}

/// The data of a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    F32(Vec<f32>),
    U8(Vec<u8>),
    I8(Vec<i8>),
    I32(Vec<i32>),
    I64(Vec<i64>),
}

/// A constant whose length fits its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Const {
    pub shape: Vec<usize>,
    pub data: Data,
}

/// Elements of a shape, where they are not more than memory could hold.
pub fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= 1 << 28)
}

impl Const {
    /// Reads a tensor that is stored in the file itself.
    pub fn read(t: &TensorProto) -> Option<Const> {
        let shape: Vec<usize> = t.dims.iter().map(|&d| usize::try_from(d).ok()).collect::<Option<_>>()?;
        let n = elements(&shape)?;
        let raw = &t.raw_data;
        fn words<const B: usize>(raw: &[u8]) -> impl Iterator<Item = [u8; B]> + '_ {
            raw.as_chunks::<B>().0.iter().copied()
        }
        let data = match (t.data_type, raw.is_empty()) {
            (dtype::F32, false) => Data::F32(words(raw).map(f32::from_le_bytes).collect()),
            (dtype::F32, true) => Data::F32(t.float_data.clone()),
            (dtype::I64, false) => Data::I64(words(raw).map(i64::from_le_bytes).collect()),
            (dtype::I64, true) => Data::I64(t.int64_data.clone()),
            (dtype::I32, false) => Data::I32(words(raw).map(i32::from_le_bytes).collect()),
            (dtype::I32, true) => Data::I32(t.int32_data.clone()),
            (dtype::I8, false) => Data::I8(raw.iter().map(|&b| b as i8).collect()),
            (dtype::I8, true) => Data::I8(t.int32_data.iter().map(|&b| b as i8).collect()),
            (dtype::U8, false) => Data::U8(raw.clone()),
            (dtype::U8, true) => Data::U8(t.int32_data.iter().map(|&b| b as u8).collect()),
            _ => return None,
        };
        let c = Const { shape, data };
        (c.len() == n).then_some(c)
    }

    fn len(&self) -> usize {
        match &self.data {
            Data::F32(v) => v.len(),
            Data::U8(v) => v.len(),
            Data::I8(v) => v.len(),
            Data::I32(v) => v.len(),
            Data::I64(v) => v.len(),
        }
    }

    /// The floats, all of them finite and none so large that sums could overflow.
    pub fn f32s(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(v) if v.iter().all(|x| x.abs() < 1e9) => Some(v),
            _ => None,
        }
    }

    /// The only float.
    pub fn scalar(&self) -> Option<f32> {
        self.f32s().filter(|v| v.len() == 1).map(|v| v[0])
    }

    /// The 64-bit integers.
    pub fn i64s(&self) -> Option<&[i64]> {
        match &self.data {
            Data::I64(v) => Some(v),
            _ => None,
        }
    }
}

/// Attributes of a node, with ONNX's defaults.
pub trait Attributes {
    /// An integer.
    fn int(&self, name: &str, default: i64) -> i64;
    /// A float.
    fn float(&self, name: &str, default: f32) -> f32;
    /// Integers; empty where absent.
    fn ints(&self, name: &str) -> &[i64];
    /// A text; empty where absent.
    fn text(&self, name: &str) -> &str;
    /// Non-negative integers of a given count; all `default` where absent.
    fn sizes<const N: usize>(&self, name: &str, default: usize) -> Option<[usize; N]> {
        let v = self.ints(name);
        if v.is_empty() {
            return Some([default; N]);
        }
        let v: Vec<usize> =
            v.iter().map(|&x| usize::try_from(x).ok().filter(|&x| x < 1 << 16)).collect::<Option<_>>()?;
        v.try_into().ok()
    }
}

impl Attributes for NodeProto {
    fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute.iter().find(|a| a.name == name).map_or(default, |a| a.i)
    }

    fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute.iter().find(|a| a.name == name).map_or(default, |a| a.f)
    }

    fn ints(&self, name: &str) -> &[i64] {
        self.attribute.iter().find(|a| a.name == name).map_or(&[], |a| &a.ints)
    }

    fn text(&self, name: &str) -> &str {
        self.attribute
            .iter()
            .find(|a| a.name == name)
            .and_then(|a| std::str::from_utf8(&a.s).ok())
            .unwrap_or("")
    }
}

/// Element type and static shape that the file states for a value.
pub fn stated(v: &ValueInfoProto) -> Option<(i32, Vec<usize>)> {
    let type_proto::Value::TensorType(t) = v.r#type.as_ref()?.value.as_ref()?;
    let dims = t.shape.as_ref()?.dim.iter().map(|d| match d.value {
        Some(DimValue::DimValue(n)) => usize::try_from(n).ok().filter(|&n| n > 0),
        _ => None,
    });
    let shape: Vec<usize> = dims.collect::<Option<_>>()?;
    elements(&shape)?;
    Some((t.elem_type, shape))
}

/// Who makes and who reads each value.
pub struct Index<'a> {
    /// Constants by name.
    pub constants: HashMap<&'a str, &'a TensorProto>,
    /// Nodes that read a value, once an input; `usize::MAX` for the graph's output.
    pub readers: HashMap<&'a str, Vec<usize>>,
    /// What the file states of values.
    pub stated: HashMap<&'a str, (i32, Vec<usize>)>,
}

impl<'a> Index<'a> {
    pub fn new(graph: &'a GraphProto) -> Index<'a> {
        let mut constants: HashMap<&str, &TensorProto> =
            graph.initializer.iter().map(|t| (&*t.name, t)).collect();
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (i, node) in graph.node.iter().enumerate() {
            for name in &node.input {
                readers.entry(name).or_default().push(i);
            }
            if node.op_type == "Constant"
                && let (Some(out), Some(t)) =
                    (node.output.first(), node.attribute.iter().find_map(|a| a.t.as_ref()))
            {
                constants.insert(out, t);
            }
        }
        for out in &graph.output {
            readers.entry(&out.name).or_default().push(usize::MAX);
        }
        let infos = graph.value_info.iter().chain(&graph.output).chain(&graph.input);
        let stated = infos.filter_map(|v| Some((&*v.name, stated(v)?))).collect();
        Index { constants, readers, stated }
    }

    /// The nodes that read a value.
    pub fn readers_of(&self, name: &str) -> &[usize] {
        self.readers.get(name).map_or(&[], |v| v)
    }
}
