//! What becomes of finished sums with NEON: scaled, through SiLU, a shortcut added, to bytes or floats.
//!
//! A tile is finished four or eight channels at a time; making the constants would cost as much as the work itself, so
//! [`Epilogue`] holds them as vectors in memory, made once a call of a kernel. Arrays are walked over with `for`: of
//! `array::map` and `from_fn` the compiler may make calls, with all vectors in memory.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::Out;
use super::pack::{Packed, Panel, Tail};
use super::portable::{EXP2, LIMIT, MONIC, ONE, RECIPROCAL, ROUND, UNIT};

/// The kinds of activation, each with code of its own: none.
pub const LINEAR: u8 = 0;

/// SiLU of values that are known to need no clamps.
pub const BOUNDED: u8 = 1;

/// SiLU of any values.
pub const CLAMPED: u8 = 2;

/// The constants of an epilogue.
pub struct Epilogue {
    silu: Silu,
    zero_point: int16x8_t,
    skip_zero: float32x4_t,
    skip_scale: float32x4_t,
}

/// The constants of SiLU.
struct Silu {
    least: float32x4_t,
    most: float32x4_t,
    round: float32x4_t,
    monic: [float32x4_t; 3],
    one: float32x4_t,
    reciprocal: uint32x4_t,
}

/// The constants of [`Exp2::of`].
pub struct Exp2 {
    round: float32x4_t,
    powers: [float32x4_t; 4],
}

impl Exp2 {
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn new() -> Exp2 {
        Exp2 { round: vdupq_n_f32(ROUND), powers: EXP2.map(|c| vdupq_n_f32(c)) }
    }

    /// `2^t` for `t` in -126…126.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn of(&self, t: float32x4_t) -> float32x4_t {
        let shifted = vaddq_f32(t, self.round);
        let f = vsubq_f32(t, vsubq_f32(shifted, self.round));
        let mut p = self.powers[3];
        for c in self.powers[..3].iter().rev() {
            p = vfmaq_f32(*c, p, f);
        }
        let exponent = vshlq_n_u32::<23>(vreinterpretq_u32_f32(shifted));
        vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), exponent))
    }
}

impl Silu {
    /// `1 / (1 + 2^t)`, over `portable::ONE`: the factor of `t` in `portable::sigmoid_times`.
    #[inline]
    #[target_feature(enable = "neon")]
    fn sigmoid(&self, t: float32x4_t) -> float32x4_t {
        let shifted = vaddq_f32(t, self.round);
        let f = vsubq_f32(t, vsubq_f32(shifted, self.round));
        let [c, b, a] = self.monic;
        let p = vfmaq_f32(c, vfmaq_f32(b, vaddq_f32(f, a), f), f);
        let exponent = vshlq_n_u32::<23>(vreinterpretq_u32_f32(shifted));
        let e = vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), exponent));
        let d = vaddq_f32(self.one, e);
        let mut r = vreinterpretq_f32_u32(vsubq_u32(self.reciprocal, vreinterpretq_u32_f32(d)));
        for _ in 0..2 {
            r = vmulq_f32(r, vrecpsq_f32(d, r));
        }
        r
    }
}

impl Epilogue {
    #[target_feature(enable = "neon")]
    pub fn new(tail: &Tail) -> Epilogue {
        let silu = Silu {
            least: vdupq_n_f32(-LIMIT),
            most: vdupq_n_f32(LIMIT),
            round: vdupq_n_f32(ROUND),
            monic: [vdupq_n_f32(MONIC[0]), vdupq_n_f32(MONIC[1]), vdupq_n_f32(MONIC[2])],
            one: vdupq_n_f32(ONE),
            reciprocal: vdupq_n_u32(RECIPROCAL),
        };
        Epilogue {
            silu,
            zero_point: vdupq_n_s16(i16::from(tail.zero_point)),
            skip_zero: vdupq_n_f32(f32::from(tail.skip_zero)),
            skip_scale: vdupq_n_f32(tail.skip_scale),
        }
    }

    /// The activation, see `portable::activate`.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn activate<const N: usize, const KIND: u8>(&self, mut x: [float32x4_t; N]) -> [float32x4_t; N] {
        if KIND != LINEAR {
            let Silu { least, most, .. } = self.silu;
            for x in &mut x {
                let t = if KIND == CLAMPED { vminq_f32(vmaxq_f32(*x, least), most) } else { *x };
                *x = vmulq_f32(*x, self.silu.sigmoid(t));
            }
        }
        x
    }

    /// Eight results, each times its channel's factor, become bytes.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn to_bytes(&self, [low, high]: [float32x4_t; 2], post: [float32x4_t; 2]) -> int8x8_t {
        requantize(vmulq_f32(low, post[0]), vmulq_f32(high, post[1]), self.zero_point)
    }

    /// Four bytes of a shortcut, added.
    ///
    /// # Safety
    /// They may be read.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn add_skip(&self, x: float32x4_t, skip: *const i8) -> float32x4_t {
        // SAFETY: the caller's promise.
        let four = vdup_n_s32(unsafe { skip.cast::<i32>().read_unaligned() });
        let s = vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(four)))));
        vfmaq_f32(x, vsubq_f32(s, self.skip_zero), self.skip_scale)
    }
}

