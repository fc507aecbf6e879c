//! JPEG in and out, through libjpeg-turbo.

use turbojpeg::{Colorspace, Image, PixelFormat, ScalingFactor};

use super::error::Error;
use super::picture::check_size;
use crate::geometry::Size;

const MAX_SCANS: u32 = 100;

/// So many bytes before a marker that don't belong there are a webcam's sloppiness.
const MOST_STRAY_BYTES: u32 = 2;

/// A decompressor and the buffer that it fills.
#[derive(Debug)]
pub(super) struct Decoder {
    handle: Option<turbojpeg::Decompressor>,
    pixels: Vec<u8>,
}

/// What a JPEG's header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// The picture's size.
    pub size: Size,
    /// The sides of the blocks that are compressed together, in pixels; chroma that is sampled at every second pixel
    /// makes them 16 long.
    pub block: Size,
    cmyk: bool,
    scalable: bool,
}

impl Header {
    /// Whether the picture has the size that it should have, and one that may be decoded at all.
    pub fn check(&self, expected: Size) -> Result<(), Error> {
        if self.size != expected {
            let detail = format!("its header says {}, its frame {expected}", self.size);
            return Err(Error::Corrupt { format: "JPEG", detail });
        }
        check_size(self.size)
    }

    /// The size after scaling by 1/`denominator`.
    pub fn scaled(&self, denominator: u32) -> Size {
        Size::new(self.size.width.div_ceil(denominator), self.size.height.div_ceil(denominator))
    }

    /// How far the inverse DCT itself may shrink the picture without falling below `wanted` on either axis: 1, 2, 4
    /// or 8. (The factors between these have no SIMD code and take longer than decoding more and averaging it.)
    pub fn denominator_for(&self, wanted: Size) -> u32 {
        let enough = |d: &u32| {
            let s = self.scaled(*d);
            s.width >= wanted.width && s.height >= wanted.height
        };
        [8, 4, 2].into_iter().filter(|_| self.scalable).find(enough).unwrap_or(1)
    }
}

impl Decoder {
    /// A decoder without buffers; they come with the first picture.
    pub fn new() -> Decoder {
        Decoder { handle: None, pixels: Vec::new() }
    }

    fn handle(&mut self) -> Result<&mut turbojpeg::Decompressor, Error> {
        if self.handle.is_none() {
            let corrupt =
                |e: turbojpeg::Error| Error::Corrupt { format: "JPEG", detail: format!("no decoder: {e}") };
            let mut handle = turbojpeg::Decompressor::new().map_err(corrupt)?;
            // A few kilobytes of progressive JPEG can ask for thousands of passes over a huge picture.
            handle.set_scan_limit(MAX_SCANS).map_err(corrupt)?;
            self.handle = Some(handle);
        }
        self.handle.as_mut().ok_or_else(|| Error::Corrupt { format: "JPEG", detail: "no decoder".into() })
    }

    /// Reads the header alone.
    pub fn header(&mut self, jpeg: &[u8]) -> Result<Header, Error> {
        let header = self.handle()?.read_header(jpeg).map_err(|e| explain(&e, jpeg))?;
        let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let size = Size::new(side(header.width), side(header.height));
        if size.area() == 0 {
            return Err(Error::Corrupt { format: "JPEG", detail: format!("its size is {size}") });
        }
        let cmyk = matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK);
        let block = match header.subsamp {
            // Some other sampling; T.81 allows four to one at most.
            turbojpeg::Subsamp::Unknown => Size::new(32, 32),
            known => Size::new(side(known.mcu_width()), side(known.mcu_height())),
        };
        Ok(Header { size, block, cmyk, scalable: !header.is_lossless })
    }

    /// Decompresses to RGB, shrunk by `denominator` (1, 2, 4 or 8), and gives the pixels and their size.
    ///
    /// A JPEG whose data end early or contradict themselves is an error, though libjpeg would fill in grey.
    pub fn decode(&mut self, jpeg: &[u8], header: &Header, denominator: u32) -> Result<(&[u8], Size), Error> {
        let size = header.scaled(denominator);
        let (w, h) = (size.width as usize, size.height as usize);
        let (format, channels) = if header.cmyk { (PixelFormat::CMYK, 4) } else { (PixelFormat::RGB, 3) };
        let mut pixels = std::mem::take(&mut self.pixels);
        pixels.resize(w * h * channels, 0);
        let handle = self.handle()?;
        let result = handle.set_scaling_factor(ScalingFactor::new(1, denominator as usize)).and_then(|()| {
            let image = Image { pixels: &mut pixels[..], width: w, pitch: w * channels, height: h, format };
            handle.decompress(jpeg, image)
        });
        self.pixels = pixels;
        match result {
            Err(e) if !harmless(&e) => return Err(explain(&e, jpeg)),
            _ => {}
        }
        if header.cmyk {
            cmyk_to_rgb(&mut self.pixels);
        }
        Ok((&self.pixels[..w * h * 3], size))
    }

    /// Takes the pixels of the last [`Decoder::decode`], which were of that size.
    pub fn into_pixels(mut self, size: Size) -> Vec<u8> {
        self.pixels.truncate(size.area() as usize * 3);
        self.pixels
    }
}

