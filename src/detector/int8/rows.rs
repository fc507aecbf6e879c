//! The steps that move or compare: layouts, concatenation, pooling, runs. Memory-bound, in plain Rust.

use super::kernels::Table;
use super::plan::{self, Window};

/// ONNX's layout to the stored one.
pub fn by_pixel<X: Copy, Y>(shape: &[usize], x: &[X], out: &mut [Y], f: impl Fn(X) -> Y) {
    if !plan::by_pixel(shape) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o = f(x);
        }
        return;
    }
    let (channels, pixels) = (shape[1], shape[2] * shape[3]);
    if let (3, [r, g, b]) = (channels, [0, 1, 2].map(|c| &x[(c * pixels).min(x.len())..])) {
        for (((o, &r), &g), &b) in out.as_chunks_mut::<3>().0.iter_mut().zip(r).zip(g).zip(b) {
            *o = [f(r), f(g), f(b)];
        }
        return;
    }
    for (c, plane) in x.chunks_exact(pixels).enumerate() {
        for (o, &x) in out[c..].iter_mut().step_by(channels).zip(plane) {
            *o = f(x);
        }
    }
}

/// The stored layout to ONNX's.
pub fn by_channel<X: Copy, Y>(shape: &[usize], x: &[X], out: &mut [Y], f: impl Fn(X) -> Y) {
    if !plan::by_pixel(shape) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o = f(x);
        }
        return;
    }
    let (channels, pixels) = (shape[1], shape[2] * shape[3]);
    // Blocks of pixels, so that what is read stays in the cache over all channels.
    const BLOCK: usize = 64;
    for first in (0..pixels).step_by(BLOCK) {
        let len = BLOCK.min(pixels - first);
        let block = &x[first * channels..(first + len) * channels];
        for c in 0..channels {
            let to = &mut out[c * pixels + first..][..len];
            for (o, pixel) in to.iter_mut().zip(block.chunks_exact(channels)) {
                *o = f(pixel[c]);
            }
        }
    }
}

/// Rows of `channels` into rows of `whole`.
pub fn place(x: &[i8], channels: usize, out: &mut [i8], whole: usize, table: Option<&Table>) {
    for (o, x) in out.chunks_mut(whole).zip(x.chunks_exact(channels)) {
        let o = &mut o[..channels];
        match table {
            None => o.copy_from_slice(x),
            Some(t) => o.iter_mut().zip(x).for_each(|(o, &x)| *o = t.get(x)),
        }
    }
}

/// The largest of each window; outside counts as least.
pub fn max_pool(w: &Window, x: &[i8], out: &mut [i8]) {
    let [height, width, channels] = w.input;
    for (at, out) in out.chunks_exact_mut(channels).enumerate() {
        out.fill(i8::MIN);
        let (oy, ox) = (at / w.output[1], at % w.output[1]);
        let (rows, columns) = (span(oy, 0, w, height), span(ox, 1, w, width));
        for iy in rows {
            for pixel in x[(iy * width + columns.start) * channels..(iy * width + columns.end) * channels]
                .chunks_exact(channels)
            {
                for (o, &x) in out.iter_mut().zip(pixel) {
                    *o = (*o).max(x);
                }
            }
        }
    }
}

/// The input positions of an output position's window.
fn span(at: usize, axis: usize, w: &Window, len: usize) -> std::ops::Range<usize> {
    let first = at * w.stride[axis];
    let start = first.saturating_sub(w.pad[axis]).min(len);
    let end = (first + w.kernel[axis]).saturating_sub(w.pad[axis]).min(len);
    start..end.max(start)
}

/// Every pixel `by` times.
pub fn upsample([_, width, channels]: [usize; 3], by: [usize; 2], x: &[i8], out: &mut [i8]) {
    let row = width * by[1] * channels;
    for (rows, x) in out.chunks_exact_mut(row * by[0]).zip(x.chunks_exact(width * channels)) {
        let (first, rest) = rows.split_at_mut(row);
        for (o, pixel) in first.chunks_exact_mut(by[1] * channels).zip(x.chunks_exact(channels)) {
            o.chunks_exact_mut(channels).for_each(|o| o.copy_from_slice(pixel));
        }
        rest.chunks_exact_mut(row).for_each(|r| r.copy_from_slice(first));
    }
}

/// Runs from where `starts` says.
pub fn gather<X: Copy>(x: &[X], run: usize, starts: &[u32], out: &mut [X]) {
    if run == 1 {
        for (o, &s) in out.iter_mut().zip(starts) {
            *o = x[s as usize];
        }
        return;
    }
    for (o, &s) in out.chunks_exact_mut(run).zip(starts) {
        o.copy_from_slice(&x[s as usize..][..run]);
    }
}