/// `clamp(round(x) + zero_point)`.
#[inline]
#[target_feature(enable = "neon")]
pub fn requantize(low: float32x4_t, high: float32x4_t, zero_point: int16x8_t) -> int8x8_t {
    let both = vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(low)), vcvtnq_s32_f32(high));
    vqmovn_s16(vqaddq_s16(both, zero_point))
}

/// The finished sums, biases among them, of `M` pixels from `row` on, `4 · V` channels of the panel, to where they go.
///
/// # Safety
/// The panel has these lanes, and the pixels lie in `out`.
#[inline]
#[target_feature(enable = "neon")]
pub unsafe fn store<const M: usize, const V: usize>(
    sums: &[[int32x4_t; V]; M],
    w: &Packed,
    p: &Panel,
    row: usize,
    epilogue: &Epilogue,
    out: &mut Out<'_>,
) {
    // SAFETY: the caller's promise, handed on.
    unsafe {
        match (out, w.tail.silu) {
            (Out::S8 { to, stride, skip }, silu) => {
                let at = row * *stride + p.first;
                let (to, skip) = (to.as_mut_ptr().add(at), skip.map(|skip| skip.as_ptr().add(at)));
                match (silu, p.bounded) {
                    (false, _) => store_bytes::<M, V, LINEAR>(sums, w, p, *stride, epilogue, to, skip),
                    (true, true) => store_bytes::<M, V, BOUNDED>(sums, w, p, *stride, epilogue, to, skip),
                    (true, false) => store_bytes::<M, V, CLAMPED>(sums, w, p, *stride, epilogue, to, skip),
                }
            }
            (Out::F32 { to, stride, skip }, silu) => {
                let at = row * *stride + p.first;
                let (to, skip) = (to.as_mut_ptr().add(at), skip.map(|skip| skip.as_ptr().add(at)));
                match silu {
                    false => store_floats::<M, V, LINEAR>(sums, w, p, *stride, epilogue, to, skip),
                    true => store_floats::<M, V, CLAMPED>(sums, w, p, *stride, epilogue, to, skip),
                }
            }
        }
    }
}

/// A pixel's sums, scaled and through the activation.
///
/// # Safety
/// The panel has these lanes.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn finish<const V: usize, const KIND: u8>(
    sums: [int32x4_t; V],
    w: &Packed,
    p: &Panel,
    epilogue: &Epilogue,
) -> [float32x4_t; V] {
    let mut x = [vdupq_n_f32(0.0); V];
    for v in 0..V {
        let lane = p.lane + 4 * v;
        // SAFETY: the caller's promise.
        let [offset, scale] =
            unsafe { [vld1q_f32(w.offset.as_ptr().add(lane)), vld1q_f32(w.scale.as_ptr().add(lane))] };
        x[v] = vfmaq_f32(offset, vcvtq_f32_s32(sums[v]), scale);
    }
    epilogue.activate::<V, KIND>(x)
}

/// [`store`] to bytes.
///
/// # Safety
/// As for [`store`]; `to` and `skip` are where the first pixel lies.
#[inline(never)]
#[target_feature(enable = "neon")]
unsafe fn store_bytes<const M: usize, const V: usize, const KIND: u8>(
    sums: &[[int32x4_t; V]; M],
    w: &Packed,
    p: &Panel,
    stride: usize,
    epilogue: &Epilogue,
    to: *mut i8,
    skip: Option<*const i8>,
) {
    // SAFETY: scales of the panel's lanes; no more than its valid channels are read and written.
    unsafe {
        if V == 1 {
            return fours::<M, V, KIND>(sums, w, p, stride, epilogue, to, skip);
        }
        for (m, sums) in sums.iter().enumerate() {
            let post = w.post.as_ptr().add(p.lane);
            let skip = skip.map(|skip| skip.add(m * stride));
            bytes(
                finish::<V, KIND>(*sums, w, p, epilogue),
                post,
                skip,
                p.valid,
                epilogue,
                to.add(m * stride),
            );
        }
    }
}

/// [`store`] to floats.
///
/// # Safety
/// As for [`store`]; `to` and `skip` are where the first pixel lies.
#[inline(never)]
#[target_feature(enable = "neon")]
unsafe fn store_floats<const M: usize, const V: usize, const KIND: u8>(
    sums: &[[int32x4_t; V]; M],
    w: &Packed,
    p: &Panel,
    stride: usize,
    epilogue: &Epilogue,
    to: *mut f32,
    skip: Option<*const f32>,
) {
    // SAFETY: as in `store_bytes`.
    unsafe {
        for (m, sums) in sums.iter().enumerate() {
            let mut x = finish::<V, KIND>(*sums, w, p, epilogue);
            if KIND != LINEAR {
                for x in &mut x {
                    *x = vmulq_f32(*x, vdupq_n_f32(UNIT));
                }
            }
            floats(x, skip.map(|skip| skip.add(m * stride)), p.valid, to.add(m * stride));
        }
    }
}

