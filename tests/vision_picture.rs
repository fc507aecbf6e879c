//! Still pictures of every kind, whole and broken.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::{Path, PathBuf};

use vigie::frame::{Frame, PixelFormat};
use vigie::geometry::Size;
use vigie::vision::{ErrorKind, Preprocessor, Tensor, encode, picture};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pictures").join(name)
}

fn load(name: &str) -> Frame {
    let frame = picture::load(&path(name)).unwrap();
    assert_eq!((frame.format, frame.size), (PixelFormat::Rgb3, Size::new(67, 45)), "{name}");
    assert_eq!(frame.data.len(), 67 * 45 * 3, "{name}");
    frame
}

/// Largest and mean difference of two frames' bytes.
fn difference(a: &Frame, b: &Frame) -> (u8, f64) {
    let d: Vec<u8> = a.data.iter().zip(&b.data).map(|(x, y)| x.abs_diff(*y)).collect();
    (d.iter().copied().max().unwrap(), d.iter().map(|&x| f64::from(x)).sum::<f64>() / d.len() as f64)
}

fn grey_of(frame: &Frame) -> Vec<u8> {
    let luma = |p: &[u8]| 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2]);
    frame.data.chunks(3).flat_map(|p| [luma(p).round() as u8; 3]).collect()
}

#[test]
fn jpegs_decode_as_opencv_decodes_them() {
    for name in ["baseline.jpg", "progressive.jpg", "grey.jpg"] {
        let (max, _) = difference(&load(name), &load(&format!("{name}.expected.png")));
        assert!(max <= 1, "{name}: differs by up to {max}");
    }
}

#[test]
fn every_kind_of_jpeg_shows_the_photograph() {
    let photo = load("upright.png");
    for (name, limit) in [
        ("baseline.jpg", 4.0),
        ("progressive.jpg", 3.0),
        ("exif6.jpg", 4.0),
        ("cmyk.jpg", 3.0),
        ("ycck.jpg", 5.0),
        ("no-huffman-tables.jpg", 6.0),
    ] {
        let (_, mean) = difference(&load(name), &photo);
        assert!(mean < limit, "{name}: mean difference {mean}");
    }
    let grey = Frame { data: grey_of(&photo), ..photo };
    let (_, mean) = difference(&load("grey.jpg"), &grey);
    assert!(mean < 2.0, "grey.jpg: mean difference {mean}");
}

#[test]
fn pngs_are_exact() {
    let photo = load("upright.png");
    assert_eq!(load("exif6.png").data, photo.data);
    assert_eq!(load("16bit.png").data, photo.data);
    let (max, _) = difference(&load("grey.png"), &Frame { data: grey_of(&photo), ..photo.clone() });
    assert!(max <= 1, "grey.png differs by up to {max}");
    assert_eq!(load("grey16.png").data, load("grey.png").data);
    let (_, mean) = difference(&load("palette.png"), &photo);
    assert!(mean < 8.0, "palette.png: mean difference {mean}");
}

#[test]
fn transparency_shows_grey() {
    let (photo, alpha) = (load("upright.png"), load("alpha.png"));
    let last = 44 * 67 * 3;
    // The gradient runs from transparent above to opaque below.
    assert!(alpha.data[..67 * 3].iter().all(|x| x.abs_diff(Tensor::PAD) <= 3));
    let below = alpha.data[last..].iter().zip(&photo.data[last..]);
    assert!(below.clone().all(|(a, b)| a.abs_diff(*b) <= 3));
    assert!(load("grey-alpha.png").data[..67 * 3].iter().all(|x| x.abs_diff(Tensor::PAD) <= 3));
}

#[test]
fn truncated_pictures_say_so() {
    for name in [
        "baseline.jpg",
        "progressive.jpg",
        "cmyk.jpg",
        "exif6.jpg",
        "upright.png",
        "palette.png",
        "16bit.png",
    ] {
        let whole = std::fs::read(path(name)).unwrap();
        for share in [3, 20, 50, 90, 99] {
            let part = &whole[..(whole.len() * share / 100).max(9)];
            let error = picture::decode(part).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Truncated, "{share} % of {name}: {error}");
            assert!(error.to_string().contains("truncated"), "{error}");
        }
    }
}

