//! Self-attention in half precision for heads of eight channels, on cores that compute with it (FEAT_FP16: Cortex-A55, A75,
//! A76 and newer): eight positions a vector, half the instructions of single precision and less.
//!
//! A half has 11 bits of precision and ends at 65504, so [`fits`] looks at queries, keys and values first; what doesn't fit runs in
//! single precision. The result is rounded to a byte afterwards, which costs more than the halves do.
//!
//! Rust's type for halves isn't stable: vectors of them are passed as `uint16x8_t`, the instructions are `asm!`.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::Attention;
use super::heads::{self, DIM, Head};
use super::neon_attention;

/// Eight halves, as bits.
type Half = uint16x8_t;

/// Positions of a vector.
const LANES: usize = 8;

/// The largest weight is 2⁴, so that the smallest normal half is 2⁻¹⁸ of it. See [`bits::FOUR`].
const LARGEST_WEIGHT: f32 = 16.0;

/// Past so many positions a sum of weights loses small ones.
const MOST_TOKENS: usize = 1024;

/// Below this a score, an exponent of two, is rounded by at most 1/64, a weight by 1.1 %, each time.
const MOST_SCORE: f32 = 64.0;

/// Halves by their bits.
mod bits {
    pub const FOUR: u16 = 0x4400;
    pub const MINUS_15: u16 = 0xCB80;
    pub const LOWEST: u16 = 0xFBFF;
    /// 1.5 · 2¹⁰: added to a half and taken away, it rounds to an integer, which also stands in the sum's low bits.
    pub const ROUND: u16 = 0x6600;
    /// `2^f` for `f` in -½…½, lowest power first (1, 0.6934, 0.2421, 0.0542), fitted with each step rounded to a half: off by
    /// 2·10⁻⁴ in the mean, 5·10⁻⁴ at most. The first is one, so that 2⁻¹⁵ comes out as zero.
    pub const EXP2: [u16; 4] = [0x3C00, 0x398C, 0x33BF, 0x2AF1];
}

/// See `Kernels::attention`.
///
/// # Safety
/// The processor has FEAT_FP16; `shape.dim` is [`DIM`]; `qkv`, `out` and `scratch` are as long as the shape asks.
#[target_feature(enable = "neon,fp16")]
pub unsafe fn attention(shape: &Attention, qkv: &[f32], out: &mut [f32], scratch: &mut [f32]) {
    // SAFETY: the caller's promise, handed on.
    unsafe {
        if fits(shape, qkv) {
            halves(shape, qkv, out, scratch);
        } else {
            neon_attention::attention(shape, qkv, out, scratch);
        }
    }
}

/// Whether no score, no weighted sum and no sum of weights can leave what halves hold well. A NaN doesn't fit either.
#[target_feature(enable = "neon")]
fn fits(shape: &Attention, qkv: &[f32]) -> bool {
    let Attention { tokens, heads, scale, .. } = *shape;
    let inner = heads * DIM;
    let factor = (scale * std::f32::consts::LOG2_E).abs();
    let most_value = 60_000.0 / (tokens.div_ceil(LANES) as f32 * LARGEST_WEIGHT);
    tokens <= MOST_TOKENS
        && (0..heads).all(|head| {
            // By their bits, magnitudes have the same order, and a NaN is the largest.
            let (mut query, mut key, mut values) = (0, 0, [0u32; DIM]);
            for row in qkv.chunks_exact(3 * inner) {
                let part = |part: usize| &row[part * inner + head * DIM..][..DIM];
                query = square(part(0)).to_bits().max(query);
                key = square(part(1)).to_bits().max(key);
                for (most, x) in values.iter_mut().zip(part(2)) {
                    *most = (*most).max(x.abs().to_bits());
                }
            }
            // No score, nor a part of its sum, is larger than the product of lengths (Cauchy and Schwarz).
            let score = (f32::from_bits(query) * f32::from_bits(key)).sqrt() * factor;
            score <= MOST_SCORE && values.iter().all(|&v| f32::from_bits(v) <= most_value)
        })
}

/// The square of the length of a head's vector, whose length is checked.
#[inline]
#[target_feature(enable = "neon")]
fn square(x: &[f32]) -> f32 {
    let x: &[f32; DIM] = x.try_into().expect("a head's vector");
    // SAFETY: eight floats.
    let float32x4x2_t(low, high) = unsafe { vld1q_f32_x2(x.as_ptr()) };
    vaddvq_f32(vfmaq_f32(vmulq_f32(low, low), high, high))
}

