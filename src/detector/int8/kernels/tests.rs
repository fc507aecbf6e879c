//! Every kernel against the portable one, bit for bit, on random and edge shapes.

use proptest::prelude::*;

use super::buffer::Buffer;
use super::floats::{Norm, NormOut};
use super::pack::{Requant, Tail, pack, pack_depthwise};
use super::portable::Portable;
use super::{AddScale, Attention, Kernels, Out, Staged, Table, available};

/// Deterministic numbers for one case.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    /// Signed bytes; extremes are frequent, so that sums that saturate anywhere show.
    fn s8(&mut self, n: usize, least: i8) -> Vec<i8> {
        (0..n)
            .map(|_| match self.next() % 8 {
                0 => 127,
                1 => least,
                _ => ((self.next() % 256) as u8 as i8).max(least),
            })
            .collect()
    }

    fn requant(&mut self, n: usize, k: usize) -> Requant {
        // Small enough, at times, for SiLU to need no clamps.
        let spread = if self.next().is_multiple_of(2) { 1.0 } else { 0.01 } / (k as f32).sqrt();
        Requant {
            scale: (0..n).map(|_| (1 + self.next() % 1000) as f32 * 1e-5 * spread).collect(),
            bias: (0..n).map(|_| (self.next() % 40000) as i32 - 20000).collect(),
            offset: (0..n).map(|_| (self.next() % 1000) as f32 * 1e-3 - 0.5).collect(),
            post: (0..n).map(|_| (1 + self.next() % 3000) as f32 * 1e-2).collect(),
            tail: Tail {
                silu: self.next().is_multiple_of(2),
                skip_scale: (self.next() % 100) as f32 * 1e-3,
                skip_zero: (self.next() % 256) as u8 as i8,
                zero_point: (self.next() % 256) as u8 as i8,
            },
        }
    }
}

pub(super) fn plain(n: usize, scale: f32, zero_point: i8) -> Requant {
    let tail = Tail { zero_point, ..Tail::default() };
    Requant { scale: vec![scale; n], bias: vec![0; n], offset: vec![0.0; n], post: vec![1.0; n], tail }
}

pub(super) fn stage(kernels: &dyn Kernels, src: &[i8]) -> Buffer {
    let elem = kernels.layout().elem;
    let mut staged = Buffer::new(src.len() * elem);
    kernels.stage(src, staged.bytes_mut());
    staged
}

struct Case {
    n: usize,
    segments: usize,
    seg_len: usize,
    rows: usize,
    step: usize,
    seed: u64,
}

fn product(kernels: &dyn Kernels, case: &Case) -> (Vec<i8>, Vec<f32>) {
    let Case { n, segments, seg_len, rows, step, seed } = *case;
    let mut rng = Rng(seed);
    let weights = rng.s8(n * segments * seg_len, -127);
    let requant = rng.requant(n, segments * seg_len);
    let line = (rows - 1) * step + seg_len + 3;
    let src = rng.s8(line * segments, -128);
    let elem = kernels.layout().elem;
    let staged = stage(kernels, &src);
    let offsets: Vec<usize> = (0..segments).map(|s| s * line * elem).collect();
    let input = Staged { data: staged.bytes(), segments: &offsets, stride: step * elem, rows };
    let packed = pack(kernels.layout(), &weights, n, segments, seg_len, &requant);
    let (mut bytes, mut floats) = (vec![99i8; rows * (n + 5)], vec![0.5f32; rows * (n + 3)]);
    let skip = rng.s8(bytes.len(), -128);
    let skip = seed.is_multiple_of(3).then_some(&skip[..]);
    kernels.gemm(&packed, &input, Out::S8 { to: &mut bytes, stride: n + 5, skip });
    let skip: Vec<f32> = (0..floats.len()).map(|_| (rng.next() % 1000) as f32 * 1e-2).collect();
    let skip = seed.is_multiple_of(3).then_some(&skip[..]);
    kernels.gemm(&packed, &input, Out::F32 { to: &mut floats, stride: n + 3, skip });
    (bytes, floats)
}

fn same_product(case: &Case) {
    let expected = product(&Portable, case);
    for kernels in available() {
        let got = product(kernels, case);
        assert_eq!(got.0, expected.0, "{} bytes", kernels.name());
        assert_eq!(got.1, expected.1, "{} floats", kernels.name());
    }
}

