//! Walks an ONNX graph before tract sees it and turns what it recognizes into [`Step`]s.
//!
//! The walk is an abstract interpretation: each value of the graph is known as a [`Val`], which waits (a convolution's
//! sums for their activation and QuantizeLinear, a transposition for somebody who needs the elements) until it is clear
//! what to compute. A node that isn't recognized stays with tract, and what it reads is handed out as floats. Where a value
//! that waits turns out to be needed outside, its node is marked to stay and the walk begins again.

mod attention;
mod linear;
mod moves;
pub mod onnx;
mod pointwise;
mod regions;
mod sums;
pub mod value;
mod views;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use tract_onnx::pb::{GraphProto, NodeProto};

use super::kernels::{Kernels, Table};
use super::plan::{Elem, Form, Id, Info, Named, Port, Step};
use onnx::{Attributes, Const, Index, dtype, elements};
use value::{Origin, Quant, Val, View};

pub use regions::{Rewritten, check, rewrite};

/// Elements that the importer may spend on tensors and maps of one model.
const BUDGET: usize = 1 << 28;

/// How often the walk may begin again before nothing is rewritten.
const RETRIES: usize = 64;

/// The state of one walk.
pub struct Importer<'a> {
    graph: &'a GraphProto,
    index: &'a Index<'a>,
    kernels: &'static dyn Kernels,
    /// Version of ONNX's own operators: defaults changed over time.
    opset: i64,
    /// Nodes that must stay with tract.
    forced: &'a HashSet<usize>,
    values: HashMap<&'a str, Val>,
    makers: HashMap<&'a str, usize>,
    constants: HashMap<&'a str, Option<Rc<Const>>>,
    tensors: Vec<Info>,
    /// The region that makes a tensor.
    made_in: Vec<usize>,
    steps: Vec<(usize, Named)>,
    /// What regions take from the graph.
    imports: Vec<Port>,
    /// What regions give to the graph.
    exports: Vec<Port>,
    /// From which region on a value made outside can be used.
    ready: HashMap<&'a str, usize>,
    exported: HashMap<&'a str, usize>,
    /// Nodes that tract runs.
    kept: HashSet<usize>,
    /// Nodes that have to stay after all: the walk begins again.
    stay: Vec<usize>,
    /// Copies that were made, by their source and what they do to it.
    copies: HashMap<(Id, usize, Vec<usize>), Id>,
    /// Keeps alive what `copies` identifies by address.
    pinned: Vec<Rc<dyn std::any::Any>>,
    budget: usize,
}

impl<'a> Importer<'a> {
    /// Walks the graph until no node has to stay that was taken; nothing where that doesn't end soon.
    fn walk(
        graph: &'a GraphProto,
        index: &'a Index<'a>,
        (kernels, opset): (&'static dyn Kernels, i64),
        forced: &'a HashSet<usize>,
    ) -> Importer<'a> {
        let mut importer = Importer {
            graph,
            index,
            kernels,
            opset,
            forced,
            values: HashMap::new(),
            makers: HashMap::new(),
            constants: HashMap::new(),
            tensors: Vec::new(),
            made_in: Vec::new(),
            steps: Vec::new(),
            imports: Vec::new(),
            exports: Vec::new(),
            ready: HashMap::new(),
            exported: HashMap::new(),
            kept: HashSet::new(),
            stay: Vec::new(),
            copies: HashMap::new(),
            pinned: Vec::new(),
            budget: BUDGET,
        };
        for input in &graph.input {
            if !index.constants.contains_key(&*input.name) {
                importer.values.insert(&input.name, Val::External(onnx::stated(input)));
            }
        }
        for (i, node) in graph.node.iter().enumerate() {
            importer.node(i, node);
        }
        for output in &graph.output {
            importer.export(&output.name);
        }
        importer
    }

    fn node(&mut self, i: usize, node: &'a NodeProto) {
        for out in &node.output {
            self.makers.insert(out, i);
        }
        let nested = node.attribute.iter().any(|a| a.g.is_some() || !a.graphs.is_empty());
        let taken =
            !nested && node.domain.is_empty() && !self.forced.contains(&i) && node.op_type != "Constant";
        let found = if taken { self.recognize(i, node) } else { None };
        match found {
            Some(values) if values.len() == node.output.len() => {
                for (name, value) in node.output.iter().zip(values) {
                    self.values.insert(name, value);
                }
            }
            _ => self.leave(i, node),
        }
    }

