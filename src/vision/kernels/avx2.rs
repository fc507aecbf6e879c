//! The loops for x86-64 processors with AVX2: colour conversion by hand, the others as the compiler vectorises them.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::axis::Axis;
use super::super::colour::Coefficients;
use super::{Kernels, Quotient, Samples, portable};

/// These kernels, if this processor can run them.
pub(super) fn kernels() -> Option<Kernels> {
    std::arch::is_x86_feature_detected!("avx2").then_some(KERNELS)
}

// Private: who holds these has asked `kernels`.
const KERNELS: Kernels = Kernels {
    name: "avx2",
    // SAFETY: reached only through `kernels`, which has found AVX2.
    convert: |samples, c, out| unsafe { convert(samples, c, out) },
    // SAFETY: as above.
    begin: |sums, row, weight| unsafe { begin(sums, row, weight) },
    // SAFETY: as above.
    add: |sums, row, weight| unsafe { add(sums, row, weight) },
    // SAFETY: as above.
    begin_wide: |sums, row, weight| unsafe { begin_wide(sums, row, weight) },
    // SAFETY: as above.
    add_wide: |sums, row, weight| unsafe { add_wide(sums, row, weight) },
    // SAFETY: as above.
    narrow: |wide, weight, out| unsafe { narrow(wide, weight, out) },
    // SAFETY: as above.
    split: |pixels, out| unsafe { split(pixels, out) },
    // SAFETY: as above.
    across: |sums, axis, quotient, out| unsafe { across(sums, axis, quotient, out) },
    // SAFETY: as above.
    join: |planes, out| unsafe { join(planes, out) },
};

#[target_feature(enable = "avx2")]
fn begin(sums: &mut [u16], row: &[u8], weight: u16) {
    portable::begin(sums, row, weight);
}

#[target_feature(enable = "avx2")]
fn add(sums: &mut [u16], row: &[u8], weight: u16) {
    portable::add(sums, row, weight);
}

#[target_feature(enable = "avx2")]
fn begin_wide(sums: &mut [u32], row: &[u8], weight: u32) {
    portable::begin_wide(sums, row, weight);
}

#[target_feature(enable = "avx2")]
fn add_wide(sums: &mut [u32], row: &[u8], weight: u32) {
    portable::add_wide(sums, row, weight);
}

#[target_feature(enable = "avx2")]
fn narrow(wide: &[u32], weight: u32, out: &mut [u16]) {
    portable::narrow(wide, weight, out);
}

#[target_feature(enable = "avx2")]
fn split(pixels: &[u16], out: &mut [u16]) {
    portable::split(pixels, out);
}

#[target_feature(enable = "avx2")]
fn across(sums: &[u16], axis: &Axis, quotient: Quotient, out: &mut [u8]) {
    portable::across(sums, axis, quotient, out);
}

#[target_feature(enable = "avx2")]
fn join(planes: [&[u8]; 3], out: &mut [u8]) {
    portable::join(planes, out);
}

/// Pixels a step.
const STEP: usize = 32;

#[target_feature(enable = "avx2")]
fn convert(samples: Samples<'_>, c: &Coefficients, out: &mut [u8]) {
    let width = out.len() / 3;
    let steps = width / STEP;
    match samples {
        Samples::Yuyv(s) => {
            let s = &s[..2 * STEP * steps];
            convert_steps(steps, c, out, |x| {
                let pixels = load32(s, 2 * x);
                (_mm256_and_si256(pixels, _mm256_set1_epi16(0xFF)), _mm256_srli_epi16(pixels, 8))
            });
        }
        Samples::Uyvy(s) => {
            let s = &s[..2 * STEP * steps];
            convert_steps(steps, c, out, |x| {
                let pixels = load32(s, 2 * x);
                (_mm256_srli_epi16(pixels, 8), _mm256_and_si256(pixels, _mm256_set1_epi16(0xFF)))
            });
        }
        Samples::Nv12(y, uv) => {
            convert_steps(steps, c, out, |x| (widen(load16(y, x)), widen(load16(uv, x))));
        }
        Samples::Nv21(y, vu) => convert_steps(steps, c, out, |x| {
            let swap = _mm_set_epi8(14, 15, 12, 13, 10, 11, 8, 9, 6, 7, 4, 5, 2, 3, 0, 1);
            (widen(load16(y, x)), widen(_mm_shuffle_epi8(load16(vu, x), swap)))
        }),
        Samples::Yu12(y, u, v) => convert_steps(steps, c, out, |x| {
            (widen(load16(y, x)), widen(_mm_unpacklo_epi8(load8(u, x / 2), load8(v, x / 2))))
        }),
    }
    portable::convert_from(steps * STEP / 2, samples, c, out);
}

