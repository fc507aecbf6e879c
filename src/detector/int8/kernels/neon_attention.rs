//! Self-attention with NEON for heads of eight channels (MobileViT's): keys and values stand transposed, four positions a
//! vector; a query's scores stay in the first-level cache between the two passes over the positions.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::Attention;
use super::neon::exp2;

/// Channels of a head.
pub const DIM: usize = 8;

/// See `Kernels::attention`.
///
/// # Safety
/// `shape.dim` is [`DIM`]; `qkv`, `out` and `scratch` are as long as the shape asks.
#[target_feature(enable = "neon")]
pub unsafe fn attention(shape: &Attention, qkv: &[f32], out: &mut [f32], scratch: &mut [f32]) {
    let Attention { tokens, heads, scale, .. } = *shape;
    let (row, inner, padded) = (3 * heads * DIM, heads * DIM, tokens.next_multiple_of(4));
    let (keys, rest) = scratch.split_at_mut(padded * DIM);
    let (values, rest) = rest.split_at_mut(padded * DIM);
    let scores = &mut rest[..padded];
    // Padding keys and values are zero; padding scores are far below any other.
    keys.fill(0.0);
    values.fill(0.0);
    let factor = scale * std::f32::consts::LOG2_E;
    for head in 0..heads {
        for t in 0..tokens {
            let from = &qkv[t * row + head * DIM..];
            for j in 0..DIM {
                keys[j * padded + t] = from[inner + j];
                values[j * padded + t] = from[2 * inner + j];
            }
        }
        for t in 0..tokens {
            // SAFETY: whole vectors of `padded` entries, a multiple of four; the query and result rows have DIM entries.
            unsafe {
                let query = qkv.as_ptr().add(t * row + head * DIM);
                let query: [float32x4_t; DIM] = std::array::from_fn(|j| vdupq_n_f32(*query.add(j) * factor));
                let mut top = vdupq_n_f32(-1e30);
                for u in (0..padded).step_by(4) {
                    let key = |j: usize| vld1q_f32(keys.as_ptr().add(j * padded + u));
                    let mut even = vmulq_f32(query[0], key(0));
                    let mut odd = vmulq_f32(query[1], key(1));
                    for j in (2..DIM).step_by(2) {
                        even = vfmaq_f32(even, query[j], key(j));
                        odd = vfmaq_f32(odd, query[j + 1], key(j + 1));
                    }
                    let score = vaddq_f32(even, odd);
                    top = vmaxq_f32(top, score);
                    vst1q_f32(scores.as_mut_ptr().add(u), score);
                }
                scores[tokens..].fill(-1e30);
                let top = vdupq_n_f32(vmaxvq_f32(top));
                let mut sum = vdupq_n_f32(0.0);
                let mut result = [vdupq_n_f32(0.0); DIM];
                for u in (0..padded).step_by(4) {
                    let score = vsubq_f32(vld1q_f32(scores.as_ptr().add(u)), top);
                    let weight = exp2(vmaxq_f32(score, vdupq_n_f32(-126.0)));
                    sum = vaddq_f32(sum, weight);
                    for (j, result) in result.iter_mut().enumerate() {
                        *result = vfmaq_f32(*result, weight, vld1q_f32(values.as_ptr().add(j * padded + u)));
                    }
                }
                let total = vdupq_n_f32(vaddvq_f32(sum));
                for half in 0..2 {
                    let r = &result[half * 4..];
                    let sums = vpaddq_f32(vpaddq_f32(r[0], r[1]), vpaddq_f32(r[2], r[3]));
                    vst1q_f32(
                        out.as_mut_ptr().add(t * inner + head * DIM + half * 4),
                        vdivq_f32(sums, total),
                    );
                }
            }
        }
    }
}
