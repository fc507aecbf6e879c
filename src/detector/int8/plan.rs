//! What a recognized part of the graph became: steps over numbered tensors, and where in memory each tensor lives.
//!
//! Activations of one picture are stored by pixel (`H × W × C`); tensors of any other shape as ONNX lays them out.

use std::ops::Range;

use super::kernels::pack::{Packed, PackedDepthwise};
use super::kernels::{AddScale, Attention, Kernels, Table};

/// Index of a tensor in the importer's list.
pub type Id = usize;

/// What a tensor's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elem {
    /// Signed bytes.
    S8,
    /// Floats.
    F32,
}

impl Elem {
    /// Bytes of one.
    pub fn bytes(self) -> usize {
        match self {
            Elem::S8 => 1,
            Elem::F32 => 4,
        }
    }
}

/// A tensor between steps.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its logical shape, as ONNX says it.
    pub shape: Vec<usize>,
    /// Its elements.
    pub elem: Elem,
}

/// Whether tensors of this shape are stored by pixel.
pub fn by_pixel(shape: &[usize]) -> bool {
    shape.len() == 4 && shape[0] == 1
}

impl Info {
    /// How many elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Geometry of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Input height, width, channels.
    pub input: [usize; 3],
    /// Output height and width.
    pub output: [usize; 2],
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Down, across.
    pub stride: [usize; 2],
    /// Padding above and at the left.
    pub pad: [usize; 2],
}

/// Weights of a convolution.
#[derive(Clone, Debug)]
pub enum Weights {
    /// Every input channel counts for every output channel.
    Dense(Packed),
    /// One input channel an output channel, 3×3.
    Depthwise(PackedDepthwise),
}

/// One operation.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "a variant's line says what its fields are")]
pub enum Step {
    /// A picture of bytes comes in (channels first), each through a table.
    ImportBytes { input: usize, to: Id, table: Table },
    /// Floats come in.
    ImportF32 { input: usize, to: Id },
    /// A tensor of a region before comes in as it is stored.
    Load { input: usize, to: Id },
    /// Floats to bytes.
    Quantize { from: Id, to: Id, scale: f32, zero_point: i8 },
    /// Bytes to floats.
    Dequantize { from: Id, to: Id, table: Box<[f32; 256]> },
    /// A convolution with a window.
    Conv {
        from: Id,
        to: Id,
        skip: Option<Id>,
        window: Window,
        weights: Box<Weights>,
        pad_value: i8,
        table: Option<Box<Table>>,
        kernels: &'static dyn Kernels,
    },
    /// A product of rows with a matrix: a 1×1 convolution or a linear layer.
    Linear {
        from: Id,
        to: Id,
        skip: Option<Id>,
        rows: usize,
        depth: usize,
        weights: Box<Packed>,
        table: Option<Box<Table>>,
        kernels: &'static dyn Kernels,
    },
    /// Bytes through a table.
    Lookup { from: Id, to: Id, table: Box<Table> },
    /// The quantized sum.
    Add { a: Id, b: Id, to: Id, scale: AddScale },
    /// Pixels side by side, each part through its table where it has one.
    Concat { parts: Vec<(Id, usize, Option<Box<Table>>)>, to: Id },
    /// The largest of a window.
    MaxPool { from: Id, to: Id, window: Window },
    /// Every pixel repeated.
    Upsample { from: Id, to: Id, size: [usize; 3], by: [usize; 2] },
    /// Runs of elements in another order.
    Gather { from: Id, to: Id, run: usize, starts: Vec<u32> },
    /// Normalized rows, to floats or bytes.
    LayerNorm { from: Id, to: Id, gamma: Vec<f32>, beta: Vec<f32>, epsilon: f32, to_bytes: Option<(f32, i8)> },
    /// Self-attention of `sequences` sequences.
    Attention { from: Id, to: Id, sequences: usize, shape: Attention, kernels: &'static dyn Kernels },
    /// Bytes or floats go out as floats, as ONNX lays them out.
    Export { from: Id, output: usize, table: Option<Box<[f32; 256]>> },
    /// A tensor goes out to a later region as it is stored.
    Store { from: Id, output: usize },
}

impl Step {
    /// What it reads.
    pub fn reads(&self) -> Vec<Id> {
        match self {
            Step::ImportBytes { .. } | Step::ImportF32 { .. } | Step::Load { .. } => vec![],
            Step::Quantize { from, .. }
            | Step::Dequantize { from, .. }
            | Step::Lookup { from, .. }
            | Step::MaxPool { from, .. }
            | Step::Upsample { from, .. }
            | Step::Gather { from, .. }
            | Step::LayerNorm { from, .. }
            | Step::Attention { from, .. }
            | Step::Export { from, .. }
            | Step::Store { from, .. } => vec![*from],
            Step::Conv { from, skip, .. } | Step::Linear { from, skip, .. } => {
                [*from].into_iter().chain(*skip).collect()
            }
            Step::Add { a, b, .. } => vec![*a, *b],
            Step::Concat { parts, .. } => parts.iter().map(|p| p.0).collect(),
        }
    }

    /// What it writes.
    pub fn writes(&self) -> Option<Id> {
        match self {
            Step::ImportBytes { to, .. }
            | Step::ImportF32 { to, .. }
            | Step::Load { to, .. }
            | Step::Quantize { to, .. }
            | Step::Dequantize { to, .. }
            | Step::Conv { to, .. }
            | Step::Linear { to, .. }
            | Step::Lookup { to, .. }
            | Step::Add { to, .. }
            | Step::Concat { to, .. }
            | Step::MaxPool { to, .. }
            | Step::Upsample { to, .. }
            | Step::Gather { to, .. }
            | Step::LayerNorm { to, .. }
            | Step::Attention { to, .. } => Some(*to),
            Step::Export { .. } | Step::Store { .. } => None,
        }
    }

