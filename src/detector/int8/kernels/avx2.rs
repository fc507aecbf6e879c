//! AVX2: activations and weights widened to 16 bits, `vpmaddwd` into exact 32-bit sums (32 multiplications a cycle on
//! two ports; `vpmaddubsw` would multiply as many but saturates), tiles of 6 pixels × 16 channels in 12 registers.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::pack::{Layout, Order, Packed, PackedDepthwise, Panel};
use super::{AddScale, Kernels, Out, Staged, Table, portable};

/// Runs where the processor has AVX2 and FMA.
#[derive(Debug)]
pub struct Avx2;

impl Avx2 {
    /// Whether the processor has the instructions.
    pub fn runs_here() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }
}

/// Pixels of a full tile.
const TILE: usize = 6;

impl Kernels for Avx2 {
    fn name(&self) -> &'static str {
        "avx2"
    }

    fn layout(&self) -> Layout {
        Layout { elem: 2, weight: 2, unit: 2, panel: 16, narrow: 8, shift: 0, order: Order::Avx2 }
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
        unsafe { depthwise::<2>(w, input, out, stride) }
    }

    fn stage(&self, src: &[i8], dst: &mut [u8]) {
        assert!(dst.len() >= src.len() * 2, "room for 16 bits each");
        // SAFETY: AVX2 is here (the kernel was handed out), and the lengths were just checked.
        unsafe { widen(src, dst) }
    }

    fn lookup(&self, table: &Table, data: &mut [i8]) {
        // SAFETY: AVX2 is here.
        unsafe { lookup(table, data) }
    }

    fn add(&self, k: &AddScale, a: &[i8], b: &[i8], out: &mut [i8]) {
        assert!(a.len() == b.len() && b.len() == out.len(), "runs of one length");
        // SAFETY: AVX2 is here, and the lengths were just checked.
        unsafe { add(k, a, b, out) }
    }
}

#[target_feature(enable = "avx2")]
unsafe fn gemm(w: &Packed, input: &Staged<'_>, mut out: Out<'_>) {
    let tiles = input.rows.div_ceil(TILE);
    let (least, longer) = (input.rows / tiles, input.rows % tiles);
    for p in &w.panels {
        let mut row = 0;
        for t in 0..tiles {
            let m = least + usize::from(t < longer);
            // SAFETY: rows `row..row + m` are among the input's, the panel is one of `w`'s.
            unsafe {
                match (m, p.width) {
                    (6, 16) => tile::<6, 2>(w, p, input, row, &mut out),
                    (5, 16) => tile::<5, 2>(w, p, input, row, &mut out),
                    (4, 16) => tile::<4, 2>(w, p, input, row, &mut out),
                    (3, 16) => tile::<3, 2>(w, p, input, row, &mut out),
                    (2, 16) => tile::<2, 2>(w, p, input, row, &mut out),
                    (1, 16) => tile::<1, 2>(w, p, input, row, &mut out),
                    (6, _) => tile::<6, 1>(w, p, input, row, &mut out),
                    (5, _) => tile::<5, 1>(w, p, input, row, &mut out),
                    (4, _) => tile::<4, 1>(w, p, input, row, &mut out),
                    (3, _) => tile::<3, 1>(w, p, input, row, &mut out),
                    (2, _) => tile::<2, 1>(w, p, input, row, &mut out),
                    _ => tile::<1, 1>(w, p, input, row, &mut out),
                }
            }
            row += m;
        }
    }
}

