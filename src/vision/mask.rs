//! Privacy masks: parts of the picture that nobody shall see are blackened before anything looks at it.

use super::{Letterbox, Tensor};
use crate::geometry::Polygon;

/// What a masked pixel is filled with.
const BLACK: u8 = 0;

/// How near to a masked part a pixel of the tensor is masked too, in pixels of the tensor: it is made of the picture's
/// pixels under it, of a neighbour's where the picture is enlarged, and their colours of two pixels of the picture.
fn margin(letterbox: &Letterbox) -> f64 {
    1.0 + 2.0 * f64::from(letterbox.inner.width) / f64::from(letterbox.picture.width)
}

/// The masked parts of one camera's picture.
#[derive(Clone, Debug)]
pub struct Mask {
    polygons: Vec<Polygon>,
    /// The letterbox that the spans are for; it changes only with the camera's size.
    planned: Option<Letterbox>,
    /// Masked bytes of the tensor, from … to, ascending.
    spans: Vec<(usize, usize)>,
}

impl Mask {
    /// A mask of some polygons, in fractions of the picture.
    pub fn new(polygons: Vec<Polygon>) -> Mask {
        Mask { polygons, planned: None, spans: Vec::new() }
    }

    /// Blackens every pixel of the tensor to which a masked pixel of the picture may have contributed.
    ///
    /// The place of the masked parts is computed once for a letterbox; after that this only writes.
    pub fn apply(&mut self, tensor: &mut Tensor, letterbox: &Letterbox) {
        if self.polygons.is_empty() {
            return;
        }
        if self.planned != Some(*letterbox) {
            self.plan(letterbox);
        }
        for &(from, to) in &self.spans {
            tensor.data[from..to].fill(BLACK);
        }
    }

    fn plan(&mut self, letterbox: &Letterbox) {
        self.spans.clear();
        let (inner, width, margin) = (letterbox.inner, letterbox.tensor.width as usize, margin(letterbox));
        let outlines: Vec<Vec<[f64; 2]>> = self.polygons.iter().map(|p| scaled(p, letterbox)).collect();
        for y in 0..inner.height {
            let row = (letterbox.top + y) as usize * width;
            for x in 0..inner.width {
                let cell = [
                    f64::from(x) - margin,
                    f64::from(y) - margin,
                    f64::from(x) + 1.0 + margin,
                    f64::from(y) + 1.0 + margin,
                ];
                if !outlines.iter().any(|outline| touches(outline, cell)) {
                    continue;
                }
                let from = (row + (letterbox.left + x) as usize) * 3;
                match self.spans.last_mut() {
                    Some((_, to)) if *to == from => *to = from + 3,
                    _ => self.spans.push((from, from + 3)),
                }
            }
        }
        self.planned = Some(*letterbox);
    }
}

/// A polygon in pixels of the letterbox's inner part.
fn scaled(polygon: &Polygon, letterbox: &Letterbox) -> Vec<[f64; 2]> {
    let size = [f64::from(letterbox.inner.width), f64::from(letterbox.inner.height)];
    polygon.points().iter().map(|p| [f64::from(p[0]) * size[0], f64::from(p[1]) * size[1]]).collect()
}

/// Whether a polygon and a rectangle (left, top, right, bottom) have a point in common: an edge runs through the
/// rectangle, or the one lies wholly in the other.
fn touches(outline: &[[f64; 2]], cell: [f64; 4]) -> bool {
    let edges = || outline.iter().zip(outline.iter().cycle().skip(1));
    edges().any(|(a, b)| crosses(*a, *b, cell)) || {
        let (x, y) = (cell[0], cell[1]);
        let passed = edges().filter(|(a, b)| {
            (a[1] > y) != (b[1] > y) && x < a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
        });
        passed.count() % 2 == 1
    }
}

/// Whether a segment has a point in a rectangle (Liang and Barsky's clipping).
fn crosses(a: [f64; 2], b: [f64; 2], cell: [f64; 4]) -> bool {
    let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
    for axis in 0..2 {
        let (low, high, step) = (cell[axis], cell[axis + 2], b[axis] - a[axis]);
        if step == 0.0 {
            if a[axis] < low || a[axis] > high {
                return false;
            }
            continue;
        }
        let (t, u) = ((low - a[axis]) / step, (high - a[axis]) / step);
        enter = enter.max(t.min(u));
        leave = leave.min(t.max(u));
    }
    enter <= leave
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};
    use crate::frame::{Frame, PixelFormat};
    use crate::geometry::Size;
    use crate::vision::Preprocessor;

    fn polygon(points: &[[f32; 2]]) -> Polygon {
        Polygon::new(points.to_vec()).expect("a simple polygon")
    }

    #[test]
    fn nothing_of_a_masked_part_is_left_in_the_tensor() {
        let masked = polygon(&[[0.30, 0.20], [0.71, 0.33], [0.55, 0.90], [0.41, 0.50]]);
        for size in [Size::new(640, 480), Size::new(1280, 720), Size::new(97, 211), Size::new(40, 30)] {
            let mut frame = Frame::packed(PixelFormat::Rgb3, size, SystemClock.now());
            // The picture is black but for what is masked, which is white: any light in the tensor is a leak.
            for (i, pixel) in frame.data.chunks_exact_mut(3).enumerate() {
                let (x, y) = (i as u32 % size.width, i as u32 / size.width);
                let centre = [(x as f32 + 0.5) / size.width as f32, (y as f32 + 0.5) / size.height as f32];
                pixel.fill(if masked.contains(centre) { 255 } else { 0 });
            }
            let mut tensor = Tensor::new(Size::new(320, 320));
            let prepared = Preprocessor::new(tensor.size).prepare(&frame, &mut tensor).expect("a good frame");
            assert!(tensor.data.contains(&255) || size.width < 100, "the test shows something at {size}");
            let mut mask = Mask::new(vec![masked.clone()]);
            mask.apply(&mut tensor, &prepared.letterbox);
            let lit = tensor.data.iter().filter(|&&v| v != 0 && v != Tensor::PAD).count();
            assert_eq!(lit, 0, "light leaks at {size}");
        }
    }

    #[test]
    fn what_is_not_masked_stays() {
        let letterbox = Letterbox::new(Size::new(1280, 720), Size::new(320, 320));
        let mut tensor = Tensor { data: vec![200; 320 * 320 * 3], size: Size::new(320, 320) };
        let mut mask = Mask::new(vec![polygon(&[[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]])]);
        mask.apply(&mut tensor, &letterbox);
        let masked = tensor.data.iter().filter(|&&v| v == 0).count();
        let (half, margin) = (160 * 180 * 3, 3 * 180 * 3);
        assert!((half..=half + margin).contains(&masked), "{masked} of {half}");
        assert_eq!(tensor.data[(100 * 320 + 10) * 3], 200, "the left half is there");
    }
}