    fn recognize(&mut self, i: usize, node: &'a NodeProto) -> Option<Vec<Val>> {
        let one = |v: Val| vec![v];
        match &*node.op_type {
            "QuantizeLinear" => self.quantize(node).map(one),
            "DequantizeLinear" => self.dequantize(i, node).map(one),
            "Conv" => self.conv(i, node).map(one),
            "MatMul" => self.matmul(i, node).map(one),
            "Gemm" => self.gemm(i, node).map(one),
            "Add" => self.add(node).map(one),
            "Mul" => self.mul(node).map(one),
            "Cast" => self.cast(node).map(one),
            "Identity" => self.value(node.input.first()?).map(one),
            "Sigmoid" | "Relu" | "Tanh" | "HardSwish" | "HardSigmoid" | "LeakyRelu" => {
                self.activation(node).map(one)
            }
            "Concat" => self.concat(node).map(one),
            "MaxPool" => self.max_pool(node).map(one),
            "Resize" => self.resize(node).map(one),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.reshape(node).map(one),
            "Transpose" => self.transpose(node).map(one),
            "Slice" => self.slice(node).map(one),
            "Split" => self.split(node),
            "LayerNormalization" => self.layer_norm(i, node).map(one),
            "Softmax" => self.softmax(node).map(one),
            _ => None,
        }
    }

    /// A node stays with tract.
    fn leave(&mut self, i: usize, node: &'a NodeProto) {
        self.kept.insert(i);
        let ready = node.input.iter().map(|name| self.export(name)).max().unwrap_or(0);
        for out in &node.output {
            self.values.insert(out, Val::External(self.index.stated.get(&**out).cloned()));
            self.ready.insert(out, ready);
        }
    }

    /// A value that is read, constants included.
    fn value(&mut self, name: &'a str) -> Option<Val> {
        if let Some(v) = self.values.get(name) {
            return Some(v.clone());
        }
        self.constant(name).map(Val::Const)
    }

    /// A constant of the file.
    fn constant(&mut self, name: &'a str) -> Option<Rc<Const>> {
        if let Some(known) = self.constants.get(name) {
            return known.clone();
        }
        let read = self.index.constants.get(name).and_then(|t| Const::read(t)).map(Rc::new);
        self.constants.insert(name, read.clone());
        read
    }

    /// Takes from the budget.
    fn spend(&mut self, n: usize) -> Option<()> {
        self.budget = self.budget.checked_sub(n)?;
        Some(())
    }

    /// Adds a step that makes a tensor.
    fn emit(
        &mut self,
        name: &str,
        shape: &[usize],
        elem: Elem,
        ready: usize,
        step: impl FnOnce(Id) -> Step,
    ) -> Option<Id> {
        let id = self.tensors.len();
        let n = elements(shape).filter(|&n| n > 0)?;
        self.spend(n * elem.bytes())?;
        let step = step(id);
        let region = step.reads().iter().map(|&t| self.made_in[t]).max().unwrap_or(0).max(ready);
        self.tensors.push(Info { shape: shape.to_vec(), elem });
        self.made_in.push(region);
        self.steps.push((region, Named { name: name.to_owned(), step }));
        Some(id)
    }

    /// A tensor made outside comes in.
    fn import(&mut self, name: &'a str, shape: &[usize], form: Form) -> Option<Id> {
        let key = (usize::MAX, name.as_ptr() as usize, shape.to_vec());
        if let Some(&id) = self.copies.get(&key) {
            return Some(id);
        }
        let ready = self.ready.get(name).copied().unwrap_or(0);
        let input = self.imports.len();
        self.imports.push(Port { name: name.to_owned(), shape: shape.to_vec(), form });
        let id = match form {
            Form::Bytes => {
                let step = |to| Step::ImportBytes { input, to, table: Table::of(|x| x) };
                self.emit(name, shape, Elem::S8, ready, step)
            }
            _ => self.emit(name, shape, Elem::F32, ready, |to| Step::ImportF32 { input, to }),
        }?;
        self.copies.insert(key, id);
        Some(id)
    }