/// `M` pixels × `V` vectors of eight channels.
#[target_feature(enable = "avx2")]
unsafe fn tile<const M: usize, const V: usize>(
    w: &Packed,
    p: &Panel,
    input: &Staged<'_>,
    row: usize,
    out: &mut Out<'_>,
) {
    // SAFETY: offsets stay inside the packed weights, the staged input (checked for all rows and whole units) and the
    // scale and bias arrays, which have `V * 8` entries from `p.lane`.
    unsafe {
        let mut acc = [[_mm256_setzero_si256(); V]; M];
        let mut b = w.data.bytes().as_ptr().add(p.offset).cast::<__m256i>();
        for &segment in input.segments {
            let a = input.data.as_ptr().add(segment + row * input.stride);
            for unit in 0..w.groups {
                let weights: [__m256i; V] = std::array::from_fn(|v| _mm256_load_si256(b.add(v)));
                b = b.add(V);
                for (m, acc) in acc.iter_mut().enumerate() {
                    let pair = a.add(m * input.stride + unit * 4).cast::<i32>().read_unaligned();
                    let pair = _mm256_set1_epi32(pair);
                    for v in 0..V {
                        acc[v] = _mm256_add_epi32(acc[v], _mm256_madd_epi16(pair, weights[v]));
                    }
                }
            }
        }
        let scale = w.scale.as_ptr().add(p.lane);
        let bias = w.bias.as_ptr().add(p.lane);
        let scale: [__m256; V] = std::array::from_fn(|v| _mm256_loadu_ps(scale.add(v * 8)));
        let bias: [__m256i; V] = std::array::from_fn(|v| _mm256_loadu_si256(bias.add(v * 8).cast()));
        for (m, acc) in acc.iter().enumerate() {
            let scaled: [__m256; V] = std::array::from_fn(|v| {
                _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_add_epi32(acc[v], bias[v])), scale[v])
            });
            match out {
                Out::S8(o, stride) => {
                    let bytes = to_bytes(scaled[0], scaled[V - 1], w.zero_point);
                    let to = o.as_mut_ptr().add((row + m) * *stride + p.first);
                    if V == 2 && p.valid == 16 {
                        _mm_storeu_si128(to.cast(), bytes);
                    } else if V == 1 && p.valid == 8 {
                        _mm_storel_epi64(to.cast(), in_order8(bytes));
                    } else {
                        let mut all = [0i8; 16];
                        _mm_storeu_si128(
                            all.as_mut_ptr().cast(),
                            if V == 2 { bytes } else { in_order8(bytes) },
                        );
                        to.copy_from_nonoverlapping(all.as_ptr(), p.valid);
                    }
                }
                Out::F32(o, stride) => {
                    let to = o.as_mut_ptr().add((row + m) * *stride + p.first);
                    let mut all = [0f32; 16];
                    for (v, scaled) in scaled.iter().enumerate() {
                        _mm256_storeu_ps(all.as_mut_ptr().add(v * 8), *scaled);
                    }
                    for i in 0..p.valid {
                        *to.add(i) = all[Order::Avx2.place(p.width, i)];
                    }
                }
            }
        }
    }
}

/// Sixteen scaled accumulators in the order of `Order::Avx2`, rounded half to even, as bytes in channel order.
#[target_feature(enable = "avx2")]
fn to_bytes(low: __m256, high: __m256, zero_point: i8) -> __m128i {
    // A conversion that overflows gives the least integer: right below, so only the upper side needs the clamp.
    let top = _mm256_set1_ps(32767.0);
    let low = _mm256_cvtps_epi32(_mm256_min_ps(low, top));
    let high = _mm256_cvtps_epi32(_mm256_min_ps(high, top));
    let words = _mm256_adds_epi16(_mm256_packs_epi32(low, high), _mm256_set1_epi16(i16::from(zero_point)));
    _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words))
}

/// The eight channels of `to_bytes(x, x, …)`: bytes 0–3 and 8–11.
#[target_feature(enable = "avx2")]
fn in_order8(bytes: __m128i) -> __m128i {
    _mm_shuffle_epi32::<0b11_01_10_00>(bytes)
}

/// `ELEM`: 2 for activations staged as 16-bit numbers, 1 for bytes with 128 added.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn depthwise<const ELEM: usize>(
    w: &PackedDepthwise,
    input: &Staged<'_>,
    out: &mut [i8],
    stride: usize,
) {
    for (block, &start) in w.blocks.iter().enumerate() {
        // SAFETY: a block has 160 pair weights and 16 scales and biases; every load is 16 channels that exist, every
        // store 16 channels of a checked output row.
        unsafe {
            let weights = w.pairs.as_ptr().add(block * 160).cast::<__m256i>();
            let weights: [__m256i; 10] = std::array::from_fn(|i| _mm256_loadu_si256(weights.add(i)));
            let scale = w.scale.as_ptr().add(block * 16);
            let (scale_low, scale_high) = (_mm256_loadu_ps(scale), _mm256_loadu_ps(scale.add(8)));
            let bias = w.bias.as_ptr().add(block * 16).cast::<__m256i>();
            let (bias_low, bias_high) = (_mm256_loadu_si256(bias), _mm256_loadu_si256(bias.add(1)));
            for row in 0..input.rows {
                let tap = |t: usize| {
                    let at = input.segments[t / 3] + row * input.stride + (t % 3 * w.channels + start) * ELEM;
                    let at = input.data.as_ptr().add(at);
                    if ELEM == 2 {
                        _mm256_loadu_si256(at.cast())
                    } else {
                        let flipped = _mm_xor_si128(_mm_loadu_si128(at.cast()), _mm_set1_epi8(-128));
                        _mm256_cvtepi8_epi16(flipped)
                    }
                };
                let (mut low, mut high) = (bias_low, bias_high);
                for pair in 0..5 {
                    let first = tap(pair * 2);
                    let second = if pair < 4 { tap(pair * 2 + 1) } else { _mm256_setzero_si256() };
                    let (l, h) = (_mm256_unpacklo_epi16(first, second), _mm256_unpackhi_epi16(first, second));
                    low = _mm256_add_epi32(low, _mm256_madd_epi16(l, weights[pair * 2]));
                    high = _mm256_add_epi32(high, _mm256_madd_epi16(h, weights[pair * 2 + 1]));
                }
                let low = _mm256_mul_ps(_mm256_cvtepi32_ps(low), scale_low);
                let high = _mm256_mul_ps(_mm256_cvtepi32_ps(high), scale_high);
                let to = out.as_mut_ptr().add(row * stride + start);
                _mm_storeu_si128(to.cast(), to_bytes(low, high, w.requant.zero_point));
            }
        }
    }
    for row in 0..input.rows {
        for c in w.tail..w.channels {
            let tap = |t: usize| {
                let at = input.segments[t / 3] + row * input.stride + (t % 3 * w.channels + c) * ELEM;
                match ELEM {
                    2 => i32::from(i16::from_ne_bytes([input.data[at], input.data[at + 1]])),
                    _ => i32::from(input.data[at]) - 128,
                }
            };
            out[row * stride + c] = portable::depthwise_one(w, c, tap);
        }
    }
}

