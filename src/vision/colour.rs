//! Y'CbCr → R'G'B' for rows of pixels, in 16-bit fixed point.
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
pub(super) fn exact(colour: Colour) -> [f64; 5] {
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

/// A row of pixels as three rows of bytes: all red, all green, all blue.
pub(super) struct Planar<'a> {
    pub r: &'a mut [u8],
    pub g: &'a mut [u8],
    pub b: &'a mut [u8],
}

/// A code value times a coefficient, in units of 1/32: what `pmulhrsw` and `sqrdmulh` compute.
fn multiply(code: i16, coefficient: i16) -> i16 {
    ((i32::from(code << 7) * i32::from(coefficient) + 0x4000) >> 15) as i16
}

fn to_byte(sum: i16) -> u8 {
    ((sum + 16) >> 5).clamp(0, 255) as u8
}

/// Converts a row whose `u` and `v` hold one sample for each pair of pixels (the last may be for one alone).
pub(super) fn convert_row(y: &[u8], u: &[u8], v: &[u8], c: &Coefficients, out: Planar<'_>) {
    let n = y.len();
    let Planar { r, g, b } = out;
    let (r, g, b) = (&mut r[..n], &mut g[..n], &mut b[..n]);
    let pairs = n / 2;
    let one = |y: u8, (red, green, blue): (i16, i16, i16)| {
        let luma = multiply(i16::from(y) - c.black, c.y);
        (to_byte(luma + red), to_byte(luma + green), to_byte(luma + blue))
    };
    let chroma = |u: u8, v: u8| {
        let (u, v) = (i16::from(u) - 128, i16::from(v) - 128);
        (multiply(v, c.r_v), multiply(u, c.g_u) + multiply(v, c.g_v), multiply(u, c.b_u))
    };
    for k in 0..pairs {
        let uv = chroma(u[k], v[k]);
        (r[2 * k], g[2 * k], b[2 * k]) = one(y[2 * k], uv);
        (r[2 * k + 1], g[2 * k + 1], b[2 * k + 1]) = one(y[2 * k + 1], uv);
    }
    if n % 2 == 1 {
        (r[n - 1], g[n - 1], b[n - 1]) = one(y[n - 1], chroma(u[pairs], v[pairs]));
    }
}
