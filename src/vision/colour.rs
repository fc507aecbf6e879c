//! Y'CbCr → R'G'B' in 16-bit fixed point.
//!
//! Chroma that is subsampled horizontally is repeated for both pixels of its pair, as OpenCV and most drivers do.
//! Every term is rounded to 1/32 once and the result once more: at most 0.55 from the exact value.

use crate::frame::{Colour, Matrix, Range};

/// The conversion's coefficients: what `multiply` takes, in units of 1/8192.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coefficients {
    /// The code value of black.
    pub black: i16,
    /// Luma to every channel.
    pub y: i16,
    /// Cr to red.
    pub r_v: i16,
    /// Cb to green (negative).
    pub g_u: i16,
    /// Cr to green (negative).
    pub g_v: i16,
    /// Cb to blue.
    pub b_u: i16,
}

impl Coefficients {
    /// The coefficients for what a frame says its numbers mean.
    pub fn of(colour: Colour) -> Coefficients {
        let [y, r_v, g_u, g_v, b_u] = exact(colour).map(|x| (x * 8192.0).round() as i16);
        let black = match colour.range {
            Range::Limited => 16,
            Range::Full => 0,
        };
        Coefficients { black, y, r_v, g_u, g_v, b_u }
    }
}

/// Luma's factor, Cr's for red, Cb's and Cr's for green, Cb's for blue.
fn exact(colour: Colour) -> [f64; 5] {
    let (kr, kb) = match colour.matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
    };
    let (luma, chroma) = match colour.range {
        Range::Limited => (255.0 / 219.0, 255.0 / 224.0),
        Range::Full => (1.0, 1.0),
    };
    let kg = 1.0 - kr - kb;
    let (r_v, b_u) = (2.0 * (1.0 - kr) * chroma, 2.0 * (1.0 - kb) * chroma);
    [luma, r_v, -b_u * kb / kg, -r_v * kr / kg, b_u]
}

/// A code value times a coefficient, in units of 1/32: what `pmulhrsw` and `sqrdmulh` compute.
#[inline(always)]
fn multiply(code: i16, coefficient: i16) -> i16 {
    ((i32::from(code << 7) * i32::from(coefficient) + 0x4000) >> 15) as i16
}

#[inline(always)]
fn to_byte(sum: i16) -> u8 {
    ((sum + 16) >> 5).clamp(0, 255) as u8
}

impl Coefficients {
    /// What a pair of chroma samples adds to red, green and blue, in units of 1/32.
    #[inline(always)]
    pub fn chroma(&self, u: u8, v: u8) -> [i16; 3] {
        let (u, v) = (i16::from(u) - 128, i16::from(v) - 128);
        [multiply(v, self.r_v), multiply(u, self.g_u) + multiply(v, self.g_v), multiply(u, self.b_u)]
    }

    /// Red, green and blue of a pixel.
    #[inline(always)]
    pub fn pixel(&self, y: u8, chroma: [i16; 3]) -> [u8; 3] {
        let luma = multiply(i16::from(y) - self.black, self.y);
        chroma.map(|c| to_byte(luma + c))
    }
}
