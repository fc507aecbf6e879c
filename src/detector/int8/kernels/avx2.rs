//! AVX2: activations and weights widened to 16 bits, `vpmaddwd` into exact 32-bit sums (32 multiplications a cycle on
//! two ports; `vpmaddubsw` would multiply as many but saturates), tiles of 6 pixels × 16 channels in 12 registers.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::floats::{self, Norm, NormOut};
use super::pack::{Layout, Order, Packed, PackedDepthwise, Panel, Tail};
use super::portable::{EXP2, LIMIT, MONIC, ONE, RECIPROCAL, ROUND, UNIT};
use super::{AddScale, Attention, Kernels, Out, Staged, Table, avx2_attention, heads, portable};

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

    fn quantize(&self, x: &[f32], scale: f32, zero_point: i8, out: &mut [i8]) {
        #[target_feature(enable = "avx2")]
        fn vectors(x: &[f32], scale: f32, zero_point: i8, out: &mut [i8]) {
            floats::quantize(x, scale, zero_point, out);
        }
        // SAFETY: AVX2 is here.
        unsafe { vectors(x, scale, zero_point, out) }
    }

    fn layer_norm(&self, norm: &Norm<'_>, x: &[f32], out: NormOut<'_>) {
        #[target_feature(enable = "avx2")]
        fn vectors(norm: &Norm<'_>, x: &[f32], out: NormOut<'_>) {
            norm.run(x, out);
        }
        // SAFETY: AVX2 is here.
        unsafe { vectors(norm, x, out) }
    }

    fn attention(&self, shape: &Attention, qkv: &[f32], out: &mut [f32], scratch: &mut [f32]) {
        shape.check(qkv, out, scratch);
        if shape.dim == heads::DIM {
            // SAFETY: AVX2 is here, and the lengths were just checked.
            unsafe { avx2_attention::attention(shape, qkv, out, scratch) }
        } else {
            portable::attention(shape, qkv, out, scratch);
        }
    }

    fn add(&self, k: &AddScale, a: &[i8], b: &[i8], out: &mut [i8]) {
        assert!(a.len() == b.len() && b.len() == out.len(), "runs of one length");
        // SAFETY: AVX2 is here, and the lengths were just checked.
        unsafe { add(k, a, b, out) }
    }
}

#[target_feature(enable = "avx2,fma")]
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
#[target_feature(enable = "avx2,fma")]
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
        let constants: [Constants; V] =
            std::array::from_fn(|v| Constants::load(&w.scale, &w.bias, &w.offset, &w.post, p.lane + v * 8));
        // A copy to walk over, so that the sums themselves are never addressed and stay in registers.
        let done = acc;
        for (m, acc) in done.iter().enumerate() {
            let mut x: [__m256; V] = std::array::from_fn(|v| constants[v].apply(acc[v], &w.tail));
            match out {
                Out::S8 { to, stride, skip } => {
                    let at = (row + m) * *stride + p.first;
                    let skip = skip.map(|s| s.as_ptr().add(at));
                    let post = [constants[0].post, constants[V - 1].post];
                    store_bytes([x[0], x[V - 1]], post, p, skip, to.as_mut_ptr().add(at), &w.tail);
                }
                Out::F32 { to, stride, skip } => {
                    let at = (row + m) * *stride + p.first;
                    let skip = skip.map(|s| s.as_ptr().add(at));
                    for x in x.iter_mut().filter(|_| w.tail.silu) {
                        *x = _mm256_mul_ps(*x, _mm256_set1_ps(UNIT));
                    }
                    store_floats(x, p, skip, to.as_mut_ptr().add(at));
                }
            }
        }
    }
}

/// What scales eight channels.
struct Constants {
    scale: __m256,
    bias: __m256i,
    offset: __m256,
    post: __m256,
}

impl Constants {
    /// # Safety
    /// All four have eight entries from `lane`.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn load(scale: &[f32], bias: &[i32], offset: &[f32], post: &[f32], lane: usize) -> Constants {
        // SAFETY: the caller's promise.
        unsafe {
            Constants {
                scale: _mm256_loadu_ps(scale.as_ptr().add(lane)),
                bias: _mm256_loadu_si256(bias.as_ptr().add(lane).cast()),
                offset: _mm256_loadu_ps(offset.as_ptr().add(lane)),
                post: _mm256_loadu_ps(post.as_ptr().add(lane)),
            }
        }
    }

    /// Eight sums, scaled and through the activation.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn apply(&self, acc: __m256i, tail: &Tail) -> __m256 {
        let acc = _mm256_cvtepi32_ps(_mm256_add_epi32(acc, self.bias));
        let x = _mm256_fmadd_ps(acc, self.scale, self.offset);
        if tail.silu { sigmoid_times(x) } else { x }
    }
}

