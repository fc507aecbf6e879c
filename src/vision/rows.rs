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
    /// The bytes of a row of each plane.
    lengths: [usize; 3],
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
        let (format, lengths) = (PixelFormat::Rgb3, [stride, 0, 0]);
        Picture { data, format, size, planes, lengths, colour: Colour::default() }
    }

    /// The picture in an uncompressed frame, if its bytes are all there.
    pub fn of(frame: &'a Frame) -> Result<Picture<'a>, Error> {
        let (format, size) = (frame.format, frame.size);
        let layout = |detail: String| Error::Layout { format, size, detail };
        if size.area() == 0 {
            return Err(layout("it has no pixels".into()));
        }
        if format == PixelFormat::Mjpeg {
            return Err(layout("it has to be decompressed first".into()));
        }
        let rows = format.rows(size);
        for (k, (plane, (bytes, rows))) in frame.planes.iter().zip(rows).take(format.planes()).enumerate() {
            if plane.stride < bytes {
                return Err(layout(format!(
                    "plane {k} has a stride of {} bytes, a row takes {bytes}",
                    plane.stride
                )));
            }
            // The last row need not be padded.
            let before = plane.stride.checked_mul(rows - 1).and_then(|n| n.checked_add(plane.offset));
            let end = before.and_then(|n| n.checked_add(bytes));
            let needed = end.ok_or_else(|| layout(format!("plane {k} ends beyond all memory")))?;
            if needed > frame.data.len() {
                return Err(Error::ShortFrame { format, size, got: frame.data.len(), needed });
            }
        }
        let lengths = rows.map(|(bytes, _)| bytes);
        Ok(Picture { data: &frame.data, format, size, planes: frame.planes, lengths, colour: frame.colour })
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
        let first = self.bytes(0, row);
        let chroma = |plane| self.bytes(plane, row / 2);
        match self.format {
            PixelFormat::Yuyv => Row::Samples(Samples::Yuyv(first)),
            PixelFormat::Uyvy => Row::Samples(Samples::Uyvy(first)),
            PixelFormat::Nv12 => Row::Samples(Samples::Nv12(first, chroma(1))),
            PixelFormat::Nv21 => Row::Samples(Samples::Nv21(first, chroma(1))),
            PixelFormat::Yu12 => Row::Samples(Samples::Yu12(first, chroma(1), chroma(2))),
            // `of` lets no JPEG through.
            PixelFormat::Grey | PixelFormat::Rgb3 | PixelFormat::Bgr3 | PixelFormat::Mjpeg => {
                Row::Bytes(first)
            }
        }
    }

    fn bytes(&self, plane: usize, row: usize) -> &'a [u8] {
        let Plane { offset, stride } = self.planes[plane];
        &self.data[offset + row * stride..][..self.lengths[plane]]
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
