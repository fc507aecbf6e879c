//! What a V4L2 pixel format means: which of ours it is, where its planes lie, and what its numbers stand for.

use v4l::FourCC;
use v4l::v4l_sys as raw;

use super::driver::MOST_PLANES;
use super::sys::Format;
use crate::capture::{Error, ErrorKind};
use crate::frame::{Colour, Frame, Matrix, PixelFormat, Plane, Range};
use crate::geometry::Size;

/// How one of V4L2's codes maps to one of our formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) format: PixelFormat,
    /// V comes before U.
    swapped: bool,
    /// Each plane has memory of its own.
    split: bool,
}

/// What a code means; `None`: Vigie doesn't understand it.
pub(super) fn meaning(fourcc: FourCC) -> Option<Meaning> {
    use PixelFormat::{Bgr3, Grey, Mjpeg, Nv12, Nv21, Rgb3, Uyvy, Yu12, Yuyv};
    let (format, swapped, split) = match &fourcc.repr {
        b"YUYV" => (Yuyv, false, false),
        b"UYVY" => (Uyvy, false, false),
        b"NV12" => (Nv12, false, false),
        b"NM12" => (Nv12, false, true),
        b"NV21" => (Nv21, false, false),
        b"NM21" => (Nv21, false, true),
        b"YU12" => (Yu12, false, false),
        b"YM12" => (Yu12, false, true),
        b"YV12" => (Yu12, true, false),
        b"YM21" => (Yu12, true, true),
        b"GREY" => (Grey, false, false),
        b"RGB3" => (Rgb3, false, false),
        b"BGR3" => (Bgr3, false, false),
        b"MJPG" | b"JPEG" => (Mjpeg, false, false),
        _ => return None,
    };
    Some(Meaning { format, swapped, split })
}

/// Whether a code is a sensor's raw mosaic (Bayer or monochrome, packed or not), which wants an image processor.
pub(super) fn is_raw_sensor(fourcc: FourCC) -> bool {
    let four = &fourcc.repr;
    let (pair, rest) = ([four[0], four[1]], [four[2], four[3]]);
    // BA81, GBRG, GRBG, RGGB; BG10, GB12, BA14, RG16, …; pBAA, pgCC, …; Y10P and the like.
    matches!(four, b"BA81" | b"GBRG" | b"GRBG" | b"RGGB" | b"BYR2")
        || (matches!(&pair, b"BG" | b"GB" | b"BA" | b"GR" | b"RG" | b"BD")
            && rest.iter().all(u8::is_ascii_digit))
        || (four[0] == b'p' && matches!(&rest, b"AA" | b"CC" | b"EE" | b"FF"))
        || matches!(four, b"Y10P" | b"Y12P" | b"Y14P" | b"PC1B" | b"PC1R" | b"PC1g" | b"PC1G" | b"PC1M")
}

/// How to take a picture out of a buffer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FrameLayout {
    pub(super) format: PixelFormat,
    pub(super) size: Size,
    colour: Colour,
    /// Where the planes lie in the frame.
    planes: [Plane; 3],
    /// How many bytes of each memory plane belong to the picture; 0 where there is no such plane.
    wanted: [usize; MOST_PLANES],
}

impl FrameLayout {
    /// The layout of what was negotiated.
    pub(super) fn of(f: &Format) -> Result<FrameLayout, Error> {
        let fourcc = f.fourcc;
        let unsupported = |what: String| Error::new(ErrorKind::Unsupported, what);
        let meaning = meaning(fourcc).ok_or_else(|| {
            unsupported(format!("the device insists on {fourcc}, which Vigie doesn't understand"))
        })?;
        match f.field {
            raw::v4l2_field_V4L2_FIELD_TOP
            | raw::v4l2_field_V4L2_FIELD_BOTTOM
            | raw::v4l2_field_V4L2_FIELD_ALTERNATE
            | raw::v4l2_field_V4L2_FIELD_SEQ_TB
            | raw::v4l2_field_V4L2_FIELD_SEQ_BT => {
                return Err(unsupported("the device gives half pictures (interlaced fields)".to_owned())
                    .with_hint("choose an input or a size that is progressive, for instance with v4l2-ctl"));
            }
            _ => {}
        }
        let (format, size) = (meaning.format, f.size);
        if size.area() == 0 || size.width > 1 << 14 || size.height > 1 << 14 {
            return Err(unsupported(format!("the device gives pictures of {size}")));
        }
        let mut layout = FrameLayout {
            format,
            size,
            colour: colour(f, format),
            planes: Default::default(),
            wanted: [0; MOST_PLANES],
        };
        if format != PixelFormat::Mjpeg {
            layout.place(f, meaning)?;
        }
        Ok(layout)
    }