/// Many webcams put a stray byte or two before a marker; libjpeg warns and the picture is whole.
///
/// More of them are the rest of a scan that was misread: a flipped bit leaves hundreds, and a garbled picture.
fn harmless(e: &turbojpeg::Error) -> bool {
    let turbojpeg::Error::TurboJpegError(text) = e else { return false };
    let Some((before, _)) = text.split_once(" extraneous bytes before marker") else { return false };
    let count = before.rsplit(' ').next().and_then(|n| n.parse::<u32>().ok());
    count.is_some_and(|n| n <= MOST_STRAY_BYTES)
}

fn explain(e: &turbojpeg::Error, jpeg: &[u8]) -> Error {
    let detail = match e {
        turbojpeg::Error::TurboJpegError(text) => {
            let text = text.trim_start_matches("Corrupt JPEG data: ");
            lower_first(text.trim_end_matches(['.', '\n']))
        }
        // The crate's word for a header without a size.
        turbojpeg::Error::IntegerOverflow(_) => "it ends before its size".to_owned(),
        other => lower_first(&other.to_string()),
    };
    // A picture that is cut off in a table or a marker has all sorts of errors; what it lacks is the end marker.
    let end = jpeg.iter().rposition(|&b| b != 0).map_or(&jpeg[..0], |last| &jpeg[..=last]);
    let cut_off = jpeg.len() < 4 || (jpeg.starts_with(&[0xFF, 0xD8]) && !end.ends_with(&[0xFF, 0xD9]));
    if cut_off || detail.contains("premature end") {
        return Error::TruncatedPicture { format: "JPEG", bytes: jpeg.len(), detail };
    }
    Error::Corrupt { format: "JPEG", detail }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), text.starts_with("JPEG")) {
        (Some(first), false) => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// Adobe's programs store CMYK inverted (255: no ink), and libjpeg hands it on as it is stored.
fn cmyk_to_rgb(pixels: &mut [u8]) {
    for k in 0..pixels.len() / 4 {
        let [c, m, y, black] = [0, 1, 2, 3].map(|i| u32::from(pixels[4 * k + i]));
        let ink = |x: u32| ((x * black + 127) / 255) as u8;
        (pixels[3 * k], pixels[3 * k + 1], pixels[3 * k + 2]) = (ink(c), ink(m), ink(y));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photograph(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/demo/pictures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn decoded(decoder: &mut Decoder, jpeg: &[u8]) -> Result<Vec<u8>, Error> {
        let header = decoder.header(jpeg)?;
        decoder.decode(jpeg, &header, 1).map(|(pixels, _)| pixels.to_vec())
    }

    /// Where the first scan's data begin.
    fn scan(jpeg: &[u8]) -> usize {
        let mut at = 2;
        loop {
            let (marker, len) = (jpeg[at + 1], u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            at += 2 + usize::from(len);
            if marker == 0xDA {
                return at;
            }
        }
    }

    #[test]
    fn a_flipped_bit_that_libjpeg_complains_about_lets_no_garbled_picture_through() {
        let (mut decoder, mut random) = (Decoder::new(), fastrand::Rng::with_seed(11));
        let (mut leftovers, mut complaints) = (0, 0);
        for name in ["chelsea.jpg", "cars.jpg"] {
            let whole = photograph(name);
            let good = decoded(&mut decoder, &whole).unwrap();
            for _ in 0..400 {
                let mut jpeg = whole.clone();
                let at = random.usize(scan(&whole)..whole.len() - 2);
                jpeg[at] ^= 1 << random.u8(..8);
                let Err(said) = turbojpeg::decompress(&jpeg, PixelFormat::RGB) else { continue };
                complaints += 1;
                leftovers += usize::from(said.to_string().contains("extraneous bytes"));
                if let Ok(pixels) = decoded(&mut decoder, &jpeg) {
                    let off: u64 = pixels.iter().zip(&good).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
                    let mean = off as f64 / good.len() as f64;
                    assert!(mean < 1.0, "{name}, byte {at}: accepted with a mean error of {mean:.1}: {said}");
                }
            }
        }
        assert!(complaints > 100 && leftovers > 50, "the test shows something: {complaints}, {leftovers}");
    }

    #[test]
    fn one_or_two_stray_bytes_before_the_end_are_forgiven_and_many_are_not() {
        let (mut decoder, whole) = (Decoder::new(), photograph("chelsea.jpg"));
        let good = decoded(&mut decoder, &whole).unwrap();
        let mut strayed = |count: usize| {
            let mut jpeg = whole.clone();
            jpeg.splice(whole.len() - 2..whole.len() - 2, vec![0x12; count]);
            decoded(&mut decoder, &jpeg)
        };
        assert_eq!(strayed(1).unwrap(), good);
        assert_eq!(strayed(2).unwrap(), good);
        // The decoder reads a few bytes ahead, and doesn't count those.
        let said = strayed(30).unwrap_err().to_string();
        assert!(said.starts_with("the JPEG is corrupt: 2"), "{said}");
        assert!(said.ends_with(" extraneous bytes before marker 0xd9"), "{said}");
    }
}
