//! Still pictures: any JPEG or PNG, from a file or from memory, as an upright RGB frame.

use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::error::Error;
use super::jpeg::Decoder;
use super::{Tensor, orient};
use crate::clock::Moment;
use crate::frame::{Colour, Frame, PixelFormat, packed_planes};
use crate::geometry::Size;

/// The largest picture that is read. As RGB it takes 300 MB.
pub const MAX_PIXELS: u64 = 100_000_000;
/// The longest side that is read, JPEG's own limit.
pub const MAX_SIDE: u32 = 65_535;

/// What a picture from a file carries for a time.
const NOWHEN: Moment = Moment { monotonic: Duration::ZERO, wall: SystemTime::UNIX_EPOCH };

/// Reads a picture file: JPEG (baseline or progressive; grey, YCbCr, RGB, CMYK, YCCK) or PNG (any depth, palette,
/// grey, alpha), told apart by their first bytes.
///
/// The frame is [`PixelFormat::Rgb3`], turned upright as the EXIF orientation says; transparency shows the grey that
/// also surrounds pictures in a tensor. It carries no time: [`Frame::captured`] is the epoch.
pub fn load(path: &Path) -> Result<Frame, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    decode(&bytes).map_err(|e| Error::File { path: path.to_owned(), source: Box::new(e) })
}

/// Decodes a picture file's bytes, see [`load`].
pub fn decode(bytes: &[u8]) -> Result<Frame, Error> {
    match Kind::of(bytes)? {
        Kind::Jpeg => {
            let (pixels, size) = decode_jpeg(bytes, None)?;
            Ok(rgb_frame(pixels, size, orient::of(bytes)))
        }
        Kind::Png => {
            let (pixels, size) = decode_png(bytes)?;
            Ok(rgb_frame(pixels, size, orient::of(bytes)))
        }
    }
}

enum Kind {
    Jpeg,
    Png,
}

impl Kind {
    fn of(bytes: &[u8]) -> Result<Kind, Error> {
        let found = match bytes {
            [0xFF, 0xD8, 0xFF, ..] => return Ok(Kind::Jpeg),
            [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => return Ok(Kind::Png),
            [] => "is empty".to_owned(),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
                "is a WebP picture".to_owned()
            }
            [b'G', b'I', b'F', b'8', ..] => "is a GIF".to_owned(),
            [b'B', b'M', ..] => "is a BMP picture".to_owned(),
            [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "is a TIFF or raw picture".to_owned(),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => "is a HEIF, AVIF or video file".to_owned(),
            _ => {
                let start: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
                format!("starts with the bytes {}", start.join(" "))
            }
        };
        Err(Error::NotAPicture { found })
    }
}

pub(super) fn check_size(size: Size) -> Result<(), Error> {
    if size.area() > MAX_PIXELS {
        return Err(Error::TooLarge { size, limit: "100 megapixels" });
    }
    if size.width.max(size.height) > MAX_SIDE {
        return Err(Error::TooLarge { size, limit: "65535 pixels a side" });
    }
    Ok(())
}

fn rgb_frame(pixels: Vec<u8>, size: Size, orientation: orient::Orientation) -> Frame {
    let (pixels, size) = orientation.apply(pixels, size);
    let (planes, bytes) = packed_planes(PixelFormat::Rgb3, size);
    debug_assert_eq!(pixels.len(), bytes);
    Frame {
        data: pixels,
        format: PixelFormat::Rgb3,
        size,
        planes,
        colour: Colour::default(),
        sequence: 0,
        captured: NOWHEN,
    }
}

/// A JPEG file's bytes as a camera would send them: not decoded, and not turned upright. It carries no time, as
/// after [`load`].
///
/// # Errors
/// The header can't be read, or the picture is too large.
pub fn undecoded(jpeg: Vec<u8>) -> Result<Frame, Error> {
    let header = Decoder::new().header(&jpeg)?;
    check_size(header.size)?;
    let frame = Frame::packed(PixelFormat::Mjpeg, header.size, NOWHEN);
    Ok(Frame { data: jpeg, colour: Colour::JPEG, ..frame })
}

/// Decodes a camera's JPEG of that size, as it is.
pub(super) fn decode_jpeg_frame(bytes: &[u8], size: Size) -> Result<Frame, Error> {
    let (pixels, size) = decode_jpeg(bytes, Some(size))?;
    Ok(rgb_frame(pixels, size, orient::Orientation::default()))
}

/// Decodes a JPEG of the expected size, or of any that is allowed.
fn decode_jpeg(bytes: &[u8], expected: Option<Size>) -> Result<(Vec<u8>, Size), Error> {
    let mut decoder = Decoder::new();
    let header = decoder.header(bytes)?;
    header.check(expected.unwrap_or(header.size))?;
    decoder.decode(bytes, &header, 1)?;
    Ok((decoder.into_pixels(header.size), header.size))
}

fn decode_png(bytes: &[u8]) -> Result<(Vec<u8>, Size), Error> {
    let explain = |e: png::DecodingError| match &e {
        png::DecodingError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            Error::TruncatedPicture {
                format: "PNG",
                bytes: bytes.len(),
                detail: "it ends in the middle".into(),
            }
        }
        _ => Error::Corrupt { format: "PNG", detail: e.to_string() },
    };
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    let info = decoder.read_header_info().map_err(explain)?;
    let size = Size::new(info.width, info.height);
    check_size(size)?;
    let mut reader = decoder.read_info().map_err(explain)?;
    let too_large = || Error::TooLarge { size, limit: "this machine's memory" };
    let mut pixels = vec![0; reader.output_buffer_size().ok_or_else(too_large)?];
    let output = reader.next_frame(&mut pixels).map_err(explain)?;
    pixels.truncate(output.buffer_size());
    let rgb = match output.color_type {
        png::ColorType::Rgb => pixels,
        png::ColorType::Grayscale => pixels.iter().flat_map(|&x| [x; 3]).collect(),
        png::ColorType::GrayscaleAlpha => {
            let (pixels, _) = pixels.as_chunks::<2>();
            pixels.iter().flat_map(|&[x, a]| [over_grey(x, a); 3]).collect()
        }
        png::ColorType::Rgba => {
            let (pixels, _) = pixels.as_chunks::<4>();
            pixels.iter().flat_map(|&[r, g, b, a]| [r, g, b].map(|x| over_grey(x, a))).collect()
        }
        png::ColorType::Indexed => {
            return Err(Error::Corrupt { format: "PNG", detail: "its palette is missing".into() });
        }
    };
    Ok((rgb, size))
}

fn over_grey(x: u8, alpha: u8) -> u8 {
    let (x, a) = (u32::from(x), u32::from(alpha));
    ((x * a + u32::from(Tensor::PAD) * (255 - a) + 127) / 255) as u8
}