#[target_feature(enable = "avx2")]
unsafe fn widen(src: &[i8], dst: &mut [u8]) {
    let whole = src.len() / 16 * 16;
    for i in (0..whole).step_by(16) {
        // SAFETY: 16 bytes from `i` are in `src`, 32 from `2 * i` in `dst`.
        unsafe {
            let x = _mm256_cvtepi8_epi16(_mm_loadu_si128(src.as_ptr().add(i).cast()));
            _mm256_storeu_si256(dst.as_mut_ptr().add(i * 2).cast(), x);
        }
    }
    for (d, &s) in dst[whole * 2..].chunks_exact_mut(2).zip(&src[whole..]) {
        d.copy_from_slice(&i16::from(s).to_ne_bytes());
    }
}

/// `vpshufb` gives zero for an index with its top bit set and else looks at the low four bits only. So with the table's
/// rows of sixteen each XORed with the row before, looking up `x`, `x - 16`, `x - 32` … and XORing what comes leaves the
/// right row's entry for `x` in 0…127; the same with the top bit flipped serves 128…255.
#[target_feature(enable = "avx2")]
unsafe fn lookup(table: &Table, data: &mut [i8]) {
    let row = |r: usize| {
        // SAFETY: sixteen rows of sixteen bytes, aligned to 64.
        let x = unsafe { _mm_load_si128(table.0.as_ptr().add(r * 16).cast()) };
        _mm256_broadcastsi128_si256(x)
    };
    let steps: [__m256i; 16] =
        std::array::from_fn(|r| if r % 8 == 0 { row(r) } else { _mm256_xor_si256(row(r), row(r - 1)) });
    let sixteen = _mm256_set1_epi8(16);
    let half = |steps: &[__m256i], mut index: __m256i| {
        let mut found = _mm256_shuffle_epi8(steps[0], index);
        for step in &steps[1..] {
            index = _mm256_subs_epi8(index, sixteen);
            found = _mm256_xor_si256(found, _mm256_shuffle_epi8(*step, index));
        }
        found
    };
    let (chunks, rest) = data.as_chunks_mut::<32>();
    for chunk in chunks {
        let at = chunk.as_mut_ptr().cast::<__m256i>();
        // SAFETY: the chunk is 32 bytes.
        unsafe {
            let x = _mm256_loadu_si256(at);
            let found = _mm256_xor_si256(
                half(&steps[..8], x),
                half(&steps[8..], _mm256_xor_si256(x, _mm256_set1_epi8(-128))),
            );
            _mm256_storeu_si256(at, found);
        }
    }
    for x in rest {
        *x = table.get(*x);
    }
}

#[target_feature(enable = "avx2")]
unsafe fn add(k: &AddScale, a: &[i8], b: &[i8], out: &mut [i8]) {
    let whole = out.len() / 16 * 16;
    let (ka, kb, kc) = (_mm256_set1_ps(k.ka), _mm256_set1_ps(k.kb), _mm256_set1_ps(k.k));
    for i in (0..whole).step_by(16) {
        // SAFETY: 16 bytes from `i` are in all three slices (one length, checked by the caller).
        unsafe {
            let eight = |at: usize| {
                let x = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(a.as_ptr().add(at).cast())));
                let y = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(b.as_ptr().add(at).cast())));
                _mm256_add_ps(_mm256_mul_ps(x, ka), _mm256_add_ps(_mm256_mul_ps(y, kb), kc))
            };
            let (first, second) = (eight(i), eight(i + 8));
            let low = _mm256_permute2f128_ps::<0x20>(first, second);
            let high = _mm256_permute2f128_ps::<0x31>(first, second);
            _mm_storeu_si128(out.as_mut_ptr().add(i).cast(), to_bytes(low, high, k.zero_point));
        }
    }
    portable::add(k, &a[whole..], &b[whole..], &mut out[whole..]);
}
