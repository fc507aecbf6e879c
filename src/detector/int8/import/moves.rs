//! Nodes that move bytes or compare them: Concat, MaxPool, Resize.

use tract_onnx::pb::NodeProto;

use super::Importer;
use super::onnx::Attributes;
use super::value::{Origin, Quant, Val, View};
use crate::detector::int8::conv::MAX_KERNEL;
use crate::detector::int8::plan::{Elem, Id, Step, Window, by_pixel};

fn as_bytes(id: Id, shape: &[usize], quant: Quant) -> Val {
    let view = View::whole(id, shape);
    Val::Bytes { view, table: quant.table(), origin: Some(Origin { bytes: None, quant }) }
}

impl<'a> Importer<'a> {
    pub(super) fn concat(&mut self, node: &'a NodeProto) -> Option<Val> {
        let axis = node.int("axis", 0);
        let mut parts = Vec::new();
        let mut whole: Option<Vec<usize>> = None;
        for name in &node.input {
            let Val::Bytes { view, table, .. } = self.value(name)? else { return None };
            by_pixel(&view.shape).then_some(())?;
            match &mut whole {
                None => whole = Some(view.shape.clone()),
                Some(whole) => {
                    (whole[2..] == view.shape[2..]).then_some(())?;
                    whole[1] += view.shape[1];
                }
            }
            parts.push((view, table));
        }
        let read_once = self.index.readers_of(node.output.first()?).len() == 1;
        (read_once && (axis == 1 || axis == -3)).then_some(Val::Parts(parts, whole?))
    }

    pub(super) fn max_pool(&mut self, node: &'a NodeProto) -> Option<Val> {
        let (from, quant, shape) = self.bytes(node.input.first()?)?;
        let [_, c, h, w] = *shape else { return None };
        let kernel = node.sizes::<2>("kernel_shape", 0)?;
        let stride = node.sizes::<2>("strides", 1)?;
        let [top, left, bottom, right] = node.sizes::<4>("pads", 0)?;
        let plain = by_pixel(&shape)
            && node.output.len() == 1
            && node.sizes::<2>("dilations", 1)? == [1, 1]
            && node.int("ceil_mode", 0) == 0
            && matches!(node.text("auto_pad"), "" | "NOTSET")
            && kernel.iter().all(|k| (1..=MAX_KERNEL).contains(k))
            && stride.iter().all(|s| (1..=8).contains(s))
            && top < kernel[0]
            && bottom < kernel[0]
            && left < kernel[1]
            && right < kernel[1];
        plain.then_some(())?;
        let out =
            |len: usize, pads: usize, at: usize| Some((len + pads).checked_sub(kernel[at])? / stride[at] + 1);
        let output = [out(h, top + bottom, 0)?, out(w, left + right, 1)?];
        let window = Window { input: [h, w, c], output, kernel, stride, pad: [top, left] };
        let shape = [1, c, output[0], output[1]];
        let id = self.emit(&node.name, &shape, Elem::S8, 0, |to| Step::MaxPool { from, to, window })?;
        Some(as_bytes(id, &shape, quant))
    }

    pub(super) fn resize(&mut self, node: &'a NodeProto) -> Option<Val> {
        let (from, quant, shape) = self.bytes(node.input.first()?)?;
        let [_, c, h, w] = *shape else { return None };
        let repeats = node.text("mode") == "nearest"
            && node.text("coordinate_transformation_mode") == "asymmetric"
            && node.text("nearest_mode") == "floor"
            && by_pixel(&shape)
            && node.ints("axes").is_empty();
        repeats.then_some(())?;
        let by = if let Some(scales) = node.input.get(2).filter(|s| !s.is_empty()) {
            let scales = self.constant(scales)?;
            let scales = scales.f32s().filter(|s| s.len() == 4 && s[..2] == [1.0, 1.0])?;
            let whole = |s: f32| (s.fract() == 0.0 && (1.0..=16.0).contains(&s)).then_some(s as usize);
            [whole(scales[2])?, whole(scales[3])?]
        } else {
            let sizes = self.constant(node.input.get(3)?)?;
            let sizes: Vec<usize> =
                sizes.i64s()?.iter().map(|&s| usize::try_from(s).ok()).collect::<Option<_>>()?;
            let [1, channels, oh, ow] = *sizes else { return None };
            (channels == c
                && oh % h == 0
                && ow % w == 0
                && (1..=16).contains(&(oh / h))
                && (1..=16).contains(&(ow / w)))
            .then_some([oh / h, ow / w])?
        };
        let shape = [1, c, h * by[0], w * by[1]];
        let size = [h, w, c];
        let id = self.emit(&node.name, &shape, Elem::S8, 0, |to| Step::Upsample { from, to, size, by })?;
        Some(as_bytes(id, &shape, quant))
    }
}