/// The sum written down once more, without panels or segments.
#[test]
fn the_portable_product_is_the_definition() {
    let case = Case { n: 5, segments: 2, seg_len: 7, rows: 3, step: 4, seed: 11 };
    let (bytes, _) = product(&Portable, &case);
    let mut rng = Rng(case.seed);
    let weights = rng.s8(5 * 14, -127);
    let requant = rng.requant(5, 14);
    let line = 2 * 4 + 7 + 3;
    let src = rng.s8(line * 2, -128);
    for row in 0..3 {
        for c in 0..5 {
            let mut sum = i64::from(requant.bias[c]);
            for s in 0..2 {
                for k in 0..7 {
                    sum += i64::from(weights[c * 14 + s * 7 + k]) * i64::from(src[s * line + row * 4 + k]);
                }
            }
            let Tail { silu, zero_point, .. } = requant.tail;
            let mut x = sum as f64 * f64::from(requant.scale[c]) + f64::from(requant.offset[c]);
            if silu {
                x /= 1.0 + (-x).exp();
            }
            let expected = (x * f64::from(requant.post[c])).round_ties_even() as f32 + f32::from(zero_point);
            assert_eq!(
                f32::from(bytes[row * 10 + c]),
                expected.clamp(-128.0, 127.0),
                "pixel {row} channel {c}"
            );
        }
        assert_eq!(bytes[row * 10 + 5..row * 10 + 10], [99; 5], "what lies between the rows is left alone");
    }
}

#[test]
fn products_of_edge_shapes_are_the_same_everywhere() {
    for (n, segments, seg_len, rows) in [
        (1, 1, 1, 1),
        (16, 1, 16, 6),
        (17, 3, 9, 7),
        (24, 1, 32, 160),
        (8, 3, 72, 13),
        (21, 1, 64, 40),
        (40, 3, 15, 5),
    ] {
        same_product(&Case { n, segments, seg_len, rows, step: seg_len.div_ceil(segments), seed: 3 });
    }
}

#[test]
fn extremes_neither_saturate_nor_wrap_inside() {
    for kernels in available() {
        let (n, k) = (16, 4608);
        let requant = plain(n, 1e-6, 0);
        for (w, a) in [(127i8, -128i8), (-127, -128), (127, 127)] {
            let packed = pack(kernels.layout(), &vec![w; n * k], n, 1, k, &requant);
            let staged = stage(kernels, &vec![a; k]);
            let input = Staged { data: staged.bytes(), segments: &[0], stride: 0, rows: 1 };
            let mut out = [0f32; 16];
            kernels.gemm(&packed, &input, Out::F32 { to: &mut out, stride: n, skip: None });
            let expected = (i32::from(w) * i32::from(a) * k as i32) as f32 * 1e-6;
            assert_eq!(out, [expected; 16], "{}: {w} · {a}", kernels.name());
        }
    }
}

fn depthwise(kernels: &dyn Kernels, channels: usize, rows: usize, step: usize, seed: u64) -> Vec<i8> {
    let mut rng = Rng(seed);
    let weights = rng.s8(channels * 9, -127);
    let requant = rng.requant(channels, 9);
    let line = ((rows - 1) * step + 3) * channels;
    let src = rng.s8(line * 3, -128);
    let elem = kernels.layout().elem;
    let staged = stage(kernels, &src);
    let offsets = [0, line * elem, 2 * line * elem];
    let input = Staged { data: staged.bytes(), segments: &offsets, stride: step * channels * elem, rows };
    let packed = pack_depthwise(kernels.depthwise_order(), &weights, &requant);
    let mut out = vec![77i8; rows * (channels + 2)];
    kernels.depthwise(&packed, &input, &mut out, channels + 2);
    out
}

#[test]
fn silu_is_close_to_the_real_one() {
    for i in -4000..=4000 {
        let x = i as f32 * 0.025;
        let expected = f64::from(x) / (1.0 + (-f64::from(x)).exp());
        let t = x * -std::f32::consts::LOG2_E;
        let got = f64::from(super::portable::sigmoid_times(t) * super::portable::UNIT);
        assert!((got - expected).abs() <= 1e-4 * expected.abs() + 1e-9, "silu({x}) = {got}, not {expected}");
    }
}

