//! Convolutions, and what finishes sums: the epilogue's constants from scales and zero points, packed weights.

use std::rc::Rc;

use tract_onnx::pb::NodeProto;

use super::Importer;
use super::onnx::{Attributes, Data};
use super::value::{Kind, Norm, Origin, Pending, Quant, Skip, Val, View};
use crate::detector::int8::conv::MAX_KERNEL;
use crate::detector::int8::kernels::pack::{Requant, Tail, pack, pack_depthwise};
use crate::detector::int8::kernels::portable::Portable;
use crate::detector::int8::kernels::{AddScale, Kernels, Table};
use crate::detector::int8::plan::{Elem, Id, Step, Weights, Window, by_pixel};

/// Products in a sum, so that it stays far from the ends of 32 bits whatever the bytes.
const MAX_DEPTH: usize = 1 << 15;

/// What a layer's constants come to.
pub struct Folded {
    pub scale: Vec<f32>,
    pub bias: Vec<i32>,
    pub offset: Vec<f32>,
}

/// The constants of `channels` sums of `depth` products each: input zero point and bias folded in.
pub fn fold(
    weights: &[i8],
    channels: usize,
    (input, scale): (Quant, &[f32]),
    bias: Option<&Val>,
) -> Option<Folded> {
    let depth = weights.len() / channels;
    let scale: Vec<f32> = match scale.len() {
        1 => vec![input.scale * scale[0]; channels],
        n if n == channels => scale.iter().map(|s| input.scale * s).collect(),
        _ => return None,
    };
    (depth <= MAX_DEPTH && scale.iter().all(|s| (1e-30..1e9).contains(s))).then_some(())?;
    let mut bias_steps: Vec<i64> = weights
        .chunks_exact(depth)
        .map(|w| -i64::from(input.zero) * w.iter().map(|&w| i64::from(w)).sum::<i64>())
        .collect();
    let mut offset = vec![0.0; channels];
    match bias {
        None => {}
        Some(Val::Const(c)) => {
            let values = c.f32s().filter(|v| v.len() == channels)?;
            offset.copy_from_slice(values);
        }
        Some(Val::Weight { data, scale: steps, .. }) => {
            let Data::I32(values) = &data.data else { return None };
            (values.len() == channels && (steps.len() == 1 || steps.len() == channels)).then_some(())?;
            for (c, &value) in values.iter().enumerate() {
                let step = steps[if steps.len() == 1 { 0 } else { c }];
                if (step - scale[c]).abs() <= scale[c] * 1e-5 {
                    bias_steps[c] += i64::from(value);
                } else {
                    offset[c] = value as f32 * step;
                }
            }
        }
        Some(_) => return None,
    }
    let bias = bias_steps
        .iter()
        .map(|&b| i32::try_from(b).ok().filter(|b| b.abs() < 1 << 30))
        .collect::<Option<_>>()?;
    offset.iter().all(|x| x.abs() < 1e9).then_some(Folded { scale, bias, offset })
}

