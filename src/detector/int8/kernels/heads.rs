//! Keys and values of one attention head as the vector loops read them.

use super::Attention;

/// Channels of a head that the vector loops are written for (MobileViT's).
pub const DIM: usize = 8;

/// What all queries of a head look at: keys and values, as [`turn`] lays them out.
pub struct Head<'a, T> {
    /// Positions.
    pub tokens: usize,
    /// Positions, filled up to whole vectors.
    pub padded: usize,
    /// Factor of the products, for exponents of two.
    pub factor: f32,
    /// See [`turn`].
    pub keys: &'a [T],
    /// See [`turn`].
    pub values: &'a [T],
}

/// The same number; a NaN without payload. `exp2` works on a float's bits: it adds the lowest ones to the exponent, and a NaN
/// stays one only if these are zero.
#[inline(always)]
pub fn plain(x: f32) -> f32 {
    if x.is_nan() { f32::NAN } else { x }
}

/// Keys and values of `head` in blocks of `LANES` positions, in a block a channel after the other, each position a lane: so a
/// loop over the positions reads one run of memory. What lies past the last position stays as it is.
///
/// # Panics
/// When `qkv` or a target is shorter than the shape says.
#[inline(always)]
pub fn turn<T, const LANES: usize>(
    shape: &Attention,
    head: usize,
    qkv: &[f32],
    keys: &mut [T],
    values: &mut [T],
    convert: impl Fn(f32) -> T,
) {
    let inner = shape.heads * DIM;
    for (t, row) in qkv.chunks_exact(3 * inner).enumerate().take(shape.tokens) {
        let (key, value) = (&row[inner + head * DIM..][..DIM], &row[2 * inner + head * DIM..][..DIM]);
        let first = t / LANES * LANES * DIM + t % LANES;
        for (j, (&k, &v)) in key.iter().zip(value).enumerate() {
            keys[first + j * LANES] = convert(k);
            values[first + j * LANES] = convert(v);
        }
    }
}
