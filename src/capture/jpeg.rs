//! Is this a whole JPEG, where does it end, and how large is its picture?
//!
//! Cameras send frames that are cut off, start in the middle, or drag what was in the buffer before behind them. This
//! walks the markers (ITU-T T.81, annex B) without decoding anything.

use crate::geometry::Size;

/// What is known of a whole JPEG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// How many bytes it takes, up to and with its end marker.
    pub(super) len: usize,
    /// The size of its picture.
    pub(super) size: Size,
}

/// Why bytes are no JPEG that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// They don't begin as one.
    NotJpeg,
    /// They end before it does.
    Truncated,
    /// Its markers make no sense.
    Corrupt,
    /// It is whole, but its picture has this size, not the one agreed on.
    OtherSize(Size),
}

impl Extent {
    /// Itself, if its picture has the size that was agreed on.
    pub(super) fn agreed(self, size: Size) -> Result<Extent, Defect> {
        if self.size == size { Ok(self) } else { Err(Defect::OtherSize(self.size)) }
    }
}

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;

/// Walks the JPEG that `bytes` begin with.
pub(super) fn measure(bytes: &[u8]) -> Result<Extent, Defect> {
    if bytes.len() < 2 {
        return Err(if bytes.is_empty() { Defect::Truncated } else { Defect::NotJpeg });
    }
    if bytes[..2] != [0xFF, SOI] {
        return Err(Defect::NotJpeg);
    }
    let mut at = 2;
    let mut size = None;
    let mut scans = 0;
    loop {
        let marker = next_marker(bytes, &mut at)?;
        match marker {
            EOI => {
                let size = size.filter(|_| scans > 0).ok_or(Defect::Corrupt)?;
                return Ok(Extent { len: at, size });
            }
            // TEM and RSTn stand alone.
            0x01 | 0xD0..=0xD7 => {}
            // A picture in the middle of a picture: the rest of the first one is missing.
            SOI => return Err(Defect::Truncated),
            _ => {
                let segment = segment(bytes, &mut at)?;
                // SOF0…SOF15 but for DHT, JPG and DAC, which share the range.
                if matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC) {
                    size = Some(frame_size(segment)?);
                } else if marker == SOS {
                    scans += 1;
                    skip_entropy_coded(bytes, &mut at)?;
                }
            }
        }
    }
}

/// Reads the marker at `at`, and any number of fill bytes before it.
fn next_marker(bytes: &[u8], at: &mut usize) -> Result<u8, Defect> {
    if *bytes.get(*at).ok_or(Defect::Truncated)? != 0xFF {
        return Err(Defect::Corrupt);
    }
    let marker = bytes[*at..].iter().position(|&b| b != 0xFF).ok_or(Defect::Truncated)? + *at;
    *at = marker + 1;
    match bytes[marker] {
        0 => Err(Defect::Corrupt),
        code => Ok(code),
    }
}

/// Reads a segment whose length stands at `at`.
fn segment<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8], Defect> {
    let length = bytes.get(*at..*at + 2).ok_or(Defect::Truncated)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    if length < 2 {
        return Err(Defect::Corrupt);
    }
    let body = bytes.get(*at + 2..*at + length).ok_or(Defect::Truncated)?;
    *at += length;
    Ok(body)
}

fn frame_size(segment: &[u8]) -> Result<Size, Defect> {
    let &[_, h1, h0, w1, w0, ..] = segment else { return Err(Defect::Corrupt) };
    let size = Size::new(u32::from(u16::from_be_bytes([w1, w0])), u32::from(u16::from_be_bytes([h1, h0])));
    if size.area() == 0 { Err(Defect::Corrupt) } else { Ok(size) }
}

/// Goes on to the marker that ends a scan; stuffed zeros and restart markers belong to it.
fn skip_entropy_coded(bytes: &[u8], at: &mut usize) -> Result<(), Defect> {
    loop {
        *at += bytes[*at..].iter().position(|&b| b == 0xFF).ok_or(Defect::Truncated)?;
        match bytes.get(*at + 1).ok_or(Defect::Truncated)? {
            0 | 0xD0..=0xD7 => *at += 2,
            0xFF => *at += 1,
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A real picture of that size, as libjpeg-turbo writes it.
    pub(in crate::capture) fn picture(width: usize, height: usize) -> Vec<u8> {
        let pixels: Vec<u8> = (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect();
        let image = turbojpeg::Image {
            pixels: &pixels[..],
            width,
            pitch: width * 3,
            height,
            format: turbojpeg::PixelFormat::RGB,
        };
        turbojpeg::compress(image, 80, turbojpeg::Subsamp::Sub2x2).unwrap().to_vec()
    }

    #[test]
    fn a_whole_picture_is_measured_whatever_lies_behind_it() {
        let jpeg = picture(64, 48);
        let extent = Extent { len: jpeg.len(), size: Size::new(64, 48) };
        assert_eq!(measure(&jpeg), Ok(extent));
        let stale = [&jpeg[..], &[0; 100], &jpeg[50..]].concat();
        assert_eq!(measure(&stale), Ok(extent));
    }

    #[test]
    fn another_size_than_agreed_on_is_a_defect() {
        let mut jpeg = picture(64, 48);
        let agreed = |jpeg: &[u8]| measure(jpeg).and_then(|extent| extent.agreed(Size::new(64, 48)));
        assert_eq!(agreed(&jpeg).map(|extent| extent.len), Ok(jpeg.len()));
        let start = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap() + 5;
        jpeg[start..start + 4].copy_from_slice(&[0xFF; 4]);
        assert_eq!(agreed(&jpeg), Err(Defect::OtherSize(Size::new(65_535, 65_535))));
    }

    #[test]
    fn every_cut_is_noticed() {
        let jpeg = picture(40, 40);
        for len in 2..jpeg.len() {
            assert_eq!(
                measure(&jpeg[..len]),
                Err(Defect::Truncated),
                "cut after {len} of {} bytes",
                jpeg.len()
            );
        }
        assert_eq!(measure(&jpeg[2..]), Err(Defect::NotJpeg));
        assert_eq!(measure(&[]), Err(Defect::Truncated));
    }

    #[test]
    fn a_frame_that_breaks_off_into_the_next_one_is_truncated() {
        let jpeg = picture(40, 40);
        let two = [&jpeg[..jpeg.len() - 20], &jpeg[..]].concat();
        assert_eq!(measure(&two), Err(Defect::Truncated));
    }

    #[test]
    fn noise_is_no_panic() {
        let jpeg = picture(40, 40);
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2000 {
            let mut bytes = jpeg.clone();
            for _ in 0..random.usize(1..20) {
                let at = random.usize(2..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(0..=bytes.len()));
            if let Ok(extent) = measure(&bytes) {
                assert!(extent.len <= bytes.len() && extent.size.area() > 0);
            }
        }
    }
}
