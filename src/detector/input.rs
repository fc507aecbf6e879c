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

/// 0…255 as 0…1; the very value of a division, as Python computes it.
pub fn unit(value: u8) -> f32 {
    f32::from(value) / 255.0
}

/// 0…255 as 0…1 in half precision.
pub fn half(value: u8) -> f16 {
    static TABLE: LazyLock<[f16; 256]> =
        LazyLock::new(|| std::array::from_fn(|v| f16::from_f32(unit(v as u8))));
    TABLE[usize::from(value)]
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
        assert_eq!(half(255), f16::from_f32(1.0));
    }
}
