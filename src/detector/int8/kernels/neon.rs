//! NEON without dot products (Cortex-A53, A72): `smull` and `smlal2` multiply sixteen byte pairs into eight 16-bit sums,
//! `sadalp` adds these pairwise to four 32-bit ones. Two products of −128…127 by −127…127 just fit in 16 bits, so a weight
//! of −128 is not for this kernel (such a layer runs portable). Tiles of 4 pixels × 4 channels, vectors along `k`.
#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::pack::{Layout, Order, Packed, PackedDepthwise, Panel, Tail};
use super::portable::{EXP2, NEWTON, RECIPROCAL, ROUND};
use super::{AddScale, Attention, Kernels, Out, Staged, Table, neon_attention, portable};

/// Runs on every 64-bit ARM processor.
#[derive(Debug)]
pub struct Neon;

/// Pixels of a full tile.
const TILE: usize = 4;

impl Kernels for Neon {
    fn name(&self) -> &'static str {
        "neon"
    }

    fn layout(&self) -> Layout {
        Layout { elem: 1, weight: 1, unit: 16, panel: 4, narrow: 4, shift: 0, order: Order::Plain }
    }

    unsafe fn gemm_unchecked(&self, w: &Packed, input: &Staged<'_>, mut out: Out<'_>) {
        let tiles = input.rows.div_ceil(TILE);
        let (least, longer) = (input.rows / tiles, input.rows % tiles);
        for p in &w.panels {
            let mut row = 0;
            for t in 0..tiles {
                let m = least + usize::from(t < longer);
                // SAFETY: rows `row..row + m` are among the input's, the panel is one of `w`'s.
                unsafe {
                    match m {
                        4 => tile::<4>(w, p, input, row, &mut out),
                        3 => tile::<3>(w, p, input, row, &mut out),
                        2 => tile::<2>(w, p, input, row, &mut out),
                        _ => tile::<1>(w, p, input, row, &mut out),
                    }
                }
                row += m;
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
        // SAFETY: the caller's promise, handed on.
        unsafe { depthwise(w, input, out, stride) }
    }

    fn stage(&self, src: &[i8], dst: &mut [u8]) {
        portable::Portable.stage(src, dst);
    }

    fn lookup(&self, table: &Table, data: &mut [i8]) {
        // SAFETY: NEON is part of every aarch64 processor.
        unsafe { lookup(table, data) }
    }

    fn attention(&self, shape: &Attention, qkv: &[f32], out: &mut [f32], scratch: &mut [f32]) {
        shape.check(qkv, out, scratch);
        if shape.dim == neon_attention::DIM {
            // SAFETY: NEON is part of every aarch64 processor, and the lengths were just checked.
            unsafe { neon_attention::attention(shape, qkv, out, scratch) }
        } else {
            portable::attention(shape, qkv, out, scratch);
        }
    }

    fn add(&self, k: &AddScale, a: &[i8], b: &[i8], out: &mut [i8]) {
        assert!(a.len() == b.len() && b.len() == out.len(), "runs of one length");
        // SAFETY: as above, and the lengths were just checked.
        unsafe { add(k, a, b, out) }
    }
}

#[target_feature(enable = "neon")]
unsafe fn tile<const M: usize>(w: &Packed, p: &Panel, input: &Staged<'_>, row: usize, out: &mut Out<'_>) {
    // SAFETY: offsets stay inside the packed weights and the staged input, which was checked for whole units.
    unsafe {
        let mut acc = [[vdupq_n_s32(0); 4]; M];
        let mut b = w.data.s8().as_ptr().add(p.offset);
        for &segment in input.segments {
            let a = input.data.as_ptr().cast::<i8>().add(segment + row * input.stride);
            for unit in 0..w.groups {
                let weights = [vld1q_s8(b), vld1q_s8(b.add(16)), vld1q_s8(b.add(32)), vld1q_s8(b.add(48))];
                b = b.add(64);
                for (m, acc) in acc.iter_mut().enumerate() {
                    let x = vld1q_s8(a.add(m * input.stride + unit * 16));
                    for (acc, w) in acc.iter_mut().zip(weights) {
                        let products = vmlal_high_s8(vmull_s8(vget_low_s8(x), vget_low_s8(w)), x, w);
                        *acc = vpadalq_s16(*acc, products);
                    }
                }
            }
        }
        // A copy, so that the sums themselves are never addressed and stay in registers.
        let mut done = [[vdupq_n_s32(0); 1]; M];
        for (done, acc) in done.iter_mut().zip(acc) {
            done[0] = vpaddq_s32(vpaddq_s32(acc[0], acc[1]), vpaddq_s32(acc[2], acc[3]));
        }
        store(&done, w, p, row, out);
    }
}

/// The finished sums of `M` pixels from `row` on, `4 · V` channels of the panel, to where they go.
///
/// # Safety
/// The panel has these lanes, and the pixels lie in `out`.
#[target_feature(enable = "neon")]
pub(super) unsafe fn store<const M: usize, const V: usize>(
    sums: &[[int32x4_t; V]; M],
    w: &Packed,
    p: &Panel,
    row: usize,
    out: &mut Out<'_>,
) {
    for (m, sums) in sums.iter().enumerate() {
        // SAFETY: scales and biases of the panel's lanes; no more than its valid channels are read and written.
        unsafe {
            let mut x = [vdupq_n_f32(0.0); V];
            for v in 0..V {
                let lane = p.lane + 4 * v;
                let sum = vaddq_s32(sums[v], vld1q_s32(w.bias.as_ptr().add(lane)));
                let (scale, offset) =
                    (vld1q_f32(w.scale.as_ptr().add(lane)), vld1q_f32(w.offset.as_ptr().add(lane)));
                x[v] = activate(sum, scale, offset, &w.tail);
            }
            match out {
                Out::S8 { to, stride, skip } => {
                    let at = (row + m) * *stride + p.first;
                    let skip = skip.map(|skip| skip.as_ptr().add(at));
                    store_bytes(x, skip, p.valid, &w.tail, to.as_mut_ptr().add(at));
                }
                Out::F32 { to, stride, skip } => {
                    let at = (row + m) * *stride + p.first;
                    let skip = skip.map(|skip| skip.as_ptr().add(at));
                    store_floats(x, skip, p.valid, to.as_mut_ptr().add(at));
                }
            }
        }
    }
}

/// Requantized, with a shortcut where there is one: the first `valid` of `4 · V` channels.
///
/// # Safety
/// So many bytes may be read from `skip` and written to `to`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn store_bytes<const V: usize>(
    mut x: [float32x4_t; V],
    skip: Option<*const i8>,
    valid: usize,
    tail: &Tail,
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
                let four = vdup_n_s32(skip.add(4 * v).cast::<i32>().read_unaligned());
                let s = vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(four)))));
                let s = vsubq_f32(s, vdupq_n_f32(f32::from(tail.skip_zero)));
                *x = vfmaq_f32(*x, s, vdupq_n_f32(tail.skip_scale));
            }
        }
        let target = if whole { to } else { few.as_mut_ptr() };
        for pair in 0..V / 2 {
            vst1_s8(target.add(8 * pair), to_bytes(x[2 * pair], x[2 * pair + 1], tail));
        }
        if V % 2 == 1 {
            let four = vget_lane_s32::<0>(vreinterpret_s32_s8(to_bytes(x[V - 1], x[V - 1], tail)));
            target.add(4 * (V - 1)).cast::<i32>().write_unaligned(four);
        }
        if !whole {
            to.copy_from_nonoverlapping(few.as_ptr(), valid);
        }
    }
}

