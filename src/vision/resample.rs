//! Resampling: rows are averaged downwards first, while they are in the nearest cache, then the few that remain are
//! averaged sideways. All sums are exact; each result is rounded once.

use super::Letterbox;
use super::axis::Axis;
use super::colour::Coefficients;
use super::kernels::{Kernels, NARROWED, Quotient};
use super::rows::{Lanes, Picture, Rows};

/// The largest sum of weights for which 16 bits hold the weighted sum of bytes.
const NARROW: u32 = 257;

/// Weights and buffers, kept from picture to picture.
#[derive(Debug)]
pub(super) struct Resampler {
    kernels: Kernels,
    across: Axis,
    down: Axis,
    rows: Rows,
    sums: Vec<u16>,
    wide: Vec<u32>,
    split: Vec<u16>,
    averages: [Vec<u8>; 3],
}

impl Resampler {
    /// A resampler without buffers; they come with the first picture.
    pub fn new() -> Resampler {
        Resampler {
            kernels: Kernels::best(),
            across: Axis::default(),
            down: Axis::default(),
            rows: Rows::default(),
            sums: Vec::new(),
            wide: Vec::new(),
            split: Vec::new(),
            averages: Default::default(),
        }
    }

    /// The name of the instruction set that it uses.
    pub fn kernels(&self) -> &'static str {
        self.kernels.name
    }

    /// Scales the picture to the letterbox's inner part of an RGB picture without padding.
    pub fn run(&mut self, picture: &Picture<'_>, letterbox: &Letterbox, out: &mut [u8]) {
        let (size, inner) = (picture.size(), letterbox.inner);
        let (w, n) = (size.width as usize, inner.width as usize);
        let stride = 3 * letterbox.tensor.width as usize;
        let lanes = picture.lanes();
        let bytes = if lanes == Lanes::Grey { w } else { 3 * w };
        self.across.plan(size.width, inner.width);
        self.down.plan(size.height, inner.height);
        self.rows.begin(picture);
        self.sums.resize(bytes, 0);
        if self.down.sum() > NARROW {
            self.wide.resize(bytes, 0);
        }
        self.averages.iter_mut().for_each(|row| row.resize(n, 0));
        let coefficients = Coefficients::of(picture.colour());
        let weight = if self.down.sum() <= NARROW { self.down.sum() } else { NARROWED };
        let quotient = Quotient::by(weight * self.across.sum());

        let targets = out.chunks_exact_mut(stride).skip(letterbox.top as usize);
        for (j, target) in (0..inner.height as usize).zip(targets) {
            self.average_down(picture, &coefficients, j);
            self.average_across(lanes, w, quotient);
            let [a, b, c] = &self.averages;
            let planes: [&[u8]; 3] = match lanes {
                Lanes::Grey => [a; 3],
                Lanes::Bgr => [c, b, a],
                Lanes::Rgb | Lanes::Planar => [a, b, c],
            };
            (self.kernels.join)(planes, &mut target[3 * letterbox.left as usize..][..3 * n]);
        }
    }

    /// Sums up the source rows of target row `j`.
    fn average_down(&mut self, picture: &Picture<'_>, coefficients: &Coefficients, j: usize) {
        let (start, weights) = self.down.taps(j);
        let mut first = true;
        for (row, &weight) in (start..).zip(weights).filter(|&(_, &weight)| weight > 0) {
            let row = self.rows.get(picture, coefficients, &self.kernels, row);
            match (self.down.sum() <= NARROW, first) {
                (true, true) => (self.kernels.begin)(&mut self.sums, row, weight as u16),
                (true, false) => (self.kernels.add)(&mut self.sums, row, weight as u16),
                (false, true) => (self.kernels.begin_wide)(&mut self.wide, row, weight),
                (false, false) => (self.kernels.add_wide)(&mut self.wide, row, weight),
            }
            first = false;
        }
        if self.down.sum() > NARROW {
            (self.kernels.narrow)(&self.wide, self.down.sum(), &mut self.sums);
        }
    }

    fn average_across(&mut self, lanes: Lanes, w: usize, quotient: Quotient) {
        let sums = match lanes {
            Lanes::Grey | Lanes::Planar => &self.sums,
            Lanes::Rgb | Lanes::Bgr => {
                self.split.resize(3 * w, 0);
                (self.kernels.split)(&self.sums, &mut self.split);
                &self.split
            }
        };
        for (plane, averages) in sums.chunks_exact(w).zip(&mut self.averages) {
            (self.kernels.across)(plane, &self.across, quotient, averages);
        }
    }
}
