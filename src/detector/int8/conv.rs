//! Convolutions and linear layers over the kernels: no im2col. A 3×3 keeps as many staged input rows as its kernel is
//! high; in a padded row stored by pixel, the kernel's row of an output pixel is one contiguous run.

use super::bands::Cut;
use super::kernels::buffer::Buffer;
use super::kernels::pack::Packed;
use super::kernels::{Kernels, Out, Staged, Table};
use super::plan::{Weights, Window};

/// The tallest kernel.
pub const MAX_KERNEL: usize = 7;

/// Staged bytes that a chunk of a linear layer should not exceed, to stay in the first-level cache.
const CHUNK_BYTES: usize = 16 << 10;

/// Rows of a linear layer that are not torn apart between threads: a multiple of most kernels' tiles.
pub const TILE: usize = 12;

/// Where the results go.
pub enum Target<'a> {
    /// To bytes.
    S8(&'a mut [i8], Option<&'a [i8]>),
    /// To floats.
    F32(&'a mut [f32], Option<&'a [f32]>),
}

impl Target<'_> {
    /// `rows` pixels of `n` channels from pixel `first`.
    fn part(&mut self, first: usize, rows: usize, n: usize) -> Out<'_> {
        let range = first * n..(first + rows) * n;
        match self {
            Target::S8(to, skip) => {
                Out::S8 { to: &mut to[range.clone()], stride: n, skip: skip.map(|s| &s[range]) }
            }
            Target::F32(to, skip) => {
                Out::F32 { to: &mut to[range.clone()], stride: n, skip: skip.map(|s| &s[range]) }
            }
        }
    }

    /// Finished bytes through a table, while they are in the cache.
    fn look_up(&mut self, kernels: &dyn Kernels, table: Option<&Table>, first: usize, rows: usize, n: usize) {
        if let (Target::S8(to, _), Some(table)) = (self, table) {
            kernels.lookup(table, &mut to[first * n..(first + rows) * n]);
        }
    }
}

impl Cut for Target<'_> {
    fn len(&self) -> usize {
        match self {
            Target::S8(to, _) => to.len(),
            Target::F32(to, _) => to.len(),
        }
    }

    fn cut(self, at: usize) -> (Self, Self) {
        match self {
            Target::S8(to, skip) => {
                let ((a, b), (c, d)) = (to.split_at_mut(at), cut(skip, at));
                (Target::S8(a, c), Target::S8(b, d))
            }
            Target::F32(to, skip) => {
                let ((a, b), (c, d)) = (to.split_at_mut(at), cut(skip, at));
                (Target::F32(a, c), Target::F32(b, d))
            }
        }
    }
}

fn cut<T>(skip: Option<&[T]>, at: usize) -> (Option<&[T]>, Option<&[T]>) {
    skip.map(|s| s.split_at(at)).unzip()
}

/// Bytes of scratch that [`convolve`] needs.
pub fn line_scratch(w: &Window, kernels: &dyn Kernels) -> usize {
    (w.kernel[0] + 1) * line_bytes(w, kernels)
}

/// Bytes of scratch that [`linear`] needs.
pub fn linear_scratch(depth: usize, kernels: &dyn Kernels) -> usize {
    chunk(depth, kernels) * depth * kernels.layout().elem
}

fn chunk(depth: usize, kernels: &dyn Kernels) -> usize {
    (CHUNK_BYTES / (depth * kernels.layout().elem).max(1)).clamp(12, 1 << 12)
}

/// Pixels of a padded row.
fn line_pixels(w: &Window) -> usize {
    ((w.output[1] - 1) * w.stride[1] + w.kernel[1]).max(w.pad[1] + w.input[1])
}

/// Bytes of a padded row, with room for loads that run over its end.
fn line_bytes(w: &Window, kernels: &dyn Kernels) -> usize {
    (line_pixels(w) * w.input[2] * kernels.layout().elem + 64).next_multiple_of(64)
}

