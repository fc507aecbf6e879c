//! NEON with matrix products of bytes (FEAT_I8MM: Cortex-A510, A710, X2, Neoverse V1 and newer): `smmla` multiplies two pixels by two
//! channels along eight bytes, 32 products an instruction. Tiles of 4 pixels × 16 channels in 16 registers of 2 × 2
//! sums. What is no product runs as with dot products.
//!
//! The intrinsic is not stable yet, the instruction in `asm!` is.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::neon_dotprod::NeonDotprod;
use super::neon_epilogue::{Epilogue, store};
use super::pack::{Layout, Order, Packed, PackedDepthwise, Panel};
use super::{AddScale, Attention, Kernels, Out, Staged, Table};

/// Runs where the processor has `i8mm` and `asimddp`.
#[derive(Debug)]
pub struct NeonI8mm;

impl NeonI8mm {
    /// Whether the processor has the instructions.
    pub fn runs_here() -> bool {
        std::arch::is_aarch64_feature_detected!("i8mm") && std::arch::is_aarch64_feature_detected!("dotprod")
    }
}

/// Pixels of a full tile.
const TILE: usize = 4;

impl Kernels for NeonI8mm {
    fn name(&self) -> &'static str {
        "neon-i8mm"
    }

    fn layout(&self) -> Layout {
        Layout { elem: 1, weight: 1, unit: 8, panel: 16, narrow: 8, shift: 0, order: Order::Plain }
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
        unsafe { NeonDotprod.depthwise_unchecked(w, input, out, stride) }
    }

    fn stage(&self, src: &[i8], dst: &mut [u8]) {
        NeonDotprod.stage(src, dst);
    }

    fn lookup(&self, table: &Table, data: &mut [i8]) {
        NeonDotprod.lookup(table, data);
    }

    fn add(&self, k: &AddScale, a: &[i8], b: &[i8], out: &mut [i8]) {
        NeonDotprod.add(k, a, b, out);
    }

    fn attention(&self, shape: &Attention, qkv: &[f32], out: &mut [f32], scratch: &mut [f32]) {
        NeonDotprod.attention(shape, qkv, out, scratch);
    }
}

#[target_feature(enable = "neon,i8mm")]
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
                    (4, 16) => tile::<4, 2, 8, 4>(w, p, input, row, &epilogue, &mut out),
                    (3, 16) => tile::<3, 2, 8, 4>(w, p, input, row, &epilogue, &mut out),
                    (2, 16) => tile::<2, 1, 8, 4>(w, p, input, row, &epilogue, &mut out),
                    (1, 16) => tile::<1, 1, 8, 4>(w, p, input, row, &epilogue, &mut out),
                    (4, _) => tile::<4, 2, 4, 2>(w, p, input, row, &epilogue, &mut out),
                    (3, _) => tile::<3, 2, 4, 2>(w, p, input, row, &epilogue, &mut out),
                    (2, _) => tile::<2, 1, 4, 2>(w, p, input, row, &epilogue, &mut out),
                    _ => tile::<1, 1, 4, 2>(w, p, input, row, &epilogue, &mut out),
                }
            }
            row += m;
        }
    }
}

/// `acc` (2 × 2, by rows) `+= x · wᵀ`, both 2 × 8, by rows.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn product(acc: int32x4_t, x: int8x16_t, w: int8x16_t) -> int32x4_t {
    let mut sum = acc;
    // SAFETY: one instruction on registers, which this function's features promise.
    unsafe {
        asm!(
            "smmla {s:v}.4s, {x:v}.16b, {w:v}.16b",
            s = inout(vreg) sum, x = in(vreg) x, w = in(vreg) w,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// `M` pixels, in `P` pairs, × `C` pairs of channels, which are `V` vectors of four. The second half of a pair that has
/// only one pixel is that pixel once more.
#[target_feature(enable = "neon,i8mm")]
unsafe fn tile<const M: usize, const P: usize, const C: usize, const V: usize>(
    w: &Packed,
    p: &Panel,
    input: &Staged<'_>,
    row: usize,
    epilogue: &Epilogue,
    out: &mut Out<'_>,
) {
    // SAFETY: offsets stay inside the packed weights and the staged input, which was checked for whole units.
    unsafe {
        // Two channels' biases for both pixels of a pair.
        let mut bias = [vdupq_n_s32(0); C];
        for (c, bias) in bias.iter_mut().enumerate() {
            let two = vld1_s32(w.bias.as_ptr().add(p.lane + 2 * c));
            *bias = vcombine_s32(two, two);
        }
        let mut acc: [[int32x4_t; C]; P] = [bias; P];
        let mut b = w.data.s8().as_ptr().add(p.offset);
        for &segment in input.segments {
            let a = input.data.as_ptr().cast::<i8>().add(segment + row * input.stride);
            let pixel = |m: usize| a.add(m.min(M - 1) * input.stride);
            for two in 0..w.groups / 2 {
                let [mut first, mut second] = [[vdupq_n_s8(0); P]; 2];
                for i in 0..P {
                    let load = |m| vreinterpretq_s64_s8(vld1q_s8(pixel(m).add(two * 16)));
                    let (x, y) = (load(2 * i), load(2 * i + 1));
                    first[i] = vreinterpretq_s8_s64(vzip1q_s64(x, y));
                    second[i] = vreinterpretq_s8_s64(vzip2q_s64(x, y));
                }
                for x in [first, second] {
                    for c in 0..C {
                        let weights = vld1q_s8(b.add(c * 16));
                        for i in 0..P {
                            acc[i][c] = product(acc[i][c], x[i], weights);
                        }
                    }
                    b = b.add(C * 16);
                }
            }
            if w.groups % 2 == 1 {
                let mut x = [vdupq_n_s8(0); P];
                for (i, x) in x.iter_mut().enumerate() {
                    let load = |m| vld1_s8(pixel(m).add((w.groups - 1) * 8));
                    *x = vcombine_s8(load(2 * i), load(2 * i + 1));
                }
                for c in 0..C {
                    let weights = vld1q_s8(b.add(c * 16));
                    for i in 0..P {
                        acc[i][c] = product(acc[i][c], x[i], weights);
                    }
                }
                b = b.add(C * 16);
            }
        }
        // A copy, so that the sums themselves are never addressed and stay in registers; a pixel's sums come together.
        let mut done = [[vdupq_n_s32(0); V]; M];
        for m in 0..M {
            for v in 0..V {
                let pair = |c: usize| vreinterpretq_s64_s32(acc[m / 2][c]);
                let (x, y) = (pair(2 * v), pair(2 * v + 1));
                let four = if m % 2 == 0 { vzip1q_s64(x, y) } else { vzip2q_s64(x, y) };
                done[m][v] = vreinterpretq_s32_s64(four);
            }
        }
        store(&done, w, p, row, epilogue, out);
    }
}
