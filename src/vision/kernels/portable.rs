//! The loops in plain Rust. They are inlined into variants that are compiled for other instruction sets.

use super::super::axis::Axis;
use super::super::colour::Coefficients;
use super::{Kernels, NARROWED, Quotient, Samples, round};

pub(super) const KERNELS: Kernels =
    Kernels { name: "portable", convert, begin, add, begin_wide, add_wide, narrow, split, across, join };

pub(super) fn convert(samples: Samples<'_>, c: &Coefficients, out: &mut [u8]) {
    convert_from(0, samples, c, out);
}

/// Converts the pixels from pair `first` on.
#[inline(always)]
pub(super) fn convert_from(first: usize, samples: Samples<'_>, c: &Coefficients, out: &mut [u8]) {
    match samples {
        Samples::Yuyv(s) => convert_pixels(first, |x| s[2 * x], |k| (s[4 * k + 1], s[4 * k + 3]), c, out),
        Samples::Uyvy(s) => convert_pixels(first, |x| s[2 * x + 1], |k| (s[4 * k], s[4 * k + 2]), c, out),
        Samples::Nv12(y, s) => convert_pixels(first, |x| y[x], |k| (s[2 * k], s[2 * k + 1]), c, out),
        Samples::Nv21(y, s) => convert_pixels(first, |x| y[x], |k| (s[2 * k + 1], s[2 * k]), c, out),
        Samples::Yu12(y, u, v) => convert_pixels(first, |x| y[x], |k| (u[k], v[k]), c, out),
    }
}

#[inline(always)]
fn convert_pixels(
    first: usize,
    luma: impl Fn(usize) -> u8,
    chroma: impl Fn(usize) -> (u8, u8),
    c: &Coefficients,
    out: &mut [u8],
) {
    let width = out.len() / 3;
    let (r, gb) = out.split_at_mut(width);
    let (g, b) = gb.split_at_mut(width);
    for k in first..width.div_ceil(2) {
        let (u, v) = chroma(k);
        let uv = c.chroma(u, v);
        for x in 2 * k..(2 * k + 2).min(width) {
            [r[x], g[x], b[x]] = c.pixel(luma(x), uv);
        }
    }
}

#[inline(always)]
pub(super) fn begin(sums: &mut [u16], row: &[u8], weight: u16) {
    for (s, &x) in sums.iter_mut().zip(row) {
        *s = u16::from(x) * weight;
    }
}

#[inline(always)]
pub(super) fn add(sums: &mut [u16], row: &[u8], weight: u16) {
    for (s, &x) in sums.iter_mut().zip(row) {
        *s += u16::from(x) * weight;
    }
}

#[inline(always)]
pub(super) fn begin_wide(sums: &mut [u32], row: &[u8], weight: u32) {
    for (s, &x) in sums.iter_mut().zip(row) {
        *s = u32::from(x) * weight;
    }
}

#[inline(always)]
pub(super) fn add_wide(sums: &mut [u32], row: &[u8], weight: u32) {
    for (s, &x) in sums.iter_mut().zip(row) {
        *s += u32::from(x) * weight;
    }
}

#[inline(always)]
pub(super) fn narrow(wide: &[u32], weight: u32, out: &mut [u16]) {
    let factor = NARROWED as f32 / weight as f32;
    for (o, &x) in out.iter_mut().zip(wide) {
        *o = round(x as i32 as f32 * factor) as u16;
    }
}

#[inline(always)]
pub(super) fn split(pixels: &[u16], out: &mut [u16]) {
    let (pixels, _) = pixels.as_chunks::<3>();
    let (a, bc) = out.split_at_mut(pixels.len());
    let (b, c) = bc.split_at_mut(pixels.len());
    for (((p, a), b), c) in pixels.iter().zip(a).zip(b).zip(c) {
        [*a, *b, *c] = *p;
    }
}

#[inline(always)]
pub(super) fn join(planes: [&[u8]; 3], out: &mut [u8]) {
    let (pixels, _) = out.as_chunks_mut::<3>();
    let [a, b, c] = planes;
    for (((p, &a), &b), &c) in pixels.iter_mut().zip(a).zip(b).zip(c) {
        *p = [a, b, c];
    }
}

#[inline(always)]
pub(super) fn across(sums: &[u16], axis: &Axis, quotient: Quotient, out: &mut [u8]) {
    // Whole ratios are what cameras and models mostly make; a constant count lets the compiler use vectors.
    match axis.whole_ratio() {
        Some(1) => whole::<1>(sums, quotient, out),
        Some(2) => whole::<2>(sums, quotient, out),
        Some(3) => whole::<3>(sums, quotient, out),
        Some(4) => whole::<4>(sums, quotient, out),
        Some(5) => whole::<5>(sums, quotient, out),
        Some(6) => whole::<6>(sums, quotient, out),
        Some(8) => whole::<8>(sums, quotient, out),
        _ => match axis.len() {
            2 => weighted::<2>(sums, axis, quotient, out),
            3 => weighted::<3>(sums, axis, quotient, out),
            4 => weighted::<4>(sums, axis, quotient, out),
            5 => weighted::<5>(sums, axis, quotient, out),
            6 => weighted::<6>(sums, axis, quotient, out),
            7 => weighted::<7>(sums, axis, quotient, out),
            8 => weighted::<8>(sums, axis, quotient, out),
            _ => weighted_any(sums, axis, quotient, out),
        },
    }
}

#[inline(always)]
fn whole<const N: usize>(sums: &[u16], quotient: Quotient, out: &mut [u8]) {
    let (groups, _) = sums.as_chunks::<N>();
    for (o, group) in out.iter_mut().zip(groups) {
        *o = quotient.of(group.iter().map(|&x| u32::from(x)).sum());
    }
}

#[inline(always)]
fn weighted<const N: usize>(sums: &[u16], axis: &Axis, quotient: Quotient, out: &mut [u8]) {
    let (starts, weights) = axis.all_taps();
    let (weights, _) = weights.as_chunks::<N>();
    for ((o, &start), weights) in out.iter_mut().zip(starts).zip(weights) {
        let sums = &sums[start as usize..][..N];
        let mut sum = 0;
        for k in 0..N {
            sum += u32::from(sums[k]) * weights[k];
        }
        *o = quotient.of(sum);
    }
}

#[inline(always)]
fn weighted_any(sums: &[u16], axis: &Axis, quotient: Quotient, out: &mut [u8]) {
    for (j, o) in out.iter_mut().enumerate() {
        let (start, weights) = axis.taps(j);
        *o = quotient.of(sums[start..].iter().zip(weights).map(|(&x, &w)| u32::from(x) * w).sum());
    }
}
