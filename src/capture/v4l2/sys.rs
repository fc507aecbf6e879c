//! The ioctls that agreeing with a device needs, as functions on its file: what it is, what it offers, what is set. The
//! request codes and structures are those of the crate `v4l`; `buffers.rs` has those that streaming needs.
//!
//! The crate's own device type is not used: it panics on names that are not UTF-8 and when closing fails.

#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use v4l::FourCC;
use v4l::frameinterval::{FrameInterval, FrameIntervalEnum};
use v4l::framesize::{FrameSize, FrameSizeEnum};
use v4l::v4l_sys as raw;

use super::driver::Input;
use super::ioctl::{self, Plain};
use crate::capture::negotiate::{Rates, Sizes};
use crate::geometry::Size;

/// Opens a device node without blocking; the file closes itself.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)
}

/// Which of V4L2's two families of structures a device speaks (its specification's "single- and multi-planar APIs").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// One memory plane a buffer.
    Single,
    /// One or more memory planes a buffer.
    Multi,
}

impl Family {
    /// V4L2's name for it.
    pub(super) const fn buf_type(self) -> u32 {
        match self {
            Family::Single => raw::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE,
            Family::Multi => raw::v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
        }
    }
}

/// What a device says of itself.
#[derive(Clone, Debug)]
pub(super) struct Capability {
    pub(super) driver: String,
    pub(super) card: String,
    pub(super) bus: String,
    /// What this node can do (`device_caps`), as opposed to the whole device.
    pub(super) caps: u32,
}

/// Asks a device what it is.
pub(super) fn capability(fd: BorrowedFd<'_>) -> io::Result<Capability> {
    let mut c = raw::v4l2_capability::zeroed();
    ioctl::QUERYCAP.call(fd, &mut c)?;
    let caps = if c.capabilities & raw::V4L2_CAP_DEVICE_CAPS != 0 { c.device_caps } else { c.capabilities };
    Ok(Capability { driver: text(&c.driver), card: text(&c.card), bus: text(&c.bus_info), caps })
}

/// A fixed field of text, up to its zero, whatever bytes a driver wrote there.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    let printable = |c: char| if c.is_control() { '\u{FFFD}' } else { c };
    String::from_utf8_lossy(&field[..end]).trim().chars().map(printable).collect()
}

/// A driver that never says "no more" must not keep us for ever.
const MOST_ENTRIES: u32 = 256;

/// The pixel formats on offer, each with the driver's words for it.
pub(super) fn formats(fd: BorrowedFd<'_>, family: Family) -> Vec<(FourCC, String)> {
    let entry = |index| {
        let mut f = raw::v4l2_fmtdesc::zeroed();
        (f.index, f.type_) = (index, family.buf_type());
        ioctl::ENUM_FMT.call(fd, &mut f).ok()?;
        Some((FourCC::from(f.pixelformat), text(&f.description)))
    };
    (0..MOST_ENTRIES).map_while(entry).collect()
}

/// The sizes on offer in a format; none where the driver doesn't say.
pub(super) fn sizes(fd: BorrowedFd<'_>, format: FourCC) -> Vec<Sizes> {
    let entry = |index| {
        let mut s = raw::v4l2_frmsizeenum::zeroed();
        (s.index, s.pixel_format) = (index, format.into());
        ioctl::ENUM_FRAMESIZES.call(fd, &mut s).ok()?;
        Some(match FrameSize::try_from(s).ok()?.size {
            FrameSizeEnum::Discrete(d) => Sizes::One(Size::new(d.width, d.height)),
            FrameSizeEnum::Stepwise(s) => Sizes::Range {
                min: Size::new(s.min_width, s.min_height),
                max: Size::new(s.max_width, s.max_height),
                step: Size::new(s.step_width.max(1), s.step_height.max(1)),
            },
        })
    };
    (0..MOST_ENTRIES).map_while(entry).collect()
}

