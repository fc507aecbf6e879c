//! Self-attention with AVX2 for heads of eight channels (MobileViT's): keys and values stand in blocks of eight positions, a
//! vector each channel; a query's scores stay in the first-level cache between the two passes over the positions.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::Attention;
use super::avx2::exp2;
use super::heads::{self, DIM};

/// See `Kernels::attention`.
///
/// # Safety
/// The processor has AVX2 and FMA; `shape.dim` is [`DIM`]; `qkv`, `out` and `scratch` are as long as the shape asks.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn attention(shape: &Attention, qkv: &[f32], out: &mut [f32], scratch: &mut [f32]) {
    let Attention { tokens, heads, scale, .. } = *shape;
    let (row, inner, padded) = (3 * heads * DIM, heads * DIM, tokens.next_multiple_of(8));
    let (keys, rest) = scratch.split_at_mut(padded * DIM);
    let (values, rest) = rest.split_at_mut(padded * DIM);
    let scores = &mut rest[..padded];
    // Padding keys and values are zero; padding scores are below any other.
    keys.fill(0.0);
    values.fill(0.0);
    let factor = scale * std::f32::consts::LOG2_E;
    for head in 0..heads {
        heads::turn::<f32, 8>(shape, head, qkv, keys, values, heads::plain);
        for t in 0..tokens {
            // SAFETY: whole vectors of `padded` entries, a multiple of eight; the query and result rows have DIM entries.
            unsafe {
                let query = qkv.as_ptr().add(t * row + head * DIM);
                let query: [__m256; DIM] =
                    std::array::from_fn(|j| _mm256_set1_ps(heads::plain(*query.add(j)) * factor));
                let mut top = _mm256_set1_ps(f32::NEG_INFINITY);
                for u in (0..padded).step_by(8) {
                    let key = |j: usize| _mm256_loadu_ps(keys.as_ptr().add(u * DIM + j * 8));
                    let mut even = _mm256_mul_ps(query[0], key(0));
                    let mut odd = _mm256_mul_ps(query[1], key(1));
                    for j in (2..DIM).step_by(2) {
                        even = _mm256_fmadd_ps(query[j], key(j), even);
                        odd = _mm256_fmadd_ps(query[j + 1], key(j + 1), odd);
                    }
                    let score = _mm256_add_ps(even, odd);
                    // Of a NaN and a number, the instruction gives its second operand: `top` stays a number.
                    if u + 8 <= tokens {
                        top = _mm256_max_ps(score, top);
                    }
                    _mm256_storeu_ps(scores.as_mut_ptr().add(u), score);
                }
                // Padding is no score: were its zeros to count, all real ones could be too far below to weigh anything.
                scores[tokens..].fill(f32::NEG_INFINITY);
                if tokens < padded {
                    top = _mm256_max_ps(_mm256_loadu_ps(scores.as_ptr().add(padded - 8)), top);
                }
                let top = _mm256_set1_ps(largest(top));
                let mut sum = _mm256_setzero_ps();
                let mut result = [_mm256_setzero_ps(); DIM];
                for u in (0..padded).step_by(8) {
                    let score = _mm256_sub_ps(_mm256_loadu_ps(scores.as_ptr().add(u)), top);
                    // The score stands second, so that a NaN stays one.
                    let weight = exp2(_mm256_max_ps(_mm256_set1_ps(-126.0), score));
                    sum = _mm256_add_ps(sum, weight);
                    for (j, result) in result.iter_mut().enumerate() {
                        let value = _mm256_loadu_ps(values.as_ptr().add(u * DIM + j * 8));
                        *result = _mm256_fmadd_ps(weight, value, *result);
                    }
                }
                let sums = sums(&result);
                let total = _mm256_set1_ps(self::sum(sum));
                _mm256_storeu_ps(out.as_mut_ptr().add(t * inner + head * DIM), _mm256_div_ps(sums, total));
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn largest(x: __m256) -> f32 {
    let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps::<1>(x, x)))
}

#[target_feature(enable = "avx2,fma")]
fn sum(x: __m256) -> f32 {
    let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
}

/// The sums of eight vectors, as one.
#[target_feature(enable = "avx2,fma")]
pub(super) fn sums(x: &[__m256; 8]) -> __m256 {
    let low = _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3]));
    let high = _mm256_hadd_ps(_mm256_hadd_ps(x[4], x[5]), _mm256_hadd_ps(x[6], x[7]));
    _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high))
}
