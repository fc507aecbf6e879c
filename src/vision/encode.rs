//! Pictures for people and messages: any frame as RGB, and RGB as a JPEG or PNG file.

use std::path::Path;

use super::Letterbox;
use super::error::Error;
use super::picture;
use super::resample::Resampler;
use super::rows::Picture;
use crate::frame::{Frame, PixelFormat, Plane, packed_planes};
use crate::geometry::{BBox, Size};

/// The quality of JPEG files that are meant to be looked at.
pub const GOOD_QUALITY: u8 = 90;

/// The frame's picture at full size as an RGB frame, with the frame's time and number.
pub fn to_rgb(frame: &Frame) -> Result<Frame, Error> {
    let carrying = |rgb: Frame| Frame { sequence: frame.sequence, captured: frame.captured, ..rgb };
    if frame.format == PixelFormat::Mjpeg {
        return picture::decode_jpeg_frame(&frame.data, frame.size).map(carrying);
    }
    let source = Picture::of(frame)?;
    let size = source.size();
    picture::check_size(size)?;
    let mut rgb = carrying(Frame::packed(PixelFormat::Rgb3, size, frame.captured));
    let letterbox = Letterbox::new(size, size);
    Resampler::new().run(&source, &letterbox, &mut rgb.data);
    Ok(rgb)
}

/// An RGB frame's picture within another size, with bars where it is of another shape.
///
/// # Errors
/// When the frame isn't RGB, or its planes don't fit its size.
pub fn fit(frame: &Frame, size: Size) -> Result<Frame, Error> {
    rgb(frame)?;
    picture::check_size(size)?;
    let source = Picture::of(frame)?;
    let mut fitted = Frame::packed(PixelFormat::Rgb3, size, frame.captured);
    fitted.sequence = frame.sequence;
    Resampler::new().run(&source, &Letterbox::new(source.size(), size), &mut fitted.data);
    Ok(fitted)
}

/// A part of an RGB frame, made smaller if its longer side is longer than `longest` pixels. The part is widened to whole
/// pixels, and to 16 of them at least.
///
/// # Errors
/// When the frame isn't RGB, or its planes don't fit its size.
pub fn cut(frame: &Frame, part: &BBox, longest: u32) -> Result<Frame, Error> {
    const LEAST: f32 = 16.0;
    rgb(frame)?;
    let (part, size) = (part.clamp(frame.size), frame.size);
    let side = |from: f32, to: f32, whole: u32| {
        let length = (to.ceil() - from.floor()).max(LEAST).min(whole as f32);
        let from = from.floor().min(whole as f32 - length).max(0.0);
        (from as u32, length as u32)
    };
    let (x, width) = side(part.x1, part.x2, size.width);
    let (y, height) = side(part.y1, part.y2, size.height);
    let Plane { offset, stride } = frame.planes[0];
    let offset = offset + y as usize * stride + 3 * x as usize;
    let bytes = stride * (height as usize - 1) + 3 * width as usize;
    let mut view = Frame::packed(PixelFormat::Rgb3, Size::default(), frame.captured);
    (view.size, view.sequence) = (Size::new(width, height), frame.sequence);
    view.planes[0] = Plane { offset: 0, stride };
    view.data = frame.data[offset..offset + bytes].to_vec();
    let scale = (longest.max(1) as f32 / width.max(height) as f32).min(1.0);
    let scaled = |side: u32| ((side as f32 * scale).round() as u32).max(1);
    fit(&view, Size::new(scaled(width), scaled(height)))
}

/// Compresses an RGB frame as a JPEG of at most so many bytes: the quality falls until it is small enough, but not below 20.
///
/// # Errors
/// As [`jpeg`].
pub fn jpeg_within(frame: &Frame, quality: u8, bytes: usize) -> Result<Vec<u8>, Error> {
    const LEAST: u8 = 20;
    let mut quality = quality;
    loop {
        let jpeg = jpeg(frame, quality)?;
        if jpeg.len() <= bytes || quality <= LEAST {
            return Ok(jpeg);
        }
        quality = (quality - quality / 4).max(LEAST);
    }
}

/// Compresses an RGB frame as a baseline JPEG with 4:2:0 chroma.
pub fn jpeg(frame: &Frame, quality: u8) -> Result<Vec<u8>, Error> {
    let (pixels, stride) = rgb(frame)?;
    let size = frame.size;
    let explain = |e: turbojpeg::Error| Error::Encode { format: "JPEG", size, detail: e.to_string() };
    let mut compressor = turbojpeg::Compressor::new().map_err(explain)?;
    compressor.set_quality(i32::from(quality.clamp(1, 100))).map_err(explain)?;
    compressor.set_subsamp(turbojpeg::Subsamp::Sub2x2).map_err(explain)?;
    let (width, height) = (size.width as usize, size.height as usize);
    let image =
        turbojpeg::Image { pixels, width, pitch: stride, height, format: turbojpeg::PixelFormat::RGB };
    compressor.compress_to_vec(image).map_err(explain)
}

/// Compresses an RGB frame as a PNG.
pub fn png(frame: &Frame) -> Result<Vec<u8>, Error> {
    let (pixels, stride) = rgb(frame)?;
    let size = frame.size;
    let explain = |e: png::EncodingError| Error::Encode { format: "PNG", size, detail: e.to_string() };
    let packed = packed_planes(PixelFormat::Rgb3, size).0[0].stride;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size.width, size.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(explain)?;
    let rows: Vec<u8> = pixels.chunks(stride).flat_map(|row| &row[..packed]).copied().collect();
    writer.write_image_data(&rows).map_err(explain)?;
    writer.finish().map_err(explain)?;
    Ok(bytes)
}

/// Writes an RGB frame to a file: as a PNG if its name ends so, as a JPEG of good quality otherwise.
pub fn save(frame: &Frame, path: &Path) -> Result<(), Error> {
    let is_png = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
    let bytes = if is_png { png(frame)? } else { jpeg(frame, GOOD_QUALITY)? };
    std::fs::write(path, bytes).map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// An RGB frame's bytes from its first pixel on, and its stride.
fn rgb(frame: &Frame) -> Result<(&[u8], usize), Error> {
    let (format, size) = (frame.format, frame.size);
    if format != PixelFormat::Rgb3 {
        let detail = "only RGB frames can be written; convert it first".into();
        return Err(Error::Layout { format, size, detail });
    }
    Picture::of(frame)?;
    let plane = frame.planes[0];
    let last = plane.stride * (size.height as usize - 1) + 3 * size.width as usize;
    Ok((&frame.data[plane.offset..][..last], plane.stride))
}
