//! The inner loops, one file an instruction set, chosen at run time by what the processor has.
//!
//! Every implementation computes the integer parts bit for bit as [`portable`] does, which is the definition. The trait's
//! methods are safe: they check lengths once a call and then hand over to the `unsafe` loops.
#![allow(unsafe_code)]

pub mod buffer;
pub mod floats;
mod heads;
pub mod heap;
pub mod pack;
pub mod portable;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_attention;
#[cfg(target_arch = "x86_64")]
mod avx512_attention;
#[cfg(target_arch = "x86_64")]
mod avx512vnni;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_attention;
#[cfg(target_arch = "aarch64")]
mod neon_dotprod;
#[cfg(target_arch = "aarch64")]
mod neon_epilogue;
#[cfg(target_arch = "aarch64")]
mod neon_half;
#[cfg(target_arch = "aarch64")]
mod neon_i8mm;

#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;

use std::fmt;

use floats::{Norm, NormOut};
use pack::{Layout, Order, Packed, PackedDepthwise};

/// A table of 256 results, indexed by the bits of the signed byte.
#[derive(Clone, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Table(pub [i8; 256]);

impl Table {
    /// The table of a function of signed bytes.
    pub fn of(f: impl Fn(i8) -> i8) -> Table {
        Table(std::array::from_fn(|i| f(i as u8 as i8)))
    }

    /// What the table says of one byte.
    pub fn get(&self, x: i8) -> i8 {
        self.0[usize::from(x as u8)]
    }

    /// What another table makes of this one's results.
    pub fn then(&self, next: &Table) -> Table {
        Table(self.0.map(|x| next.get(x)))
    }

    /// Whether nothing changes.
    pub fn is_identity(&self) -> bool {
        (0..=255u8).all(|i| self.get(i as i8) == i as i8)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table(256)")
    }
}

/// Where the pixels of a staged input lie: of output pixel `i`, segment `s` starts at `segments[s] + i * stride` (bytes).
#[derive(Clone, Copy, Debug)]
pub struct Staged<'a> {
    /// The staged bytes.
    pub data: &'a [u8],
    /// Where each segment of the first output pixel starts.
    pub segments: &'a [usize],
    /// From one output pixel to the next.
    pub stride: usize,
    /// Output pixels.
    pub rows: usize,
}

/// Where results go: pixel `i`, channel `c` to `i * stride + c`; a shortcut that is added lies the same way.
#[derive(Debug)]
pub enum Out<'a> {
    /// Requantized to signed bytes.
    S8 {
        /// The results.
        to: &'a mut [i8],
        /// From one pixel to the next.
        stride: usize,
        /// The shortcut.
        skip: Option<&'a [i8]>,
    },
    /// As floats.
    F32 {
        /// The results.
        to: &'a mut [f32],
        /// From one pixel to the next.
        stride: usize,
        /// The shortcut.
        skip: Option<&'a [f32]>,
    },
}

/// The constants of a quantized addition: `round(a·ka + (b·kb + k)) + zero_point`, clamped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AddScale {
    /// Factor of the first input.
    pub ka: f32,
    /// Factor of the second input.
    pub kb: f32,
    /// What the zero points come to.
    pub k: f32,
    /// The output's zero point.
    pub zero_point: i8,
}

/// One attention: `softmax(q kᵀ · scale) v`, a head at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Positions that look at each other.
    pub tokens: usize,
    /// Heads.
    pub heads: usize,
    /// Channels of a head.
    pub dim: usize,
    /// Factor of the products.
    pub scale: f32,
}

/// The loops of one instruction set.
pub trait Kernels: Send + Sync + fmt::Debug {
    /// Its name, as reports show it.
    fn name(&self) -> &'static str;

    /// How it wants activations and weights.
    fn layout(&self) -> Layout;

    /// Where it wants the channels of a depthwise block.
    fn depthwise_order(&self) -> Order {
        self.layout().order
    }

    /// The matrix product with its epilogue; lengths were checked.
    ///
    /// # Safety
    /// The processor has the instructions; every staged read (with up to one unit, or 16 bytes, of overrun) lies in
    /// `input.data`; every write lies in `out`; `weights` has this kernel's layout.
    unsafe fn gemm_unchecked(&self, weights: &Packed, input: &Staged<'_>, out: Out<'_>);

    /// The depthwise 3×3 with its epilogue; lengths were checked.
    ///
    /// # Safety
    /// As for `gemm_unchecked`.
    unsafe fn depthwise_unchecked(
        &self,
        weights: &PackedDepthwise,
        input: &Staged<'_>,
        out: &mut [i8],
        stride: usize,
    );

    /// Copies activations into the form the kernel reads; `dst` holds `src.len() * elem` bytes.
    fn stage(&self, src: &[i8], dst: &mut [u8]);

    /// Every byte through a table.
    fn lookup(&self, table: &Table, data: &mut [i8]);

    /// The quantized addition of equally long runs.
    fn add(&self, k: &AddScale, a: &[i8], b: &[i8], out: &mut [i8]) {
        portable::add(k, a, b, out);
    }

    /// ONNX's QuantizeLinear.
    fn quantize(&self, x: &[f32], scale: f32, zero_point: i8, out: &mut [i8]) {
        floats::quantize(x, scale, zero_point, out);
    }