/// As [`store_bytes`], floats.
///
/// # Safety
/// So many floats may be read from `skip` and written to `to`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn store_floats<const V: usize>(
    mut x: [float32x4_t; V],
    skip: Option<*const f32>,
    valid: usize,
    to: *mut f32,
) {
    let (whole, mut few) = (valid >= 4 * V, [0f32; 16]);
    // SAFETY: as in `store_bytes`.
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

/// Four sums with their bias, scaled and through the activation.
#[inline]
#[target_feature(enable = "neon")]
fn activate(acc: int32x4_t, scale: float32x4_t, offset: float32x4_t, tail: &Tail) -> float32x4_t {
    let x = vfmaq_f32(offset, vcvtq_f32_s32(acc), scale);
    if tail.silu { silu(x) } else { x }
}

/// See `portable::exp2`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn exp2(t: float32x4_t) -> float32x4_t {
    let round = vdupq_n_f32(ROUND);
    let shifted = vaddq_f32(t, round);
    let f = vsubq_f32(t, vsubq_f32(shifted, round));
    let mut p = vdupq_n_f32(EXP2[4]);
    for c in EXP2[..4].iter().rev() {
        p = vfmaq_f32(vdupq_n_f32(*c), p, f);
    }
    let exponent = vshlq_n_u32::<23>(vreinterpretq_u32_f32(shifted));
    vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), exponent))
}

/// See `portable::silu`.
#[inline]
#[target_feature(enable = "neon")]
fn silu(x: float32x4_t) -> float32x4_t {
    let t = vmulq_f32(x, vdupq_n_f32(-std::f32::consts::LOG2_E));
    let t = vminq_f32(vmaxq_f32(t, vdupq_n_f32(-126.0)), vdupq_n_f32(126.0));
    let d = vaddq_f32(vdupq_n_f32(1.0), exp2(t));
    let mut r = vreinterpretq_f32_u32(vsubq_u32(vdupq_n_u32(RECIPROCAL), vreinterpretq_u32_f32(d)));
    for two in NEWTON {
        r = vmulq_f32(r, vfmsq_f32(vdupq_n_f32(two), d, r));
    }
    vmulq_f32(x, r)
}

/// Eight results become bytes.
#[inline]
#[target_feature(enable = "neon")]
fn to_bytes(low: float32x4_t, high: float32x4_t, tail: &Tail) -> int8x8_t {
    let post = vdupq_n_f32(tail.post);
    let low = vqmovn_s32(vcvtnq_s32_f32(vmulq_f32(low, post)));
    let high = vqmovn_s32(vcvtnq_s32_f32(vmulq_f32(high, post)));
    vqmovn_s16(vqaddq_s16(vcombine_s16(low, high), vdupq_n_s16(i16::from(tail.zero_point))))
}

