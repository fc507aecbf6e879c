//! The weights that resample one axis: area when it shrinks, linear when it grows, as the models were trained.
//!
//! They are whole numbers, so no precision is lost. With `g = gcd(from, to)`, a source pixel is `to / g` units long
//! and a target pixel `from / g`; the area filter's weight is the length of their overlap. 1280 → 320 gives four
//! weights of 1, 1080 → 320 weights of at most 8 that sum to 27.

/// One target pixel's part of the source axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taps {
    /// The first source pixel.
    pub start: usize,
    /// Where its weights begin in [`Axis::weights`].
    offset: usize,
    /// How many source pixels it takes.
    pub len: usize,
}

/// How an axis of `from` pixels becomes one of `to`.
#[derive(Debug, Default)]
pub(super) struct Axis {
    from: u32,
    to: u32,
    sum: u32,
    taps: Vec<Taps>,
    weights: Vec<u32>,
}

impl Axis {
    /// The longest source whose weighted sums stay exact in 32 bits.
    pub const LONGEST_SOURCE: u32 = 65_535;
    /// The longest target, for the same reason.
    pub const LONGEST_TARGET: u32 = 32_767;

    /// Computes the weights, unless they are there already.
    pub fn plan(&mut self, from: u32, to: u32) {
        debug_assert!((1..=Axis::LONGEST_SOURCE).contains(&from) && (1..=Axis::LONGEST_TARGET).contains(&to));
        if (self.from, self.to) == (from, to) {
            return;
        }
        (self.from, self.to) = (from, to);
        self.taps.clear();
        self.weights.clear();
        let g = gcd(from, to);
        if from >= to { self.plan_area(from / g, to / g) } else { self.plan_linear(from / g, to / g) }
    }

    fn plan_area(&mut self, target_len: u32, source_len: u32) {
        self.sum = target_len;
        for j in 0..u64::from(self.to) {
            let (a, b) = (j * u64::from(target_len), (j + 1) * u64::from(target_len));
            let source_len = u64::from(source_len);
            let (first, last) = (a / source_len, (b - 1) / source_len);
            let offset = self.weights.len();
            self.weights
                .extend((first..=last).map(|k| (b.min((k + 1) * source_len) - a.max(k * source_len)) as u32));
            self.taps.push(Taps { start: first as usize, offset, len: (last - first + 1) as usize });
        }
    }

    /// The target's pixel centres lie at `(j + ½) · from / to − ½`; beyond the outermost source centres the edge
    /// pixel is repeated.
    fn plan_linear(&mut self, from: u32, to: u32) {
        self.sum = 2 * to;
        let unit = i64::from(self.sum);
        let last = i64::from(self.from) - 1;
        for j in 0..i64::from(self.to) {
            let position = (2 * j + 1) * i64::from(from) - i64::from(to);
            let (k, fraction) = (position.div_euclid(unit), position.rem_euclid(unit));
            let offset = self.weights.len();
            if k < 0 || k >= last || fraction == 0 {
                self.weights.push(self.sum);
            } else {
                self.weights.extend([(unit - fraction) as u32, fraction as u32]);
            }
            let start = k.clamp(0, last) as usize;
            self.taps.push(Taps { start, offset, len: self.weights.len() - offset });
        }
    }

    /// What the weights of every target pixel add up to.
    pub fn sum(&self) -> u32 {
        self.sum
    }

    /// For each target pixel, in order: its source pixels and their weights.
    pub fn taps(&self) -> impl ExactSizeIterator<Item = (usize, &[u32])> {
        self.taps.iter().map(|t| (t.start, &self.weights[t.offset..t.offset + t.len]))
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(from: u32, to: u32) -> Axis {
        let mut axis = Axis::default();
        axis.plan(from, to);
        axis
    }

    #[test]
    fn whole_ratios_have_unit_weights() {
        let a = axis(1280, 320);
        assert_eq!((a.sum(), a.taps().len()), (4, 320));
        assert!(a.taps().enumerate().all(|(j, t)| t == (4 * j, &[1, 1, 1, 1][..])));
    }

    #[test]
    fn five_to_two_shares_the_middle_pixel() {
        let a = axis(5, 2);
        assert_eq!(a.taps().collect::<Vec<_>>(), [(0, &[2, 2, 1][..]), (2, &[1, 2, 2][..])]);
    }

    #[test]
    fn doubling_takes_three_quarters_of_the_nearer_pixel() {
        let a = axis(2, 4);
        let taps: Vec<_> = a.taps().collect();
        assert_eq!(taps, [(0, &[4][..]), (0, &[3, 1][..]), (0, &[1, 3][..]), (1, &[4][..])]);
    }

    #[test]
    fn every_target_pixel_has_the_same_sum_and_stays_inside() {
        for from in [1, 2, 3, 7, 53, 320, 847, 1080, 65_535] {
            for to in [1, 2, 3, 5, 181, 320, 641] {
                let a = axis(from, to);
                assert_eq!(a.taps().len(), to as usize);
                for (start, weights) in a.taps() {
                    assert_eq!(weights.iter().sum::<u32>(), a.sum(), "{from} to {to}");
                    assert!(start + weights.len() <= from as usize, "{from} to {to}");
                }
            }
        }
    }
}
