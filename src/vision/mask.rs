//! Privacy masks: parts of the picture that nobody shall see are blackened before anything looks at it.

use super::{Letterbox, Prepared, Tensor};
use crate::geometry::{Polygon, Size};

/// What a masked pixel is filled with.
const BLACK: u8 = 0;

/// How near to a masked part a pixel of the tensor is masked too, in pixels of the tensor, across and down: it is made
/// of the picture's pixels under it, of a neighbour's where the picture is enlarged, and their colours of two pixels
/// of the picture; and in a compressed picture, of all the pixels that were compressed together with those.
fn margin(letterbox: &Letterbox, spread: Size) -> [f64; 2] {
    let along = |inner: u32, picture: u32, spread: u32| {
        1.0 + (2.0 + f64::from(spread)) * f64::from(inner) / f64::from(picture)
    };
    let Letterbox { inner, picture, .. } = *letterbox;
    [along(inner.width, picture.width, spread.width), along(inner.height, picture.height, spread.height)]
}

/// The masked parts of one camera's picture.
#[derive(Clone, Debug)]
pub struct Mask {
    polygons: Vec<Polygon>,
    /// The letterbox and the spread that the spans are for; they change only with the camera's size and format.
    planned: Option<(Letterbox, Size)>,
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
    pub fn apply(&mut self, tensor: &mut Tensor, prepared: &Prepared) {
        if self.polygons.is_empty() {
            return;
        }
        self.blacken(&mut tensor.data, &prepared.letterbox, prepared.spread);
    }

    /// Blackens the masked parts of an unpadded RGB picture at full size, before anybody keeps or sends it; `spread` is what
    /// [`Prepared`] says of the frame that it was made of.
    pub fn blank(&mut self, rgb: &mut [u8], size: Size, spread: Size) {
        if !self.polygons.is_empty() {
            self.blacken(rgb, &Letterbox::new(size, size), spread);
        }
    }

    fn blacken(&mut self, pixels: &mut [u8], letterbox: &Letterbox, spread: Size) {
        if self.planned != Some((*letterbox, spread)) {
            self.plan(letterbox, spread);
        }
        for &(from, to) in &self.spans {
            pixels[from..to].fill(BLACK);
        }
    }