/// Attention in halves.
///
/// # Safety
/// As for [`attention`].
#[target_feature(enable = "neon,fp16")]
unsafe fn halves(shape: &Attention, qkv: &[f32], out: &mut [f32], scratch: &mut [f32]) {
    let Attention { tokens, heads, .. } = *shape;
    let (row, inner, padded) = (3 * heads * DIM, heads * DIM, tokens.next_multiple_of(LANES));
    // SAFETY: floats are as good as twice as many halves, and any bits are one.
    let (_, scratch, _) = unsafe { scratch.align_to_mut::<u16>() };
    let (keys, rest) = scratch.split_at_mut(padded * DIM);
    let (values, rest) = rest.split_at_mut(padded * DIM);
    let scores = &mut rest[..2 * padded];
    // Padding keys and values are zero; padding scores are far below any other.
    keys.fill(0);
    values.fill(0);
    for head in 0..heads {
        heads::turn::<u16, LANES>(shape, head, qkv, keys, values, |x| half(x));
        let with = Head { tokens, padded, factor: shape.scale * std::f32::consts::LOG2_E, keys, values };
        let query = |t: usize| qkv.as_ptr().wrapping_add(t * row + head * DIM);
        for t in (0..tokens).step_by(2) {
            let to = out.as_mut_ptr().wrapping_add(t * inner + head * DIM);
            // SAFETY: query and result rows below `tokens` have DIM entries.
            unsafe {
                if t + 1 < tokens {
                    let [a, b] = queries::<2>(&with, [query(t), query(t + 1)], scores);
                    vst1q_f32_x2(to, a);
                    vst1q_f32_x2(to.add(inner), b);
                } else {
                    let [a] = queries::<1>(&with, [query(t)], scores);
                    vst1q_f32_x2(to, a);
                }
            }
        }
    }
}

/// The results of `Q` queries.
///
/// # Safety
/// Each query has [`DIM`] entries; keys and values have `padded * DIM`, scores `padded * Q`.
#[inline]
#[target_feature(enable = "neon,fp16")]
unsafe fn queries<const Q: usize>(
    head: &Head<'_, u16>,
    query: [*const f32; Q],
    scores: &mut [u16],
) -> [float32x4x2_t; Q] {
    let Head { tokens, padded, factor, keys, values } = *head;
    // SAFETY: whole vectors of `padded` entries, a multiple of eight.
    unsafe {
        let query: [Half; Q] = std::array::from_fn(|q| {
            let float32x4x2_t(low, high) = vld1q_f32_x2(query[q]);
            narrow(vmulq_n_f32(low, factor), vmulq_n_f32(high, factor))
        });
        let mut top = [vdupq_n_u16(bits::LOWEST); Q];
        for u in (0..padded).step_by(LANES) {
            let key: [Half; DIM] = std::array::from_fn(|j| vld1q_u16(keys.as_ptr().add(u * DIM + j * LANES)));
            for q in 0..Q {
                let score = product(query[q], &key);
                if u + LANES <= tokens {
                    top[q] = max(top[q], score);
                }
                vst1q_u16(scores.as_mut_ptr().add(q * padded + u), score);
            }
        }
        // Padding is no score: were its zeros to count, all real ones could be too far below to weigh anything.
        for (of, top) in scores.chunks_exact_mut(padded).zip(&mut top) {
            of[tokens..].fill(bits::LOWEST);
            if tokens < padded {
                *top = max(*top, vld1q_u16(of.as_ptr().add(padded - LANES)));
            }
        }
        let top: [Half; Q] = std::array::from_fn(|q| sub(largest(top[q]), vdupq_n_u16(bits::FOUR)));
        let mut sum = [vdupq_n_u16(0); Q];
        let mut result = [[vdupq_n_u16(0); Q]; DIM];
        for u in (0..padded).step_by(LANES) {
            let weight: [Half; Q] =
                std::array::from_fn(|q| exp2(sub(vld1q_u16(scores.as_ptr().add(q * padded + u)), top[q])));
            for q in 0..Q {
                sum[q] = add(sum[q], weight[q]);
            }
            for (j, result) in result.iter_mut().enumerate() {
                let value = vld1q_u16(values.as_ptr().add(u * DIM + j * LANES));
                for q in 0..Q {
                    result[q] = fma(result[q], weight[q], value);
                }
            }
        }
        std::array::from_fn(|q| {
            let total = vdupq_n_f32(vaddvq_f32(widen(sum[q])));
            let four = |j: usize| {
                let [a, b, c, d] = std::array::from_fn(|i| widen(result[j + i][q]));
                vdivq_f32(vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)), total)
            };
            float32x4x2_t(four(0), four(4))
        })
    }
}

