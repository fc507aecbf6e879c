//! Element by element: activations, sums of two, casts. A function of one byte is a table, whatever it is made of.

use std::rc::Rc;

use tract_onnx::pb::NodeProto;

use super::Importer;
use super::onnx::{Attributes, Const, dtype};
use super::value::{Kind, Pending, Scores, Skip, Val, View};
use crate::detector::int8::plan::Form;

/// ONNX's activations of one float.
fn function(node: &NodeProto) -> Option<Box<dyn Fn(f32) -> f32>> {
    Some(match &*node.op_type {
        "Sigmoid" => Box::new(|x| 1.0 / (1.0 + (-x).exp())),
        "Relu" => Box::new(|x: f32| x.max(0.0)),
        "Tanh" => Box::new(f32::tanh),
        "HardSwish" => Box::new(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        "HardSigmoid" => {
            let (alpha, beta) = (node.float("alpha", 0.2), node.float("beta", 0.5));
            Box::new(move |x| (alpha * x + beta).clamp(0.0, 1.0))
        }
        "LeakyRelu" => {
            let alpha = node.float("alpha", 0.01);
            Box::new(move |x| if x < 0.0 { alpha * x } else { x })
        }
        _ => return None,
    })
}

fn is_finite(table: &[f32; 256]) -> bool {
    table.iter().all(|x| x.abs() < 1e9)
}

impl<'a> Importer<'a> {
    pub(super) fn cast(&mut self, node: &'a NodeProto) -> Option<Val> {
        let name = node.input.first()?;
        let Val::External(Some((elem, shape))) = self.value(name)? else { return None };
        (node.int("to", 0) == i64::from(dtype::F32)).then_some(())?;
        let value: fn(usize) -> f32 = match elem {
            dtype::U8 => |i| i as f32,
            dtype::I8 => |i| f32::from(i as u8 as i8),
            _ => return None,
        };
        let view = View::whole(self.import(name, &shape, Form::Bytes)?, &shape);
        Some(Val::Bytes { view, table: Rc::new(std::array::from_fn(value)), origin: None })
    }

    pub(super) fn activation(&mut self, node: &'a NodeProto) -> Option<Val> {
        let name = node.input.first()?;
        match self.value(name)? {
            Val::Bytes { view, table, .. } => {
                let table = table.map(function(node)?);
                is_finite(&table).then_some(Val::Bytes { view, table: Rc::new(table), origin: None })
            }
            Val::Sum(p) if node.op_type == "Relu" => self.becomes_bytes(node).then_some(Val::Rectified(p)),
            Val::Sum(p) => {
                let pair = node.op_type == "Sigmoid" && self.index.readers_of(name).len() == 2 && !p.silu;
                (pair && p.skip.is_none()).then_some(Val::Gate(p))
            }
            _ => None,
        }
    }

    pub(super) fn mul(&mut self, node: &'a NodeProto) -> Option<Val> {
        let [a, b] = &*node.input else { return None };
        match (self.value(a)?, self.value(b)?) {
            (Val::Sum(p), Val::Gate(q)) | (Val::Gate(q), Val::Sum(p)) if Rc::ptr_eq(&p, &q) => {
                self.hold(node, Pending { silu: true, ..(*p).clone() })
            }
            (Val::Bytes { view, table: x, .. }, Val::Bytes { view: other, table: y, .. })
                if same_elements(&view, &other) =>
            {
                let table: [f32; 256] = std::array::from_fn(|i| x[i] * y[i]);
                is_finite(&table).then_some(Val::Bytes { view, table: Rc::new(table), origin: None })
            }
            (v, Val::Const(c)) | (Val::Const(c), v) => self.scaled(node, v, &c),
            _ => None,
        }
    }

    fn scaled(&mut self, node: &'a NodeProto, v: Val, c: &Const) -> Option<Val> {
        if let Val::Sum(p) = v {
            let pending = with_factors(&p, c)?;
            return self.hold(node, pending);
        }
        let factor = c.scalar().filter(|_| c.shape.len() <= 1)?;
        match v {
            Val::Bytes { view, table, .. } => {
                let table = table.map(|x| x * factor);
                is_finite(&table).then_some(Val::Bytes { view, table: Rc::new(table), origin: None })
            }
            Val::Scores(s) => {
                let scale = s.scale * factor;
                (scale.abs() < 1e6).then(|| Val::Scores(Rc::new(Scores { scale, ..(*s).clone() })))
            }
            _ => None,
        }
    }

    pub(super) fn add(&mut self, node: &'a NodeProto) -> Option<Val> {
        let [a, b] = &*node.input else { return None };
        let (x, y) = (self.value(a)?, self.value(b)?);
        match (x, y) {
            (Val::Sum(p), Val::Const(c)) | (Val::Const(c), Val::Sum(p)) => {
                let pending = with_bias(&p, &c)?;
                self.hold(node, pending)
            }
            (Val::Bytes { view: x, origin: Some(p), .. }, Val::Bytes { view: y, origin: Some(q), .. })
                if x.shape == y.shape =>
            {
                Some(Val::ByteSum([(x, p), (y, q)]))
            }
            (Val::Sum(p), _) => self.shortcut(node, &p, b),
            (_, Val::Sum(p)) => self.shortcut(node, &p, a),
            _ => None,
        }
    }

    /// Sums with another tensor of their shape added.
    fn shortcut(&mut self, node: &'a NodeProto, p: &Pending, other: &'a str) -> Option<Val> {
        let free = p.skip.is_none() && p.post.iter().all(|&factor| factor == 1.0);
        (free && !matches!(p.kind, Kind::Depthwise(_))).then_some(())?;
        let skip = match self.value(other)? {
            // A shortcut of bytes is for sums that become bytes; those that become floats take floats.
            Val::Bytes { view, origin: Some(_), .. } if view.shape == p.shape && self.becomes_bytes(node) => {
                let (id, quant, _) = self.bytes(other)?;
                Skip::Bytes(id, quant)
            }
            _ => {
                let view = self.floats(other)?;
                (view.shape == p.shape && !self.becomes_bytes(node)).then_some(())?;
                let id = self.dense(&view, other)?;
                self.values.insert(other, Val::Floats(View::whole(id, &view.shape)));
                Skip::Floats(id)
            }
        };
        self.hold(node, Pending { skip: Some(skip), ..p.clone() })
    }

    /// Whether a node's only reader is a QuantizeLinear, or a Relu before one.
    fn becomes_bytes(&self, node: &NodeProto) -> bool {
        let next = self.only_reader(node);
        let behind = next.filter(|n| n.op_type == "Relu").and_then(|relu| self.only_reader(relu));
        behind.or(next).is_some_and(|n| n.op_type == "QuantizeLinear")
    }

    fn only_reader(&self, node: &NodeProto) -> Option<&'a NodeProto> {
        match self.index.readers_of(node.output.first()?) {
            [i] => self.graph.node.get(*i),
            _ => None,
        }
    }
}