    /// LayerNorm over rows.
    fn layer_norm(&self, norm: &Norm<'_>, x: &[f32], out: NormOut<'_>) {
        norm.run(x, out);
    }

    /// Attention over one sequence: `qkv` has rows of `3 · heads · dim` floats (q, k, v, each by heads), `out` rows of
    /// `heads · dim`. `scratch` holds at least [`Attention::scratch`] floats.
    ///
    /// # Panics
    /// When the lengths contradict each other.
    fn attention(&self, shape: &Attention, qkv: &[f32], out: &mut [f32], scratch: &mut [f32]) {
        shape.check(qkv, out, scratch);
        portable::attention(shape, qkv, out, scratch);
    }

    /// The matrix product with its epilogue.
    ///
    /// # Panics
    /// When the lengths contradict each other.
    fn gemm(&self, weights: &Packed, input: &Staged<'_>, out: Out<'_>) {
        assert_eq!(weights.layout, self.layout(), "weights were packed for another kernel");
        assert_eq!(weights.segments, input.segments.len(), "segments");
        let bytes = weights.groups * weights.layout.unit * weights.layout.elem;
        check_input(input, bytes);
        let (len, skip, stride) = match &out {
            Out::S8 { to, stride, skip } => (to.len(), skip.map(<[i8]>::len), *stride),
            Out::F32 { to, stride, skip } => (to.len(), skip.map(<[f32]>::len), *stride),
        };
        check_output(input.rows, weights.n, len.min(skip.unwrap_or(len)), stride);
        if input.rows > 0 {
            // SAFETY: the lengths were just checked; an implementation is only handed out where its instructions exist.
            unsafe { self.gemm_unchecked(weights, input, out) }
        }
    }

    /// The depthwise 3×3 with its epilogue: three segments, each a run of three pixels.
    ///
    /// # Panics
    /// When the lengths contradict each other.
    fn depthwise(&self, weights: &PackedDepthwise, input: &Staged<'_>, out: &mut [i8], stride: usize) {
        assert_eq!(weights.order, self.depthwise_order(), "weights were packed for another kernel");
        assert_eq!(input.segments.len(), 3, "segments");
        check_input(input, (3 * weights.channels).max(2 * weights.channels + 16) * self.layout().elem);
        check_output(input.rows, weights.channels, out.len(), stride);
        if input.rows > 0 {
            // SAFETY: as above.
            unsafe { self.depthwise_unchecked(weights, input, out, stride) }
        }
    }
}

impl Attention {
    /// Floats of scratch that [`Kernels::attention`] needs; `usize::MAX` where no memory holds them.
    pub fn scratch(&self) -> usize {
        let padded = self.tokens.saturating_add(15) / 16 * 16;
        self.dim.saturating_mul(2).saturating_add(8).saturating_mul(padded).saturating_add(64)
    }

    fn check(&self, qkv: &[f32], out: &[f32], scratch: &[f32]) {
        let results = self.heads.checked_mul(self.dim).and_then(|inner| inner.checked_mul(self.tokens));
        assert_eq!(results, Some(out.len()), "results of {self:?}");
        assert_eq!(out.len().checked_mul(3), Some(qkv.len()), "queries, keys and values of {self:?}");
        assert!(scratch.len() >= self.scratch(), "scratch of {} floats for {self:?}", scratch.len());
    }
}

/// The end of `rows` runs of `len` that begin `stride` apart, the first at `start`; nothing where that can't be counted.
fn end(start: usize, rows: usize, stride: usize, len: usize) -> Option<usize> {
    rows.saturating_sub(1).checked_mul(stride)?.checked_add(start)?.checked_add(len)
}

fn check_input(input: &Staged<'_>, bytes: usize) {
    let last = input.segments.iter().copied().max().unwrap_or(0);
    let held = input.data.len();
    assert!(
        end(last, input.rows, input.stride, bytes).is_some_and(|end| end <= held),
        "staged input of {held} bytes, {} rows of {bytes} bytes from {last} on are read, stride {}",
        input.rows,
        input.stride
    );
}

fn check_output(rows: usize, n: usize, len: usize, stride: usize) {
    assert!(
        rows == 0 || end(0, rows, stride, n).is_some_and(|end| end <= len),
        "{rows} rows of {n} in {len} results, stride {stride}"
    );
}

/// The kernels this processor can run, the fastest first.
pub fn available() -> Vec<&'static dyn Kernels> {
    let mut found: Vec<&'static dyn Kernels> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if avx512vnni::Avx512Vnni::runs_here() {
            found.push(&avx512vnni::Avx512Vnni);
        }
        if avx2::Avx2::runs_here() {
            found.push(&avx2::Avx2);
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        if neon_i8mm::NeonI8mm::runs_here() {
            found.push(&neon_i8mm::NeonI8mm);
        }
        if std::arch::is_aarch64_feature_detected!("dotprod") {
            found.push(&neon_dotprod::NeonDotprod);
        }
        found.push(&neon::Neon);
    }
    found.push(&portable::Portable);
    found
}

/// The fastest kernels this processor can run.
pub fn best() -> &'static dyn Kernels {
    available()[0]
}