/// `2^t` for `t` up to 15; zero from -15 down.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn exp2(t: Half) -> Half {
    let t = max(t, vdupq_n_u16(bits::MINUS_15));
    let round = vdupq_n_u16(bits::ROUND);
    let shifted = add(t, round);
    let f = sub(t, sub(shifted, round));
    let mut p = vdupq_n_u16(bits::EXP2[3]);
    for c in bits::EXP2[..3].iter().rev() {
        p = fma(vdupq_n_u16(*c), p, f);
    }
    vaddq_u16(p, vshlq_n_u16::<10>(shifted))
}

/// A float as a half's bits.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn half(x: f32) -> u16 {
    let bits: u32;
    // SAFETY: one instruction on registers.
    unsafe {
        asm!(
            "fcvt {h:h}, {s:s}", "fmov {bits:w}, {h:s}",
            s = in(vreg) x, h = out(vreg) _, bits = lateout(reg) bits,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    bits as u16
}

/// Eight floats as halves.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn narrow(low: float32x4_t, high: float32x4_t) -> Half {
    let r: Half;
    // SAFETY: two instructions on registers.
    unsafe {
        asm!(
            "fcvtn {r:v}.4h, {low:v}.4s", "fcvtn2 {r:v}.8h, {high:v}.4s",
            r = out(vreg) r, low = in(vreg) low, high = in(vreg) high,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    r
}

/// The lower and the upper four, added, as floats.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn widen(x: Half) -> float32x4_t {
    let (low, high): (float32x4_t, float32x4_t);
    // SAFETY: two instructions on registers.
    unsafe {
        asm!(
            "fcvtl {low:v}.4s, {x:v}.4h", "fcvtl2 {high:v}.4s, {x:v}.8h",
            low = out(vreg) low, high = lateout(vreg) high, x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    vaddq_f32(low, high)
}

/// The largest lane, in all lanes.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn largest(x: Half) -> Half {
    let r: Half;
    // SAFETY: two instructions on registers.
    unsafe {
        asm!(
            "fmaxnmv {r:h}, {x:v}.8h", "dup {r:v}.8h, {r:v}.h[0]",
            r = lateout(vreg) r, x = in(vreg) x, options(pure, nomem, nostack, preserves_flags)
        );
    }
    r
}

/// Eight positions' scores: a query's channels, by element, times the keys.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn product(query: Half, key: &[Half; DIM]) -> Half {
    let r: Half;
    // SAFETY: instructions on registers; an element of a half can only be taken from the lower sixteen of them.
    unsafe {
        asm!(
            "fmul {r:v}.8h, {k0:v}.8h, {q:v}.h[0]",
            "fmla {r:v}.8h, {k1:v}.8h, {q:v}.h[1]",
            "fmla {r:v}.8h, {k2:v}.8h, {q:v}.h[2]",
            "fmla {r:v}.8h, {k3:v}.8h, {q:v}.h[3]",
            "fmla {r:v}.8h, {k4:v}.8h, {q:v}.h[4]",
            "fmla {r:v}.8h, {k5:v}.8h, {q:v}.h[5]",
            "fmla {r:v}.8h, {k6:v}.8h, {q:v}.h[6]",
            "fmla {r:v}.8h, {k7:v}.8h, {q:v}.h[7]",
            r = out(vreg) r, q = in(vreg_low16) query,
            k0 = in(vreg) key[0], k1 = in(vreg) key[1], k2 = in(vreg) key[2], k3 = in(vreg) key[3],
            k4 = in(vreg) key[4], k5 = in(vreg) key[5], k6 = in(vreg) key[6], k7 = in(vreg) key[7],
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    r
}

/// `acc + a · b`.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn fma(mut acc: Half, a: Half, b: Half) -> Half {
    // SAFETY: one instruction on registers.
    unsafe {
        asm!(
            "fmla {r:v}.8h, {a:v}.8h, {b:v}.8h",
            r = inout(vreg) acc, a = in(vreg) a, b = in(vreg) b, options(pure, nomem, nostack, preserves_flags)
        );
    }
    acc
}

macro_rules! of_two {
    ($($name:ident $instruction:literal)*) => {$(
        #[inline]
        #[target_feature(enable = "neon,fp16")]
        fn $name(a: Half, b: Half) -> Half {
            let r: Half;
            // SAFETY: one instruction on registers.
            unsafe {
                asm!(
                    concat!($instruction, " {r:v}.8h, {a:v}.8h, {b:v}.8h"),
                    r = lateout(vreg) r, a = in(vreg) a, b = in(vreg) b,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
            r
        }
    )*};
}

of_two!(add "fadd" sub "fsub" max "fmaxnm");