    /// Hands a value out to tract; from which region on it is there.
    fn export(&mut self, name: &'a str) -> usize {
        if let Some(&ready) = self.exported.get(name) {
            return ready;
        }
        match self.values.get(name) {
            None | Some(Val::Const(_)) => return 0,
            Some(Val::External(_)) => return self.ready.get(name).copied().unwrap_or(0),
            Some(Val::Weight { node, .. }) => {
                self.kept.insert(*node);
                return 0;
            }
            _ => {}
        }
        let Some((from, shape, table)) = self.exportable(name) else {
            self.stay.extend(self.makers.get(name));
            return 0;
        };
        let output = self.exports.len();
        self.exports.push(Port { name: name.to_owned(), shape, form: Form::Floats });
        let region = self.made_in[from];
        let step = Step::Export { from, output, table };
        self.steps.push((region, Named { name: name.to_owned(), step }));
        self.exported.insert(name, region + 1);
        region + 1
    }

    #[expect(clippy::type_complexity, reason = "used once, right above")]
    fn exportable(&mut self, name: &'a str) -> Option<(Id, Vec<usize>, Option<Box<[f32; 256]>>)> {
        match self.value(name)? {
            Val::Bytes { view, table, .. } => {
                let shape = view.shape.clone();
                Some((self.dense(&view, name)?, shape, Some(Box::new(*table))))
            }
            _ => {
                let view = self.floats(name)?;
                Some((self.dense(&view, name)?, view.shape, None))
            }
        }
    }

    /// A value as floats in memory.
    fn floats(&mut self, name: &'a str) -> Option<View> {
        let view = match self.value(name)? {
            Val::Floats(view) => return Some(view),
            Val::External(Some((dtype::F32, shape))) => {
                View::whole(self.import(name, &shape, Form::Floats)?, &shape)
            }
            Val::Sum(p) => View::whole(self.finish(&p, None)?, &p.shape),
            Val::Norm(n) => View::whole(self.finish_norm(&n, None)?, &n.shape),
            Val::Bytes { view, table, .. } => {
                let from = self.dense(&view, name)?;
                let step = |to| Step::Dequantize { from, to, table: Box::new(*table) };
                let id = self.emit(name, &view.shape, Elem::F32, 0, step)?;
                return Some(View::whole(id, &view.shape));
            }
            _ => return None,
        };
        self.values.insert(name, Val::Floats(view.clone()));
        Some(view)
    }

    /// A value as bytes in memory, of a scale and zero point.
    fn bytes(&mut self, name: &'a str) -> Option<(Id, Quant, Vec<usize>)> {
        let Val::Bytes { view, origin: Some(origin), .. } = self.value(name)? else { return None };
        let shape = view.shape.clone();
        let view = self.looked_up(&view, origin.bytes.as_ref(), name)?;
        Some((self.dense(&view, name)?, origin.quant, shape))
    }

    /// A view's bytes through a table.
    fn looked_up(&mut self, view: &View, table: Option<&Rc<[i8; 256]>>, name: &str) -> Option<View> {
        let Some(table) = table else { return Some(view.clone()) };
        let key = (view.base, Rc::as_ptr(table) as usize, Vec::new());
        let base = match self.copies.get(&key) {
            Some(&id) => id,
            None => {
                let (from, shape) = (view.base, self.tensors[view.base].shape.clone());
                let step = |to| Step::Lookup { from, to, table: Box::new(Table(**table)) };
                let id = self.emit(name, &shape, Elem::S8, 0, step)?;
                self.pinned.push(table.clone());
                self.copies.insert(key, id);
                id
            }
        };
        Some(View { base, ..view.clone() })
    }

    /// Whether the only readers of a value are the two halves of `x * sigmoid(x)`, or there is only one.
    fn may_wait(&self, name: &str) -> bool {
        match *self.index.readers_of(name) {
            [_] => true,
            [a, b] => [(a, b), (b, a)].into_iter().any(|(s, m)| {
                let node = |i: usize| self.graph.node.get(i);
                let (Some(s), Some(mul)) = (node(s), node(m)) else { return false };
                s.op_type == "Sigmoid"
                    && mul.op_type == "Mul"
                    && s.output.first().is_some_and(|out| self.index.readers_of(out) == [m])
            }),
            _ => false,
        }
    }
}

