//! Reshape, Squeeze, Transpose, Slice, Split: nothing moves until somebody needs the elements in memory, and then whole runs move.

use std::rc::Rc;

use tract_onnx::pb::NodeProto;

use super::Importer;
use super::onnx::{Attributes, Data, elements};
use super::value::{Val, View, stored_at};
use crate::detector::int8::plan::{Id, Step, by_pixel};

/// Dimensions of a reshaped tensor; more are nobody's.
const MAX_RANK: usize = 8;

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl<'a> Importer<'a> {
    /// A view's elements as the steps expect them, copied only where they don't already lie so.
    pub(super) fn dense(&mut self, view: &View, name: &str) -> Option<Id> {
        let base = self.tensors[view.base].clone();
        let plain = !by_pixel(&base.shape) && !by_pixel(&view.shape);
        if view.map.is_none() && (plain || base.shape == view.shape) {
            return Some(view.base);
        }
        let address = view.map.as_ref().map_or(1, |m| Rc::as_ptr(m) as usize);
        let key = (view.base, address, view.shape.clone());
        if let Some(&id) = self.copies.get(&key) {
            return Some(id);
        }
        let n = elements(&view.shape)?;
        self.spend(n)?;
        let mut starts = vec![0u32; n];
        for i in 0..n {
            let element = view.map.as_ref().map_or(i, |m| m[i] as usize);
            starts[stored_at(&view.shape, i)] = stored_at(&base.shape, element) as u32;
        }
        let breaks = (1..n).filter(|&i| starts[i] != starts[i - 1].wrapping_add(1));
        let run = breaks.fold(n, gcd);
        // Only between shapes that are stored alike may one tensor go by both.
        let id = if plain && n == elements(&base.shape)? && run == n && starts.first() == Some(&0) {
            view.base
        } else {
            let starts = starts.iter().copied().step_by(run).collect();
            let from = view.base;
            self.emit(name, &view.shape, base.elem, 0, |to| Step::Gather { from, to, run, starts })?
        };
        if let Some(map) = &view.map {
            self.pinned.push(map.clone());
        }
        self.copies.insert(key, id);
        Some(id)
    }

    /// The elements of `view` at `offset + Σ index · stride` (in its own ONNX order) for every index below `shape`.
    pub(super) fn select(
        &mut self,
        view: &View,
        shape: Vec<usize>,
        strides: &[usize],
        offset: usize,
    ) -> Option<View> {
        let n = elements(&shape)?;
        self.spend(n)?;
        let mut map = Vec::with_capacity(n);
        let mut index = vec![0usize; shape.len()];
        let mut at = offset;
        for _ in 0..n {
            map.push(view.map.as_ref().map_or(at as u32, |m| m[at]));
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                at -= strides[axis] * shape[axis];
                index[axis] = 0;
            }
        }
        Some(View { base: view.base, shape, map: Some(Rc::new(map)) })
    }

    /// What a node that only moves elements reads.
    fn movable(&mut self, name: &'a str) -> Option<(Val, View)> {
        let value = match self.value(name)? {
            v @ (Val::Bytes { .. } | Val::Floats(_)) => v,
            _ => Val::Floats(self.floats(name)?),
        };
        let view = match &value {
            Val::Bytes { view, .. } | Val::Floats(view) => view.clone(),
            _ => return None,
        };
        Some((value, view))
    }

    pub(super) fn reshape(&mut self, node: &'a NodeProto) -> Option<Val> {
        let (value, view) = self.movable(node.input.first()?)?;
        let n = elements(&view.shape)?;
        let shape = match &*node.op_type {
            "Reshape" => {
                let wanted = self.constant(node.input.get(1)?)?;
                (node.int("allowzero", 0) == 0).then_some(())?;
                reshaped(&view.shape, wanted.i64s()?)?
            }
            "Flatten" => {
                let axis = usize::try_from(node.int("axis", 1)).ok().filter(|&a| a <= view.shape.len())?;
                vec![view.shape[..axis].iter().product(), view.shape[axis..].iter().product()]
            }
            "Squeeze" => squeezed(&view.shape, self.axes(node)?.as_deref())?,
            _ => unsqueezed(&view.shape, &self.axes(node)??)?,
        };
        (elements(&shape)? == n).then_some(())?;
        Some(moved(&value, View { shape, ..view }))
    }

    /// The axes that Squeeze or Unsqueeze names: an input, before operator set 13 an attribute. Outside: they can't be known;
    /// inside: none are named.
    fn axes(&mut self, node: &'a NodeProto) -> Option<Option<Vec<i64>>> {
        match node.input.get(1).filter(|s| !s.is_empty()) {
            Some(name) => Some(Some(self.constant(name)?.i64s()?.to_vec())),
            None => Some(Some(node.ints("axes").to_vec()).filter(|axes| !axes.is_empty())),
        }
    }

    pub(super) fn transpose(&mut self, node: &'a NodeProto) -> Option<Val> {
        let (value, view) = self.movable(node.input.first()?)?;
        let rank = view.shape.len();
        let perm: Vec<usize> = match node.ints("perm") {
            [] => (0..rank).rev().collect(),
            p => p.iter().map(|&a| usize::try_from(a).ok()).collect::<Option<_>>()?,
        };
        let mut seen = perm.clone();
        seen.sort_unstable();
        seen.iter().copied().eq(0..rank).then_some(())?;
        let strides = strides(&view.shape);
        let shape = perm.iter().map(|&a| view.shape[a]).collect();
        let strides: Vec<usize> = perm.iter().map(|&a| strides[a]).collect();
        Some(moved(&value, self.select(&view, shape, &strides, 0)?))
    }

    pub(super) fn slice(&mut self, node: &'a NodeProto) -> Option<Val> {
        let (value, view) = self.movable(node.input.first()?)?;
        let starts = self.constant(node.input.get(1)?)?;
        let ends = self.constant(node.input.get(2)?)?;
        let axes = self.constant(node.input.get(3)?)?;
        if let Some(steps) = node.input.get(4).filter(|s| !s.is_empty()) {
            self.constant(steps)?.i64s()?.iter().all(|&s| s == 1).then_some(())?;
        }
        let ([start], [end], [axis]) = (starts.i64s()?, ends.i64s()?, axes.i64s()?) else { return None };
        let axis = along(*axis, view.shape.len())?;
        let len = i64::try_from(view.shape[axis]).ok()?;
        let place =
            |x: i64| if x < 0 { x.checked_add(len) } else { Some(x) }.map(|x| x.clamp(0, len) as usize);
        let (start, end) = (place(*start)?, place(*end)?);
        (start < end).then_some(())?;
        Some(moved(&value, self.part(&view, axis, start, end - start)?))
    }

    pub(super) fn split(&mut self, node: &'a NodeProto) -> Option<Vec<Val>> {
        let (value, view) = self.movable(node.input.first()?)?;
        let axis = along(node.int("axis", 0), view.shape.len())?;
        let sizes: Vec<usize> = match node.input.get(1).filter(|s| !s.is_empty()) {
            Some(name) => match &self.constant(name)?.data {
                Data::I64(v) => v.iter().map(|&s| usize::try_from(s).ok()).collect::<Option<_>>()?,
                _ => return None,
            },
            None if !node.ints("split").is_empty() => {
                node.ints("split").iter().map(|&s| usize::try_from(s).ok()).collect::<Option<_>>()?
            }
            None => {
                let parts = node.output.len();
                (parts > 0 && view.shape[axis] % parts == 0).then(|| vec![view.shape[axis] / parts; parts])?
            }
        };
        let sum = sizes.iter().try_fold(0usize, |a, &b| a.checked_add(b))?;
        (sizes.len() == node.output.len() && sum == view.shape[axis] && !sizes.contains(&0)).then_some(())?;
        let mut start = 0;
        let mut values = Vec::new();
        for size in sizes {
            values.push(moved(&value, self.part(&view, axis, start, size)?));
            start += size;
        }
        Some(values)
    }

    fn part(&mut self, view: &View, axis: usize, start: usize, len: usize) -> Option<View> {
        let strides = strides(&view.shape);
        let mut shape = view.shape.clone();
        shape[axis] = len;
        self.select(view, shape, &strides, start * strides[axis])
    }
}