    /// Finds out where the planes lie. V4L2 lets lines be padded, but not planes.
    fn place(&mut self, f: &Format, meaning: Meaning) -> Result<(), Error> {
        let rows = self.format.rows(self.size);
        let mut end = 0;
        for (i, &(bytes, lines)) in rows.iter().enumerate().take(self.format.planes()) {
            let memory = if meaning.split { i } else { 0 };
            let Some(&(line, _)) = f.planes.get(memory) else {
                let what = format!("the device's {} has {} memory planes", f.fourcc, f.planes.len());
                return Err(Error::new(ErrorKind::Unsupported, what));
            };
            // One line length is given for all planes that share memory: the luma's. That of planar chroma is half.
            let halved = i > 0 && !meaning.split && self.format == PixelFormat::Yu12;
            let line = if halved { (line as usize).div_ceil(2) } else { line as usize };
            let stride = line.max(bytes);
            self.planes[i] = Plane { offset: end, stride };
            // Drivers may leave out the last line's padding.
            let last = stride * (lines - 1) + bytes;
            if meaning.split {
                self.wanted[memory] = last;
                end += last;
            } else {
                self.wanted[0] = end + last;
                end += stride * lines;
            }
        }
        if meaning.swapped {
            self.planes.swap(1, 2);
        }
        Ok(())
    }

    /// Copies a picture out of a buffer's memory planes; `false`: it is not whole. A JPEG's end is for others to find.
    pub(super) fn copy(&self, memory: &[&[u8]; MOST_PLANES], frame: &mut Frame) -> bool {
        frame.data.clear();
        if self.format == PixelFormat::Mjpeg {
            frame.data.extend_from_slice(memory[0]);
        } else {
            for (bytes, &wanted) in memory.iter().zip(&self.wanted) {
                let Some(bytes) = bytes.get(..wanted) else { return false };
                frame.data.extend_from_slice(bytes);
            }
        }
        frame.format = self.format;
        frame.size = self.size;
        frame.planes = self.planes;
        frame.colour = self.colour;
        true
    }
}

