//! Distances from the distributions that a YOLOv8 head gives for them (Li et al. 2020, "Generalized Focal Loss",
//! arXiv 2006.04388): the mean bin under a softmax, for several anchors at once.
//!
//! A busy scene has hundreds of candidates with 64 logits each, which lie `anchors` values apart. So eight candidates
//! are gathered side by side, and the arithmetic runs over them in vectors.

use std::f32::consts::{LN_2, LOG2_E};

/// Candidates that are computed side by side.
pub const LANES: usize = 8;
/// No head has more bins a side: `layout` accepts none.
pub const MAX_BINS: usize = 64;

/// A value for each candidate.
type Lanes = [f32; LANES];

/// One head's logits for distances: `4 · bins` rows of `anchors`.
#[derive(Clone, Copy)]
pub struct Distributions<'a> {
    pub logits: &'a [f32],
    pub bins: usize,
    pub anchors: usize,
}

impl Distributions<'_> {
    /// The mean bin of one side (0…3: left, top, right, bottom) at each of the anchors.
    pub fn means(self, side: usize, at: &[usize; LANES]) -> Lanes {
        let mut gathered = [[0.0; LANES]; MAX_BINS];
        let rows = self.logits[side * self.bins * self.anchors..].chunks_exact(self.anchors);
        let gathered = &mut gathered[..self.bins];
        let mut top = [f32::NEG_INFINITY; LANES];
        for (lanes, row) in gathered.iter_mut().zip(rows) {
            for ((lane, top), &anchor) in lanes.iter_mut().zip(&mut top).zip(at) {
                *lane = row[anchor];
                *top = if *lane > *top { *lane } else { *top };
            }
        }
        let (mut sum, mut moment) = ([0.0; LANES], [0.0; LANES]);
        for (bin, lanes) in gathered.iter().enumerate() {
            for i in 0..LANES {
                let weight = exp_of_negative(lanes[i] - top[i]);
                sum[i] += weight;
                moment[i] += weight * bin as f32;
            }
        }
        std::array::from_fn(|i| moment[i] / sum[i])
    }
}

/// `e^x` for `x` up to 0, without a branch or a call, so that it runs in vectors; the relative error is below 10⁻⁶. What
/// is not a number stays so.
fn exp_of_negative(x: f32) -> f32 {
    /// Added to and taken from a float, it rounds to an integer, which also stands in the sum's low bits.
    const ROUND: f32 = 12_582_912.0;
    /// `ln(2)ᵏ / k!`, the highest power first.
    const POWERS: [f32; 6] = [0.000_154_035, 0.001_333_356, 0.009_618_13, 0.055_504_11, 0.240_226_5, LN_2];
    let t = if x < -87.0 { -87.0 } else { x } * LOG2_E;
    let shifted = t + ROUND;
    let f = t - (shifted - ROUND);
    let p = POWERS.iter().fold(0.0, |p, c| (p + c) * f) + 1.0;
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_exponential_is_exact_enough() {
        for i in 0..=8700 {
            let x = -(i as f32) / 100.0;
            let (got, want) = (f64::from(exp_of_negative(x)), f64::from(x).exp());
            assert!((got / want - 1.0).abs() < 5e-6, "e^{x}: {got} instead of {want}");
        }
        assert_eq!(exp_of_negative(0.0), 1.0);
        assert!(exp_of_negative(f32::NEG_INFINITY) < 1e-37);
        assert!(exp_of_negative(f32::NAN).is_nan());
    }

    proptest! {
        #[test]
        fn the_mean_of_a_softmax(
            (bins, logits) in (1usize..=MAX_BINS).prop_flat_map(|bins| {
                (Just(bins), prop::collection::vec(-60f32..60.0, 4 * bins * 11))
            }),
            side in 0usize..4,
            at in prop::array::uniform8(0usize..11),
        ) {
            let got = Distributions { logits: &logits, bins, anchors: 11 }.means(side, &at);
            for (got, anchor) in got.into_iter().zip(at) {
                let values = (0..bins).map(|bin| f64::from(logits[(side * bins + bin) * 11 + anchor]));
                let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = values.map(|v| (v - top).exp()).collect();
                let moment: f64 = weights.iter().enumerate().map(|(bin, w)| bin as f64 * w).sum();
                let want = moment / weights.iter().sum::<f64>();
                prop_assert!((f64::from(got) - want).abs() < 1e-4, "{got} instead of {want}");
            }
        }
    }
}