/// `2^t` for `t` in -126…126.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(super) fn exp2(t: __m256) -> __m256 {
    let round = _mm256_set1_ps(ROUND);
    let shifted = _mm256_add_ps(t, round);
    let f = _mm256_sub_ps(t, _mm256_sub_ps(shifted, round));
    let mut p = _mm256_set1_ps(EXP2[3]);
    for c in EXP2[..3].iter().rev() {
        p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(*c));
    }
    let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(shifted));
    _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent))
}

/// See `portable::sigmoid_times`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn sigmoid_times(t: __m256) -> __m256 {
    let clamped = _mm256_min_ps(_mm256_max_ps(t, _mm256_set1_ps(-LIMIT)), _mm256_set1_ps(LIMIT));
    let round = _mm256_set1_ps(ROUND);
    let shifted = _mm256_add_ps(clamped, round);
    let f = _mm256_sub_ps(clamped, _mm256_sub_ps(shifted, round));
    let [c, b, a] = MONIC.map(|c| _mm256_set1_ps(c));
    let p = _mm256_fmadd_ps(_mm256_fmadd_ps(_mm256_add_ps(f, a), f, b), f, c);
    let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(shifted));
    let e = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent));
    let d = _mm256_add_ps(_mm256_set1_ps(ONE), e);
    let bits = _mm256_sub_epi32(_mm256_set1_epi32(RECIPROCAL as i32), _mm256_castps_si256(d));
    let mut r = _mm256_castsi256_ps(bits);
    for _ in 0..2 {
        r = _mm256_mul_ps(r, _mm256_fnmadd_ps(d, r, _mm256_set1_ps(2.0)));
    }
    _mm256_mul_ps(t, r)
}

/// Sixteen channels (in the kernel's order) or eight (`low` alone) to bytes.
///
/// # Safety
/// `to` and `skip` have the panel's valid channels; a whole panel's may be read.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store_bytes(
    [mut low, mut high]: [__m256; 2],
    post: [__m256; 2],
    p: &Panel,
    skip: Option<*const i8>,
    to: *mut i8,
    tail: &Tail,
) {
    // SAFETY: whole vectors only where all their channels are valid, else through a copy.
    unsafe {
        if let Some(skip) = skip {
            let mut all = [0i8; 16];
            all.as_mut_ptr().copy_from_nonoverlapping(skip, p.valid);
            let s = _mm_loadu_si128(all.as_ptr().cast());
            // Sixteen stand in the kernel's order: 0–3, 8–11 are low.
            let s = if p.width == 16 { _mm_shuffle_epi32::<0b11_01_10_00>(s) } else { s };
            let zero = _mm256_set1_ps(f32::from(tail.skip_zero));
            let add = |x: __m256, s: __m128i| {
                let s = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(s));
                _mm256_fmadd_ps(_mm256_sub_ps(s, zero), _mm256_set1_ps(tail.skip_scale), x)
            };
            low = add(low, s);
            high = if p.width == 16 { add(high, _mm_unpackhi_epi64(s, s)) } else { low };
        }
        let bytes = to_bytes(_mm256_mul_ps(low, post[0]), _mm256_mul_ps(high, post[1]), tail.zero_point);
        let bytes = if p.width == 16 { bytes } else { in_order8(bytes) };
        match p.valid {
            16 => _mm_storeu_si128(to.cast(), bytes),
            8 => _mm_storel_epi64(to.cast(), bytes),
            valid => {
                let mut all = [0i8; 16];
                _mm_storeu_si128(all.as_mut_ptr().cast(), bytes);
                to.copy_from_nonoverlapping(all.as_ptr(), valid);
            }
        }
    }
}

