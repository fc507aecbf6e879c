//! Plain Rust: the definition of what every kernel computes, and what runs where no other fits.

use super::pack::{Layout, Order, Packed, PackedDepthwise, Requant, Tail};
use super::{AddScale, Attention, Kernels, Out, Staged, Table};

/// Runs everywhere.
#[derive(Debug)]
pub struct Portable;

/// `2^f` for `f` in -½…½, lowest power first; the relative error is below 8·10⁻⁵, a fiftieth of a byte's step at most.
pub const EXP2: [f32; 4] = [0.999_928_06, 0.693_260_97, 0.242_611_17, 0.055_171_68];

/// Added to and taken from a float, it rounds to an integer, which also stands in the sum's low bits.
pub const ROUND: f32 = 12_582_912.0;

/// Minus this, bit pattern from bit pattern, is near a reciprocal; two Newton steps from there the relative error is below
/// 10⁻⁵. ARM has an instruction for `2 - d·r`.
pub const RECIPROCAL: u32 = 0x7EF3_11C0;

/// [`EXP2`] in units of its last factor, which then needs no register and no multiplication.
pub const MONIC: [f32; 3] = [EXP2[0] / EXP2[3], EXP2[1] / EXP2[3], EXP2[2] / EXP2[3]];

/// One in that unit.
pub const ONE: f32 = 1.0 / EXP2[3];

/// `sigmoid_times(-x · log₂e) · UNIT` is SiLU of `x`.
pub const UNIT: f32 = -std::f32::consts::LN_2 / EXP2[3];

/// Past this, of either sign, an exponent goes no further: `2^t` is as good as nothing or as all, and in `f32`'s range.
pub const LIMIT: f32 = 120.0;

/// `t / (1 + 2^t)`, over [`ONE`], written so that every vector unit does the same. The division is two Newton steps, which
/// costs less than dividing where dividing is slow and gives the same bits everywhere.
pub fn sigmoid_times(t: f32) -> f32 {
    let clamped = t.clamp(-LIMIT, LIMIT);
    let shifted = clamped + ROUND;
    let f = clamped - (shifted - ROUND);
    let p = (f + MONIC[2]).mul_add(f, MONIC[1]).mul_add(f, MONIC[0]);
    let d = ONE + f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
    let mut r = f32::from_bits(RECIPROCAL.wrapping_sub(d.to_bits()));
    for _ in 0..2 {
        r *= (-d).mul_add(r, 2.0);
    }
    t * r
}

/// An accumulator with its bias, scaled, through the activation (over [`UNIT`] if that is SiLU).
pub fn activate(acc: i32, scale: f32, offset: f32, tail: &Tail) -> f32 {
    let x = (acc as f32).mul_add(scale, offset);
    if tail.silu { sigmoid_times(x) } else { x }
}

/// As a float, what [`activate`] gave.
pub fn float(x: f32, tail: &Tail) -> f32 {
    if tail.silu { x * UNIT } else { x }
}

/// To bytes, with a shortcut; `post` is the channel's factor to the output's steps.
pub fn requantize(x: f32, skip: Option<i8>, post: f32, tail: &Tail) -> i8 {
    let x = skip.map_or(x, |s| (f32::from(s) - f32::from(tail.skip_zero)).mul_add(tail.skip_scale, x));
    // Past 16 bits nothing changes any more, and the vector units convert no more than 32.
    let rounded = (x * post).clamp(-32768.0, 32767.0).round_ties_even() as i32;
    (rounded + i32::from(tail.zero_point)).clamp(-128, 127) as i8
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
    let Requant { scale, offset, post, tail, .. } = &w.requant;
    requantize(activate(acc, scale[c], offset[c], tail), None, post[c], tail)
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
                    let (lane, channel) = (p.lane + i, p.first + i);
                    let x = activate(acc.wrapping_add(w.bias[lane]), w.scale[lane], w.offset[lane], &w.tail);
                    match &mut out {
                        Out::S8 { to, stride, skip } => {
                            let at = row * *stride + channel;
                            to[at] = requantize(x, skip.map(|s| s[at]), w.post[lane], &w.tail);
                        }
                        Out::F32 { to, stride, skip } => {
                            let at = row * *stride + channel;
                            let x = float(x, &w.tail);
                            to[at] = skip.map_or(x, |s| x + s[at]);
                        }
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