    fn plan(&mut self, letterbox: &Letterbox, spread: Size) {
        self.spans.clear();
        let (inner, width) = (letterbox.inner, letterbox.tensor.width as usize);
        let [across, down] = margin(letterbox, spread);
        let outlines: Vec<Vec<[f64; 2]>> = self.polygons.iter().map(|p| scaled(p, letterbox)).collect();
        for y in 0..inner.height {
            let row = (letterbox.top + y) as usize * width;
            for x in 0..inner.width {
                let cell = [
                    f64::from(x) - across,
                    f64::from(y) - down,
                    f64::from(x) + 1.0 + across,
                    f64::from(y) + 1.0 + down,
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
        self.planned = Some((*letterbox, spread));
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
    use crate::vision::{Preprocessor, picture};
    use std::time::Duration;
    use turbojpeg::Subsamp;

    const TENSOR: Size = Size::new(320, 320);
    const SIZES: [Size; 5] = [
        Size::new(640, 480),
        Size::new(1280, 720),
        Size::new(1923, 1081),
        Size::new(97, 211),
        Size::new(40, 30),
    ];

    fn polygon(points: &[[f32; 2]]) -> Polygon {
        Polygon::new(points.to_vec()).expect("a simple polygon")
    }

    fn private() -> Polygon {
        polygon(&[[0.30, 0.20], [0.71, 0.33], [0.55, 0.90], [0.41, 0.50]])
    }

    /// An RGB picture of that size, with each pixel as the function wants it; it is told whether the pixel is private.
    fn painted(size: Size, mut paint: impl FnMut(bool) -> [u8; 3]) -> Frame {
        let (mut frame, masked) = (Frame::packed(PixelFormat::Rgb3, size, SystemClock.now()), private());
        for (i, pixel) in frame.data.chunks_exact_mut(3).enumerate() {
            let (x, y) = (i as u32 % size.width, i as u32 / size.width);
            let centre = [(x as f32 + 0.5) / size.width as f32, (y as f32 + 0.5) / size.height as f32];
            pixel.copy_from_slice(&paint(masked.contains(centre)));
        }
        frame
    }

    fn masked(frame: &Frame) -> Tensor {
        let mut tensor = Tensor::new(TENSOR);
        let prepared = Preprocessor::new(tensor.size).prepare(frame, &mut tensor).expect("a good frame");
        Mask::new(vec![private()]).apply(&mut tensor, &prepared);
        tensor
    }

    #[test]
    fn nothing_of_a_masked_part_is_left_in_the_tensor() {
        for size in SIZES {
            // The picture is black but for what is masked, which is white: any light in the tensor is a leak.
            let frame = painted(size, |private| if private { [255; 3] } else { [0; 3] });
            let mut tensor = Tensor::new(TENSOR);
            Preprocessor::new(tensor.size).prepare(&frame, &mut tensor).expect("a good frame");
            assert!(tensor.data.contains(&255) || size.width < 100, "the test shows something at {size}");
            let lit = masked(&frame).data.iter().filter(|&&v| v != 0 && v != Tensor::PAD).count();
            assert_eq!(lit, 0, "light leaks at {size}");
        }
    }

    fn compressed(frame: &Frame, subsampling: Subsamp) -> Frame {
        let (width, height) = (frame.size.width as usize, frame.size.height as usize);
        let format = turbojpeg::PixelFormat::RGB;
        let image = turbojpeg::Image { pixels: &frame.data[..], width, pitch: 3 * width, height, format };
        let jpeg = turbojpeg::compress(image, 50, subsampling).expect("a JPEG").to_vec();
        picture::undecoded(jpeg).expect("a good JPEG")
    }

    #[test]
    fn a_jpeg_is_the_same_behind_its_mask_whatever_is_masked() {
        let kinds = [Subsamp::None, Subsamp::Sub2x1, Subsamp::Sub2x2, Subsamp::Sub4x1, Subsamp::Gray];
        for (size, subsampling) in SIZES.iter().flat_map(|&size| kinds.map(|kind| (size, kind))) {
            // What is private is noise of the harshest colours, another in each of the two pictures.
            let [a, b] = [1, 2].map(|seed| {
                let mut noise = fastrand::Rng::with_seed(seed);
                let harsh = |random: &mut fastrand::Rng| if random.bool() { 255 } else { 0 };
                let frame = painted(size, |private| {
                    if private { [0; 3].map(|_: u8| harsh(&mut noise)) } else { [120, 90, 60] }
                });
                masked(&compressed(&frame, subsampling))
            });
            let leaks = a.data.iter().zip(&b.data).filter(|(a, b)| a != b).count();
            assert_eq!(leaks, 0, "{size} {subsampling:?}");
            let seen = a.data.iter().filter(|&&v| v != 0 && v != Tensor::PAD).count();
            assert!(
                seen > a.data.len() / 4 || size.width < 100,
                "the test shows something at {size}: {seen}"
            );
        }
    }

    #[test]
    fn what_is_not_masked_stays() {
        let letterbox = Letterbox::new(Size::new(1280, 720), TENSOR);
        for (spread, margin) in [(Size::default(), 3), (Size::new(16, 16), 6)] {
            let mut tensor = Tensor { data: vec![200; 320 * 320 * 3], size: TENSOR };
            let mut mask = Mask::new(vec![polygon(&[[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]])]);
            let (decode, prepare) = (Duration::ZERO, Duration::ZERO);
            mask.apply(&mut tensor, &Prepared { letterbox, decode, prepare, spread });
            let masked = tensor.data.iter().filter(|&&v| v == 0).count();
            let (half, margin) = (160 * 180 * 3, margin * 180 * 3);
            assert!((half..=half + margin).contains(&masked), "{masked} of {half}");
            assert_eq!(tensor.data[(100 * 320 + 10) * 3], 200, "the left half is there");
        }
    }
}