/// What the numbers stand for, with the kernel's rules for what a driver leaves open.
fn colour(f: &Format, format: PixelFormat) -> Colour {
    if format == PixelFormat::Mjpeg {
        return Colour::JPEG;
    }
    let matrix = match f.ycbcr_enc {
        raw::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_DEFAULT => match f.colorspace {
            raw::v4l2_colorspace_V4L2_COLORSPACE_REC709
            | raw::v4l2_colorspace_V4L2_COLORSPACE_DCI_P3
            | raw::v4l2_colorspace_V4L2_COLORSPACE_SMPTE240M => Matrix::Bt709,
            raw::v4l2_colorspace_V4L2_COLORSPACE_BT2020 => Matrix::Bt2020,
            _ => Matrix::Bt601,
        },
        // SMPTE 240M's weights are within a hundredth of those of BT.709.
        raw::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_709
        | raw::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_XV709
        | raw::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_SMPTE240M => Matrix::Bt709,
        raw::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_BT2020
        | raw::v4l2_ycbcr_encoding_V4L2_YCBCR_ENC_BT2020_CONST_LUM => Matrix::Bt2020,
        _ => Matrix::Bt601,
    };
    let rgb = matches!(format, PixelFormat::Rgb3 | PixelFormat::Bgr3);
    let range = match f.quantization {
        raw::v4l2_quantization_V4L2_QUANTIZATION_FULL_RANGE => Range::Full,
        raw::v4l2_quantization_V4L2_QUANTIZATION_LIM_RANGE => Range::Limited,
        _ if rgb || f.colorspace == raw::v4l2_colorspace_V4L2_COLORSPACE_JPEG => Range::Full,
        _ => Range::Limited,
    };
    Colour { matrix, range }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::testing::FakeClock;
    use crate::clock::Clock;
    use crate::frame::packed_planes;

    fn format(fourcc: &[u8; 4], size: (u32, u32), lines: &[u32]) -> Format {
        Format {
            fourcc: FourCC::new(fourcc),
            size: Size::new(size.0, size.1),
            field: raw::v4l2_field_V4L2_FIELD_NONE,
            colorspace: raw::v4l2_colorspace_V4L2_COLORSPACE_SRGB,
            ycbcr_enc: 0,
            quantization: 0,
            planes: lines.iter().map(|&line| (line, 0)).collect(),
        }
    }

    fn copied(layout: &FrameLayout, memory: &[&[u8]]) -> Option<Frame> {
        let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), FakeClock::new().now());
        let mut all = [&[][..]; MOST_PLANES];
        all[..memory.len()].copy_from_slice(memory);
        layout.copy(&all, &mut frame).then_some(frame)
    }

    #[test]
    fn without_padding_the_planes_lie_where_a_packed_frame_has_them() {
        for fourcc in [b"YUYV", b"UYVY", b"NV12", b"NV21", b"YU12", b"GREY", b"RGB3", b"BGR3"] {
            let f = format(fourcc, (6, 4), &[0]);
            let layout = FrameLayout::of(&f).unwrap();
            let (planes, bytes) = packed_planes(layout.format, f.size);
            assert_eq!((layout.planes, layout.wanted[0]), (planes, bytes), "{}", f.fourcc);
        }
    }

    #[test]
    fn padded_lines_keep_their_stride_and_the_last_padding_may_be_missing() {
        let layout = FrameLayout::of(&format(b"NV12", (6, 4), &[16])).unwrap();
        assert_eq!(layout.planes[..2], [Plane { offset: 0, stride: 16 }, Plane { offset: 64, stride: 16 }]);
        assert_eq!(layout.wanted[0], 64 + 16 + 6);
        assert!(copied(&layout, &[&[0; 86]]).is_some());
        assert!(copied(&layout, &[&[0; 85]]).is_none(), "a byte is missing");
        let layout = FrameLayout::of(&format(b"YU12", (6, 4), &[16])).unwrap();
        assert_eq!(layout.planes[2], Plane { offset: 64 + 16, stride: 8 });
    }

    #[test]
    fn chroma_of_an_odd_width_has_the_lumas_stride_or_half_of_it() {
        let nv12 = FrameLayout::of(&format(b"NV12", (5, 4), &[16])).unwrap();
        assert_eq!(nv12.planes[..2], [Plane { offset: 0, stride: 16 }, Plane { offset: 64, stride: 16 }]);
        let yu12 = FrameLayout::of(&format(b"YU12", (5, 4), &[16])).unwrap();
        assert_eq!(yu12.planes[1..], [Plane { offset: 64, stride: 8 }, Plane { offset: 80, stride: 8 }]);
        for fourcc in [b"NV12", b"NV21", b"YU12"] {
            let tight = FrameLayout::of(&format(fourcc, (5, 3), &[5])).unwrap();
            assert_eq!(tight.planes, packed_planes(tight.format, tight.size).0, "{fourcc:?}");
        }
    }

    #[test]
    fn planes_with_memory_of_their_own_are_joined() {
        let layout = FrameLayout::of(&format(b"YM21", (4, 2), &[4, 2, 2])).unwrap();
        let frame = copied(&layout, &[&[1; 8], &[2; 2], &[3; 2]]).unwrap();
        assert_eq!(frame.data, [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 3]);
        let (u, v) = (frame.planes[1], frame.planes[2]);
        assert_eq!((frame.data[u.offset], frame.data[v.offset]), (3, 2), "V comes first in YM21");
        assert!(copied(&layout, &[&[1; 8], &[2; 2], &[3; 1]]).is_none());
        assert_eq!(
            FrameLayout::of(&format(b"NM12", (4, 2), &[4])).unwrap_err().kind(),
            ErrorKind::Unsupported
        );
    }

    #[test]
    fn colour_follows_the_kernels_defaults() {
        let colour_of = |fourcc, colorspace, encoding, quantization| {
            let f = Format { colorspace, ycbcr_enc: encoding, quantization, ..format(fourcc, (4, 4), &[0]) };
            let colour = FrameLayout::of(&f).unwrap().colour;
            (colour.matrix, colour.range)
        };
        assert_eq!(colour_of(b"YUYV", 8, 0, 0), (Matrix::Bt601, Range::Limited));
        assert_eq!(colour_of(b"YUYV", 3, 0, 0), (Matrix::Bt709, Range::Limited));
        assert_eq!(colour_of(b"YUYV", 7, 0, 0), (Matrix::Bt601, Range::Full));
        assert_eq!(colour_of(b"NV12", 8, 2, 1), (Matrix::Bt709, Range::Full));
        assert_eq!(colour_of(b"NV12", 10, 0, 2), (Matrix::Bt2020, Range::Limited));
        assert_eq!(colour_of(b"RGB3", 8, 0, 0).1, Range::Full);
        assert_eq!(colour_of(b"MJPG", 8, 0, 2), (Matrix::Bt601, Range::Full));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(FrameLayout::of(&format(b"H264", (4, 4), &[0])).unwrap_err().to_string().contains("H264"));
        assert!(FrameLayout::of(&format(b"YUYV", (0, 4), &[0])).is_err());
        let fields = Format { field: raw::v4l2_field_V4L2_FIELD_ALTERNATE, ..format(b"YUYV", (4, 4), &[0]) };
        assert!(FrameLayout::of(&fields).unwrap_err().to_string().contains("half pictures"));
        for bayer in [b"RGGB", b"BG10", b"pRAA", b"pgCC", b"GB16", b"Y10P"] {
            assert!(is_raw_sensor(FourCC::new(bayer)), "{bayer:?}");
        }
        for other in [b"YUYV", b"MJPG", b"BGR3", b"RGB3", b"GREY", b"Z16 "] {
            assert!(!is_raw_sensor(FourCC::new(other)), "{other:?}");
        }
    }
}