#[target_feature(enable = "neon")]
unsafe fn depthwise(w: &PackedDepthwise, input: &Staged<'_>, out: &mut [i8], stride: usize) {
    let c = w.channels;
    let tail = &w.requant.tail;
    let blocks = if c < 8 { 0 } else { c.div_ceil(8) };
    for block in 0..blocks {
        let start = (block * 8).min(c - 8);
        // SAFETY: eight channels from `start` exist in weights, input and output.
        unsafe {
            let taps: [int8x8_t; 9] = std::array::from_fn(|t| vld1_s8(w.taps.as_ptr().add(t * c + start)));
            let scale = w.requant.scale.as_ptr().add(start);
            let (scale_low, scale_high) = (vld1q_f32(scale), vld1q_f32(scale.add(4)));
            let offset = w.requant.offset.as_ptr().add(start);
            let (offset_low, offset_high) = (vld1q_f32(offset), vld1q_f32(offset.add(4)));
            let bias = w.requant.bias.as_ptr().add(start);
            let (bias_low, bias_high) = (vld1q_s32(bias), vld1q_s32(bias.add(4)));
            for row in 0..input.rows {
                let pixel = |t: usize| {
                    let at = input.segments[t / 3] + row * input.stride + t % 3 * c + start;
                    vld1_s8(input.data.as_ptr().cast::<i8>().add(at))
                };
                let (mut low, mut high) = (bias_low, bias_high);
                for t in (0..8).step_by(2) {
                    let products = vmlal_s8(vmull_s8(pixel(t), taps[t]), pixel(t + 1), taps[t + 1]);
                    low = vaddw_s16(low, vget_low_s16(products));
                    high = vaddw_high_s16(high, products);
                }
                let products = vmull_s8(pixel(8), taps[8]);
                low = vaddw_s16(low, vget_low_s16(products));
                high = vaddw_high_s16(high, products);
                let low = activate(low, scale_low, offset_low, tail);
                let high = activate(high, scale_high, offset_high, tail);
                vst1_s8(out.as_mut_ptr().add(row * stride + start), to_bytes(low, high, tail));
            }
        }
    }
    if blocks == 0 {
        for row in 0..input.rows {
            for channel in 0..c {
                let at = |t: usize| input.segments[t / 3] + row * input.stride + t % 3 * c + channel;
                let tap = |t: usize| i32::from(input.data[at(t)] as i8);
                out[row * stride + channel] = portable::depthwise_one(w, channel, tap);
            }
        }
    }
}

#[target_feature(enable = "neon")]
unsafe fn lookup(table: &Table, data: &mut [i8]) {
    let rows = |first: usize| {
        let row = |r: usize| {
            // SAFETY: sixteen rows of sixteen bytes.
            unsafe { vld1q_s8(table.0.as_ptr().add((first + r) * 16)) }
        };
        int8x16x4_t(row(0), row(1), row(2), row(3))
    };
    let tables = [rows(0), rows(4), rows(8), rows(12)];
    let step = vdupq_n_u8(64);
    let (chunks, rest) = data.as_chunks_mut::<16>();
    for chunk in chunks {
        // SAFETY: the chunk is 16 bytes.
        unsafe {
            let mut index = vld1q_u8(chunk.as_ptr().cast());
            let mut found = vqtbl4q_s8(tables[0], index);
            for t in &tables[1..] {
                index = vsubq_u8(index, step);
                found = vqtbx4q_s8(found, *t, index);
            }
            vst1q_s8(chunk.as_mut_ptr(), found);
        }
    }
    for x in rest {
        *x = table.get(*x);
    }
}

#[target_feature(enable = "neon")]
unsafe fn add(k: &AddScale, a: &[i8], b: &[i8], out: &mut [i8]) {
    let whole = out.len() / 8 * 8;
    let tail = Tail { zero_point: k.zero_point, ..Tail::default() };
    let (ka, kb, kc) = (vdupq_n_f32(k.ka), vdupq_n_f32(k.kb), vdupq_n_f32(k.k));
    for i in (0..whole).step_by(8) {
        // SAFETY: eight bytes from `i` are in all three slices (one length, checked by the caller).
        unsafe {
            let (x, y) = (vmovl_s8(vld1_s8(a.as_ptr().add(i))), vmovl_s8(vld1_s8(b.as_ptr().add(i))));
            let four = |x: int16x4_t, y: int16x4_t| {
                let (x, y) = (vcvtq_f32_s32(vmovl_s16(x)), vcvtq_f32_s32(vmovl_s16(y)));
                vaddq_f32(vmulq_f32(x, ka), vaddq_f32(vmulq_f32(y, kb), kc))
            };
            let low = four(vget_low_s16(x), vget_low_s16(y));
            let high = four(vget_high_s16(x), vget_high_s16(y));
            vst1_s8(out.as_mut_ptr().add(i), to_bytes(low, high, &tail));
        }
    }
    portable::add(k, &a[whole..], &b[whole..], &mut out[whole..]);
}
