//! Self-attention with AVX-512 for heads of eight channels: as with AVX2, sixteen positions a vector, and two queries at a
//! time, so that every key and value is loaded for both.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::Attention;
use super::avx2_attention::sums;
use super::heads::{self, DIM, Head};
use super::portable::EXP2;

/// Positions of a vector.
const LANES: usize = 16;

/// See `Kernels::attention`.
///
/// # Safety
/// The processor has AVX-512 F; `shape.dim` is [`DIM`]; `qkv`, `out` and `scratch` are as long as the shape asks.
#[target_feature(enable = "avx512f")]
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
        heads::turn::<f32, LANES>(shape, head, qkv, keys, values, |x| x);
        let with = Head { tokens, padded, factor: shape.scale * std::f32::consts::LOG2_E, keys, values };
        let place = |t: usize| (qkv.as_ptr().wrapping_add(t * row + head * DIM), t * inner + head * DIM);
        for t in (0..tokens).step_by(2) {
            let ((first, to), (second, next)) = (place(t), place(t + 1));
            // SAFETY: query and result rows below `tokens` have DIM entries.
            unsafe {
                if t + 1 < tokens {
                    let [a, b] = queries::<2>(&with, [first, second], scores);
                    _mm256_storeu_ps(out.as_mut_ptr().add(to), a);
                    _mm256_storeu_ps(out.as_mut_ptr().add(next), b);
                } else {
                    let [a] = queries::<1>(&with, [first], scores);
                    _mm256_storeu_ps(out.as_mut_ptr().add(to), a);
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
#[target_feature(enable = "avx512f")]
unsafe fn queries<const Q: usize>(
    head: &Head<'_, f32>,
    query: [*const f32; Q],
    scores: &mut [f32],
) -> [__m256; Q] {
    let Head { tokens, padded, factor, keys, values } = *head;
    // SAFETY: whole vectors of `padded` entries, a multiple of sixteen.
    unsafe {
        let query: [[__m512; DIM]; Q] =
            std::array::from_fn(|q| std::array::from_fn(|j| _mm512_set1_ps(*query[q].add(j) * factor)));
        let mut top = [_mm512_set1_ps(f32::NEG_INFINITY); Q];
        for u in (0..padded).step_by(LANES) {
            let key: [__m512; DIM] =
                std::array::from_fn(|j| _mm512_loadu_ps(keys.as_ptr().add(u * DIM + j * LANES)));
            for q in 0..Q {
                let mut even = _mm512_mul_ps(query[q][0], key[0]);
                let mut odd = _mm512_mul_ps(query[q][1], key[1]);
                for j in (2..DIM).step_by(2) {
                    even = _mm512_fmadd_ps(query[q][j], key[j], even);
                    odd = _mm512_fmadd_ps(query[q][j + 1], key[j + 1], odd);
                }
                let score = _mm512_add_ps(even, odd);
                // Of a NaN and a number, the instruction gives its second operand: `top` stays a number.
                if u + LANES <= tokens {
                    top[q] = _mm512_max_ps(score, top[q]);
                }
                _mm512_storeu_ps(scores.as_mut_ptr().add(q * padded + u), score);
            }
        }
        // Padding is no score: were its zeros to count, all real ones could be too far below to weigh anything.
        for (of, top) in scores.chunks_exact_mut(padded).zip(&mut top) {
            of[tokens..].fill(f32::NEG_INFINITY);
            if tokens < padded {
                *top = _mm512_max_ps(_mm512_loadu_ps(of.as_ptr().add(padded - LANES)), *top);
            }
        }
        let top: [__m512; Q] = std::array::from_fn(|q| _mm512_set1_ps(_mm512_reduce_max_ps(top[q])));
        let mut sum = [_mm512_setzero_ps(); Q];
        let mut result = [[_mm512_setzero_ps(); Q]; DIM];
        for u in (0..padded).step_by(LANES) {
            let weight: [__m512; Q] = std::array::from_fn(|q| {
                let score = _mm512_loadu_ps(scores.as_ptr().add(q * padded + u));
                // The score stands second, so that a NaN stays one.
                exp2(_mm512_max_ps(_mm512_set1_ps(-126.0), _mm512_sub_ps(score, top[q])))
            });
            for q in 0..Q {
                sum[q] = _mm512_add_ps(sum[q], weight[q]);
            }
            for (j, result) in result.iter_mut().enumerate() {
                let value = _mm512_loadu_ps(values.as_ptr().add(u * DIM + j * LANES));
                for q in 0..Q {
                    result[q] = _mm512_fmadd_ps(weight[q], value, result[q]);
                }
            }
        }
        std::array::from_fn(|q| {
            let halves: [__m256; DIM] = std::array::from_fn(|j| halves(result[j][q]));
            _mm256_div_ps(sums(&halves), _mm256_set1_ps(_mm512_reduce_add_ps(sum[q])))
        })
    }
}

/// The lower and the upper eight, added.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(x: __m512) -> __m256 {
    let upper = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(x)));
    _mm256_add_ps(_mm512_castps512_ps256(x), upper)
}

/// See `portable::exp2`; the processor puts the exponent in.
#[inline]
#[target_feature(enable = "avx512f")]
fn exp2(t: __m512) -> __m512 {
    let whole = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(t);
    let f = _mm512_sub_ps(t, whole);
    let mut p = _mm512_set1_ps(EXP2[3]);
    for c in EXP2[..3].iter().rev() {
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(*c));
    }
    _mm512_scalef_ps(p, whole)
}