/// The rates on offer in a format at a size.
pub(super) fn rates(fd: BorrowedFd<'_>, format: FourCC, size: Size) -> Rates {
    let fps =
        |f: v4l::Fraction| if f.numerator == 0 { 0.0 } else { f.denominator as f32 / f.numerator as f32 };
    let mut list = Vec::new();
    for index in 0..MOST_ENTRIES {
        let mut i = raw::v4l2_frmivalenum::zeroed();
        (i.index, i.pixel_format, i.width, i.height) = (index, format.into(), size.width, size.height);
        if ioctl::ENUM_FRAMEINTERVALS.call(fd, &mut i).is_err() {
            break;
        }
        match FrameInterval::try_from(i).map(|i| i.interval) {
            Ok(FrameIntervalEnum::Discrete(f)) => list.push(fps(f)),
            // The longest interval is the slowest rate.
            Ok(FrameIntervalEnum::Stepwise(s)) => return Rates::Range(fps(s.max), fps(s.min)),
            Err(_) => {}
        }
    }
    if list.is_empty() { Rates::Unknown } else { Rates::List(list) }
}

/// A format as both families of buffers describe it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Format {
    pub(super) fourcc: FourCC,
    pub(super) size: Size,
    pub(super) field: u32,
    pub(super) colorspace: u32,
    pub(super) ycbcr_enc: u32,
    pub(super) quantization: u32,
    /// Bytes a line and bytes in all, for each memory plane.
    pub(super) planes: Vec<(u32, u32)>,
}

/// The format that is set.
pub(super) fn format(fd: BorrowedFd<'_>, family: Family) -> io::Result<Format> {
    let mut f = raw::v4l2_format::zeroed();
    f.type_ = family.buf_type();
    // SAFETY: the type is one of the capturing families, whose arms of the union are made of integers.
    unsafe { ioctl::G_FMT.call_with_pointers(fd, &mut f)? };
    Ok(described(&f, family))
}

/// Sets a format; gives what the driver made of it.
pub(super) fn set_format(
    fd: BorrowedFd<'_>,
    family: Family,
    fourcc: FourCC,
    size: Size,
) -> io::Result<Format> {
    let mut f = raw::v4l2_format::zeroed();
    f.type_ = family.buf_type();
    let field = raw::v4l2_field_V4L2_FIELD_NONE;
    match family {
        Family::Single => {
            let mut pix = f.fmt_pix();
            (pix.width, pix.height, pix.pixelformat, pix.field) =
                (size.width, size.height, fourcc.into(), field);
            f.fmt.pix = pix;
        }
        Family::Multi => {
            let mut pix = f.fmt_pix_mp();
            (pix.width, pix.height, pix.pixelformat, pix.field) =
                (size.width, size.height, fourcc.into(), field);
            f.fmt.pix_mp = pix;
        }
    }
    // SAFETY: the type is one of the capturing families, whose arms of the union are made of integers.
    unsafe { ioctl::S_FMT.call_with_pointers(fd, &mut f)? };
    Ok(described(&f, family))
}

/// Reading a format's union: both arms are made of integers, so any bits are a value.
trait Arms {
    fn fmt_pix(&self) -> raw::v4l2_pix_format;
    fn fmt_pix_mp(&self) -> raw::v4l2_pix_format_mplane;
}

impl Arms for raw::v4l2_format {
    fn fmt_pix(&self) -> raw::v4l2_pix_format {
        // SAFETY: the union was zeroed in full; every arm is made of integers.
        unsafe { self.fmt.pix }
    }

    fn fmt_pix_mp(&self) -> raw::v4l2_pix_format_mplane {
        // SAFETY: the union was zeroed in full; every arm is made of integers.
        unsafe { self.fmt.pix_mp }
    }
}

fn described(f: &raw::v4l2_format, family: Family) -> Format {
    match family {
        Family::Single => {
            let p = f.fmt_pix();
            Format {
                fourcc: FourCC::from(p.pixelformat),
                size: Size::new(p.width, p.height),
                field: p.field,
                colorspace: p.colorspace,
                // SAFETY: both names are the same integer.
                ycbcr_enc: unsafe { p.__bindgen_anon_1.ycbcr_enc },
                quantization: p.quantization,
                planes: vec![(p.bytesperline, p.sizeimage)],
            }
        }
        Family::Multi => {
            let p = f.fmt_pix_mp();
            // The structures are packed: fields are copied out, never borrowed.
            let plane_fmt = p.plane_fmt;
            let planes =
                plane_fmt.iter().take(usize::from(p.num_planes)).map(|p| (p.bytesperline, p.sizeimage));
            Format {
                fourcc: FourCC::from(p.pixelformat),
                size: Size::new(p.width, p.height),
                field: p.field,
                colorspace: p.colorspace,
                // SAFETY: both names are the same integer.
                ycbcr_enc: u32::from(unsafe { p.__bindgen_anon_1.ycbcr_enc }),
                quantization: u32::from(p.quantization),
                planes: planes.collect(),
            }
        }
    }
}