impl<'a> Importer<'a> {
    pub(super) fn conv(&mut self, i: usize, node: &'a NodeProto) -> Option<Val> {
        let (from, input, shape) = self.bytes(node.input.first()?)?;
        let Val::Weight { data, scale, axis, .. } = self.value(node.input.get(1)?)? else { return None };
        let Data::I8(weights) = &data.data else { return None };
        let [n, depth, kh, kw] = *data.shape else { return None };
        let [_, c, h, w] = *shape else { return None };
        let bias = match node.input.get(2).filter(|s| !s.is_empty()) {
            None => None,
            Some(name) => Some(self.value(name)?),
        };
        let plain = matches!(node.text("auto_pad"), "" | "NOTSET") && (scale.len() == 1 || axis == 0);
        let [top, left, bottom, right] = node.sizes::<4>("pads", 0)?;
        let stride = node.sizes::<2>("strides", 1)?;
        let dilation = node.sizes::<2>("dilations", 1)?;
        let groups = usize::try_from(node.int("group", 1)).ok()?;
        let kernel_fits = (1..=MAX_KERNEL).contains(&kh) && (1..=MAX_KERNEL).contains(&kw);
        (plain
            && by_pixel(&shape)
            && dilation == [1, 1]
            && kernel_fits
            && stride.iter().all(|s| (1..=8).contains(s)))
        .then_some(())?;
        (top < kh && bottom < kh && left < kw && right < kw && n > 0 && !weights.is_empty()).then_some(())?;
        let out = |len: usize, pads: usize, k: usize, s: usize| Some((len + pads).checked_sub(k)? / s + 1);
        let (oh, ow) = (out(h, top + bottom, kh, stride[0])?, out(w, left + right, kw, stride[1])?);
        let window =
            Window { input: [h, w, c], output: [oh, ow], kernel: [kh, kw], stride, pad: [top, left] };
        let folded = fold(weights, n, (input, &scale), bias.as_ref())?;
        let (kind, weights) = if groups == 1 && depth == c {
            // Channels innermost, as pixels are stored.
            let taps = kh * kw;
            let by_pixel = |i: usize| weights[(i / (taps * c) * c + i % c) * taps + i / c % taps];
            let weights = (0..weights.len()).map(by_pixel).collect();
            let direct = taps == 1 && stride == [1, 1];
            let kind = if direct { Kind::Linear { rows: h * w, depth: c } } else { Kind::Conv(window) };
            (kind, weights)
        } else if groups == c && depth == 1 && n == c && kh == 3 && kw == 3 {
            (Kind::Depthwise(window), weights.clone())
        } else {
            return None;
        };
        let Folded { scale, bias, offset } = folded;
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
            shape: vec![1, n, oh, ow],
        };
        self.hold(node, pending)
    }

    /// Sums wait where one reader will finish them; else they become floats.
    pub(super) fn hold(&mut self, node: &'a NodeProto, pending: Pending) -> Option<Val> {
        let pending = Rc::new(pending);
        if self.may_wait(node.output.first()?) {
            return Some(Val::Sum(pending));
        }
        let id = self.finish(&pending, None)?;
        Some(Val::Floats(View::whole(id, &pending.shape)))
    }

    /// Sums become bytes of a scale and zero point, or floats.
    pub(super) fn finish(&mut self, p: &Pending, to: Option<Quant>) -> Option<Id> {
        let mut tail = Tail { silu: p.silu, ..Tail::default() };
        let (mut scale, mut offset, mut post) = (p.scale.clone(), p.offset.clone(), p.post.clone());
        // Factors end in the conversion to bytes; floats have none.
        (to.is_some() || post.iter().all(|&factor| factor == 1.0)).then_some(())?;
        if let Some(Skip::Bytes(_, quant)) = p.skip {
            (tail.skip_scale, tail.skip_zero) = (quant.scale, quant.zero);
        }
        let skip = match &p.skip {
            None => None,
            Some(Skip::Bytes(id, _)) => to.map(|_| Some(*id))?,
            Some(Skip::Floats(id)) => to.is_none().then_some(Some(*id))?,
        };
        if let Some(quant) = to {
            tail.zero_point = quant.zero;
            if p.silu || skip.is_some() {
                post.iter_mut().for_each(|x| *x /= quant.scale);
            } else {
                scale.iter_mut().chain(&mut offset).for_each(|x| *x /= quant.scale);
            }
        }
        (scale.iter().all(|s| *s < 1e9) && offset.iter().all(|x| x.abs() < 1e15)).then_some(())?;
        post.iter().all(|x| (1e-30..1e30).contains(x)).then_some(())?;
        let requant = Requant { scale, bias: p.bias.clone(), offset, post, tail };
        // Only the portable kernels take -128 as a weight.
        let kernels: &'static dyn Kernels = if p.weights.contains(&-128) { &Portable } else { self.kernels };
        let elem = if to.is_some() { Elem::S8 } else { Elem::F32 };
        let (from, n, weights) = (p.from, p.channels, &p.weights);
        let name = self.graph.node[p.node].name.clone();
        self.spend(weights.len() * 2)?;
        match &p.kind {
            Kind::Linear { rows, depth } => {
                let (rows, depth) = (*rows, *depth);
                let weights = Box::new(pack(kernels.layout(), weights, n, 1, depth, &requant));
                self.emit(&name, &p.shape, elem, 0, |to| Step::Linear {
                    from,
                    to,
                    skip,
                    rows,
                    depth,
                    weights,
                    table: None,
                    kernels,
                })
            }
            Kind::Conv(window) | Kind::Depthwise(window) => {
                let (window, pad_value) = (*window, p.pad_value);
                let weights = if let Kind::Conv(_) = p.kind {
                    let [kh, kw] = window.kernel;
                    Weights::Dense(pack(kernels.layout(), weights, n, kh, kw * window.input[2], &requant))
                } else {
                    (to.is_some() && skip.is_none()).then_some(())?;
                    Weights::Depthwise(pack_depthwise(kernels.depthwise_order(), weights, &requant))
                };
                let weights = Box::new(weights);
                self.emit(&name, &p.shape, elem, 0, |to| Step::Conv {
                    from,
                    to,
                    skip,
                    window,
                    weights,
                    pad_value,
                    table: None,
                    kernels,
                })
            }
        }
    }

    /// Sums of which none is below zero become bytes. Rounding keeps order, so the bytes are those of the sums themselves, none
    /// below the zero point: a table, which the layer applies as it writes.
    pub(super) fn finish_rectified(&mut self, p: &Pending, to: Quant) -> Option<Id> {
        let from = self.finish(p, Some(to))?;
        if to.zero == i8::MIN {
            return Some(from);
        }
        let table = Box::new(Table::of(|x| x.max(to.zero)));
        let name = self.graph.node[p.node].name.clone();
        self.emit(&name, &p.shape, Elem::S8, 0, |to| Step::Lookup { from, to, table })
    }

    pub(super) fn finish_norm(&mut self, n: &Norm, to: Option<Quant>) -> Option<Id> {
        let (from, epsilon, gamma, beta) = (n.from, n.epsilon, n.gamma.clone(), n.beta.clone());
        let name = self.graph.node[n.node].name.clone();
        let elem = if to.is_some() { Elem::S8 } else { Elem::F32 };
        let to_bytes = to.map(|q| (q.scale, q.zero));
        self.emit(&name, &n.shape, elem, 0, |to| Step::LayerNorm { from, to, gamma, beta, epsilon, to_bytes })
    }

    pub(super) fn finish_parts(
        &mut self,
        parts: &[(View, Rc<[f32; 256]>)],
        shape: &[usize],
        quant: Quant,
        name: &str,
    ) -> Option<Id> {
        let mut placed = Vec::new();
        for (view, table) in parts {
            let table = Table(table.map(|x| quant.byte(x)));
            let table = (!table.is_identity()).then(|| Box::new(table));
            placed.push((self.dense(view, name)?, view.shape[1], table));
        }
        self.emit(name, shape, Elem::S8, 0, |to| Step::Concat { parts: placed, to })
    }

    pub(super) fn finish_sum(
        &mut self,
        parts: &[(View, Origin); 2],
        quant: Quant,
        name: &str,
    ) -> Option<View> {
        let [(x, p), (y, q)] = parts;
        let shape = x.shape.clone();
        let (x, y) = (self.looked_up(x, p.bytes.as_ref(), name)?, self.looked_up(y, q.bytes.as_ref(), name)?);
        let (a, b) = (self.dense(&x, name)?, self.dense(&y, name)?);
        let (ka, kb) = (p.quant.scale / quant.scale, q.quant.scale / quant.scale);
        let k = -(f64::from(ka) * f64::from(p.quant.zero) + f64::from(kb) * f64::from(q.quant.zero)) as f32;
        let scale = AddScale { ka, kb, k, zero_point: quant.zero };
        let id = self.emit(name, &shape, Elem::S8, 0, |to| Step::Add { a, b, to, scale })?;
        Some(View::whole(id, &shape))
    }
}
