//! The loops over pixels, and the choice of their fastest variant for this processor.
//!
//! Every variant gives the same bytes as the portable one; a test holds them to it.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use super::axis::Axis;
use super::colour::Coefficients;

/// The samples of a row of Y'CbCr pixels, two of which share their chroma.
#[derive(Clone, Copy, Debug)]
pub(super) enum Samples<'a> {
    /// Y0 U Y1 V.
    Yuyv(&'a [u8]),
    /// U Y0 V Y1.
    Uyvy(&'a [u8]),
    /// Luma, and U V pairs.
    Nv12(&'a [u8], &'a [u8]),
    /// Luma, and V U pairs.
    Nv21(&'a [u8], &'a [u8]),
    /// Luma, U and V.
    Yu12(&'a [u8], &'a [u8], &'a [u8]),
}

/// The loops.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernels {
    /// The name of the instruction set.
    pub name: &'static str,
    /// Converts a row to all its red, then all its green, then all its blue bytes; `out` is three times as long as
    /// the row has pixels.
    pub convert: fn(Samples<'_>, &Coefficients, out: &mut [u8]),
    /// Starts sums with a weighted row.
    pub begin: fn(sums: &mut [u16], row: &[u8], weight: u16),
    /// Adds a weighted row to sums, which 16 bits are to hold.
    pub add: fn(sums: &mut [u16], row: &[u8], weight: u16),
    /// Starts sums that need 32 bits.
    pub begin_wide: fn(sums: &mut [u32], row: &[u8], weight: u32),
    /// Adds a weighted row to sums that need 32 bits.
    pub add_wide: fn(sums: &mut [u32], row: &[u8], weight: u32),
    /// Scales sums with weights of that sum to the weight [`NARROWED`].
    pub narrow: fn(wide: &[u32], weight: u32, out: &mut [u16]),
    /// Splits red, green, blue for each pixel into three rows, one after the other.
    pub split: fn(pixels: &[u16], out: &mut [u16]),
    /// Averages a row of sums sideways.
    pub across: fn(sums: &[u16], &Axis, Quotient, out: &mut [u8]),
    /// Joins three rows to red, green, blue for each pixel.
    pub join: fn([&[u8]; 3], out: &mut [u8]),
}

impl Kernels {
    /// The fastest variant that this processor can run.
    pub fn best() -> Kernels {
        #[cfg(target_arch = "x86_64")]
        if let Some(kernels) = avx2::kernels() {
            return kernels;
        }
        #[cfg(target_arch = "aarch64")]
        return neon::KERNELS;
        #[allow(unreachable_code)]
        portable::KERNELS
    }
}

/// The weight of sums that needed 32 bits, once they are in 16.
pub(super) const NARROWED: u32 = 256;

/// Division of a weighted sum of bytes by the sum of its weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quotient {
    shift: u32,
    inverse: f32,
}

impl Quotient {
    /// Division by `n`, for sums of at most `255 n`.
    pub fn by(n: u32) -> Quotient {
        // What signed conversion to floating point cannot take is halved first: the lost half weighs nothing then.
        let shift = u32::from(n > (i32::MAX / 255) as u32);
        Quotient { shift, inverse: (f64::from(1u32 << shift) / f64::from(n)) as f32 }
    }

    /// `sum / n`, rounded to nearest.
    #[inline(always)]
    fn of(self, sum: u32) -> u8 {
        round((sum >> self.shift) as i32 as f32 * self.inverse) as u8
    }
}

/// The nearest integer of a number in 0…2²².
#[inline(always)]
fn round(x: f32) -> u32 {
    // Adding 2²³ leaves no bits for a fraction; the sum's low bits are the rounded integer.
    (x + 8_388_608.0).to_bits() & 0x3F_FFFF
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Colour, Matrix, Range};
    use proptest::prelude::*;

    #[test]
    fn quotients_round_to_nearest() {
        for n in [1, 2, 3, 27, 256, 257 * 320, 8_421_505, 257 * 65_535] {
            for wanted in [0u32, 1, 113, 254, 255] {
                let q = Quotient::by(n);
                assert_eq!(q.of(wanted * n), wanted as u8, "{wanted} times {n}");
                if n > 2 && wanted < 255 {
                    assert_eq!(q.of(wanted * n + (n - 1) / 2 - n / 1000), wanted as u8);
                    assert_eq!(q.of(wanted * n + n / 2 + n / 1000 + 1), wanted as u8 + 1);
                }
            }
        }
    }

    fn bytes(n: usize, random: &mut fastrand::Rng) -> Vec<u8> {
        (0..n).map(|_| if random.bool() { random.u8(..) } else { 255 * random.u8(..2) }).collect()
    }

    proptest! {
        #[test]
        fn fast_kernels_give_the_bytes_of_the_portable_ones(
            width in 1usize..200, to in 1u32..80, weight in 1u16..86, format in 0..5, matrix in 0usize..3, full: bool, seed: u64,
        ) {
            let (fast, plain) = (Kernels::best(), portable::KERNELS);
            let mut random = fastrand::Rng::with_seed(seed);
            let pairs = width.div_ceil(2);
            let (y, uv, packed) =
                (bytes(width, &mut random), bytes(2 * pairs, &mut random), bytes(4 * pairs, &mut random));
            let samples = match format {
                0 => Samples::Yuyv(&packed),
                1 => Samples::Uyvy(&packed),
                2 => Samples::Nv12(&y, &uv),
                3 => Samples::Nv21(&y, &uv),
                _ => Samples::Yu12(&y, &uv[..pairs], &uv[pairs..]),
            };
            let matrix = [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020][matrix];
            let c = Coefficients::of(Colour { matrix, range: if full { Range::Full } else { Range::Limited } });
            let (mut a, mut b) = (vec![1; 3 * width], vec![2; 3 * width]);
            (fast.convert)(samples, &c, &mut a);
            (plain.convert)(samples, &c, &mut b);
            prop_assert_eq!(&a, &b);

            let (mut s, mut t) = (vec![3; 3 * width], vec![4; 3 * width]);
            for (kernels, sums) in [(fast, &mut s), (plain, &mut t)] {
                (kernels.begin)(sums, &a, weight);
                (kernels.add)(sums, &b, 2 * weight);
            }
            prop_assert_eq!(&s, &t);
            let (mut v, mut w) = (vec![3; 3 * width], vec![4; 3 * width]);
            let (mut x, mut z) = (vec![5; 3 * width], vec![6; 3 * width]);
            for (kernels, wide, narrow) in [(fast, &mut v, &mut x), (plain, &mut w, &mut z)] {
                (kernels.begin_wide)(wide, &a, 99 * u32::from(weight));
                (kernels.add_wide)(wide, &b, 200 * u32::from(weight));
                (kernels.narrow)(wide, 299 * u32::from(weight), narrow);
            }
            prop_assert_eq!((&v, &x), (&w, &z));
            let (mut p, mut q) = (vec![5; 3 * width], vec![6; 3 * width]);
            (fast.split)(&s, &mut p);
            (plain.split)(&t, &mut q);
            prop_assert_eq!(&p, &q);

            let mut axis = Axis::default();
            axis.plan(width as u32, to);
            let quotient = Quotient::by(3 * u32::from(weight) * axis.sum());
            let (mut m, mut n) = (vec![7; to as usize], vec![8; to as usize]);
            (fast.across)(&p[..width], &axis, quotient, &mut m);
            (plain.across)(&q[..width], &axis, quotient, &mut n);
            prop_assert_eq!(&m, &n);
            let (mut m, mut n) = (vec![9; 3 * width], vec![10; 3 * width]);
            let planes: [&[u8]; 3] = [&a[..width], &a[width..2 * width], &a[2 * width..]];
            (fast.join)(planes, &mut m);
            (plain.join)(planes, &mut n);
            prop_assert_eq!(&m, &n);
        }
    }
}