/// Values around which rounding goes either way, through an identity product.
#[test]
fn halves_go_to_the_even_side() {
    for kernels in available() {
        let requant = plain(16, 0.5, 1);
        let packed = pack(kernels.layout(), &[1; 16], 16, 1, 1, &requant);
        let src: Vec<i8> = (-128..=127).collect();
        let staged = stage(kernels, &src);
        let input = Staged { data: staged.bytes(), segments: &[0], stride: kernels.layout().elem, rows: 256 };
        // One channel's unit may reach into the next pixel, whose weights are zero.
        let mut out = vec![0i8; 256 * 16];
        kernels.gemm(&packed, &input, Out::S8 { to: &mut out, stride: 16, skip: None });
        for (x, row) in src.iter().zip(out.chunks_exact(16)) {
            let expected = (f32::from(*x) * 0.5).round_ties_even() as i8 + 1;
            assert_eq!(row, [expected; 16], "{}: {x} / 2", kernels.name());
        }
    }
}

#[test]
fn scales_that_overflow_clamp_to_the_right_side() {
    for kernels in available() {
        let requant = plain(16, 1e30, -128);
        let packed = pack(kernels.layout(), &[1; 16], 16, 1, 1, &requant);
        let staged = stage(kernels, &[1, 0, -1, 0]);
        let input =
            Staged { data: staged.bytes(), segments: &[0], stride: 2 * kernels.layout().elem, rows: 2 };
        let mut out = vec![0i8; 32];
        kernels.gemm(&packed, &input, Out::S8 { to: &mut out, stride: 16, skip: None });
        assert_eq!((out[0], out[16]), (127, -128), "{}", kernels.name());
    }
}

/// A kernel's attention of two heads, and the portable one's. One float of the input (position, channel) is `odd`.
fn odd_attention(
    kernels: &dyn Kernels,
    tokens: usize,
    (t, channel): (usize, usize),
    odd: f32,
) -> [Vec<f32>; 2] {
    let shape = Attention { tokens, heads: 2, dim: 8, scale: 0.4 };
    let mut rng = Rng(7);
    let mut qkv: Vec<f32> = rng.s8(tokens * 48, -128).iter().map(|&x| f32::from(x) / 128.0).collect();
    qkv[t * 48 + channel] = odd;
    let mut scratch = vec![0.0; shape.scratch()];
    [kernels, &Portable].map(|kernels| {
        let mut out = vec![0.0; tokens * 16];
        kernels.attention(&shape, &qkv, &mut out, &mut scratch);
        out
    })
}

/// What isn't a number, or is infinite, goes the same way everywhere: it reaches the results that depend on it, and only
/// these.
#[test]
fn attention_hides_no_nan() {
    // A NaN may carry bits of its own, and be negative.
    let odd = [f32::NAN, -f32::NAN, f32::from_bits(0x7FC0_0155), f32::INFINITY, f32::NEG_INFINITY];
    for kernels in available() {
        for (tokens, t) in [(9, 4), (16, 15), (35, 0), (35, 34)] {
            // The second channel of a head's query, key and value: 0–15 are queries, 16–31 keys, 32–47 values.
            for (channel, odd) in [1, 9, 17, 25, 33, 41].iter().flat_map(|c| odd.map(|odd| (*c, odd))) {
                let [got, expected] = odd_attention(kernels, tokens, (t, channel), odd);
                let what = format!("{} of {tokens}, {odd} at {t}, {channel}", kernels.name());
                assert!(odd.is_infinite() || expected.iter().any(|x| x.is_nan()), "{what}");
                for (i, (g, e)) in got.iter().zip(&expected).enumerate() {
                    let same = g.is_nan() == e.is_nan() && (!e.is_finite() || (g - e).abs() < 4e-3);
                    assert!(same, "{what}: result {i} is {g}, not {e}");
                }
            }
        }
    }
}

/// As many positions as the shipped models have at 320 pixels, and more than halves can sum.
/// Keys that all point away from the queries: what fills up the vectors has a score of zero, far above all others.
#[test]
fn scores_far_below_zero_weigh_as_much_as_others() {
    for (tokens, score) in [(1, -40.0f32), (25, -30.0), (25, -300.0), (100, -45.0)] {
        let shape = Attention { tokens, heads: 1, dim: 8, scale: 1.0 };
        let mut rng = Rng(tokens as u64);
        let mut qkv: Vec<f32> = rng.s8(tokens * 24, -128).iter().map(|&x| f32::from(x) / 128.0).collect();
        for row in qkv.chunks_exact_mut(24) {
            row[0] = score.abs().sqrt();
            row[8] = -score.abs().sqrt();
        }
        let mut scratch = vec![f32::NAN; shape.scratch()];
        let mut expected = vec![0.0; tokens * 8];
        Portable.attention(&shape, &qkv, &mut expected, &mut scratch);
        for kernels in available() {
            let mut got = vec![0.0; tokens * 8];
            kernels.attention(&shape, &qkv, &mut got, &mut scratch);
            for (g, e) in got.iter().zip(&expected) {
                assert!((g - e).abs() < 0.1, "{}: {g} is not {e}, {tokens} tokens", kernels.name());
            }
        }
    }
}