/// The rows of a convolution with a window that `target` has room for, from output row `top` on.
pub fn convolve(
    kernels: &dyn Kernels,
    w: &Window,
    weights: &Weights,
    (pad_value, table): (i8, Option<&Table>),
    x: &[i8],
    (top, target): (usize, &mut Target<'_>),
    scratch: &mut Buffer,
) {
    let [height, width, channels] = w.input;
    let elem = kernels.layout().elem;
    let (bytes, pixels) = (line_bytes(w, kernels), line_pixels(w));
    let lines = w.kernel[0];
    let n = match weights {
        Weights::Dense(p) => p.channels(),
        Weights::Depthwise(p) => p.channels(),
    };
    // Every line starts as padding; a row then overwrites only its middle. The last line stays padding.
    let scratch = scratch.bytes_mut();
    let padding = [pad_value; 256];
    let (rest, row) = (pixels * channels, lines * bytes);
    for at in (0..rest).step_by(256) {
        let len = 256.min(rest - at);
        kernels.stage(&padding[..len], &mut scratch[row + at * elem..row + (at + len) * elem]);
    }
    for line in 0..lines {
        scratch.copy_within(row..row + rest * elem, line * bytes);
    }
    let mut held = [usize::MAX; MAX_KERNEL];
    let mut segments = [0usize; MAX_KERNEL];
    let left = w.pad[1] * channels * elem;
    let row_len = width * channels;
    let height_out = target.len() / (w.output[1] * n);
    for oy in top..top + height_out {
        for (ky, segment) in segments.iter_mut().enumerate().take(lines) {
            let iy = (oy * w.stride[0] + ky).wrapping_sub(w.pad[0]);
            if iy >= height {
                *segment = row;
                continue;
            }
            let line = iy % lines;
            if held[line] != iy {
                let to = line * bytes + left;
                kernels.stage(&x[iy * row_len..(iy + 1) * row_len], &mut scratch[to..to + row_len * elem]);
                held[line] = iy;
            }
            *segment = line * bytes;
        }
        let input = Staged {
            data: scratch,
            segments: &segments[..lines],
            stride: w.stride[1] * channels * elem,
            rows: w.output[1],
        };
        let first = (oy - top) * w.output[1];
        match (weights, &mut *target) {
            (Weights::Dense(packed), target) => {
                kernels.gemm(packed, &input, target.part(first, w.output[1], n))
            }
            (Weights::Depthwise(packed), Target::S8(to, _)) => {
                kernels.depthwise(packed, &input, &mut to[first * n..], n);
            }
            (Weights::Depthwise(_), Target::F32(..)) => unreachable!("the importer gives depthwise bytes"),
        }
        target.look_up(kernels, table, first, w.output[1], n);
    }
}

/// As many rows of `depth` bytes as `target` has room for, from row `top` of `x` on, times a matrix. `x` may be read up
/// to 16 bytes over its last row.
pub fn linear(
    kernels: &dyn Kernels,
    depth: usize,
    weights: &Packed,
    table: Option<&Table>,
    x: &Buffer,
    (top, target): (usize, &mut Target<'_>),
    scratch: &mut Buffer,
) {
    let rows = target.len() / weights.channels();
    let layout = kernels.layout();
    let direct = layout.elem == 1 && layout.shift == 0;
    let chunk = if table.is_some() || !direct { chunk(depth, kernels) } else { rows };
    let mut first = 0;
    while first < rows {
        let part = chunk.min(rows - first);
        let from = (top + first) * depth;
        let data = if direct {
            &x.bytes()[from..]
        } else {
            kernels.stage(&x.s8()[from..from + part * depth], scratch.bytes_mut());
            scratch.bytes()
        };
        let input = Staged { data, segments: &[0], stride: depth * layout.elem, rows: part };
        kernels.gemm(weights, &input, target.part(first, part, weights.channels()));
        target.look_up(kernels, table, first, part, weights.channels());
        first += part;
    }
}