/// What became of 200 copies of a file with a few wrong bytes: how many were refused, and the pictures of the others.
fn damaged(name: &str, random: &mut fastrand::Rng) -> (usize, Vec<Frame>) {
    let whole = std::fs::read(path(name)).unwrap();
    let decoded = (0..200).map(|_| {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(..bytes.len());
            bytes[at] = bytes[at].wrapping_add(random.u8(1..));
        }
        picture::decode(&bytes).ok()
    });
    let accepted: Vec<Frame> = decoded.flatten().collect();
    (200 - accepted.len(), accepted)
}

#[test]
fn a_corrupt_png_is_refused_or_shows_the_picture_exactly() {
    let mut random = fastrand::Rng::with_seed(5);
    for name in ["upright.png", "palette.png", "alpha.png"] {
        let (refused, accepted) = damaged(name, &mut random);
        assert!(refused > 180, "{name}: only {refused} of 200 corrupt pictures were refused");
        let whole = load(name);
        assert!(accepted.iter().all(|f| f.data == whole.data), "{name}: its checksums let an error through");
    }
}

#[test]
fn a_corrupt_jpeg_is_refused_or_a_whole_picture() {
    let mut random = fastrand::Rng::with_seed(5);
    // A JPEG has no checksum: wrong values of coefficients can't be told from right ones.
    for (name, fewest) in [("baseline.jpg", 150), ("progressive.jpg", 140), ("ycck.jpg", 80)] {
        let (refused, accepted) = damaged(name, &mut random);
        assert!(refused >= fewest, "{name}: only {refused} of 200 corrupt pictures were refused");
        let whole = load(name);
        let near = accepted.iter().filter(|f| difference(f, &whole).1 < 60.0).count();
        assert!(accepted.iter().all(|f| f.size == whole.size && f.data.len() == whole.data.len()), "{name}");
        assert!(near * 10 >= accepted.len() * 8, "{name}: {near} of {} show the picture", accepted.len());
    }
}

#[test]
fn what_is_no_picture_is_named() {
    let says = |bytes: &[u8]| {
        let error = picture::decode(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAPicture);
        error.to_string()
    };
    assert_eq!(says(b""), "neither a JPEG nor a PNG: it is empty; convert it to one of them");
    assert!(says(b"RIFF\x10\0\0\0WEBPVP8 ").contains("is a WebP picture"));
    assert!(says(b"hello, world").contains("starts with the bytes 68 65 6c 6c 6f 2c 20 77"));
    let error = picture::load(Path::new("no/such/picture.jpg")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().starts_with("cannot read picture no/such/picture.jpg: "), "{error}");
    let error = picture::load(&path("make.py")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAPicture);
    assert!(error.to_string().contains("make.py"), "{error}");
}

/// A PNG of one colour, compressed to next to nothing.
fn plain_png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![0xFF; width.div_ceil(8) as usize * height as usize]).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn tiny_and_huge_pictures() {
    let dot = picture::decode(&plain_png(1, 1)).unwrap();
    assert_eq!((dot.size, &dot.data[..]), (Size::new(1, 1), &[255; 3][..]));
    let large = picture::decode(&plain_png(5472, 3648)).unwrap();
    assert_eq!((large.size, large.data.len()), (Size::new(5472, 3648), 5472 * 3648 * 3));
    let mut tensor = Tensor::new(Size::new(320, 320));
    Preprocessor::new(tensor.size).prepare(&large, &mut tensor).unwrap();
    assert_eq!((tensor.data[0], tensor.data[160 * 320 * 3]), (Tensor::PAD, 255));

    let bomb = picture::decode(&plain_png(20_000, 20_000)).unwrap_err();
    assert_eq!(bomb.kind(), ErrorKind::TooLarge);
    assert_eq!(bomb.to_string(), "the picture is 20000x20000, more than 100 megapixels: scale it down first");
    let mut jpeg = std::fs::read(path("baseline.jpg")).unwrap();
    let frame_header = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    jpeg[frame_header + 5..frame_header + 9].copy_from_slice(&[0xEA, 0x60, 0xEA, 0x60]);
    assert_eq!(picture::decode(&jpeg).unwrap_err().kind(), ErrorKind::TooLarge);
}

