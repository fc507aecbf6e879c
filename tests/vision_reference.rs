//! Tensors of real photographs against OpenCV's: `tests/data/prepare/make.py` made the references.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests

use std::path::{Path, PathBuf};

use vigie::frame::{Frame, PixelFormat};
use vigie::geometry::Size;
use vigie::vision::{Preprocessor, Tensor, picture};

const SIZE: Size = Size::new(128, 128);
const PHOTOS: [&str; 2] = ["mariachi", "musicians"];

fn photo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/pictures").join(format!("{name}.jpg"))
}

/// The photograph, cut to even sizes.
fn even(name: &str) -> Frame {
    let whole = picture::load(&photo(name)).unwrap();
    let size = Size::new(whole.size.width / 2 * 2, whole.size.height / 2 * 2);
    let mut frame = Frame::packed(PixelFormat::Rgb3, size, whole.captured);
    let (from, to) = (whole.planes[0].stride, frame.planes[0].stride);
    for (row, source) in frame.data.chunks_mut(to).zip(whole.data.chunks(from)) {
        row.copy_from_slice(&source[..to]);
    }
    frame
}

/// Luma and chroma at full size, BT.601 and limited range, computed as the script computes them.
fn ycc(rgb: &Frame) -> Vec<[f64; 3]> {
    let one = |p: &[u8]| {
        let [r, g, b] = [0, 1, 2].map(|i| f64::from(p[i]));
        let luma = 0.299 * r + 0.587 * g + 0.114 * b;
        [
            16.0 + luma * 219.0 / 255.0,
            128.0 + (b - luma) / 1.772 * 224.0 / 255.0,
            128.0 + (r - luma) / 1.402 * 224.0 / 255.0,
        ]
    };
    rgb.data.chunks(3).map(one).collect()
}

fn byte(x: f64) -> u8 {
    (x + 0.5).floor().clamp(0.0, 255.0) as u8
}

fn yuyv(rgb: &Frame) -> Frame {
    let mut frame = Frame::packed(PixelFormat::Yuyv, rgb.size, rgb.captured);
    for (out, p) in frame.data.chunks_mut(4).zip(ycc(rgb).chunks(2)) {
        out[0] = byte(p[0][0]);
        out[1] = byte((p[0][1] + p[1][1]) / 2.0);
        out[2] = byte(p[1][0]);
        out[3] = byte((p[0][2] + p[1][2]) / 2.0);
    }
    frame
}

fn nv12(rgb: &Frame) -> Frame {
    let mut frame = Frame::packed(PixelFormat::Nv12, rgb.size, rgb.captured);
    let (w, h) = (rgb.size.width as usize, rgb.size.height as usize);
    let ycc = ycc(rgb);
    let (luma, chroma) = frame.data.split_at_mut(w * h);
    luma.iter_mut().zip(&ycc).for_each(|(out, p)| *out = byte(p[0]));
    for y in 0..h / 2 {
        for x in 0..w / 2 {
            let at = |dx: usize, dy: usize| ycc[(2 * y + dy) * w + 2 * x + dx];
            for c in [1, 2] {
                let sum = at(0, 0)[c] + at(1, 0)[c] + at(0, 1)[c] + at(1, 1)[c];
                chroma[y * w + 2 * x + c - 1] = byte(sum / 4.0);
            }
        }
    }
    frame
}

fn prepare(frame: &Frame) -> Tensor {
    let mut tensor = Tensor::new(SIZE);
    Preprocessor::new(SIZE).prepare(frame, &mut tensor).unwrap();
    tensor
}

/// Compares a tensor with OpenCV's and tells how often they differ.
fn check(tensor: &Tensor, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/prepare").join(format!("{name}.png"));
    let reference = picture::load(&path).unwrap();
    assert_eq!(reference.size, tensor.size);
    let off: Vec<u8> = tensor.data.iter().zip(&reference.data).map(|(a, b)| a.abs_diff(*b)).collect();
    let ones = off.iter().filter(|&&d| d == 1).count();
    println!("{name}: {:.2} % of the values are off by one", 100.0 * ones as f64 / off.len() as f64);
    let worst = off.iter().copied().max().unwrap();
    assert!(worst <= 1, "{name}: off by {worst}");
}

#[test]
fn rgb_is_within_one_of_opencv() {
    PHOTOS.iter().for_each(|name| check(&prepare(&even(name)), &format!("{name}-rgb3")));
}

#[test]
fn yuyv_is_within_one_of_opencv() {
    PHOTOS.iter().for_each(|name| check(&prepare(&yuyv(&even(name))), &format!("{name}-yuyv")));
}

#[test]
fn nv12_is_within_one_of_opencv() {
    PHOTOS.iter().for_each(|name| check(&prepare(&nv12(&even(name))), &format!("{name}-nv12")));
}

#[test]
fn mjpeg_is_within_one_of_opencv() {
    for name in PHOTOS {
        let data = std::fs::read(photo(name)).unwrap();
        let whole = picture::decode(&data).unwrap();
        let frame = Frame { data, ..Frame::packed(PixelFormat::Mjpeg, whole.size, whole.captured) };
        let tensor = prepare(&frame);
        check(&tensor, &format!("{name}-mjpg"));
        // Shrinking by the inverse DCT is not the area filter, but near it.
        let full = prepare(&whole);
        let sum: f64 = tensor.data.iter().zip(&full.data).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
        let mean = sum / full.data.len() as f64;
        println!("{name}: {mean:.2} mean difference between shrinking while and after decoding");
        assert!(mean < 3.0);
    }
}
