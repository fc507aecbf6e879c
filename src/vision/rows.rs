//! The rows of an uncompressed frame, each as bytes that can be averaged: Y'CbCr rows are converted on the way.

use super::colour::{Coefficients, Planar, convert_row};
use super::error::Error;
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

    fn bytes(&self, plane: usize, row: usize, len: usize) -> &'a [u8] {
        let Plane { offset, stride } = self.planes[plane];
        &self.data[offset + row * stride..][..len]
    }
}

/// Buffers for converted rows. Neighbouring target rows share at most two source rows, so the last two are kept.
#[derive(Debug, Default)]
pub(super) struct Rows {
    converted: [Vec<u8>; 2],
    /// Which source row each of them is, plus one; 0: none.
    holds: [usize; 2],
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
    coefficients: Option<Coefficients>,
}

impl Rows {
    /// Forgets the rows of the picture before.
    pub fn begin(&mut self, picture: &Picture<'_>) {
        self.holds = [0; 2];
        self.coefficients = Some(Coefficients::of(picture.colour));
        if picture.lanes() == Lanes::Planar {
            let w = picture.size.width as usize;
            self.converted.iter_mut().for_each(|row| row.resize(3 * w, 0));
            self.y.resize(w.next_multiple_of(2), 0);
            self.u.resize(w.div_ceil(2), 0);
            self.v.resize(w.div_ceil(2), 0);
        }
    }

    /// The bytes of that row, see [`Picture::lanes`].
    pub fn get<'s>(&'s mut self, picture: &Picture<'s>, row: usize) -> &'s [u8] {
        let w = picture.size.width as usize;
        match picture.lanes() {
            Lanes::Grey => picture.bytes(0, row, w),
            Lanes::Rgb | Lanes::Bgr => picture.bytes(0, row, 3 * w),
            Lanes::Planar => {
                let slot = row % 2;
                if self.holds[slot] != row + 1 {
                    self.convert(picture, row, slot);
                    self.holds[slot] = row + 1;
                }
                &self.converted[slot]
            }
        }
    }

    fn convert(&mut self, picture: &Picture<'_>, row: usize, slot: usize) {
        let w = picture.size.width as usize;
        let cw = w.div_ceil(2);
        let (r, gb) = self.converted[slot].split_at_mut(w);
        let (g, b) = gb.split_at_mut(w);
        let out = Planar { r, g, b };
        let c = self.coefficients.get_or_insert_with(|| Coefficients::of(picture.colour));
        match picture.format {
            PixelFormat::Yuyv => {
                split_packed::<0>(picture.bytes(0, row, 4 * cw), &mut self.y, &mut self.u, &mut self.v);
                convert_row(&self.y[..w], &self.u, &self.v, c, out);
            }
            PixelFormat::Uyvy => {
                split_packed::<1>(picture.bytes(0, row, 4 * cw), &mut self.y, &mut self.u, &mut self.v);
                convert_row(&self.y[..w], &self.u, &self.v, c, out);
            }
            PixelFormat::Nv12 | PixelFormat::Nv21 => {
                let (first, second) = if picture.format == PixelFormat::Nv12 {
                    (&mut self.u, &mut self.v)
                } else {
                    (&mut self.v, &mut self.u)
                };
                split_pairs(picture.bytes(1, row / 2, 2 * cw), first, second);
                convert_row(picture.bytes(0, row, w), &self.u, &self.v, c, out);
            }
            _ => {
                let (u, v) = (picture.bytes(1, row / 2, cw), picture.bytes(2, row / 2, cw));
                convert_row(picture.bytes(0, row, w), u, v, c, out);
            }
        }
    }
}

/// Splits Y0 U Y1 V (`LUMA` 0) or U Y0 V Y1 (`LUMA` 1).
fn split_packed<const LUMA: usize>(bytes: &[u8], y: &mut [u8], u: &mut [u8], v: &mut [u8]) {
    let n = bytes.len() / 4;
    let (bytes, _) = bytes.as_chunks::<4>();
    let (y, u, v) = (&mut y[..2 * n], &mut u[..n], &mut v[..n]);
    for (k, q) in bytes.iter().enumerate() {
        (y[2 * k], u[k], y[2 * k + 1], v[k]) = (q[LUMA], q[1 - LUMA], q[2 + LUMA], q[3 - LUMA]);
    }
}

fn split_pairs(bytes: &[u8], first: &mut [u8], second: &mut [u8]) {
    let (pairs, _) = bytes.as_chunks::<2>();
    for ((pair, a), b) in pairs.iter().zip(first).zip(second) {
        (*a, *b) = (pair[0], pair[1]);
    }
}
