//! Runs a plan: every step reads and writes slots that were laid out at load, so a frame allocates nothing.

use std::time::{Duration, Instant};

use super::conv::{self, Target};
use super::kernels;
use super::kernels::buffer::Buffer;
use super::kernels::floats::{Norm, NormOut};
use super::plan::{Elem, Id, Plan, Step, Weights};
use super::rows;

/// The memory of one run at a time.
#[derive(Debug)]
pub struct Workspace {
    slots: Vec<Buffer>,
    scratch: Buffer,
    floats: Buffer,
}

/// An input of a region.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Bytes of either sign.
    U8(&'a [u8]),
    /// Signed bytes.
    S8(&'a [i8]),
    /// Floats.
    F32(&'a [f32]),
}

/// An output of a region.
#[derive(Debug)]
pub enum Output<'a> {
    /// Signed bytes.
    S8(&'a mut [i8]),
    /// Floats.
    F32(&'a mut [f32]),
}

impl Plan {
    /// Memory for one run.
    pub fn workspace(&self) -> Workspace {
        let (mut scratch, mut floats) = (0, 0);
        for named in &self.steps {
            match &named.step {
                Step::Conv { window, kernels, .. } => {
                    scratch = scratch.max(conv::line_scratch(window, *kernels))
                }
                Step::Linear { depth, kernels, .. } => {
                    scratch = scratch.max(conv::linear_scratch(*depth, *kernels))
                }
                Step::Attention { shape, .. } => floats = floats.max(shape.scratch() * 4),
                _ => {}
            }
        }
        Workspace {
            slots: self.slot_bytes.iter().map(|&n| Buffer::new(n)).collect(),
            scratch: Buffer::new(scratch),
            floats: Buffer::new(floats),
        }
    }

    /// Bytes that a workspace and the weights hold.
    pub fn bytes(&self) -> usize {
        let weights: usize = self
            .steps
            .iter()
            .map(|n| match &n.step {
                Step::Conv { weights, .. } => match &**weights {
                    Weights::Dense(p) => p.data.len(),
                    Weights::Depthwise(p) => p.pairs.len() * 2 + p.taps.len(),
                },
                Step::Linear { weights, .. } => weights.data.len(),
                _ => 0,
            })
            .sum();
        weights + self.slot_bytes.iter().sum::<usize>()
    }

    /// Runs all steps. `timings`, where given, gets each step's time added.
    ///
    /// # Panics
    /// When inputs or outputs are not as long as the ports say; the caller has checked them.
    pub fn run(
        &self,
        work: &mut Workspace,
        inputs: &[Input<'_>],
        outputs: &mut [Output<'_>],
        mut timings: Option<&mut [Duration]>,
    ) {
        for (i, named) in self.steps.iter().enumerate() {
            let start = timings.is_some().then(Instant::now);
            self.step(&named.step, work, inputs, outputs);
            if let (Some(timings), Some(start)) = (&mut timings, start) {
                timings[i] += start.elapsed();
            }
        }
    }

    fn s8<'w>(&self, work: &'w Workspace, id: Id) -> &'w [i8] {
        &work.slots[self.slots[id]].s8()[self.range(id)]
    }

    fn f32<'w>(&self, work: &'w Workspace, id: Id) -> &'w [f32] {
        &work.slots[self.slots[id]].f32()[self.range(id)]
    }

    fn step(&self, step: &Step, work: &mut Workspace, inputs: &[Input<'_>], outputs: &mut [Output<'_>]) {
        match step {
            Step::Export { from, output, table } => {
                return self.export(*from, table.as_deref(), &mut outputs[*output], work);
            }
            Step::Store { from, output } => {
                return match &mut outputs[*output] {
                    Output::S8(to) => to.copy_from_slice(self.s8(work, *from)),
                    Output::F32(to) => to.copy_from_slice(self.f32(work, *from)),
                };
            }
            _ => {}
        }
        let Some(to) = step.writes() else { return };
        // The result's slot is taken out while the step runs, so that inputs can be borrowed beside it.
        let mut out = std::mem::take(&mut work.slots[self.slots[to]]);
        let mut scratch = std::mem::take(&mut work.scratch);
        self.compute(step, to, work, inputs, &mut out, &mut scratch);
        work.scratch = scratch;
        work.slots[self.slots[to]] = out;
    }

    fn compute(
        &self,
        step: &Step,
        to: Id,
        work: &mut Workspace,
        inputs: &[Input<'_>],
        out: &mut Buffer,
        scratch: &mut Buffer,
    ) {
        let range = self.range(to);
        let info = &self.tensors[to];
        match step {
            Step::ImportBytes { input, table, .. } => {
                let out = &mut out.s8_mut()[range];
                match inputs[*input] {
                    Input::U8(x) => rows::by_pixel(&info.shape, x, out, |b| table.get(b as i8)),
                    Input::S8(x) => rows::by_pixel(&info.shape, x, out, |b| table.get(b)),
                    Input::F32(_) => unreachable!("the port was checked"),
                }
            }
            Step::ImportF32 { input, .. } => {
                if let Input::F32(x) = inputs[*input] {
                    rows::by_pixel(&info.shape, x, &mut out.f32_mut()[range], |x| x);
                }
            }
            Step::Load { input, .. } => match inputs[*input] {
                Input::U8(_) => unreachable!("the port was checked"),
                Input::S8(x) => out.s8_mut()[range].copy_from_slice(x),
                Input::F32(x) => out.f32_mut()[range].copy_from_slice(x),
            },
            Step::Quantize { from, scale, zero_point, .. } => {
                kernels::best().quantize(
                    self.f32(work, *from),
                    *scale,
                    *zero_point,
                    &mut out.s8_mut()[range],
                );
            }
            Step::Dequantize { from, table, .. } => {
                for (o, &x) in out.f32_mut()[range].iter_mut().zip(self.s8(work, *from)) {
                    *o = table[usize::from(x as u8)];
                }
            }
            Step::Conv { from, skip, window, weights, pad_value, table, kernels, .. } => {
                let mut target = self.target(info.elem, *skip, work, out, range);
                let with = (*pad_value, table.as_deref());
                conv::convolve(*kernels, window, weights, with, self.s8(work, *from), &mut target, scratch);
            }
            Step::Linear { from, skip, rows, depth, weights, table, kernels, .. } => {
                let mut target = self.target(info.elem, *skip, work, out, range);
                let x = &work.slots[self.slots[*from]];
                conv::linear(*kernels, (*rows, *depth), weights, table.as_deref(), x, &mut target, scratch);
            }
            Step::Lookup { from, table, .. } => {
                let out = &mut out.s8_mut()[range];
                out.copy_from_slice(self.s8(work, *from));
                kernels::best().lookup(table, out);
            }
            Step::Add { a, b, scale, .. } => {
                kernels::best().add(scale, self.s8(work, *a), self.s8(work, *b), &mut out.s8_mut()[range]);
            }
            Step::Concat { parts, .. } => {
                let whole: usize = parts.iter().map(|p| p.1).sum();
                let out = &mut out.s8_mut()[range];
                let mut first = 0;
                for (id, channels, table) in parts {
                    rows::place(self.s8(work, *id), *channels, &mut out[first..], whole, table.as_deref());
                    first += channels;
                }
            }
            Step::MaxPool { from, window, .. } => {
                rows::max_pool(window, self.s8(work, *from), &mut out.s8_mut()[range]);
            }
            Step::Upsample { from, size, by, .. } => {
                rows::upsample(*size, *by, self.s8(work, *from), &mut out.s8_mut()[range]);
            }
            Step::Gather { from, run, starts, .. } => match info.elem {
                Elem::S8 => rows::gather(self.s8(work, *from), *run, starts, &mut out.s8_mut()[range]),
                Elem::F32 => rows::gather(self.f32(work, *from), *run, starts, &mut out.f32_mut()[range]),
            },
            Step::LayerNorm { from, gamma, beta, epsilon, to_bytes, .. } => {
                let norm = Norm { gamma, beta, epsilon: *epsilon };
                let out = match to_bytes {
                    Some((scale, zero)) => NormOut::S8(&mut out.s8_mut()[range], *scale, *zero),
                    None => NormOut::F32(&mut out.f32_mut()[range]),
                };
                kernels::best().layer_norm(&norm, self.f32(work, *from), out);
            }
            Step::Attention { from, sequences, shape, kernels, .. } => {
                let mut floats = std::mem::take(&mut work.floats);
                let qkv = self.f32(work, *from);
                let (row_in, row_out) = (qkv.len() / sequences, range.len() / sequences);
                let results = out.f32_mut()[range].chunks_exact_mut(row_out);
                for (qkv, out) in qkv.chunks_exact(row_in).zip(results) {
                    kernels.attention(shape, qkv, out, floats.f32_mut());
                }
                work.floats = floats;
            }
            Step::Export { .. } | Step::Store { .. } => unreachable!("they write no tensor"),
        }
    }

    fn target<'w>(
        &self,
        elem: Elem,
        skip: Option<Id>,
        work: &'w Workspace,
        out: &'w mut Buffer,
        range: std::ops::Range<usize>,
    ) -> Target<'w> {
        match elem {
            Elem::S8 => Target::S8(&mut out.s8_mut()[range], skip.map(|id| self.s8(work, id))),
            Elem::F32 => Target::F32(&mut out.f32_mut()[range], skip.map(|id| self.f32(work, id))),
        }
    }

    fn export(&self, from: Id, table: Option<&[f32; 256]>, output: &mut Output<'_>, work: &Workspace) {
        let info = &self.tensors[from];
        let Output::F32(out) = output else { unreachable!("the port was checked") };
        match info.elem {
            Elem::S8 => {
                let table = table.expect("bytes leave through a table");
                rows::by_channel(&info.shape, self.s8(work, from), out, |b| table[usize::from(b as u8)]);
            }
            Elem::F32 => rows::by_channel(&info.shape, self.f32(work, from), out, |x| x),
        }
    }
}
