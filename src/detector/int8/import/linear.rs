//! Products of rows with a constant matrix.

use std::rc::Rc;

use tract_onnx::pb::NodeProto;

use super::Importer;
use super::onnx::{Attributes, Data, elements};
use super::sums::{Folded, fold};
use super::value::{Kind, Pending, Val};
use crate::detector::int8::plan::by_pixel;

impl<'a> Importer<'a> {
    pub(super) fn matmul(&mut self, i: usize, node: &'a NodeProto) -> Option<Val> {
        let [a, b] = &*node.input else { return None };
        match self.value(b)? {
            Val::Weight { .. } => self.product(i, node, (a, b), None, false),
            _ => self.attention_product(i, node, a, b),
        }
    }

    pub(super) fn gemm(&mut self, i: usize, node: &'a NodeProto) -> Option<Val> {
        let (a, b) = (node.input.first()?, node.input.get(1)?);
        let plain =
            node.float("alpha", 1.0) == 1.0 && node.float("beta", 1.0) == 1.0 && node.int("transA", 0) == 0;
        let bias = match node.input.get(2).filter(|s| !s.is_empty()) {
            None => None,
            Some(name) => Some(self.value(name)?),
        };
        plain.then_some(())?;
        self.product(i, node, (a, b), bias, node.int("transB", 0) != 0)
    }

    fn product(
        &mut self,
        i: usize,
        node: &'a NodeProto,
        (a, b): (&'a str, &'a str),
        bias: Option<Val>,
        transposed: bool,
    ) -> Option<Val> {
        let (from, input, mut shape) = self.bytes(a)?;
        let Val::Weight { data, scale, axis, .. } = self.value(b)? else { return None };
        let Data::I8(weights) = &data.data else { return None };
        let [rows, columns] = *data.shape else { return None };
        let (depth, n) = if transposed { (columns, rows) } else { (rows, columns) };
        let channel_axis = if transposed { [0, -2] } else { [1, -1] };
        let fits =
            shape.last() == Some(&depth) && shape.len() >= 2 && !by_pixel(&shape) && n > 0 && depth > 0;
        (fits && (scale.len() == 1 || channel_axis.contains(&axis))).then_some(())?;
        let weights: Vec<i8> = match transposed {
            true => weights.clone(),
            false => (0..n * depth).map(|i| weights[i % depth * n + i / depth]).collect(),
        };
        let Folded { scale, bias, offset } = fold(&weights, n, (input, &scale), bias.as_ref())?;
        let rows = elements(&shape)? / depth;
        *shape.last_mut()? = n;
        (!by_pixel(&shape)).then_some(())?;
        let kind = Kind::Linear { rows, depth };
        let pending = Pending {
            node: i,
            from,
            pad_value: input.zero,
            kind,
            weights: Rc::new(weights),
            channels: n,
            scale,
            bias,
            offset,
            silu: false,
            post: vec![1.0; n],
            skip: None,
            shape,
        };
        self.hold(node, pending)
    }
}
