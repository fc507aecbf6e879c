//! NEON without dot products (Cortex-A53, A72): `smull` and `smlal2` multiply sixteen byte pairs into eight 16-bit sums,
//! `sadalp` adds these pairwise to four 32-bit ones. Two products of −128…127 by −127…127 just fit in 16 bits, so a weight
//! of −128 is not for this kernel (such a layer runs portable). Tiles of 4 pixels × 4 channels, vectors along `k`: with
//! more, the compiler keeps sums in memory.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::neon_epilogue::{BOUNDED, CLAMPED, Epilogue, LINEAR, requantize, store};
use super::pack::{Layout, Order, Packed, PackedDepthwise, Panel};
use super::{AddScale, Attention, Kernels, Out, Staged, Table, heads, neon_attention, portable};

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
        // SAFETY: NEON is part of every aarch64 processor.
        let epilogue = unsafe { Epilogue::new(&w.tail) };
        let tiles = input.rows.div_ceil(TILE);
        let (least, longer) = (input.rows / tiles, input.rows % tiles);
        for p in &w.panels {
            let mut row = 0;
            for t in 0..tiles {
                let m = least + usize::from(t < longer);
                // SAFETY: rows `row..row + m` are among the input's, the panel is one of `w`'s.
                unsafe {
                    match m {
                        4 => tile::<4>(w, p, input, row, &epilogue, &mut out),
                        3 => tile::<3>(w, p, input, row, &epilogue, &mut out),
                        2 => tile::<2>(w, p, input, row, &epilogue, &mut out),
                        _ => tile::<1>(w, p, input, row, &epilogue, &mut out),
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
        if shape.dim == heads::DIM {
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
unsafe fn tile<const M: usize>(
    w: &Packed,
    p: &Panel,
    input: &Staged<'_>,
    row: usize,
    epilogue: &Epilogue,
    out: &mut Out<'_>,
) {
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
        let bias = vld1q_s32(w.bias.as_ptr().add(p.lane));
        let mut done = [[vdupq_n_s32(0); 1]; M];
        for (done, acc) in done.iter_mut().zip(acc) {
            let sums = vpaddq_s32(vpaddq_s32(acc[0], acc[1]), vpaddq_s32(acc[2], acc[3]));
            done[0] = vaddq_s32(bias, sums);
        }
        store(&done, w, p, row, epilogue, out);
    }
}

#[target_feature(enable = "neon")]
unsafe fn depthwise(w: &PackedDepthwise, input: &Staged<'_>, out: &mut [i8], stride: usize) {
    let c = w.channels;
    let epilogue = Epilogue::new(&w.requant.tail);
    let blocks = if c < 8 { 0 } else { c.div_ceil(8) };
    for block in 0..blocks {
        let start = (block * 8).min(c - 8);
        let bounded = w.bounded[start..start + 8].iter().all(|&bounded| bounded);
        let out = &mut out[start..];
        // SAFETY: eight channels from `start` exist in weights, input and output.
        unsafe {
            match (w.requant.tail.silu, bounded) {
                (false, _) => depthwise8::<LINEAR>(w, input, start, &epilogue, out, stride),
                (true, true) => depthwise8::<BOUNDED>(w, input, start, &epilogue, out, stride),
                (true, false) => depthwise8::<CLAMPED>(w, input, start, &epilogue, out, stride),
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

/// Eight channels from `start` on; `out` is where the first pixel's lie.
///
/// # Safety
/// They exist in weights, input and output.
#[inline(never)]
#[target_feature(enable = "neon")]
unsafe fn depthwise8<const KIND: u8>(
    w: &PackedDepthwise,
    input: &Staged<'_>,
    start: usize,
    epilogue: &Epilogue,
    out: &mut [i8],
    stride: usize,
) {
    let c = w.channels;
    // SAFETY: the caller's promise.
    unsafe {
        let mut taps = [vdup_n_s8(0); 9];
        for (t, tap) in taps.iter_mut().enumerate() {
            *tap = vld1_s8(w.taps.as_ptr().add(t * c + start));
        }
        let scale = w.requant.scale.as_ptr().add(start);
        let (scale_low, scale_high) = (vld1q_f32(scale), vld1q_f32(scale.add(4)));
        let offset = w.requant.offset.as_ptr().add(start);
        let (offset_low, offset_high) = (vld1q_f32(offset), vld1q_f32(offset.add(4)));
        let post = w.requant.post.as_ptr().add(start);
        let post = [vld1q_f32(post), vld1q_f32(post.add(4))];
        let bias = w.requant.bias.as_ptr().add(start);
        let (bias_low, bias_high) = (vld1q_s32(bias), vld1q_s32(bias.add(4)));
        let data = input.data.as_ptr().cast::<i8>().add(start);
        let [first, second, third] = input.segments else { unreachable!("a depthwise kernel is three high") };
        let mut lines = [data.add(*first), data.add(*second), data.add(*third)];
        for row in 0..input.rows {
            for line in &mut lines {
                // No instruction: it hides how a line moves on from the compiler, which would walk nine pointers.
                asm!("/* {0} */", inout(reg) * line, options(pure, nomem, nostack, preserves_flags));
            }
            let pixel = |t: usize| vld1_s8(lines[t / 3].add(t % 3 * c));
            let (mut low, mut high) = (bias_low, bias_high);
            for t in (0..8).step_by(2) {
                let products = vmlal_s8(vmull_s8(pixel(t), taps[t]), pixel(t + 1), taps[t + 1]);
                low = vaddw_s16(low, vget_low_s16(products));
                high = vaddw_high_s16(high, products);
            }
            let products = vmull_s8(pixel(8), taps[8]);
            low = vaddw_s16(low, vget_low_s16(products));
            high = vaddw_high_s16(high, products);
            let low = vfmaq_f32(offset_low, vcvtq_f32_s32(low), scale_low);
            let high = vfmaq_f32(offset_high, vcvtq_f32_s32(high), scale_high);
            let done = epilogue.to_bytes(epilogue.activate::<2, KIND>([low, high]), post);
            vst1_s8(out.as_mut_ptr().add(row * stride), done);
            for line in &mut lines {
                *line = line.wrapping_add(input.stride);
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
    let zero_point = vdupq_n_s16(i16::from(k.zero_point));
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
            vst1_s8(out.as_mut_ptr().add(i), requantize(low, high, zero_point));
        }
    }
    portable::add(k, &a[whole..], &b[whole..], &mut out[whole..]);
}