#[test]
fn attention_over_many_positions_is_close_everywhere() {
    for tokens in [400, 1024, 1037] {
        for kernels in available() {
            let [got, expected] = odd_attention(kernels, tokens, (tokens / 2, 3), 2.0);
            let halves = if kernels.name().starts_with("neon-") && tokens <= 1024 { 4e-3 } else { 0.0 };
            for (g, e) in got.iter().zip(&expected) {
                assert!((g - e).abs() <= 2e-4 + halves, "{} of {tokens}: {g} is not {e}", kernels.name());
            }
        }
    }
}

/// Rows of floats, some of them halfway between two bytes, or far outside.
fn rows(rng: &mut Rng, n: usize, scale: f32) -> Vec<f32> {
    let one = |rng: &mut Rng| match rng.next() % 8 {
        0 => (rng.next() % 512) as f32 * 0.5 * scale - 64.0 * scale,
        1 => ((rng.next() % 2001) as f32 - 1000.0) * 1e3 * scale,
        _ => ((rng.next() % 20001) as f32 / 10000.0 - 1.0) * 200.0 * scale,
    };
    (0..n).map(|_| one(rng)).collect()
}

fn normalized(
    kernels: &dyn Kernels,
    norm: &Norm<'_>,
    x: &[f32],
    (scale, zero): (f32, i8),
) -> (Vec<u32>, Vec<i8>) {
    let (mut floats, mut bytes) = (vec![0.0; x.len()], vec![0; x.len()]);
    kernels.layer_norm(norm, x, NormOut::F32(&mut floats));
    kernels.layer_norm(norm, x, NormOut::S8(&mut bytes, scale, zero));
    (floats.into_iter().map(f32::to_bits).collect(), bytes)
}

/// The formula written down once more, in double precision.
#[test]
fn the_portable_layer_norm_is_the_definition() {
    for n in [1, 5, 8, 24, 61] {
        let mut rng = Rng(n as u64);
        let [x, gamma, beta] = [3 * n, n, n].map(|n| rows(&mut rng, n, 0.01));
        let norm = Norm { gamma: &gamma, beta: &beta, epsilon: 1e-3 };
        let (floats, bytes) = normalized(&Portable, &norm, &x, (0.05, -9));
        for (r, row) in x.chunks_exact(n).enumerate() {
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
            let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n as f64;
            for (c, &x) in row.iter().enumerate() {
                let unit = (f64::from(x) - mean) / (variance + 1e-3).sqrt();
                let expected = unit * f64::from(gamma[c]) + f64::from(beta[c]);
                let got = f64::from(f32::from_bits(floats[r * n + c]));
                assert!((got - expected).abs() <= 1e-4 * (1.0 + expected.abs()), "{got} is not {expected}");
                let byte = (got / 0.05 - 9.0).clamp(-128.0, 127.0);
                assert!((f64::from(bytes[r * n + c]) - byte).abs() <= 0.5001, "the byte of {got}");
            }
        }
    }
}

