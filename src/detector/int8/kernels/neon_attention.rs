//! Self-attention with NEON for heads of eight channels (MobileViT's): keys and values stand in blocks of four positions, a
//! vector each channel; two queries at a time, so that every key and value is loaded for both, and their scores stay in the first-level
//! cache between the two passes over the positions.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::Attention;
use super::heads::{self, DIM, Head};
use super::neon_epilogue::Exp2;

/// Positions of a vector.
const LANES: usize = 4;

/// See `Kernels::attention`.
///
/// # Safety
/// `shape.dim` is [`DIM`]; `qkv`, `out` and `scratch` are as long as the shape asks.
#[target_feature(enable = "neon")]
pub unsafe fn attention(shape: &Attention, qkv: &[f32], out: &mut [f32], scratch: &mut [f32]) {
    let Attention { tokens, heads, .. } = *shape;
    let (row, inner, padded) = (3 * heads * DIM, heads * DIM, tokens.next_multiple_of(LANES));
    let (keys, rest) = scratch.split_at_mut(padded * DIM);
    let (values, rest) = rest.split_at_mut(padded * DIM);
    let scores = &mut rest[..2 * padded];
    // Padding keys and values are zero; padding scores are below any other.
    keys.fill(0.0);
    values.fill(0.0);
    for head in 0..heads {
        heads::turn::<f32, LANES>(shape, head, qkv, keys, values, heads::plain);
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
#[target_feature(enable = "neon")]
unsafe fn queries<const Q: usize>(
    head: &Head<'_, f32>,
    query: [*const f32; Q],
    scores: &mut [f32],
) -> [float32x4x2_t; Q] {
    let Head { tokens, padded, factor, keys, values } = *head;
    // SAFETY: whole vectors of `padded` entries, a multiple of four.
    unsafe {
        let query: [[float32x4_t; DIM]; Q] = std::array::from_fn(|q| {
            std::array::from_fn(|j| vdupq_n_f32(heads::plain(*query[q].add(j)) * factor))
        });
        let mut top = [vdupq_n_f32(f32::NEG_INFINITY); Q];
        for u in (0..padded).step_by(LANES) {
            let key: [float32x4_t; DIM] =
                std::array::from_fn(|j| vld1q_f32(keys.as_ptr().add(u * DIM + j * LANES)));
            for q in 0..Q {
                let mut even = vmulq_f32(query[q][0], key[0]);
                let mut odd = vmulq_f32(query[q][1], key[1]);
                for j in (2..DIM).step_by(2) {
                    even = vfmaq_f32(even, query[q][j], key[j]);
                    odd = vfmaq_f32(odd, query[q][j + 1], key[j + 1]);
                }
                let score = vaddq_f32(even, odd);
                if u + LANES <= tokens {
                    top[q] = vmaxq_f32(top[q], score);
                }
                vst1q_f32(scores.as_mut_ptr().add(q * padded + u), score);
            }
        }
        // Padding is no score: were its zeros to count, all real ones could be too far below to weigh anything.
        for (of, top) in scores.chunks_exact_mut(padded).zip(&mut top) {
            of[tokens..].fill(f32::NEG_INFINITY);
            if tokens < padded {
                *top = vmaxq_f32(*top, vld1q_f32(of.as_ptr().add(padded - LANES)));
            }
        }
        let top: [float32x4_t; Q] = std::array::from_fn(|q| vdupq_n_f32(vmaxvq_f32(top[q])));
        let exp2 = Exp2::new();
        let mut sum = [vdupq_n_f32(0.0); Q];
        let mut result = [[vdupq_n_f32(0.0); Q]; DIM];
        for u in (0..padded).step_by(LANES) {
            let weight: [float32x4_t; Q] = std::array::from_fn(|q| {
                let score = vsubq_f32(vld1q_f32(scores.as_ptr().add(q * padded + u)), top[q]);
                exp2.of(vmaxq_f32(score, vdupq_n_f32(-126.0)))
            });
            for q in 0..Q {
                sum[q] = vaddq_f32(sum[q], weight[q]);
            }
            for (j, result) in result.iter_mut().enumerate() {
                let value = vld1q_f32(values.as_ptr().add(u * DIM + j * LANES));
                for q in 0..Q {
                    result[q] = vfmaq_f32(result[q], weight[q], value);
                }
            }
        }
        std::array::from_fn(|q| {
            let total = vdupq_n_f32(vaddvq_f32(sum[q]));
            let four = |j: usize| {
                let [a, b, c, d] = std::array::from_fn(|i| result[j + i][q]);
                vdivq_f32(vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)), total)
            };
            float32x4x2_t(four(0), four(4))
        })
    }
}
