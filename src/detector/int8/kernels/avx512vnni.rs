//! AVX-512 with VNNI: `vpdpbusd` multiplies four unsigned by four signed bytes into each of sixteen 32-bit sums. Activations
//! are staged with 128 added; the packed bias takes 128 times the weights' sum away. Tiles of 12 pixels × 32 channels.
//! What is no product (depthwise, tables, additions) runs as on AVX2.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::avx2::{self, Avx2};
use super::pack::{Layout, Order, Packed, PackedDepthwise, Panel};
use super::{AddScale, Attention, Kernels, Out, Staged, Table};

/// Runs where the processor has AVX-512 F, BW, VL and VNNI.
#[derive(Debug)]
pub struct Avx512Vnni;

impl Avx512Vnni {
    /// Whether the processor has the instructions.
    pub fn runs_here() -> bool {
        Avx2::runs_here()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
    }
}

/// Pixels of a full tile.
const TILE: usize = 12;

impl Kernels for Avx512Vnni {
    fn name(&self) -> &'static str {
        "avx512vnni"
    }

    fn layout(&self) -> Layout {
        Layout { elem: 1, weight: 1, unit: 4, panel: 32, narrow: 16, shift: 128, order: Order::Plain }
    }

    fn depthwise_order(&self) -> Order {
        Avx2.depthwise_order()
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
        // SAFETY: the caller's promise, handed on; loads are 16 bytes, inside the checked run.
        unsafe { avx2::depthwise::<1>(w, input, out, stride) }
    }

    fn stage(&self, src: &[i8], dst: &mut [u8]) {
        for (d, &s) in dst.iter_mut().zip(src) {
            *d = s as u8 ^ 0x80;
        }
    }

    fn lookup(&self, table: &Table, data: &mut [i8]) {
        Avx2.lookup(table, data);
    }

    fn add(&self, k: &AddScale, a: &[i8], b: &[i8], out: &mut [i8]) {
        Avx2.add(k, a, b, out);
    }

    fn attention(&self, shape: &Attention, qkv: &[f32], out: &mut [f32], scratch: &mut [f32]) {
        Avx2.attention(shape, qkv, out, scratch);
    }
}

macro_rules! by_rows {
    ($m:expr, $v:literal, $args:tt; $($n:literal)*) => {
        match $m {
            $($n => tile::<$n, $v> $args,)*
            _ => unreachable!("a tile has 1 to 12 pixels"),
        }
    };
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn gemm(w: &Packed, input: &Staged<'_>, mut out: Out<'_>) {
    let tiles = input.rows.div_ceil(TILE);
    let (least, longer) = (input.rows / tiles, input.rows % tiles);
    for p in &w.panels {
        let mut row = 0;
        for t in 0..tiles {
            let m = least + usize::from(t < longer);
            // SAFETY: rows `row..row + m` are among the input's, the panel is one of `w`'s.
            unsafe {
                if p.width == 32 {
                    by_rows!(m, 2, (w, p, input, row, &mut out); 1 2 3 4 5 6 7 8 9 10 11 12);
                } else {
                    by_rows!(m, 1, (w, p, input, row, &mut out); 1 2 3 4 5 6 7 8 9 10 11 12);
                }
            }
            row += m;
        }
    }
}

/// `M` pixels × `V` vectors of sixteen channels.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile<const M: usize, const V: usize>(
    w: &Packed,
    p: &Panel,
    input: &Staged<'_>,
    row: usize,
    out: &mut Out<'_>,
) {
    // SAFETY: offsets stay inside the packed weights, the staged input (checked for all rows and whole units) and the
    // scale and bias arrays, which have `V * 16` entries from `p.lane`; stores are masked to the valid channels.
    unsafe {
        let mut acc = [[_mm512_setzero_si512(); V]; M];
        let mut b = w.data.bytes().as_ptr().add(p.offset).cast::<__m512i>();
        for &segment in input.segments {
            let a = input.data.as_ptr().add(segment + row * input.stride);
            for unit in 0..w.groups {
                let weights: [__m512i; V] = std::array::from_fn(|v| _mm512_loadu_si512(b.add(v)));
                b = b.add(V);
                for (m, acc) in acc.iter_mut().enumerate() {
                    let four = a.add(m * input.stride + unit * 4).cast::<i32>().read_unaligned();
                    let four = _mm512_set1_epi32(four);
                    for v in 0..V {
                        acc[v] = _mm512_dpbusd_epi32(acc[v], four, weights[v]);
                    }
                }
            }
        }
        let top = _mm512_set1_ps(32767.0);
        let zero_point = _mm256_set1_epi16(i16::from(w.zero_point));
        for v in 0..V {
            let left = p.valid.saturating_sub(v * 16).min(16);
            let mask = ((1u32 << left) - 1) as __mmask16;
            let scale = _mm512_loadu_ps(w.scale.as_ptr().add(p.lane + v * 16));
            let bias = _mm512_loadu_si512(w.bias.as_ptr().add(p.lane + v * 16).cast());
            for (m, acc) in acc.iter().enumerate() {
                let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(acc[v], bias)), scale);
                match out {
                    Out::S8(o, stride) => {
                        let words = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(_mm512_min_ps(scaled, top)));
                        let bytes = _mm256_cvtsepi16_epi8(_mm256_adds_epi16(words, zero_point));
                        let to = o.as_mut_ptr().wrapping_add((row + m) * *stride + p.first + v * 16);
                        _mm_mask_storeu_epi8(to, mask, bytes);
                    }
                    Out::F32(o, stride) => {
                        let to = o.as_mut_ptr().wrapping_add((row + m) * *stride + p.first + v * 16);
                        _mm512_mask_storeu_ps(to, mask, scaled);
                    }
                }
            }
        }
    }
}
