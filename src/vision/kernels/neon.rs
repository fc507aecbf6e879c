//! The loops for 64-bit ARM: colour conversion by hand; the compiler vectorises the others for NEON as they are.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::super::colour::Coefficients;
use super::{Kernels, Samples, portable};

/// These kernels; every 64-bit ARM processor that runs Linux has NEON.
pub(super) const KERNELS: Kernels = Kernels { name: "neon", convert, ..portable::KERNELS };

/// Pixels a step.
const STEP: usize = 16;

fn convert(samples: Samples<'_>, c: &Coefficients, out: &mut [u8]) {
    // SAFETY: NEON is part of the architecture that this file is compiled for.
    unsafe { convert_neon(samples, c, out) }
}

#[target_feature(enable = "neon")]
fn convert_neon(samples: Samples<'_>, c: &Coefficients, out: &mut [u8]) {
    let steps = out.len() / 3 / STEP;
    match samples {
        Samples::Yuyv(s) => convert_steps(steps, c, out, |x| {
            let pixels = vreinterpretq_u16_u8(load16(s, 2 * x));
            (signed(vandq_u16(pixels, vdupq_n_u16(0xFF))), signed(vshrq_n_u16::<8>(pixels)))
        }),
        Samples::Uyvy(s) => convert_steps(steps, c, out, |x| {
            let pixels = vreinterpretq_u16_u8(load16(s, 2 * x));
            (signed(vshrq_n_u16::<8>(pixels)), signed(vandq_u16(pixels, vdupq_n_u16(0xFF))))
        }),
        Samples::Nv12(y, uv) => {
            convert_steps(steps, c, out, |x| (widen(load8(y, x)), widen(load8(uv, x))));
        }
        Samples::Nv21(y, vu) => {
            convert_steps(steps, c, out, |x| (widen(load8(y, x)), widen(vrev16_u8(load8(vu, x)))));
        }
        Samples::Yu12(y, u, v) => convert_steps(steps, c, out, |x| {
            (widen(load8(y, x)), widen(vzip1_u8(load4(u, x / 2), load4(v, x / 2))))
        }),
    }
    portable::convert_from(steps * STEP / 2, samples, c, out);
}

/// Converts `STEP` pixels at a time. `load` gives eight of them from an even one on, in 16-bit lanes: their luma, and
/// U and V of their pairs in turn.
#[inline]
#[target_feature(enable = "neon")]
fn convert_steps(
    steps: usize,
    c: &Coefficients,
    out: &mut [u8],
    load: impl Fn(usize) -> (int16x8_t, int16x8_t),
) {
    let width = out.len() / 3;
    let (r, gb) = out.split_at_mut(width);
    let (g, b) = gb.split_at_mut(width);
    for k in 0..steps {
        let x = k * STEP;
        let (y, uv) = load(x);
        let low = eight(y, uv, c);
        let (y, uv) = load(x + STEP / 2);
        let high = eight(y, uv, c);
        for ((plane, low), high) in [&mut *r, &mut *g, &mut *b].into_iter().zip(low).zip(high) {
            store16(plane, x, vcombine_u8(low, high));
        }
    }
}

/// Red, green and blue of eight pixels.
#[inline]
#[target_feature(enable = "neon")]
fn eight(y: int16x8_t, uv: int16x8_t, c: &Coefficients) -> [uint8x8_t; 3] {
    let luma = vqrdmulhq_n_s16(vshlq_n_s16::<7>(vsubq_s16(y, vdupq_n_s16(c.black))), c.y);
    let uv = vshlq_n_s16::<7>(vsubq_s16(uv, vdupq_n_s16(128)));
    let (u, v) = (vtrn1q_s16(uv, uv), vtrn2q_s16(uv, uv));
    let green = vaddq_s16(vqrdmulhq_n_s16(u, c.g_u), vqrdmulhq_n_s16(v, c.g_v));
    [
        vqrshrun_n_s16::<5>(vaddq_s16(luma, vqrdmulhq_n_s16(v, c.r_v))),
        vqrshrun_n_s16::<5>(vaddq_s16(luma, green)),
        vqrshrun_n_s16::<5>(vaddq_s16(luma, vqrdmulhq_n_s16(u, c.b_u))),
    ]
}

#[inline]
#[target_feature(enable = "neon")]
fn signed(x: uint16x8_t) -> int16x8_t {
    vreinterpretq_s16_u16(x)
}

#[inline]
#[target_feature(enable = "neon")]
fn widen(x: uint8x8_t) -> int16x8_t {
    signed(vmovl_u8(x))
}

#[inline]
#[target_feature(enable = "neon")]
fn load16(s: &[u8], at: usize) -> uint8x16_t {
    let bytes = &s[at..at + 16];
    // SAFETY: 16 bytes are there.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn load8(s: &[u8], at: usize) -> uint8x8_t {
    let bytes = &s[at..at + 8];
    // SAFETY: 8 bytes are there.
    unsafe { vld1_u8(bytes.as_ptr()) }
}

/// Four bytes in the lower lanes.
#[inline]
#[target_feature(enable = "neon")]
fn load4(s: &[u8], at: usize) -> uint8x8_t {
    let bytes = &s[at..at + 4];
    vcreate_u8(u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])))
}

#[inline]
#[target_feature(enable = "neon")]
fn store16(s: &mut [u8], at: usize, x: uint8x16_t) {
    let bytes = &mut s[at..at + 16];
    // SAFETY: 16 bytes are there.
    unsafe { vst1q_u8(bytes.as_mut_ptr(), x) }
}