/// The same value under another view.
fn moved(value: &Val, view: View) -> Val {
    match value {
        Val::Bytes { table, origin, .. } => Val::Bytes { view, table: table.clone(), origin: origin.clone() },
        _ => Val::Floats(view),
    }
}

fn along(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
    usize::try_from(axis).ok().filter(|&a| a < rank)
}

/// Which axes of a rank these are; nothing where one is outside, or named twice.
fn marked(axes: &[i64], rank: usize) -> Option<Vec<bool>> {
    let mut marks = vec![false; rank];
    for &axis in axes {
        let mark = &mut marks[along(axis, rank)?];
        (!std::mem::replace(mark, true)).then_some(())?;
    }
    Some(marks)
}

/// ONNX's Squeeze: without the named dimensions, or without all, that are one.
fn squeezed(shape: &[usize], axes: Option<&[i64]>) -> Option<Vec<usize>> {
    let gone = match axes {
        Some(axes) => marked(axes, shape.len())?,
        None => shape.iter().map(|&d| d == 1).collect(),
    };
    let mut dims = shape.iter().zip(&gone);
    let kept = dims.clone().filter(|(_, gone)| !**gone).map(|(&d, _)| d).collect();
    dims.all(|(&d, gone)| !gone || d == 1).then_some(kept)
}

/// ONNX's Unsqueeze: ones that stand at `axes` of the result.
fn unsqueezed(shape: &[usize], axes: &[i64]) -> Option<Vec<usize>> {
    let new = marked(axes, (shape.len() + axes.len()).min(MAX_RANK))?;
    let mut old = shape.iter();
    let shape =
        new.iter().map(|new| if *new { Some(1) } else { old.next().copied() }).collect::<Option<_>>()?;
    old.next().is_none().then_some(shape)
}

/// Elements between neighbours along each axis.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// ONNX's Reshape: 0 copies a dimension, one -1 takes what is left.
fn reshaped(shape: &[usize], wanted: &[i64]) -> Option<Vec<usize>> {
    let mut out = Vec::new();
    let mut open = None;
    for (axis, &d) in wanted.iter().enumerate().take(MAX_RANK) {
        out.push(match d {
            0 => *shape.get(axis)?,
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            d => usize::try_from(d).ok()?,
        });
    }
    if let Some(axis) = open {
        let rest = elements(&out).filter(|&n| n > 0)?;
        out[axis] = elements(shape)? / rest;
    }
    (wanted.len() <= MAX_RANK).then_some(out)
}
