//! LayerNorm and QuantizeLinear as loops that the compiler vectorizes: inlined into each instruction set's wrapper, they
//! are compiled for its vectors, and compute the same bits everywhere.

use super::portable::ROUND;

/// ONNX's QuantizeLinear: `round(x / scale) + zero_point`, half to even, clamped.
#[inline(always)]
pub fn quantize(x: &[f32], scale: f32, zero_point: i8, out: &mut [i8]) {
    let zero = f32::from(zero_point);
    for (o, &x) in out.iter_mut().zip(x) {
        *o = to_byte(x / scale, zero);
    }
}

/// Steps to a byte. Clamping before rounding is the same (the bounds are whole); adding 1.5·2²³ rounds half to even and
/// leaves the integer in the low bits, so nothing is converted.
#[inline(always)]
fn to_byte(steps: f32, zero: f32) -> i8 {
    let clamped = steps.max(-128.0 - zero).min(127.0 - zero);
    ((clamped + ROUND).to_bits() as i8).wrapping_add(zero as i8)
}

/// LayerNorm over rows.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// A factor an element.
    pub gamma: &'a [f32],
    /// An addend an element.
    pub beta: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

/// Eight partial sums let the compiler use vectors.
#[inline(always)]
fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (eights, rest) = row.as_chunks::<8>();
    let mut parts = [0f32; 8];
    for eight in eights {
        for (p, &x) in parts.iter_mut().zip(eight) {
            *p += f(x);
        }
    }
    // Pairwise: a row is short enough for the latency of eight additions in turn to show.
    let [a, b, c, d, e, g, h, i] = parts;
    ((a + e) + (c + h)) + ((b + g) + (d + i)) + rest.iter().map(|&x| f(x)).sum::<f32>()
}

/// Where normalized rows go.
#[derive(Debug)]
pub enum NormOut<'a> {
    /// To bytes of a scale and zero point.
    S8(&'a mut [i8], f32, i8),
    /// To floats.
    F32(&'a mut [f32]),
}

impl Norm<'_> {
    /// Normalizes all rows.
    #[inline(always)]
    pub fn run(&self, x: &[f32], out: NormOut<'_>) {
        match out {
            NormOut::S8(out, scale, zero_point) => self.bytes(x, scale, zero_point, out),
            NormOut::F32(out) => self.floats(x, out),
        }
    }

    #[inline(always)]
    fn mean_and_inverse(&self, row: &[f32]) -> (f32, f32) {
        let n = row.len() as f32;
        let mean = sum(row, |x| x) / n;
        let variance = sum(row, |x| (x - mean) * (x - mean)) / n;
        (mean, 1.0 / (variance + self.epsilon).sqrt())
    }

    /// Every row, each element finished by `f`.
    #[inline(always)]
    fn each<Y>(&self, x: &[f32], out: &mut [Y], f: impl Fn(f32) -> Y) {
        let n = self.gamma.len();
        let (gammas, gamma_rest) = self.gamma.as_chunks::<8>();
        let (betas, beta_rest) = self.beta.as_chunks::<8>();
        for (row, out) in x.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            let (mean, inverse) = self.mean_and_inverse(row);
            let one = |x: f32, gamma: f32, beta: f32| f((x - mean) * inverse * gamma + beta);
            let (rows, row_rest) = row.as_chunks::<8>();
            let (outs, out_rest) = out.as_chunks_mut::<8>();
            for (((o, x), g), b) in outs.iter_mut().zip(rows).zip(gammas).zip(betas) {
                for i in 0..8 {
                    o[i] = one(x[i], g[i], b[i]);
                }
            }
            for (((o, x), g), b) in out_rest.iter_mut().zip(row_rest).zip(gamma_rest).zip(beta_rest) {
                *o = one(*x, *g, *b);
            }
        }
    }

    /// To floats.
    #[inline(always)]
    fn floats(&self, x: &[f32], out: &mut [f32]) {
        self.each(x, out, |x| x);
    }

    /// To bytes.
    #[inline(always)]
    fn bytes(&self, x: &[f32], scale: f32, zero_point: i8, out: &mut [i8]) {
        let (zero, inverse_scale) = (f32::from(zero_point), 1.0 / scale);
        self.each(x, out, |x| to_byte(x * inverse_scale, zero));
    }
}