#[test]
fn what_is_not_finite_becomes_the_same_byte_everywhere() {
    let x = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e38, -1e38, -0.0, 1e-40, 63.5];
    // Whole vectors and a rest.
    let x: Vec<f32> = x.iter().copied().cycle().take(43).collect();
    for kernels in available() {
        let mut out = vec![99; x.len()];
        kernels.quantize(&x, 0.5, 3, &mut out);
        assert_eq!(out[..9], [-128, -128, 127, -128, 127, -128, 3, 3, 127], "{}", kernels.name());
        assert!(out.iter().zip(out[9..].iter()).all(|(a, b)| a == b), "{}", kernels.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn products_are_the_same_everywhere(
        n in 1usize..70, segments in 1usize..4, seg_len in 1usize..100, rows in 1usize..30, step in 1usize..80, seed: u64,
    ) {
        same_product(&Case { n, segments, seg_len, rows, step, seed });
    }

    #[test]
    fn depthwise_is_the_same_everywhere(channels in 1usize..70, rows in 1usize..30, step in 1usize..3, seed: u64) {
        let expected = depthwise(&Portable, channels, rows, step, seed);
        for kernels in available() {
            prop_assert_eq!(&depthwise(kernels, channels, rows, step, seed), &expected, "{}", kernels.name());
        }
    }

    /// Sizes that halves hold, and that they don't.
    #[test]
    fn attention_is_close_everywhere(
        tokens in 1usize..60, heads in 1usize..4, wide: bool, size in prop::sample::select(vec![1e-3f32, 0.5, 2.0, 4.0, 1e3]), seed: u64,
    ) {
        let shape = Attention { tokens, heads, dim: if wide { 8 } else { 5 }, scale: 0.4 };
        let mut rng = Rng(seed);
        let inner = heads * shape.dim;
        let qkv: Vec<f32> =
            rng.s8(tokens * 3 * inner, -128).iter().map(|&x| f32::from(x) * size / 128.0).collect();
        let mut scratch = vec![f32::NAN; shape.scratch()];
        let mut expected = vec![0.0; tokens * inner];
        Portable.attention(&shape, &qkv, &mut expected, &mut scratch);
        let score = size * size * 8.0 * shape.scale;
        for kernels in available() {
            let mut got = vec![0.0; tokens * inner];
            kernels.attention(&shape, &qkv, &mut got, &mut scratch);
            // A score is off by its last bits, a weight by as much as its score.
            let halves = if kernels.name().starts_with("neon-") { 2e-3 + 1e-3 * score.min(64.0) } else { 0.0 };
            let tolerance = size * (2e-4 + 1e-6 * score + halves);
            for (g, e) in got.iter().zip(&expected) {
                prop_assert!((g - e).abs() <= tolerance, "{}: {} is not {}", kernels.name(), g, e);
            }
        }
    }

    #[test]
    fn lookups_are_the_same_everywhere(len in 0usize..200, seed: u64) {
        let mut rng = Rng(seed);
        let entries = rng.s8(256, -128);
        let table = Table::of(|x| entries[usize::from(x as u8)]);
        let data: Vec<i8> = (-128..=127).chain(rng.s8(len, -128)).collect();
        let expected: Vec<i8> = data.iter().map(|&x| table.get(x)).collect();
        for kernels in available() {
            let mut got = data.clone();
            kernels.lookup(&table, &mut got);
            prop_assert_eq!(&got, &expected, "{}", kernels.name());
        }
    }

    #[test]
    fn additions_are_the_same_everywhere(
        len in 0usize..200, ka in 0.01f32..3.0, kb in 0.01f32..3.0, k in -100f32..100.0, zero_point: i8, seed: u64,
    ) {
        let mut rng = Rng(seed);
        let (a, b) = (rng.s8(len, -128), rng.s8(len, -128));
        let k = AddScale { ka, kb, k, zero_point };
        let mut expected = vec![0; len];
        super::portable::add(&k, &a, &b, &mut expected);
        for kernels in available() {
            let mut got = vec![0; len];
            kernels.add(&k, &a, &b, &mut got);
            prop_assert_eq!(&got, &expected, "{}", kernels.name());
        }
    }

    #[test]
    fn quantization_is_the_same_everywhere(len in 0usize..100, scale in 1e-3f32..10.0, zero_point: i8, seed: u64) {
        let mut rng = Rng(seed);
        let x = rows(&mut rng, len, scale);
        for kernels in available() {
            let mut got = vec![0; len];
            kernels.quantize(&x, scale, zero_point, &mut got);
            for (&x, &got) in x.iter().zip(&got) {
                let steps = (x / scale).round_ties_even() + f32::from(zero_point);
                prop_assert_eq!(f32::from(got), steps.clamp(-128.0, 127.0), "{}: {} / {}", kernels.name(), x, scale);
            }
        }
    }

    #[test]
    fn layer_norm_is_the_same_everywhere(
        n in 1usize..70, count in 1usize..5, scale in 1e-3f32..1.0, zero_point: i8, seed: u64,
    ) {
        let mut rng = Rng(seed);
        let [x, gamma, beta] = [count * n, n, n].map(|n| rows(&mut rng, n, 0.01));
        let norm = Norm { gamma: &gamma, beta: &beta, epsilon: 1e-5 };
        let expected = normalized(&Portable, &norm, &x, (scale, zero_point));
        for kernels in available() {
            let got = normalized(kernels, &norm, &x, (scale, zero_point));
            prop_assert_eq!(&got, &expected, "{}", kernels.name());
        }
    }
}