/// Scale and zero point of a QuantizeLinear or DequantizeLinear with one of each, and whether the bytes are unsigned.
impl<'a> Importer<'a> {
    fn quant(&mut self, node: &'a NodeProto) -> Option<Quant> {
        let scale = self.constant(node.input.get(1)?)?.scalar().filter(|s| (1e-20..1e6).contains(s))?;
        let zero = match node.input.get(2).filter(|s| !s.is_empty()) {
            None => -128,
            Some(name) => match &self.constant(name)?.data {
                onnx::Data::I8(v) if v.len() == 1 => v[0],
                onnx::Data::U8(v) if v.len() == 1 => (i16::from(v[0]) - 128) as i8,
                _ => return None,
            },
        };
        let stated = node.int("output_dtype", 0);
        (stated == 0).then_some(Quant { scale, zero })
    }

    fn dequantize(&mut self, i: usize, node: &'a NodeProto) -> Option<Val> {
        let name = node.input.first()?;
        if let Some(data) = self.constant(name) {
            let scale = self.constant(node.input.get(1)?)?;
            let scale = scale.f32s().filter(|s| s.iter().all(|s| (1e-20..1e6).contains(s)))?.to_vec();
            if let Some(zero) = node.input.get(2).filter(|s| !s.is_empty()) {
                let zero = self.constant(zero)?;
                let none = match &zero.data {
                    onnx::Data::I8(v) => v.iter().all(|&z| z == 0),
                    onnx::Data::I32(v) => v.iter().all(|&z| z == 0),
                    _ => false,
                };
                none.then_some(())?;
            }
            return Some(Val::Weight { node: i, data, scale, axis: node.int("axis", 1) });
        }
        let quant = self.quant(node)?;
        let Val::Quantized(view, origin) = self.value(name)? else { return None };
        let values = quant.table();
        let table = match &origin.bytes {
            None => values,
            Some(bytes) => Rc::new(bytes.map(|b| values[usize::from(b as u8)])),
        };
        (quant == origin.quant).then_some(Val::Bytes { view, table, origin: Some(origin) })
    }

    fn quantize(&mut self, node: &'a NodeProto) -> Option<Val> {
        let name = node.input.first()?;
        let quant = self.quant(node)?;
        let origin = Origin { bytes: None, quant };
        let whole = |id, shape: &[usize]| View::whole(id, shape);
        let view = match self.value(name)? {
            Val::Sum(p) => whole(self.finish(&p, Some(quant))?, &p.shape),
            Val::Rectified(p) => whole(self.finish_rectified(&p, quant)?, &p.shape),
            Val::Norm(n) => whole(self.finish_norm(&n, Some(quant))?, &n.shape),
            Val::Parts(parts, shape) => whole(self.finish_parts(&parts, &shape, quant, name)?, &shape),
            Val::ByteSum(parts) => self.finish_sum(&parts, quant, name)?,
            Val::Bytes { view, table, .. } => {
                let bytes = table.map(|x| quant.byte(x));
                let same = Table(bytes).is_identity();
                let bytes = (!same).then(|| Rc::new(bytes));
                return Some(Val::Quantized(view, Origin { bytes, quant }));
            }
            Val::Floats(_) | Val::External(_) => {
                let view = self.floats(name)?;
                // Quantized before it is moved: a quarter of the bytes to move.
                let (from, shape) = (view.base, self.tensors[view.base].shape.clone());
                let n = elements(&shape);
                let view = if n == elements(&view.shape) {
                    view
                } else {
                    whole(self.dense(&view, name)?, &view.shape)
                };
                let (from, shape) =
                    if n == elements(&view.shape) { (from, shape) } else { (view.base, view.shape.clone()) };
                let step = |to| Step::Quantize { from, to, scale: quant.scale, zero_point: quant.zero };
                View { base: self.emit(name, &shape, Elem::S8, 0, step)?, ..view }
            }
            _ => return None,
        };
        Some(Val::Quantized(view, origin))
    }
}
