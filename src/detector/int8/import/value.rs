//! What the importer knows of a value while it walks the graph: sums that wait for what follows them, bytes seen
//! through a table, views that move nothing yet.

use std::rc::Rc;

use super::onnx::Const;
use crate::detector::int8::plan::{Id, Window, by_pixel};

/// Scale and zero point of signed bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quant {
    pub scale: f32,
    /// Of the signed byte; ONNX's unsigned bytes are held less 128.
    pub zero: i8,
}

impl Quant {
    /// The byte's value.
    pub fn value(self, x: i8) -> f32 {
        (f32::from(x) - f32::from(self.zero)) * self.scale
    }

    /// The value's byte: half to even, clamped.
    pub fn byte(self, x: f32) -> i8 {
        let steps = (x / self.scale).round_ties_even() + f32::from(self.zero);
        steps.clamp(-128.0, 127.0) as i8
    }

    /// The values of all bytes, by their bits.
    pub fn table(self) -> Rc<[f32; 256]> {
        Rc::new(std::array::from_fn(|i| self.value(i as u8 as i8)))
    }
}

/// A tensor's elements under another shape, in another order, or some of them.
#[derive(Clone, Debug)]
pub struct View {
    pub base: Id,
    /// Its own shape.
    pub shape: Vec<usize>,
    /// For each element (in ONNX's order) the element of the base (in ONNX's order); absent: the same.
    pub map: Option<Rc<Vec<u32>>>,
}

impl View {
    pub fn whole(base: Id, shape: &[usize]) -> View {
        View { base, shape: shape.to_vec(), map: None }
    }
}

/// Where an element of ONNX's order is stored.
pub fn stored_at(shape: &[usize], i: usize) -> usize {
    if !by_pixel(shape) {
        return i;
    }
    let pixels = shape[2] * shape[3];
    i % pixels * shape[1] + i / pixels
}

/// A shortcut added to sums.
#[derive(Clone, Debug)]
pub enum Skip {
    Bytes(Id, Quant),
    Floats(Id),
}

/// What kind of sums.
#[derive(Clone, Debug)]
pub enum Kind {
    Linear { rows: usize, depth: usize },
    Conv(Window),
    Depthwise(Window),
}

/// A convolution's or linear layer's sums, before it is known where they go.
#[derive(Clone, Debug)]
pub struct Pending {
    pub node: usize,
    pub from: Id,
    /// Byte of a zero, for padding.
    pub pad_value: i8,
    pub kind: Kind,
    /// Channel, segment, `k`.
    pub weights: Rc<Vec<i8>>,
    pub channels: usize,
    pub scale: Vec<f32>,
    pub bias: Vec<i32>,
    pub offset: Vec<f32>,
    pub silu: bool,
    /// One factor a channel behind SiLU; ones without it.
    pub post: Vec<f32>,
    pub skip: Option<Skip>,
    pub shape: Vec<usize>,
}

/// A LayerNorm, before it is known where it goes.
#[derive(Clone, Debug)]
pub struct Norm {
    pub node: usize,
    pub from: Id,
    pub gamma: Vec<f32>,
    pub beta: Vec<f32>,
    pub epsilon: f32,
    pub shape: Vec<usize>,
}

/// Attention's first product, of views of one tensor.
#[derive(Clone, Debug)]
pub struct Scores {
    pub query: View,
    pub key: View,
    pub scale: f32,
}

/// Bytes as they stand for values: `view`'s byte through `bytes` is a byte of `quant`.
#[derive(Clone, Debug)]
pub struct Origin {
    pub bytes: Option<Rc<[i8; 256]>>,
    pub quant: Quant,
}

/// A value of the graph.
#[derive(Clone, Debug)]
pub enum Val {
    /// A constant.
    Const(Rc<Const>),
    /// A dequantized constant, and the node that dequantizes it.
    Weight { node: usize, data: Rc<Const>, scale: Vec<f32>, axis: i64 },
    /// Made outside: element type and shape where known.
    External(Option<(i32, Vec<usize>)>),
    /// Integers.
    Quantized(View, Origin),
    /// Floats that are a function of bytes.
    Bytes { view: View, table: Rc<[f32; 256]>, origin: Option<Origin> },
    /// Floats.
    Floats(View),
    /// Floats that are still sums.
    Sum(Rc<Pending>),
    /// The sigmoid of sums.
    Gate(Rc<Pending>),
    /// Sums, none below zero.
    Rectified(Rc<Pending>),
    /// Normalized rows.
    Norm(Rc<Norm>),
    /// Bytes side by side.
    Parts(Vec<(View, Rc<[f32; 256]>)>, Vec<usize>),
    /// The sum of two tensors of bytes.
    ByteSum([(View, Origin); 2]),
    /// Attention's products.
    Scores(Rc<Scores>),
    /// Attention's weights.
    Weighted(Rc<Scores>),
}