/// Channels in the kernel's order as floats in channel order.
///
/// # Safety
/// `to` and `skip` have the panel's valid channels.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store_floats<const V: usize>(x: [__m256; V], p: &Panel, skip: Option<*const f32>, to: *mut f32) {
    // SAFETY: whole vectors only where all their channels are valid, else one by one from a copy.
    unsafe {
        let (first, second) = if V == 2 {
            (_mm256_permute2f128_ps::<0x20>(x[0], x[1]), _mm256_permute2f128_ps::<0x31>(x[0], x[1]))
        } else {
            (x[0], x[0])
        };
        if p.valid == V * 8 {
            for (v, x) in [first, second].into_iter().take(V).enumerate() {
                let x = skip.map_or(x, |s| _mm256_add_ps(x, _mm256_loadu_ps(s.add(v * 8))));
                _mm256_storeu_ps(to.add(v * 8), x);
            }
        } else {
            let mut all = [0f32; 16];
            _mm256_storeu_ps(all.as_mut_ptr(), first);
            _mm256_storeu_ps(all.as_mut_ptr().add(8), second);
            for (i, x) in all.iter().enumerate().take(p.valid) {
                *to.add(i) = skip.map_or(*x, |s| x + *s.add(i));
            }
        }
    }
}

/// Sixteen scaled accumulators in the order of `Order::Avx2`, rounded half to even, as bytes in channel order.
#[target_feature(enable = "avx2,fma")]
fn to_bytes(low: __m256, high: __m256, zero_point: i8) -> __m128i {
    // A conversion that overflows gives the least integer: right below, so only the upper side needs the clamp.
    let top = _mm256_set1_ps(32767.0);
    let low = _mm256_cvtps_epi32(_mm256_min_ps(low, top));
    let high = _mm256_cvtps_epi32(_mm256_min_ps(high, top));
    let words = _mm256_adds_epi16(_mm256_packs_epi32(low, high), _mm256_set1_epi16(i16::from(zero_point)));
    _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words))
}

/// The eight channels of `to_bytes(x, x, …)`: bytes 0–3 and 8–11.
#[target_feature(enable = "avx2,fma")]
fn in_order8(bytes: __m128i) -> __m128i {
    _mm_shuffle_epi32::<0b11_01_10_00>(bytes)
}

/// `ELEM`: 2 for activations staged as 16-bit numbers, 1 for bytes with 128 added.
#[target_feature(enable = "avx2,fma")]
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
            let lane = block * 16;
            let constants_low = Constants::load(&w.scale, &w.bias, &w.offset, &w.post, lane);
            let constants_high = Constants::load(&w.scale, &w.bias, &w.offset, &w.post, lane + 8);
            let tail = &w.requant.tail;
            for row in 0..input.rows {
                let at = row * input.stride + start * ELEM;
                let lines: [*const u8; 3] =
                    std::array::from_fn(|l| input.data.as_ptr().add(input.segments[l] + at));
                let mut taps = [_mm256_setzero_si256(); 10];
                for (t, tap) in taps.iter_mut().enumerate().take(9) {
                    let at = lines[t / 3].add(t % 3 * w.channels * ELEM);
                    *tap = if ELEM == 2 {
                        _mm256_loadu_si256(at.cast())
                    } else {
                        let flipped = _mm_xor_si128(_mm_loadu_si128(at.cast()), _mm_set1_epi8(-128));
                        _mm256_cvtepi8_epi16(flipped)
                    };
                }
                let (mut low, mut high) = (_mm256_setzero_si256(), _mm256_setzero_si256());
                for pair in 0..5 {
                    let (first, second) = (taps[pair * 2], taps[pair * 2 + 1]);
                    let (l, h) = (_mm256_unpacklo_epi16(first, second), _mm256_unpackhi_epi16(first, second));
                    low = _mm256_add_epi32(low, _mm256_madd_epi16(l, weights[pair * 2]));
                    high = _mm256_add_epi32(high, _mm256_madd_epi16(h, weights[pair * 2 + 1]));
                }
                let low = _mm256_mul_ps(constants_low.apply(low, tail), constants_low.post);
                let high = _mm256_mul_ps(constants_high.apply(high, tail), constants_high.post);
                let to = out.as_mut_ptr().add(row * stride + start);
                _mm_storeu_si128(to.cast(), to_bytes(low, high, tail.zero_point));
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

#[target_feature(enable = "avx2,fma")]
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
#[target_feature(enable = "avx2,fma")]
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

#[target_feature(enable = "avx2,fma")]
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