/// The rate that is set; `None` where the driver has no say in it.
pub(super) fn rate(fd: BorrowedFd<'_>, family: Family) -> Option<f32> {
    let mut p = raw::v4l2_streamparm::zeroed();
    p.type_ = family.buf_type();
    ioctl::G_PARM.call(fd, &mut p).ok()?;
    interval_of(&p)
}

/// Asks for a rate; gives the one that the driver took.
pub(super) fn set_rate(fd: BorrowedFd<'_>, family: Family, fps: f32) -> io::Result<Option<f32>> {
    let mut p = raw::v4l2_streamparm::zeroed();
    p.type_ = family.buf_type();
    let (numerator, denominator) = fraction(fps);
    p.parm.capture =
        raw::v4l2_captureparm { timeperframe: raw::v4l2_fract { numerator, denominator }, ..capture_arm(&p) };
    ioctl::S_PARM.call(fd, &mut p)?;
    Ok(interval_of(&p))
}

fn capture_arm(p: &raw::v4l2_streamparm) -> raw::v4l2_captureparm {
    // SAFETY: the union was zeroed in full; every arm is made of integers.
    unsafe { p.parm.capture }
}

fn interval_of(p: &raw::v4l2_streamparm) -> Option<f32> {
    let interval = capture_arm(p).timeperframe;
    (interval.numerator > 0 && interval.denominator > 0)
        .then(|| interval.denominator as f32 / interval.numerator as f32)
}

/// Seconds a frame as a fraction, exact for whole rates and for those of television (29.97 = 30000/1001).
fn fraction(fps: f32) -> (u32, u32) {
    let fps = f64::from(fps.clamp(0.01, 1000.0));
    let television = (fps * 1.001).round();
    if (fps - fps.round()).abs() < 1e-3 {
        (1, fps.round() as u32)
    } else if (fps - television / 1.001).abs() < 1e-3 {
        (1001, (television * 1000.0) as u32)
    } else {
        (1000, (fps * 1000.0).round() as u32)
    }
}

/// Asks about the chosen input; `None`: the driver knows no inputs.
pub(super) fn input(fd: BorrowedFd<'_>) -> Option<Input> {
    let mut index: std::os::raw::c_int = 0;
    ioctl::G_INPUT.call(fd, &mut index).ok()?;
    let mut input = raw::v4l2_input::zeroed();
    input.index = u32::try_from(index).ok()?;
    ioctl::ENUMINPUT.call(fd, &mut input).ok()?;
    let troubles = [
        (raw::V4L2_IN_ST_NO_POWER, "its input has no power"),
        (raw::V4L2_IN_ST_NO_SIGNAL, "its input has no signal"),
        (raw::V4L2_IN_ST_NO_SYNC, "its input has no sync"),
    ];
    let trouble = troubles.into_iter().find_map(|(bit, words)| (input.status & bit != 0).then_some(words));
    Some(Input { trouble, wants_timings: input.capabilities & raw::V4L2_IN_CAP_DV_TIMINGS != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_become_exact_fractions() {
        assert_eq!(fraction(30.0), (1, 30));
        assert_eq!(fraction(29.97), (1001, 30_000));
        assert_eq!(fraction(7.5), (1000, 7500));
        assert_eq!(fraction(0.5), (1000, 500));
        assert_eq!(fraction(0.0), (1000, 10));
    }

    #[test]
    fn a_drivers_text_may_be_anything() {
        assert_eq!(text(b"uvcvideo\0\0\0junk"), "uvcvideo");
        assert_eq!(text(&[0xFF, b'a', 7, b'b']), "\u{FFFD}a\u{FFFD}b");
    }
}