/// Requantized, with a shortcut where there is one: the first `valid` of `4 · V` channels of a pixel.
///
/// # Safety
/// So many bytes may be read from `skip` and written to `to`, and `4 · V` factors read from `post`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn bytes<const V: usize>(
    mut x: [float32x4_t; V],
    post: *const f32,
    skip: Option<*const i8>,
    valid: usize,
    epilogue: &Epilogue,
    to: *mut i8,
) {
    let (whole, mut few) = (valid >= 4 * V, [0i8; 16]);
    // SAFETY: the caller's promise; where some channels are padding, all goes through `few`.
    unsafe {
        if let Some(skip) = skip {
            if !whole {
                few.as_mut_ptr().copy_from_nonoverlapping(skip, valid);
            }
            let skip = if whole { skip } else { few.as_ptr() };
            for (v, x) in x.iter_mut().enumerate() {
                *x = epilogue.add_skip(*x, skip.add(4 * v));
            }
        }
        let target = if whole { to } else { few.as_mut_ptr() };
        for pair in 0..V / 2 {
            let post = [vld1q_f32(post.add(8 * pair)), vld1q_f32(post.add(8 * pair + 4))];
            vst1_s8(target.add(8 * pair), epilogue.to_bytes([x[2 * pair], x[2 * pair + 1]], post));
        }
        if !whole {
            to.copy_from_nonoverlapping(few.as_ptr(), valid);
        }
    }
}

/// Four channels a pixel, two pixels at a time.
///
/// # Safety
/// As for [`store`]; `to` and `skip` are where the first pixel lies.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn fours<const M: usize, const V: usize, const KIND: u8>(
    sums: &[[int32x4_t; V]; M],
    w: &Packed,
    p: &Panel,
    stride: usize,
    epilogue: &Epilogue,
    to: *mut i8,
    skip: Option<*const i8>,
) {
    // SAFETY: as in `bytes`.
    unsafe {
        let scale = vld1q_f32(w.scale.as_ptr().add(p.lane));
        let offset = vld1q_f32(w.offset.as_ptr().add(p.lane));
        let post = vld1q_f32(w.post.as_ptr().add(p.lane));
        for m in (0..M).step_by(2) {
            let both = [m, (m + 1).min(M - 1)];
            let mut x = [offset; 2];
            for (x, m) in x.iter_mut().zip(both) {
                *x = vfmaq_f32(offset, vcvtq_f32_s32(sums[m][0]), scale);
            }
            let mut x = epilogue.activate::<2, KIND>(x);
            if let Some(skip) = skip {
                for (x, m) in x.iter_mut().zip(both) {
                    let (mut few, skip) = ([0i8; 4], skip.add(m * stride));
                    let whole = p.valid == 4;
                    if !whole {
                        few.as_mut_ptr().copy_from_nonoverlapping(skip, p.valid);
                    }
                    *x = epilogue.add_skip(*x, if whole { skip } else { few.as_ptr() });
                }
            }
            let done = vreinterpret_s32_s8(epilogue.to_bytes(x, [post; 2]));
            let pixels = [vget_lane_s32::<0>(done), vget_lane_s32::<1>(done)];
            for (four, m) in pixels.into_iter().zip(both) {
                let to = to.add(m * stride);
                if p.valid == 4 {
                    to.cast::<i32>().write_unaligned(four);
                } else {
                    to.copy_from_nonoverlapping(four.to_ne_bytes().as_ptr().cast(), p.valid);
                }
            }
        }
    }
}

/// As [`bytes`], floats.
///
/// # Safety
/// So many floats may be read from `skip` and written to `to`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn floats<const V: usize>(
    mut x: [float32x4_t; V],
    skip: Option<*const f32>,
    valid: usize,
    to: *mut f32,
) {
    let (whole, mut few) = (valid >= 4 * V, [0f32; 16]);
    // SAFETY: as in `bytes`.
    unsafe {
        if let Some(skip) = skip {
            if !whole {
                few.as_mut_ptr().copy_from_nonoverlapping(skip, valid);
            }
            let skip = if whole { skip } else { few.as_ptr() };
            for (v, x) in x.iter_mut().enumerate() {
                *x = vaddq_f32(*x, vld1q_f32(skip.add(4 * v)));
            }
        }
        let target = if whole { to } else { few.as_mut_ptr() };
        for (v, x) in x.iter().enumerate() {
            vst1q_f32(target.add(4 * v), *x);
        }
        if !whole {
            to.copy_from_nonoverlapping(few.as_ptr(), valid);
        }
    }
}
