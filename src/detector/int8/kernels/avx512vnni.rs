//! AVX-512 with VNNI: `vpdpbusd` multiplies four unsigned by four signed bytes into each of sixteen 32-bit sums. Activations
//! are staged with 128 added; the packed bias takes 128 times the weights' sum away. Tiles of 12 pixels × 32 channels.
//! Attention has a file of its own; what else is no product (depthwise, tables, additions) runs as on AVX2.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::avx2::{self, Avx2};
use super::avx512_attention;
use super::floats::{Norm, NormOut};
use super::pack::{Layout, Order, Packed, PackedDepthwise, Panel, Tail};
use super::portable::{self, LIMIT, MONIC, ONE, RECIPROCAL, ROUND, UNIT};
use super::{AddScale, Attention, Kernels, Out, Staged, Table, heads};

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

    fn quantize(&self, x: &[f32], scale: f32, zero_point: i8, out: &mut [i8]) {
        Avx2.quantize(x, scale, zero_point, out);
    }

    fn layer_norm(&self, norm: &Norm<'_>, x: &[f32], out: NormOut<'_>) {
        Avx2.layer_norm(norm, x, out);
    }

    fn attention(&self, shape: &Attention, qkv: &[f32], out: &mut [f32], scratch: &mut [f32]) {
        shape.check(qkv, out, scratch);
        if shape.dim == heads::DIM {
            // SAFETY: AVX-512 F is here, and the lengths were just checked.
            unsafe { avx512_attention::attention(shape, qkv, out, scratch) }
        } else {
            portable::attention(shape, qkv, out, scratch);
        }
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
        // A copy to walk over, so that the sums themselves are never addressed and stay in registers.
        let done = acc;
        for v in 0..V {
            let left = p.valid.saturating_sub(v * 16).min(16);
            let mask = ((1u32 << left) - 1) as __mmask16;
            let scale = _mm512_loadu_ps(w.scale.as_ptr().add(p.lane + v * 16));
            let bias = _mm512_loadu_si512(w.bias.as_ptr().add(p.lane + v * 16).cast());
            let offset = _mm512_loadu_ps(w.offset.as_ptr().add(p.lane + v * 16));
            let post = _mm512_loadu_ps(w.post.as_ptr().add(p.lane + v * 16));
            for (m, acc) in done.iter().enumerate() {
                let x = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(acc[v], bias)), scale, offset);
                let x = if w.tail.silu { sigmoid_times(x) } else { x };
                match out {
                    Out::S8 { to, stride, skip } => {
                        let at = (row + m) * *stride + p.first + v * 16;
                        let skip = skip.map(|s| _mm_maskz_loadu_epi8(mask, s.as_ptr().wrapping_add(at)));
                        _mm_mask_storeu_epi8(
                            to.as_mut_ptr().wrapping_add(at),
                            mask,
                            to_bytes(x, skip, post, &w.tail),
                        );
                    }
                    Out::F32 { to, stride, skip } => {
                        let at = (row + m) * *stride + p.first + v * 16;
                        let skip = skip.map(|s| _mm512_maskz_loadu_ps(mask, s.as_ptr().wrapping_add(at)));
                        let x = if w.tail.silu { _mm512_mul_ps(x, _mm512_set1_ps(UNIT)) } else { x };
                        let x = skip.map_or(x, |s| _mm512_add_ps(x, s));
                        _mm512_mask_storeu_ps(to.as_mut_ptr().wrapping_add(at), mask, x);
                    }
                }
            }
        }
    }
}

/// See `portable::requantize`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn to_bytes(x: __m512, skip: Option<__m128i>, post: __m512, tail: &Tail) -> __m128i {
    let x = skip.map_or(x, |s| {
        let s = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(s));
        let s = _mm512_sub_ps(s, _mm512_set1_ps(f32::from(tail.skip_zero)));
        _mm512_fmadd_ps(s, _mm512_set1_ps(tail.skip_scale), x)
    });
    let x = _mm512_min_ps(_mm512_mul_ps(x, post), _mm512_set1_ps(32767.0));
    let words = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(x));
    _mm256_cvtsepi16_epi8(_mm256_adds_epi16(words, _mm256_set1_epi16(i16::from(tail.zero_point))))
}

/// See `portable::sigmoid_times`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn sigmoid_times(t: __m512) -> __m512 {
    let clamped = _mm512_min_ps(_mm512_max_ps(t, _mm512_set1_ps(-LIMIT)), _mm512_set1_ps(LIMIT));
    let round = _mm512_set1_ps(ROUND);
    let shifted = _mm512_add_ps(clamped, round);
    let f = _mm512_sub_ps(clamped, _mm512_sub_ps(shifted, round));
    let [c, b, a] = MONIC.map(|c| _mm512_set1_ps(c));
    let p = _mm512_fmadd_ps(_mm512_fmadd_ps(_mm512_add_ps(f, a), f, b), f, c);
    let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(shifted));
    let e = _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), exponent));
    let d = _mm512_add_ps(_mm512_set1_ps(ONE), e);
    let bits = _mm512_sub_epi32(_mm512_set1_epi32(RECIPROCAL as i32), _mm512_castps_si512(d));
    let mut r = _mm512_castsi512_ps(bits);
    for _ in 0..2 {
        r = _mm512_mul_ps(r, _mm512_fnmadd_ps(d, r, _mm512_set1_ps(2.0)));
    }
    _mm512_mul_ps(t, r)
}
