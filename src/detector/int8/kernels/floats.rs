//! LayerNorm and QuantizeLinear as loops that the compiler vectorizes: inlined into each instruction set's wrapper, they
//! are compiled for its vectors, and compute the same bits everywhere.

/// ONNX's QuantizeLinear: `round(x / scale) + zero_point`, half to even, clamped.
#[inline(always)]
pub fn quantize(x: &[f32], scale: f32, zero_point: i8, out: &mut [i8]) {
    let zero = f32::from(zero_point);
    for (o, &x) in out.iter_mut().zip(x) {
        *o = to_byte(x / scale, zero);
    }
}

/// Steps to a byte. Clamping before rounding is the same (the bounds are whole), and adding and taking away 1.5·2²³
/// rounds half to even without a call.
#[inline(always)]
fn to_byte(steps: f32, zero: f32) -> i8 {
    const ROUND: f32 = 12_582_912.0;
    let rounded = (steps.clamp(-128.0 - zero, 127.0 - zero) + ROUND) - ROUND;
    (rounded + zero) as i32 as i8
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
    parts.iter().sum::<f32>() + rest.iter().map(|&x| f(x)).sum::<f32>()
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

    /// To floats.
    #[inline(always)]
    fn floats(&self, x: &[f32], out: &mut [f32]) {
        let n = self.gamma.len();
        for (row, out) in x.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            let (mean, inverse) = self.mean_and_inverse(row);
            for (((o, &x), g), b) in out.iter_mut().zip(row).zip(self.gamma).zip(self.beta) {
                *o = (x - mean) * inverse * g + b;
            }
        }
    }

    /// To bytes.
    #[inline(always)]
    fn bytes(&self, x: &[f32], scale: f32, zero_point: i8, out: &mut [i8]) {
        let (n, zero, inverse_scale) = (self.gamma.len(), f32::from(zero_point), 1.0 / scale);
        for (row, out) in x.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            let (mean, inverse) = self.mean_and_inverse(row);
            for (((o, &x), g), b) in out.iter_mut().zip(row).zip(self.gamma).zip(self.beta) {
                *o = to_byte(((x - mean) * inverse * g + b) * inverse_scale, zero);
            }
        }
    }
}