fn jpeg_frame(data: Vec<u8>, size: Size) -> Frame {
    Frame { data, ..Frame::packed(PixelFormat::Mjpeg, size, load("upright.png").captured) }
}

#[test]
fn a_jpeg_frame_becomes_the_tensor_of_its_decoded_picture() {
    let bytes = std::fs::read(path("baseline.jpg")).unwrap();
    let mut tensor = Tensor::new(Size::new(64, 64));
    let mut preprocessor = Preprocessor::new(tensor.size);
    let prepared = preprocessor.prepare(&picture::undecoded(bytes).unwrap(), &mut tensor).unwrap();
    assert_eq!(prepared.letterbox.picture, Size::new(67, 45));
    assert!(prepared.decode > std::time::Duration::ZERO);
    let mut expected = Tensor::new(tensor.size);
    preprocessor.prepare(&load("baseline.jpg"), &mut expected).unwrap();
    assert_eq!(tensor, expected, "at this size nothing is scaled while decoding");
}

#[test]
fn a_jpeg_of_another_size_than_its_frame_is_refused_before_it_is_decoded() {
    let whole = std::fs::read(path("baseline.jpg")).unwrap();
    let (mut tensor, frame) = (Tensor::new(Size::new(64, 64)), jpeg_frame(whole, Size::new(67, 45)));
    let mut preprocessor = Preprocessor::new(tensor.size);
    let start = frame.data.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap() + 5;
    for (damage, size) in
        [([0xF0; 4], "61680x61680"), ([0, 45, 0xFF, 67], "65347x45"), ([0, 44, 0, 67], "67x44")]
    {
        let mut damaged = frame.clone();
        damaged.data[start..start + 4].copy_from_slice(&damage);
        let said = format!("the JPEG is corrupt: its header says {size}, its frame 67x45");
        assert_eq!(preprocessor.prepare(&damaged, &mut tensor).unwrap_err().to_string(), said);
        assert_eq!(encode::to_rgb(&damaged).unwrap_err().to_string(), said);
    }
    // What the decoder fills in for what is missing, it says; a size that fits is still bounded.
    let mut huge = Frame { size: Size::new(60_000, 60_000), ..frame };
    huge.data[start..start + 4].copy_from_slice(&[0xEA, 0x60, 0xEA, 0x60]);
    assert_eq!(preprocessor.prepare(&huge, &mut tensor).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn broken_jpeg_frames_are_told_apart() {
    let mut tensor = Tensor::new(Size::new(64, 64));
    let mut preprocessor = Preprocessor::new(tensor.size);
    let whole = std::fs::read(path("baseline.jpg")).unwrap();
    let mut kind_of = |bytes: &[u8]| {
        preprocessor
            .prepare(&jpeg_frame(bytes.to_vec(), Size::new(67, 45)), &mut tensor)
            .map_err(|e| e.kind())
    };
    assert_eq!(kind_of(&whole[..whole.len() / 2]).unwrap_err(), ErrorKind::Truncated);
    assert_eq!(kind_of(&whole[..1]).unwrap_err(), ErrorKind::Truncated);
    assert_eq!(kind_of(&[]).unwrap_err(), ErrorKind::Truncated);
    assert_eq!(kind_of(&[7; 5000]).unwrap_err(), ErrorKind::Corrupt);
    let mut scrambled = whole.clone();
    let middle = scrambled.len() / 2;
    scrambled[middle..middle + 200]
        .iter_mut()
        .enumerate()
        .for_each(|(k, b)| *b = if k % 2 == 0 { 0xFF } else { 0xD9 - k as u8 });
    assert!(kind_of(&scrambled).is_err());
    assert!(kind_of(&whole).is_ok(), "a whole picture after broken ones is fine");
    let mut padded = whole.clone();
    padded.extend([0; 300]);
    assert!(kind_of(&padded).is_ok(), "drivers pad buffers with zeros");
    let mut stray = whole.clone();
    stray.splice(whole.len() - 2..whole.len() - 2, [0x12]);
    assert!(kind_of(&stray).is_ok(), "some webcams leave a stray byte before the end marker");
    stray.splice(whole.len() - 2..whole.len() - 2, [0x34; 30]);
    assert_eq!(kind_of(&stray).unwrap_err(), ErrorKind::Corrupt, "many are the rest of a garbled scan");
}
