//! Plain Rust: the definition of what every kernel computes, and what runs where no other fits.

use super::pack::{Layout, Order, Packed, PackedDepthwise};
use super::{AddScale, Attention, Kernels, Out, Staged, Table};

/// Runs everywhere.
#[derive(Debug)]
pub struct Portable;

/// An accumulator becomes a signed byte.
pub fn requantize(acc: i32, scale: f32, zero_point: i8) -> i8 {
    // Past 16 bits nothing changes any more, and the vector units convert no more than 32.
    let rounded = (acc as f32 * scale).clamp(-32768.0, 32767.0).round_ties_even() as i32;
    (rounded + i32::from(zero_point)).clamp(-128, 127) as i8
}

/// See [`Kernels::add`].
pub fn add(k: &AddScale, a: &[i8], b: &[i8], out: &mut [i8]) {
    for ((&a, &b), o) in a.iter().zip(b).zip(out) {
        let sum = f32::from(a) * k.ka + (f32::from(b) * k.kb + k.k);
        *o = (sum.clamp(-32768.0, 32767.0).round_ties_even() as i32 + i32::from(k.zero_point))
            .clamp(-128, 127) as i8;
    }
}

/// See [`Kernels::attention`].
pub fn attention(shape: &Attention, qkv: &[f32], out: &mut [f32], scratch: &mut [f32]) {
    let Attention { tokens, heads, dim, scale } = *shape;
    let (row, inner) = (3 * heads * dim, heads * dim);
    let scores = &mut scratch[..tokens];
    for head in 0..heads {
        for t in 0..tokens {
            let q = &qkv[t * row + head * dim..][..dim];
            let mut top = f32::NEG_INFINITY;
            for (u, score) in scores.iter_mut().enumerate() {
                let k = &qkv[u * row + inner + head * dim..][..dim];
                *score = q.iter().zip(k).map(|(q, k)| q * k).sum::<f32>() * scale;
                top = top.max(*score);
            }
            let result = &mut out[t * inner + head * dim..][..dim];
            result.fill(0.0);
            let mut sum = 0.0;
            for (u, score) in scores.iter().enumerate() {
                let weight = (score - top).exp();
                sum += weight;
                let v = &qkv[u * row + 2 * inner + head * dim..][..dim];
                for (r, v) in result.iter_mut().zip(v) {
                    *r += weight * v;
                }
            }
            for r in result {
                *r /= sum;
            }
        }
    }
}

/// One channel of a depthwise 3×3 at one pixel.
pub fn depthwise_one(w: &PackedDepthwise, c: usize, tap: impl Fn(usize) -> i32) -> i8 {
    let acc = (0..9)
        .fold(w.requant.bias[c], |acc, t| acc.wrapping_add(tap(t) * i32::from(w.taps[t * w.channels + c])));
    requantize(acc, w.requant.scale[c], w.requant.zero_point)
}

impl Kernels for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn layout(&self) -> Layout {
        Layout { elem: 1, weight: 1, unit: 1, panel: 8, narrow: 8, shift: 0, order: Order::Plain }
    }

    unsafe fn gemm_unchecked(&self, w: &Packed, input: &Staged<'_>, mut out: Out<'_>) {
        for p in &w.panels {
            let weights = &w.data.s8()[p.offset..][..w.segments * w.groups * 8];
            for row in 0..input.rows {
                let mut acc = [0i32; 8];
                for (&segment, weights) in input.segments.iter().zip(weights.chunks_exact(w.groups * 8)) {
                    let a = &input.data[segment + row * input.stride..][..w.groups];
                    for (&a, weights) in a.iter().zip(weights.chunks_exact(8)) {
                        for (acc, &w) in acc.iter_mut().zip(weights) {
                            *acc = acc.wrapping_add(i32::from(a as i8) * i32::from(w));
                        }
                    }
                }
                for (i, acc) in acc.iter().take(p.valid).enumerate() {
                    let (acc, scale) = (acc.wrapping_add(w.bias[p.lane + i]), w.scale[p.lane + i]);
                    match &mut out {
                        Out::S8(o, stride) => {
                            o[row * *stride + p.first + i] = requantize(acc, scale, w.zero_point)
                        }
                        Out::F32(o, stride) => o[row * *stride + p.first + i] = acc as f32 * scale,
                    }
                }
            }
        }
    }

    unsafe fn depthwise_unchecked(
        &self,
        w: &PackedDepthwise,
        input: &Staged<'_>,
        out: &mut [i8],
        stride: usize,
    ) {
        for row in 0..input.rows {
            for c in 0..w.channels {
                let tap = |t: usize| {
                    let at = input.segments[t / 3] + row * input.stride + t % 3 * w.channels + c;
                    i32::from(input.data[at] as i8)
                };
                out[row * stride + c] = depthwise_one(w, c, tap);
            }
        }
    }

    fn stage(&self, src: &[i8], dst: &mut [u8]) {
        for (d, &s) in dst.iter_mut().zip(src) {
            *d = s as u8;
        }
    }

    fn lookup(&self, table: &Table, data: &mut [i8]) {
        for x in data {
            *x = table.get(*x);
        }
    }
}