/// A bias added to sums: one float a channel.
fn with_bias(p: &Pending, c: &Const) -> Option<Pending> {
    let values = along_channels(p, c)?;
    (!p.silu && p.skip.is_none()).then_some(())?;
    let offset = p.offset.iter().zip(values).map(|(o, v)| o + v).collect();
    Some(Pending { offset, ..p.clone() })
}

/// Sums, or what SiLU made of them, times one factor a channel. Without SiLU it is part of their scale.
fn with_factors(p: &Pending, c: &Const) -> Option<Pending> {
    let factors = along_channels(p, c)?;
    (p.skip.is_none() && factors.iter().all(|f| (1e-20..1e6).contains(f))).then_some(())?;
    let times = |v: &[f32]| v.iter().zip(factors).map(|(x, f)| x * f).collect();
    Some(match p.silu {
        true => Pending { post: times(&p.post), ..p.clone() },
        false => Pending { scale: times(&p.scale), offset: times(&p.offset), ..p.clone() },
    })
}

/// A constant's floats, one a channel, where it lies along the axis of the channels.
fn along_channels<'c>(p: &Pending, c: &'c Const) -> Option<&'c [f32]> {
    let values = c.f32s().filter(|v| v.len() == p.channels)?;
    // Counted from the last axis, channels stand last in rows and third from last in pictures.
    let behind = if p.shape.len() == 4 && p.shape[0] == 1 { 2 } else { 0 };
    let axis = c.shape.len().checked_sub(1 + behind)?;
    let broadcast = c.shape.len() <= p.shape.len() && c.shape[axis] == p.channels;
    broadcast.then_some(values)
}

/// Whether two views are of the same elements in the same places.
fn same_elements(a: &View, b: &View) -> bool {
    let maps = match (&a.map, &b.map) {
        (None, None) => true,
        (Some(x), Some(y)) => Rc::ptr_eq(x, y),
        _ => false,
    };
    a.base == b.base && a.shape == b.shape && maps
}