    /// What it is called.
    pub fn kind(&self) -> &'static str {
        match self {
            Step::ImportBytes { .. } | Step::ImportF32 { .. } | Step::Load { .. } => "import",
            Step::Quantize { .. } => "quantize",
            Step::Dequantize { .. } => "dequantize",
            Step::Conv { weights, .. } => match **weights {
                Weights::Dense(_) => "conv",
                Weights::Depthwise(_) => "depthwise",
            },
            Step::Linear { .. } => "linear",
            Step::Lookup { .. } => "lookup",
            Step::Add { .. } => "add",
            Step::Concat { .. } => "concat",
            Step::MaxPool { .. } => "max-pool",
            Step::Upsample { .. } => "upsample",
            Step::Gather { .. } => "gather",
            Step::LayerNorm { .. } => "layer-norm",
            Step::Attention { .. } => "attention",
            Step::Export { .. } | Step::Store { .. } => "export",
        }
    }

    /// Whether it computes in floats.
    pub fn is_float(&self) -> bool {
        matches!(self, Step::LayerNorm { .. } | Step::Attention { .. })
    }

    /// The kernels it runs, where it is one of theirs.
    pub fn kernels(&self) -> Option<&'static str> {
        match self {
            Step::Conv { kernels, .. } | Step::Linear { kernels, .. } | Step::Attention { kernels, .. } => {
                Some(kernels.name())
            }
            _ => None,
        }
    }

    /// Multiplications of one run.
    pub fn macs(&self) -> u64 {
        let macs = match self {
            Step::Conv { window: w, weights, .. } => {
                let per_pixel = w.kernel[0] * w.kernel[1] * w.input[2];
                let pixels = w.output[0] * w.output[1];
                match &**weights {
                    Weights::Dense(p) => pixels * per_pixel * p.channels(),
                    Weights::Depthwise(_) => pixels * per_pixel,
                }
            }
            Step::Linear { rows, depth, weights, .. } => rows * depth * weights.channels(),
            Step::Attention { sequences, shape, .. } => {
                sequences * shape.heads * shape.tokens * shape.tokens * shape.dim * 2
            }
            _ => 0,
        };
        macs as u64
    }
}

/// What comes into a region from the graph around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Bytes, as ONNX lays them out.
    Bytes,
    /// Floats, as ONNX lays them out.
    Floats,
    /// A tensor as it is stored, between regions.
    Stored(Elem),
}

/// An input or output of a region.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name in the graph.
    pub name: String,
    /// Its shape, as ONNX says it.
    pub shape: Vec<usize>,
    /// How it is laid out.
    pub form: Form,
}

/// A step with the ONNX node it stands for.
#[derive(Clone, Debug)]
pub struct Named {
    /// The node's name.
    pub name: String,
    /// What is done.
    pub step: Step,
}

/// A part of the graph, ready to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The inner loops, chosen when the model was rewritten. A step that can't run on them names its own.
    pub kernels: &'static dyn Kernels,
    /// In order.
    pub steps: Vec<Named>,
    /// All tensors of the import (shared numbering).
    pub tensors: Vec<Info>,
    /// Which slot of memory a tensor lives in; `usize::MAX` where it is not of this region.
    pub slots: Vec<usize>,
    /// Bytes of each slot.
    pub slot_bytes: Vec<usize>,
    /// What comes in.
    pub inputs: Vec<Port>,
    /// What goes out.
    pub outputs: Vec<Port>,
}

impl Plan {
    /// A plan without steps.
    pub fn new(kernels: &'static dyn Kernels, tensors: Vec<Info>) -> Plan {
        Plan {
            kernels,
            steps: Vec::new(),
            tensors,
            slots: Vec::new(),
            slot_bytes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Gives every tensor a slot that is free while it lives, the smallest that fits.
    pub fn assign(&mut self) {
        let mut last = vec![0usize; self.tensors.len()];
        for (i, named) in self.steps.iter().enumerate() {
            for id in named.step.reads().into_iter().chain(named.step.writes()) {
                last[id] = i;
            }
        }
        self.slots = vec![usize::MAX; self.tensors.len()];
        self.slot_bytes.clear();
        let mut free: Vec<usize> = Vec::new();
        for (i, named) in self.steps.iter().enumerate() {
            if let Some(id) = named.step.writes() {
                let bytes = self.tensors[id].elements() * self.tensors[id].elem.bytes();
                let fits = |&(_, &s): &(usize, &usize)| self.slot_bytes[s] >= bytes;
                let best = free.iter().enumerate().filter(fits).min_by_key(|(_, s)| self.slot_bytes[**s]);
                let best = best.or_else(|| free.iter().enumerate().max_by_key(|(_, s)| self.slot_bytes[**s]));
                let slot = match best.map(|(at, _)| at) {
                    Some(at) => free.swap_remove(at),
                    None => {
                        self.slot_bytes.push(0);
                        self.slot_bytes.len() - 1
                    }
                };
                self.slot_bytes[slot] = self.slot_bytes[slot].max(bytes);
                self.slots[id] = slot;
            }
            let mut done: Vec<Id> = named.step.reads().into_iter().chain(named.step.writes()).collect();
            done.sort_unstable();
            done.dedup();
            for id in done {
                if last[id] == i {
                    free.push(self.slots[id]);
                }
            }
        }
    }

    /// Every byte of a tensor, for the run's buffers.
    pub fn range(&self, id: Id) -> Range<usize> {
        0..self.tensors[id].elements()
    }
}
