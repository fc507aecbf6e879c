//! Runs a plan: every step reads and writes slots that were laid out at load, so a frame allocates nothing.

use std::time::{Duration, Instant};

use super::bands::{self, Cut};
use super::conv::{self, Target};
use super::kernels::buffer::Buffer;
use super::kernels::floats::{Norm, NormOut};
use super::plan::{Elem, Id, Plan, Step, Weights};
use super::rows;

/// The memory of one run at a time.
#[derive(Debug)]
pub struct Workspace {
    slots: Vec<Buffer>,
    /// One for each thread; at least one.
    scratch: Vec<Buffer>,
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
    /// Memory for one run on so many threads.
    pub fn workspace(&self, threads: usize) -> Workspace {
        let needs = |step: &Step| match step {
            Step::Conv { window, kernels, .. } => conv::line_scratch(window, *kernels),
            Step::Linear { depth, kernels, .. } => conv::linear_scratch(*depth, *kernels),
            Step::Attention { shape, .. } => shape.scratch() * size_of::<f32>(),
            _ => 0,
        };
        let scratch = self.steps.iter().map(|named| needs(&named.step)).max().unwrap_or(0);
        Workspace {
            slots: self.slot_bytes.iter().map(|&n| Buffer::new(n)).collect(),
            scratch: vec![Buffer::new(scratch); threads.max(1)],
        }
    }

    /// Bytes that a workspace and the weights hold.
    pub fn bytes(&self) -> usize {
        let weights: usize = self
            .steps
            .iter()
            .map(|n| match &n.step {
                Step::Conv { weights, .. } => match &**weights {
                    Weights::Dense(p) => p.bytes(),
                    Weights::Depthwise(p) => p.bytes(),
                },
                Step::Linear { weights, .. } => weights.bytes(),
                _ => 0,
            })
            .sum();
        weights + self.slot_bytes.iter().sum::<usize>()
    }

    /// Runs all steps, shared out among the threads of the rayon pool that calls it, if one does, and of the workspace.
    /// `timings`, where given, gets each step's time added.
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
        let load = step.macs() + 8 * self.tensors[to].elements() as u64;
        self.compute(step, to, work, inputs, &mut out, bands::worth(load, &mut scratch));
        work.scratch = scratch;
        work.slots[self.slots[to]] = out;
    }

    fn compute(
        &self,
        step: &Step,
        to: Id,
        work: &Workspace,
        inputs: &[Input<'_>],
        out: &mut Buffer,
        scratch: &mut [Buffer],
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
                self.kernels.quantize(self.f32(work, *from), *scale, *zero_point, &mut out.s8_mut()[range]);
            }
            Step::Dequantize { from, table, .. } => {
                for (o, &x) in out.f32_mut()[range].iter_mut().zip(self.s8(work, *from)) {
                    *o = table[usize::from(x as u8)];
                }
            }
            Step::Conv { from, skip, window, weights, pad_value, table, kernels, .. } => {
                let target = self.target(info.elem, *skip, work, out, range);
                let (x, with) = (self.s8(work, *from), (*pad_value, table.as_deref()));
                let row = target.len() / window.output[0];
                bands::share(target, row, scratch, &|offset, mut band, scratch| {
                    conv::convolve(*kernels, window, weights, with, x, (offset / row, &mut band), scratch);
                });
            }
            Step::Linear { from, skip, depth, weights, table, kernels, .. } => {
                let target = self.target(info.elem, *skip, work, out, range);
                let (x, table) = (&work.slots[self.slots[*from]], table.as_deref());
                bands::share(
                    target,
                    weights.channels() * conv::TILE,
                    scratch,
                    &|offset, mut band, scratch| {
                        let part = (offset / weights.channels(), &mut band);
                        conv::linear(*kernels, *depth, weights, table, x, part, scratch);
                    },
                );
            }
            Step::Lookup { from, table, .. } => {
                let out = &mut out.s8_mut()[range];
                out.copy_from_slice(self.s8(work, *from));
                self.kernels.lookup(table, out);
            }
            Step::Add { a, b, scale, .. } => {
                self.kernels.add(scale, self.s8(work, *a), self.s8(work, *b), &mut out.s8_mut()[range]);
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
                let (norm, x, row) =
                    (Norm { gamma, beta, epsilon: *epsilon }, self.f32(work, *from), gamma.len());
                match to_bytes {
                    Some((scale, zero)) => {
                        bands::share(&mut out.s8_mut()[range], row, scratch, &|at, band: &mut [i8], _| {
                            let x = &x[at..at + band.len()];
                            self.kernels.layer_norm(&norm, x, NormOut::S8(band, *scale, *zero));
                        });
                    }
                    None => {
                        bands::share(&mut out.f32_mut()[range], row, scratch, &|at, band: &mut [f32], _| {
                            let x = &x[at..at + band.len()];
                            self.kernels.layer_norm(&norm, x, NormOut::F32(band));
                        })
                    }
                }
            }
            Step::Attention { from, sequences, shape, kernels, .. } => {
                let qkv = self.f32(work, *from);
                let (row_in, row_out) = (qkv.len() / sequences, range.len() / sequences);
                bands::share(
                    &mut out.f32_mut()[range],
                    row_out,
                    scratch,
                    &|at, band: &mut [f32], scratch| {
                        let qkv = qkv[at / row_out * row_in..].chunks_exact(row_in);
                        for (qkv, out) in qkv.zip(band.chunks_exact_mut(row_out)) {
                            kernels.attention(shape, qkv, out, scratch.f32_mut());
                        }
                    },
                );
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
