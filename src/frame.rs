//! A [`Frame`]: the bytes of one picture as a camera gave them, and what is needed to understand them.

use crate::clock::Moment;
use crate::geometry::Size;

/// How a frame's bytes are laid out; the names are V4L2's fourcc codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// 4:2:2 packed, Y0 U Y1 V.
    Yuyv,
    /// 4:2:2 packed, U Y0 V Y1.
    Uyvy,
    /// 4:2:0, a plane of Y and one of interleaved U V.
    Nv12,
    /// 4:2:0, a plane of Y and one of interleaved V U.
    Nv21,
    /// 4:2:0, planes of Y, U and V (I420).
    Yu12,
    /// 8-bit luma alone.
    Grey,
    /// R, G, B bytes.
    Rgb3,
    /// B, G, R bytes.
    Bgr3,
    /// One JPEG picture (V4L2's MJPG and JPEG).
    Mjpeg,
}

impl PixelFormat {
    /// All of them.
    pub const ALL: [PixelFormat; 9] = [
        PixelFormat::Yuyv,
        PixelFormat::Uyvy,
        PixelFormat::Nv12,
        PixelFormat::Nv21,
        PixelFormat::Yu12,
        PixelFormat::Grey,
        PixelFormat::Rgb3,
        PixelFormat::Bgr3,
        PixelFormat::Mjpeg,
    ];

    /// The format's name as it stands in configuration and messages, for instance `YUYV`.
    pub const fn name(self) -> &'static str {
        match self {
            PixelFormat::Yuyv => "YUYV",
            PixelFormat::Uyvy => "UYVY",
            PixelFormat::Nv12 => "NV12",
            PixelFormat::Nv21 => "NV21",
            PixelFormat::Yu12 => "YU12",
            PixelFormat::Grey => "GREY",
            PixelFormat::Rgb3 => "RGB3",
            PixelFormat::Bgr3 => "BGR3",
            PixelFormat::Mjpeg => "MJPG",
        }
    }

    /// How many planes the format has.
    pub const fn planes(self) -> usize {
        match self {
            PixelFormat::Nv12 | PixelFormat::Nv21 => 2,
            PixelFormat::Yu12 => 3,
            _ => 1,
        }
    }

    /// For each plane of a picture of that size: the bytes of a row without padding, and how many rows there are.
    /// Zeros where there is no such plane, and for a JPEG, which has no rows.
    ///
    /// Odd sizes of subsampled formats round the chroma planes up, as V4L2 does.
    pub const fn rows(self, size: Size) -> [(usize, usize); 3] {
        let (w, h) = (size.width as usize, size.height as usize);
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        match self {
            PixelFormat::Yuyv | PixelFormat::Uyvy => [(cw * 4, h), (0, 0), (0, 0)],
            PixelFormat::Nv12 | PixelFormat::Nv21 => [(w, h), (cw * 2, ch), (0, 0)],
            PixelFormat::Yu12 => [(w, h), (cw, ch), (cw, ch)],
            PixelFormat::Grey => [(w, h), (0, 0), (0, 0)],
            PixelFormat::Rgb3 | PixelFormat::Bgr3 => [(w * 3, h), (0, 0), (0, 0)],
            PixelFormat::Mjpeg => [(0, 0); 3],
        }
    }
}

impl std::fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Which weights turn Y'CbCr into R'G'B'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matrix {
    /// ITU-R BT.601: JPEG, webcams, standard definition.
    #[default]
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
    /// ITU-R BT.2020.
    Bt2020,
}

/// Which code values stand for black and white.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// Y 16…235, Cb and Cr 16…240.
    #[default]
    Limited,
    /// 0…255 (JPEG).
    Full,
}

/// What the numbers of a Y'CbCr picture mean. RGB, grey and JPEG frames ignore the matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Colour {
    /// Which weights.
    pub matrix: Matrix,
    /// Which code values.
    pub range: Range,
}

impl Colour {
    /// What the numbers of every JPEG mean (JFIF): BT.601, full range.
    pub const JPEG: Colour = Colour { matrix: Matrix::Bt601, range: Range::Full };
}

/// Where a plane lies in a frame's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plane {
    /// Its first byte.
    pub offset: usize,
    /// Bytes from one row to the next, padding included.
    pub stride: usize,
}

/// One picture from a camera.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The bytes; only what the camera filled (for a JPEG: its compressed size).
    pub data: Vec<u8>,
    /// How they are laid out.
    pub format: PixelFormat,
    /// The picture's size. A JPEG whose header says another one is broken.
    pub size: Size,
    /// Where each plane lies; entries past [`PixelFormat::planes`] are unused.
    pub planes: [Plane; 3],
    /// What the numbers mean.
    pub colour: Colour,
    /// The source's running number of this frame; a gap means that frames were lost.
    pub sequence: u64,
    /// When it was captured.
    pub captured: Moment,
}

impl Frame {
    /// A frame of that format and size whose planes lie one after the other without padding, filled with zeros.
    pub fn packed(format: PixelFormat, size: Size, captured: Moment) -> Frame {
        let (planes, bytes) = packed_planes(format, size);
        Frame { data: vec![0; bytes], format, size, planes, colour: Colour::default(), sequence: 0, captured }
    }
}

/// The planes of an unpadded picture, and how many bytes it takes (0 for a JPEG, whose length is not known).
pub fn packed_planes(format: PixelFormat, size: Size) -> ([Plane; 3], usize) {
    let mut planes = [Plane::default(); 3];
    let mut end = 0;
    for (plane, (stride, rows)) in planes.iter_mut().zip(format.rows(size)).take(format.planes()) {
        *plane = Plane { offset: end, stride };
        end += stride * rows;
    }
    (planes, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_sizes_round_chroma_up() {
        let (planes, bytes) = packed_planes(PixelFormat::Yu12, Size::new(5, 3));
        assert_eq!(bytes, 15 + 2 * 6);
        assert_eq!(planes[2], Plane { offset: 21, stride: 3 });
        assert_eq!(packed_planes(PixelFormat::Yuyv, Size::new(5, 3)).1, 12 * 3);
        assert_eq!(packed_planes(PixelFormat::Nv21, Size::new(5, 3)).0[1], Plane { offset: 15, stride: 6 });
        assert_eq!(packed_planes(PixelFormat::Mjpeg, Size::new(5, 3)), (Default::default(), 0));
    }
}
