//! Pixels: a [`crate::frame::Frame`] of any format becomes a letterboxed [`Tensor`]; JPEG and annotated pictures.

pub mod annotate;
mod axis;
mod canvas;
mod colour;
pub mod encode;
mod error;
mod jpeg;
mod kernels;
mod mask;
mod motion;
mod orient;
mod palette;
pub mod picture;
mod prepare;
mod resample;
mod rows;
mod sharpness;
pub mod sketch;

pub use error::{Error, ErrorKind};
pub use mask::Mask;
pub use motion::Motion;
pub use prepare::{Prepared, Preprocessor};
pub use sharpness::sharpness;

use crate::geometry::{BBox, Size};

/// What the detector looks at: `height × width × 3` bytes, R G B interleaved, row by row without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The bytes, `height * width * 3` of them.
    pub data: Vec<u8>,
    /// The model's input size.
    pub size: Size,
}

impl Tensor {
    /// The grey that fills what the picture leaves free, as YOLO models are trained.
    pub const PAD: u8 = 114;

    /// A tensor full of [`Tensor::PAD`].
    pub fn new(size: Size) -> Tensor {
        Tensor { data: vec![Tensor::PAD; size.area() as usize * 3], size }
    }
}

/// How a picture was scaled (keeping its shape) and centred in a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Letterbox {
    /// The picture's size.
    pub picture: Size,
    /// The tensor's size.
    pub tensor: Size,
    /// The part of the tensor that the picture fills.
    pub inner: Size,
    /// Free columns left of it.
    pub left: u32,
    /// Free rows above it.
    pub top: u32,
}

impl Letterbox {
    /// The letterbox of a picture in a tensor: scaled by one factor, rounded to whole pixels, centred (the odd pixel
    /// goes to the right and below).
    pub fn new(picture: Size, tensor: Size) -> Letterbox {
        let scale = (f64::from(tensor.width) / f64::from(picture.width))
            .min(f64::from(tensor.height) / f64::from(picture.height));
        let side = |n: u32, limit: u32| ((f64::from(n) * scale).round_ties_even() as u32).clamp(1, limit);
        let inner = Size::new(side(picture.width, tensor.width), side(picture.height, tensor.height));
        Letterbox {
            picture,
            tensor,
            inner,
            left: (tensor.width - inner.width) / 2,
            top: (tensor.height - inner.height) / 2,
        }
    }

    /// A box of the tensor, in pixels of the picture, clamped to it.
    pub fn undo(&self, b: &BBox) -> BBox {
        let kx = self.picture.width as f32 / self.inner.width as f32;
        let ky = self.picture.height as f32 / self.inner.height as f32;
        let (left, top) = (self.left as f32, self.top as f32);
        BBox::new((b.x1 - left) * kx, (b.y1 - top) * ky, (b.x2 - left) * kx, (b.y2 - top) * ky)
            .clamp(self.picture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_picture_gets_bars_above_and_below() {
        let l = Letterbox::new(Size::new(1280, 720), Size::new(320, 320));
        assert_eq!((l.inner, l.left, l.top), (Size::new(320, 180), 0, 70));
        let whole = l.undo(&BBox::new(0.0, 70.0, 320.0, 250.0));
        assert_eq!(whole, BBox::new(0.0, 0.0, 1280.0, 720.0));
        assert_eq!(l.undo(&BBox::new(-5.0, 0.0, 400.0, 320.0)), whole, "what hangs over is clamped");
    }
}
