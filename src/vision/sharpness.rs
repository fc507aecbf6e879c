//! How sharp a part of a tensor is: cheap, on the small picture that is looked at anyway.

use super::{Letterbox, Tensor};
use crate::geometry::BBox;

/// The mean difference between a green byte and its right and lower neighbours' within a box, which is in pixels of the
/// picture that the letterbox is of; 0 if nothing of it is there.
///
/// Motion and a lens out of focus even out what is near each other, so that the mean falls.
pub fn sharpness(tensor: &Tensor, letterbox: &Letterbox, bbox: &BBox) -> f32 {
    let Letterbox { picture, inner, left, top, .. } = *letterbox;
    let bbox = bbox.clamp(picture);
    let across = inner.width as f32 / picture.width.max(1) as f32;
    let down = inner.height as f32 / picture.height.max(1) as f32;
    let stride = 3 * tensor.size.width as usize;
    let columns = (left + (bbox.x1 * across) as u32) as usize..(left + (bbox.x2 * across) as u32) as usize;
    let rows = (top + (bbox.y1 * down) as u32) as usize..(top + (bbox.y2 * down) as u32) as usize;
    let (mut sum, mut count) = (0u64, 0u64);
    for y in rows.start..rows.end.min(tensor.size.height as usize - 1) {
        let (this, below) = tensor.data[y * stride..(y + 2) * stride].split_at(stride);
        for x in columns.start..columns.end.min(tensor.size.width as usize - 1) {
            let here = this[3 * x + 1];
            sum += u64::from(here.abs_diff(this[3 * x + 4])) + u64::from(here.abs_diff(below[3 * x + 1]));
            count += 2;
        }
    }
    if count == 0 { 0.0 } else { sum as f32 / count as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    #[test]
    fn edges_are_sharp_and_a_wash_is_not() {
        let mut tensor = Tensor::new(Size::new(64, 64));
        let letterbox = Letterbox::new(Size::new(640, 320), tensor.size);
        for y in 16..48 {
            for x in 0..64 {
                // stripes on the left, a ramp on the right
                let value = if x < 32 { if x / 4 % 2 == 0 { 40 } else { 200 } } else { 4 * (x - 32) };
                tensor.data[(y * 64 + x) * 3..][..3].fill(value as u8);
            }
        }
        let left = sharpness(&tensor, &letterbox, &BBox::new(20.0, 20.0, 300.0, 300.0));
        let right = sharpness(&tensor, &letterbox, &BBox::new(340.0, 20.0, 620.0, 300.0));
        assert!(left > 15.0 && (1.9..2.1).contains(&right), "{left} {right}");
        assert_eq!(sharpness(&tensor, &letterbox, &BBox::new(5.0, 5.0, 5.0, 300.0)), 0.0);
        let outside = BBox::new(-50.0, -50.0, 9000.0, 9000.0);
        assert!(sharpness(&tensor, &letterbox, &outside) > 0.0);
    }
}
