//! The weights that resample one axis: area when it shrinks, linear when it grows, as the models were trained.
//!
//! They are whole numbers, so no precision is lost. With `g = gcd(from, to)`, a source pixel is `to / g` units long
//! and a target pixel `from / g`; the area filter's weight is the length of their overlap. 1280 → 320 gives four
//! weights of 1, 1080 → 320 weights of at most 8 that sum to 27.

/// How an axis of `from` pixels becomes one of `to`. Every target pixel has equally many weights, some of them zero.
#[derive(Debug, Default)]
pub(super) struct Axis {
    from: u32,
    to: u32,
    sum: u32,
    /// Weights a target pixel.
    len: usize,
    /// The source pixel of each target pixel's first weight.
    starts: Vec<u32>,
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
        self.starts.clear();
        self.weights.clear();
        let g = gcd(from, to);
        if from >= to { self.plan_area(from / g, to / g) } else { self.plan_linear(from / g, to / g) }
    }

    fn plan_area(&mut self, target_len: u32, source_len: u32) {
        self.sum = target_len;
        let (target_len, source_len) = (u64::from(target_len), u64::from(source_len));
        let reach = |j: u64| {
            let (a, b) = (j * target_len, (j + 1) * target_len);
            (a, b, a / source_len, b.div_ceil(source_len))
        };
        let len = (0..u64::from(self.to)).map(reach).map(|(_, _, first, end)| end - first).max().unwrap_or(1);
        self.len = len as usize;
        for (a, b, first, _) in (0..u64::from(self.to)).map(reach) {
            let start = first.min(u64::from(self.from) - len);
            self.starts.push(start as u32);
            let overlap = |k: u64| b.min((k + 1) * source_len).saturating_sub(a.max(k * source_len)) as u32;
            self.weights.extend((start..start + len).map(overlap));
        }
    }

    /// The target's pixel centres lie at `(j + ½) · from / to − ½`; beyond the outermost source centres the edge
    /// pixel is repeated.
    fn plan_linear(&mut self, from: u32, to: u32) {
        self.sum = 2 * to;
        self.len = 2.min(self.from as usize);
        let unit = i64::from(self.sum);
        let last = i64::from(self.from) - 1;
        for j in 0..i64::from(self.to) {
            let position = ((2 * j + 1) * i64::from(from) - i64::from(to)).clamp(0, last * unit);
            let start = (position / unit).min((last - 1).max(0));
            let second = position - start * unit;
            self.starts.push(start as u32);
            self.weights.extend(&[(unit - second) as u32, second as u32][..self.len]);
        }
    }

    /// What the weights of every target pixel add up to.
    pub fn sum(&self) -> u32 {
        self.sum
    }

    /// The whole number of source pixels that a target pixel takes, if it is one.
    pub fn whole_ratio(&self) -> Option<u32> {
        (self.from >= self.to && self.from.is_multiple_of(self.to)).then(|| self.from / self.to)
    }

    /// The first source pixel and the weights of target pixel `j`.
    #[inline(always)]
    pub fn taps(&self, j: usize) -> (usize, &[u32]) {
        (self.starts[j] as usize, &self.weights[j * self.len..][..self.len])
    }

    /// How many weights each target pixel has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// All first source pixels, and all weights, [`Axis::len`] for each of them.
    pub fn all_taps(&self) -> (&[u32], &[u32]) {
        (&self.starts, &self.weights)
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

    fn taps(a: &Axis) -> Vec<(usize, &[u32])> {
        (0..a.to as usize).map(|j| a.taps(j)).collect()
    }

    #[test]
    fn whole_ratios_have_unit_weights() {
        let a = axis(1280, 320);
        assert_eq!((a.sum(), a.whole_ratio(), a.len()), (4, Some(4), 4));
        assert!(taps(&a).into_iter().enumerate().all(|(j, t)| t == (4 * j, &[1, 1, 1, 1][..])));
    }

    #[test]
    fn five_to_two_shares_the_middle_pixel() {
        assert_eq!(taps(&axis(5, 2)), [(0, &[2, 2, 1][..]), (2, &[1, 2, 2][..])]);
    }

    #[test]
    fn doubling_takes_three_quarters_of_the_nearer_pixel() {
        assert_eq!(
            taps(&axis(2, 4)),
            [(0, &[4, 0][..]), (0, &[3, 1][..]), (0, &[1, 3][..]), (0, &[0, 4][..])]
        );
        assert_eq!(taps(&axis(1, 2)), [(0, &[4][..]), (0, &[4][..])]);
    }

    #[test]
    fn every_target_pixel_has_the_same_sum_and_stays_inside() {
        for from in [1, 2, 3, 7, 53, 320, 847, 1080, 65_535] {
            for to in [1, 2, 3, 5, 181, 320, 641] {
                let a = axis(from, to);
                for (start, weights) in taps(&a) {
                    assert_eq!(weights.iter().sum::<u32>(), a.sum(), "{from} to {to}");
                    assert!(start + weights.len() <= from as usize, "{from} to {to}");
                }
            }
        }
    }
}
