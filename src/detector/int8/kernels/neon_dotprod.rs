//! NEON with dot products (Cortex-A55, A76 and newer): `sdot` adds four byte products to each of four 32-bit sums, the
//! activations taken by element. Tiles of 6 pixels × 16 channels in 24 registers. Attention is in half
//! precision where the core has it (A55, A76 and newer do); what else is no product runs as on NEON.
//!
//! The intrinsic is not stable yet, the instruction in `asm!` is.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::neon::Neon;
use super::neon_epilogue::{Epilogue, store};
use super::pack::{Layout, Order, Packed, PackedDepthwise, Panel};
use super::{AddScale, Attention, Kernels, Out, Staged, Table, heads, neon_half};

/// Runs where the processor has `asimddp`.
#[derive(Debug)]
pub struct NeonDotprod;

/// Pixels of a full tile.
const TILE: usize = 6;

impl Kernels for NeonDotprod {
    fn name(&self) -> &'static str {
        "neon-dotprod"
    }

    fn layout(&self) -> Layout {
        Layout { elem: 1, weight: 1, unit: 4, panel: 16, narrow: 8, shift: 0, order: Order::Plain }
    }

    unsafe fn gemm_unchecked(&self, w: &Packed, input: &Staged<'_>, out: Out<'_>) {
        // SAFETY: the caller's promise, handed on.
        unsafe { gemm(w, input, out) }
    }

    unsafe fn depthwise_unchecked(
        &self,
        w: &PackedDepthwise,
        input: &Staged<'_>,
        out: &mut [i8],
        stride: usize,
    ) {
        // SAFETY: the caller's promise, handed on.
        unsafe { Neon.depthwise_unchecked(w, input, out, stride) }
    }

    fn stage(&self, src: &[i8], dst: &mut [u8]) {
        Neon.stage(src, dst);
    }

    fn lookup(&self, table: &Table, data: &mut [i8]) {
        Neon.lookup(table, data);
    }

    fn add(&self, k: &AddScale, a: &[i8], b: &[i8], out: &mut [i8]) {
        Neon.add(k, a, b, out);
    }

    fn attention(&self, shape: &Attention, qkv: &[f32], out: &mut [f32], scratch: &mut [f32]) {
        shape.check(qkv, out, scratch);
        if shape.dim == heads::DIM && std::arch::is_aarch64_feature_detected!("fp16") {
            // SAFETY: the processor has FEAT_FP16, and the lengths were just checked.
            unsafe { neon_half::attention(shape, qkv, out, scratch) }
        } else {
            Neon.attention(shape, qkv, out, scratch);
        }
    }
}

#[target_feature(enable = "neon,dotprod")]
unsafe fn gemm(w: &Packed, input: &Staged<'_>, mut out: Out<'_>) {
    let epilogue = Epilogue::new(&w.tail);
    let tiles = input.rows.div_ceil(TILE);
    let (least, longer) = (input.rows / tiles, input.rows % tiles);
    for p in &w.panels {
        let mut row = 0;
        for t in 0..tiles {
            let m = least + usize::from(t < longer);
            // SAFETY: rows `row..row + m` are among the input's, the panel is one of `w`'s.
            unsafe {
                match (m, p.width) {
                    (6, 16) => tile::<6, 4>(w, p, input, row, &epilogue, &mut out),
                    (5, 16) => tile::<5, 4>(w, p, input, row, &epilogue, &mut out),
                    (4, 16) => tile::<4, 4>(w, p, input, row, &epilogue, &mut out),
                    (3, 16) => tile::<3, 4>(w, p, input, row, &epilogue, &mut out),
                    (2, 16) => tile::<2, 4>(w, p, input, row, &epilogue, &mut out),
                    (1, 16) => tile::<1, 4>(w, p, input, row, &epilogue, &mut out),
                    (6, _) => tile::<6, 2>(w, p, input, row, &epilogue, &mut out),
                    (5, _) => tile::<5, 2>(w, p, input, row, &epilogue, &mut out),
                    (4, _) => tile::<4, 2>(w, p, input, row, &epilogue, &mut out),
                    (3, _) => tile::<3, 2>(w, p, input, row, &epilogue, &mut out),
                    (2, _) => tile::<2, 2>(w, p, input, row, &epilogue, &mut out),
                    _ => tile::<1, 2>(w, p, input, row, &epilogue, &mut out),
                }
            }
            row += m;
        }
    }
}

/// `acc[i] += weights[4i..4i + 4] · x[4 * LANE..4 * LANE + 4]`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot<const LANE: i32>(acc: int32x4_t, weights: int8x16_t, x: int8x16_t) -> int32x4_t {
    let mut sum = acc;
    // SAFETY: one instruction on registers, which this function's features promise.
    unsafe {
        asm!(
            "sdot {s:v}.4s, {w:v}.16b, {x:v}.4b[{lane}]",
            s = inout(vreg) sum, w = in(vreg) weights, x = in(vreg) x, lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// `M` pixels × `V` vectors of four channels.
#[target_feature(enable = "neon,dotprod")]
unsafe fn tile<const M: usize, const V: usize>(
    w: &Packed,
    p: &Panel,
    input: &Staged<'_>,
    row: usize,
    epilogue: &Epilogue,
    out: &mut Out<'_>,
) {
    // SAFETY: offsets stay inside the packed weights and the staged input, which was checked for whole units.
    unsafe {
        let mut bias = [vdupq_n_s32(0); V];
        for (v, bias) in bias.iter_mut().enumerate() {
            *bias = vld1q_s32(w.bias.as_ptr().add(p.lane + 4 * v));
        }
        let mut acc: [[int32x4_t; V]; M] = [bias; M];
        let mut b = w.data.s8().as_ptr().add(p.offset);
        for &segment in input.segments {
            let a = input.data.as_ptr().cast::<i8>().add(segment + row * input.stride);
            for four in 0..w.groups / 4 {
                let mut x = [vdupq_n_s8(0); M];
                for (m, x) in x.iter_mut().enumerate() {
                    *x = vld1q_s8(a.add(m * input.stride + four * 16));
                }
                macro_rules! step {
                    ($lane:literal) => {
                        for v in 0..V {
                            let weights = vld1q_s8(b.add(v * 16));
                            for m in 0..M {
                                acc[m][v] = dot::<$lane>(acc[m][v], weights, x[m]);
                            }
                        }
                        b = b.add(V * 16);
                    };
                }
                step!(0);
                step!(1);
                step!(2);
                step!(3);
            }
            for unit in w.groups / 4 * 4..w.groups {
                let mut x = [vdupq_n_s8(0); M];
                for (m, x) in x.iter_mut().enumerate() {
                    let four = a.add(m * input.stride + unit * 4).cast::<i32>().read_unaligned();
                    *x = vreinterpretq_s8_s32(vdupq_n_s32(four));
                }
                for v in 0..V {
                    let weights = vld1q_s8(b.add(v * 16));
                    for m in 0..M {
                        acc[m][v] = dot::<0>(acc[m][v], weights, x[m]);
                    }
                }
                b = b.add(V * 16);
            }
        }
        // A copy, so that the sums themselves are never addressed and stay in registers.
        let done = acc;
        store(&done, w, p, row, epilogue, out);
    }
}
