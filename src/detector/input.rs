//! A [`Tensor`]'s interleaved bytes become the planes that a model is fed.

use std::sync::LazyLock;

use tract_onnx::prelude::f16;

use crate::vision::Tensor;

/// Writes the planes of R, G and B, each element through `convert`.
pub fn planes<T>(tensor: &Tensor, planes: &mut [T], convert: impl Fn(u8) -> T) {
    let area = tensor.data.len() / 3;
    let (red, rest) = planes.split_at_mut(area);
    let (green, blue) = rest.split_at_mut(area);
    let pixels = tensor.data.as_chunks::<3>().0;
    for (((pixel, r), g), b) in pixels.iter().zip(red).zip(green).zip(blue) {
        *r = convert(pixel[0]);
        *g = convert(pixel[1]);
        *b = convert(pixel[2]);
    }
}

/// 0…255 as 0…1; the very value of a division, as Python computes it, by table: a division an element, between stores to three
/// planes, is several times slower.
pub fn unit(value: u8) -> f32 {
    UNIT[usize::from(value)]
}

static UNIT: [f32; 256] = {
    let mut table = [0.0; 256];
    let mut value = 0;
    while value < 256 {
        table[value] = value as f32 / 255.0;
        value += 1;
    }
    table
};

/// 0…255 as 0…1 in half precision.
pub fn halves() -> &'static [f16; 256] {
    static TABLE: LazyLock<[f16; 256]> = LazyLock::new(|| UNIT.map(f16::from_f32));
    &TABLE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    #[test]
    fn interleaved_to_planes() {
        let tensor = Tensor { data: vec![1, 2, 3, 4, 5, 255], size: Size::new(2, 1) };
        let mut bytes = [0u8; 6];
        planes(&tensor, &mut bytes, |v| v);
        assert_eq!(bytes, [1, 4, 2, 5, 3, 255]);
        let mut floats = [0f32; 6];
        planes(&tensor, &mut floats, unit);
        assert_eq!((floats[0], floats[5]), (1.0 / 255.0, 1.0));
        assert_eq!((halves()[0], halves()[255]), (f16::from_f32(0.0), f16::from_f32(1.0)));
        assert!((0..=255).all(|v| unit(v) == f32::from(v) / 255.0));
    }
}
