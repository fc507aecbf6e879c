//! The rows of an uncompressed frame, each as bytes that can be averaged: Y'CbCr rows are converted on the way.

use super::colour::Coefficients;
use super::error::Error;
use super::kernels::{Kernels, Samples};
use crate::frame::{Colour, Frame, PixelFormat, Plane};
use crate::geometry::Size;

/// An uncompressed picture whose rows are known to lie within its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picture<'a> {
    data: &'a [u8],
    format: PixelFormat,
    size: Size,
    planes: [Plane; 3],
    colour: Colour,
}

/// How the bytes of a row belong to pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lanes {
    /// One byte a pixel, for all three channels.
    Grey,
    /// Red, green, blue for each pixel.
    Rgb,
    /// Blue, green, red for each pixel.
    Bgr,
    /// All red bytes, then all green ones, then all blue ones.
    Planar,
}

enum Row<'a> {
    Bytes(&'a [u8]),
    Samples(Samples<'a>),
}

impl<'a> Picture<'a> {
    /// An RGB picture without padding.
    pub fn rgb(data: &'a [u8], size: Size) -> Picture<'a> {
        let stride = size.width as usize * 3;
        debug_assert_eq!(data.len(), stride * size.height as usize);
        let planes = [Plane { offset: 0, stride }, Plane::default(), Plane::default()];
        Picture { data, format: PixelFormat::Rgb3, size, planes, colour: Colour::default() }
    }

    /// The picture in an uncompressed frame, if its bytes are all there.
    pub fn of(frame: &'a Frame) -> Result<Picture<'a>, Error> {
        let (format, size) = (frame.format, frame.size);
        let (w, h) = (size.width as usize, size.height as usize);
        let layout = |detail: String| Error::Layout { format, size, detail };
        if w == 0 || h == 0 {
            return Err(layout("it has no pixels".into()));
        }
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let rows: [(usize, usize); 3] = match format {
            PixelFormat::Yuyv | PixelFormat::Uyvy => [(cw * 4, h), (0, 0), (0, 0)],
            PixelFormat::Nv12 | PixelFormat::Nv21 => [(w, h), (cw * 2, ch), (0, 0)],
            PixelFormat::Yu12 => [(w, h), (cw, ch), (cw, ch)],
            PixelFormat::Grey => [(w, h), (0, 0), (0, 0)],
            PixelFormat::Rgb3 | PixelFormat::Bgr3 => [(w * 3, h), (0, 0), (0, 0)],
            PixelFormat::Mjpeg => return Err(layout("it has to be decompressed first".into())),
        };
        for (k, (plane, (bytes, rows))) in frame.planes.iter().zip(rows).take(format.planes()).enumerate() {
            if plane.stride < bytes {
                return Err(layout(format!(
                    "plane {k} has a stride of {} bytes, a row takes {bytes}",
                    plane.stride
                )));
            }
            // The last row need not be padded.
            let end = plane.stride.checked_mul(rows - 1).and_then(|n| n.checked_add(bytes + plane.offset));
            let needed = end.ok_or_else(|| layout(format!("plane {k} ends beyond all memory")))?;
            if needed > frame.data.len() {
                return Err(Error::ShortFrame { format, size, got: frame.data.len(), needed });
            }
        }
        Ok(Picture { data: &frame.data, format, size, planes: frame.planes, colour: frame.colour })
    }

    /// Its size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// How the bytes of [`Rows::get`] belong to pixels.
    pub fn lanes(&self) -> Lanes {
        match self.format {
            PixelFormat::Grey => Lanes::Grey,
            PixelFormat::Rgb3 => Lanes::Rgb,
            PixelFormat::Bgr3 => Lanes::Bgr,
            _ => Lanes::Planar,
        }
    }

    /// What the numbers of its luma and chroma mean.
    pub fn colour(&self) -> Colour {
        self.colour
    }

    fn samples(&self, row: usize) -> Row<'a> {
        let w = self.size.width as usize;
        let cw = w.div_ceil(2);
        match self.format {
            PixelFormat::Grey => Row::Bytes(self.bytes(0, row, w)),
            PixelFormat::Yuyv => Row::Samples(Samples::Yuyv(self.bytes(0, row, 4 * cw))),
            PixelFormat::Uyvy => Row::Samples(Samples::Uyvy(self.bytes(0, row, 4 * cw))),
            PixelFormat::Nv12 => {
                Row::Samples(Samples::Nv12(self.bytes(0, row, w), self.bytes(1, row / 2, 2 * cw)))
            }
            PixelFormat::Nv21 => {
                Row::Samples(Samples::Nv21(self.bytes(0, row, w), self.bytes(1, row / 2, 2 * cw)))
            }
            PixelFormat::Yu12 => {
                let (u, v) = (self.bytes(1, row / 2, cw), self.bytes(2, row / 2, cw));
                Row::Samples(Samples::Yu12(self.bytes(0, row, w), u, v))
            }
            // `of` lets no JPEG through.
            PixelFormat::Rgb3 | PixelFormat::Bgr3 | PixelFormat::Mjpeg => {
                Row::Bytes(self.bytes(0, row, 3 * w))
            }
        }
    }

    fn bytes(&self, plane: usize, row: usize, len: usize) -> &'a [u8] {
        let Plane { offset, stride } = self.planes[plane];
        &self.data[offset + row * stride..][..len]
    }
}

/// Converted rows. Neighbouring target rows share at most two source rows, so the last two are kept.
#[derive(Debug, Default)]
pub(super) struct Rows {
    converted: [Vec<u8>; 2],
    /// Which source row each of them is.
    holds: [Option<usize>; 2],
}

impl Rows {
    /// Forgets the rows of the picture before.
    pub fn begin(&mut self, picture: &Picture<'_>) {
        self.holds = [None; 2];
        if picture.lanes() == Lanes::Planar {
            self.converted.iter_mut().for_each(|row| row.resize(3 * picture.size.width as usize, 0));
        }
    }

    /// The bytes of that row, see [`Picture::lanes`].
    pub fn get<'s>(
        &'s mut self,
        picture: &Picture<'s>,
        c: &Coefficients,
        kernels: &Kernels,
        row: usize,
    ) -> &'s [u8] {
        match picture.samples(row) {
            Row::Bytes(bytes) => bytes,
            Row::Samples(samples) => {
                let slot = row % 2;
                if self.holds[slot] != Some(row) {
                    (kernels.convert)(samples, c, &mut self.converted[slot]);
                    self.holds[slot] = Some(row);
                }
                &self.converted[slot]
            }
        }
    }
}
