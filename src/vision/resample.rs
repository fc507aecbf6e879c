//! Resampling: rows are averaged downwards first, while they are in the nearest cache, then the few that remain are
//! averaged sideways. All sums are exact; each result is rounded once.

use super::axis::Axis;
use super::rows::{Lanes, Picture, Rows};
use crate::geometry::Size;

/// The largest sum of weights for which 16 bits hold the weighted sum of bytes.
const NARROW: u32 = 257;

/// Weights and buffers, kept from picture to picture.
#[derive(Debug, Default)]
pub(super) struct Resampler {
    across: Axis,
    down: Axis,
    rows: Rows,
    sums: Vec<u16>,
    wide: Vec<u32>,
    planar: Vec<u16>,
}

impl Resampler {
    /// Scales the picture to `inner` and writes it at `left`, `top` of an RGB picture whose rows take `stride` bytes.
    pub fn run(
        &mut self,
        picture: &Picture<'_>,
        inner: Size,
        out: &mut [u8],
        stride: usize,
        left: usize,
        top: usize,
    ) {
        let size = picture.size();
        let (w, n) = (size.width as usize, inner.width as usize);
        self.across.plan(size.width, inner.width);
        self.down.plan(size.height, inner.height);
        self.rows.begin(picture);
        let lanes = picture.lanes();
        let bytes = if lanes == Lanes::Grey { w } else { 3 * w };
        self.sums.resize(bytes, 0);
        let weight = if self.down.sum() <= NARROW { self.down.sum() } else { 256 };
        let scale = Reciprocal::of(weight * self.across.sum());
        let rows = out.chunks_exact_mut(stride).skip(top);
        for ((start, weights), row) in self.down.taps().zip(rows) {
            let target = &mut row[3 * left..][..3 * n];
            if self.down.sum() <= NARROW {
                for (k, &weight) in weights.iter().enumerate() {
                    accumulate(&mut self.sums, self.rows.get(picture, start + k), weight as u16, k == 0);
                }
            } else {
                self.wide.resize(bytes, 0);
                for (k, &weight) in weights.iter().enumerate() {
                    accumulate_wide(&mut self.wide, self.rows.get(picture, start + k), weight, k == 0);
                }
                narrow(&self.wide, self.down.sum(), &mut self.sums);
            }
            let planes: [&[u16]; 3] = match lanes {
                Lanes::Grey => [&self.sums; 3],
                Lanes::Planar => [&self.sums[..w], &self.sums[w..2 * w], &self.sums[2 * w..]],
                Lanes::Rgb | Lanes::Bgr => {
                    self.planar.resize(3 * w, 0);
                    split_pixels(&self.sums, &mut self.planar);
                    let (a, bc) = self.planar.split_at(w);
                    let (b, c) = bc.split_at(w);
                    if lanes == Lanes::Rgb { [a, b, c] } else { [c, b, a] }
                }
            };
            average_across(planes, &self.across, scale, target);
        }
    }
}

/// Division by a number that is known beforehand.
#[derive(Clone, Copy, Debug)]
struct Reciprocal {
    factor: u64,
    shift: u32,
}

impl Reciprocal {
    fn of(n: u32) -> Reciprocal {
        let shift = 32 + n.ilog2();
        Reciprocal { factor: ((1 << shift) + u64::from(n) / 2) / u64::from(n), shift }
    }

    /// `sum / n`, rounded; for sums of at most `255 n`.
    fn apply(self, sum: u32) -> u8 {
        ((u64::from(sum) * self.factor + (1 << (self.shift - 1))) >> self.shift) as u8
    }
}

fn accumulate(sums: &mut [u16], row: &[u8], weight: u16, first: bool) {
    if first {
        sums.iter_mut().zip(row).for_each(|(s, &x)| *s = u16::from(x) * weight);
    } else {
        sums.iter_mut().zip(row).for_each(|(s, &x)| *s += u16::from(x) * weight);
    }
}

fn accumulate_wide(sums: &mut [u32], row: &[u8], weight: u32, first: bool) {
    if first {
        sums.iter_mut().zip(row).for_each(|(s, &x)| *s = u32::from(x) * weight);
    } else {
        sums.iter_mut().zip(row).for_each(|(s, &x)| *s += u32::from(x) * weight);
    }
}

/// Scales sums of weight `sum` to a weight of 256.
fn narrow(wide: &[u32], sum: u32, out: &mut [u16]) {
    let factor = (256 << 32) / u64::from(sum);
    for (o, &x) in out.iter_mut().zip(wide) {
        *o = ((u64::from(x) * factor + (1 << 31)) >> 32) as u16;
    }
}

fn split_pixels(pixels: &[u16], planar: &mut [u16]) {
    let (pixels, _) = pixels.as_chunks::<3>();
    let n = pixels.len();
    let (a, bc) = planar.split_at_mut(n);
    let (b, c) = bc.split_at_mut(n);
    for (k, p) in pixels.iter().enumerate() {
        (a[k], b[k], c[k]) = (p[0], p[1], p[2]);
    }
}

fn average_across(planes: [&[u16]; 3], axis: &Axis, scale: Reciprocal, target: &mut [u8]) {
    let (target, _) = target.as_chunks_mut::<3>();
    for (channel, plane) in planes.into_iter().enumerate() {
        for ((start, weights), pixel) in axis.taps().zip(target.iter_mut()) {
            let source = &plane[start..start + weights.len()];
            let sum: u32 = source.iter().zip(weights).map(|(&x, &w)| u32::from(x) * w).sum();
            pixel[channel] = scale.apply(sum);
        }
    }
}