/// Converts `STEP` pixels at a time. `load` gives sixteen of them from an even one on, in 16-bit lanes: their luma, and
/// U and V of their pairs in turn.
#[inline]
#[target_feature(enable = "avx2")]
fn convert_steps(steps: usize, c: &Coefficients, out: &mut [u8], load: impl Fn(usize) -> (__m256i, __m256i)) {
    let width = out.len() / 3;
    let (r, gb) = out.split_at_mut(width);
    let (g, b) = gb.split_at_mut(width);
    for k in 0..steps {
        let x = k * STEP;
        let (y, uv) = load(x);
        let low = sixteen(y, uv, c);
        let (y, uv) = load(x + STEP / 2);
        let high = sixteen(y, uv, c);
        for ((plane, low), high) in [&mut *r, &mut *g, &mut *b].into_iter().zip(low).zip(high) {
            // The packing works on halves of the vectors: 0 2 1 3 puts their quarters in order.
            let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(low, high));
            store32(plane, x, bytes);
        }
    }
}

/// Red, green and blue of sixteen pixels, not yet clamped to bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn sixteen(y: __m256i, uv: __m256i, c: &Coefficients) -> [__m256i; 3] {
    let set = |x: i16| _mm256_set1_epi16(x);
    let luma = _mm256_mulhrs_epi16(_mm256_slli_epi16::<7>(_mm256_sub_epi16(y, set(c.black))), set(c.y));
    let uv = _mm256_slli_epi16::<7>(_mm256_sub_epi16(uv, set(128)));
    let low = _mm256_set1_epi32(0xFFFF);
    let u = _mm256_and_si256(uv, low);
    let u = _mm256_or_si256(u, _mm256_slli_epi32::<16>(u));
    let v = _mm256_srli_epi32::<16>(uv);
    let v = _mm256_or_si256(v, _mm256_andnot_si256(low, uv));
    let times = |x: __m256i, factor: i16| _mm256_mulhrs_epi16(x, set(factor));
    let finish = |x: __m256i| _mm256_srai_epi16::<5>(_mm256_add_epi16(x, set(16)));
    let green = _mm256_add_epi16(times(u, c.g_u), times(v, c.g_v));
    [
        finish(_mm256_add_epi16(luma, times(v, c.r_v))),
        finish(_mm256_add_epi16(luma, green)),
        finish(_mm256_add_epi16(luma, times(u, c.b_u))),
    ]
}

#[inline]
#[target_feature(enable = "avx2")]
fn widen(bytes: __m128i) -> __m256i {
    _mm256_cvtepu8_epi16(bytes)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load32(s: &[u8], at: usize) -> __m256i {
    let bytes = &s[at..at + 32];
    // SAFETY: 32 bytes are there, and the load may be unaligned.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load16(s: &[u8], at: usize) -> __m128i {
    let bytes = &s[at..at + 16];
    // SAFETY: 16 bytes are there, and the load may be unaligned.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load8(s: &[u8], at: usize) -> __m128i {
    let bytes = &s[at..at + 8];
    // SAFETY: 8 bytes are there, and the load may be unaligned.
    unsafe { _mm_loadl_epi64(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store32(s: &mut [u8], at: usize, x: __m256i) {
    let bytes = &mut s[at..at + 32];
    // SAFETY: 32 bytes are there, and the store may be unaligned.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), x) }
}
