//! The float parts of a transformer: LayerNorm, and self-attention recognized by which elements its products read.

use std::rc::Rc;

use tract_onnx::pb::NodeProto;

use super::Importer;
use super::onnx::{Attributes, elements};
use super::value::{Norm, Scores, Val, View};
use super::views::strides;
use crate::detector::int8::kernels::Attention;
use crate::detector::int8::plan::{Elem, Step, by_pixel};

/// The longest sequence whose scores fit a scratch row.
const MAX_TOKENS: usize = 1 << 14;

impl<'a> Importer<'a> {
    pub(super) fn layer_norm(&mut self, i: usize, node: &'a NodeProto) -> Option<Val> {
        let name = node.input.first()?;
        let gamma = self.constant(node.input.get(1)?)?.f32s()?.to_vec();
        let beta = match node.input.get(2).filter(|s| !s.is_empty()) {
            Some(name) => self.constant(name)?.f32s()?.to_vec(),
            None => vec![0.0; gamma.len()],
        };
        let epsilon = node.float("epsilon", 1e-5);
        let view = self.floats(name)?;
        let rank = i64::try_from(view.shape.len()).ok()?;
        let axis = node.int("axis", -1);
        let last = view.shape.last() == Some(&gamma.len()) && gamma.len() == beta.len() && !gamma.is_empty();
        let plain =
            (axis == -1 || axis == rank - 1) && node.output.len() == 1 && (1e-12..1.0).contains(&epsilon);
        (last && plain && !by_pixel(&view.shape)).then_some(())?;
        let from = self.dense(&view, name)?;
        self.values.insert(name, Val::Floats(View::whole(from, &view.shape)));
        let norm = Norm { node: i, from, gamma, beta, epsilon, shape: view.shape.clone() };
        if self.index.readers_of(node.output.first()?).len() == 1 {
            return Some(Val::Norm(Rc::new(norm)));
        }
        let id = self.finish_norm(&norm, None)?;
        Some(Val::Floats(View::whole(id, &view.shape)))
    }

    /// A product of two computed tensors: the first or the second of self-attention.
    pub(super) fn attention_product(
        &mut self,
        _: usize,
        node: &'a NodeProto,
        a: &'a str,
        b: &'a str,
    ) -> Option<Val> {
        let read_once = self.index.readers_of(node.output.first()?).len() == 1;
        match (self.value(a)?, self.value(b)?) {
            (Val::Floats(query), Val::Floats(key)) => {
                let matched = query.base == key.base && query.map.is_some() && key.map.is_some() && read_once;
                matched.then(|| Val::Scores(Rc::new(Scores { query, key, scale: 1.0 })))
            }
            (Val::Weighted(scores), Val::Floats(value)) => self.attend(node, &scores, &value),
            _ => None,
        }
    }

    pub(super) fn softmax(&mut self, node: &'a NodeProto) -> Option<Val> {
        let Val::Scores(scores) = self.value(node.input.first()?)? else { return None };
        let read_once = self.index.readers_of(node.output.first()?).len() == 1;
        // Before 13 the default was 1, and all axes from there on counted as one; of the last axis that is the same.
        let axis = node.int("axis", if self.opset < 13 { 1 } else { -1 });
        (read_once && (axis == -1 || axis == 3)).then_some(Val::Weighted(scores))
    }

    fn attend(&mut self, node: &'a NodeProto, scores: &Scores, value: &View) -> Option<Val> {
        let Scores { query, key, scale } = scores;
        let [sequences, heads, tokens, dim] = *query.shape else { return None };
        let base = self.tensors[query.base].clone();
        let inner = heads.checked_mul(dim)?;
        let fits = value.base == query.base
            && base.elem == Elem::F32
            && !by_pixel(&base.shape)
            && elements(&base.shape)? == elements(&[sequences, tokens, 3, inner])?
            && key.shape == [sequences, heads, dim, tokens]
            && value.shape == [sequences, heads, tokens, dim]
            && tokens <= MAX_TOKENS;
        fits.then_some(())?;
        // Which element of the base (rows of q, k, v, each by heads) stands where.
        let whole = [sequences, tokens, 3 * heads, dim];
        let s = strides(&whole);
        let stands = |view: &View, which: usize, transposed: bool| {
            let Some(map) = &view.map else { return false };
            let mut elements = map.iter();
            let (rows, columns) = if transposed { (dim, tokens) } else { (tokens, dim) };
            (0..sequences).all(|b| {
                (0..heads).all(|h| {
                    let first = b * s[0] + (which * heads + h) * s[2];
                    (0..rows).all(|r| {
                        (0..columns).all(|c| {
                            let (t, j) = if transposed { (c, r) } else { (r, c) };
                            elements.next() == Some(&((first + t * s[1] + j) as u32))
                        })
                    })
                })
            })
        };
        (stands(query, 0, false) && stands(key, 1, true) && stands(value, 2, false)).then_some(())?;
        let shape = Attention { tokens, heads, dim, scale: *scale };
        let (from, kernels) = (query.base, self.kernels);
        let stored = [sequences, tokens, inner];
        let step = |to| Step::Attention { from, to, sequences, shape, kernels };
        let id = self.emit(&node.name, &stored, Elem::F32, 0, step)?;
        // The result stands by tokens, then heads; ONNX's product by heads, then tokens.
        let by_tokens = View::whole(id, &stored);
        let strides = [tokens * inner, dim, inner, 1];
        Some(Val::Floats(self.select(&by_tokens, vec![sequences, heads, tokens, dim], &strides, 0)?))
    }
}
