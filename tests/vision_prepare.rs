//! Frames of every format, at sizes good and bad, against a naive reference in double precision.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use vigie::clock::Moment;
use vigie::frame::{Colour, Frame, Matrix, PixelFormat, Plane, Range};
use vigie::geometry::Size;
use vigie::vision::{ErrorKind, Letterbox, Preprocessor, Tensor};

const UNCOMPRESSED: [PixelFormat; 8] = [
    PixelFormat::Yuyv,
    PixelFormat::Uyvy,
    PixelFormat::Nv12,
    PixelFormat::Nv21,
    PixelFormat::Yu12,
    PixelFormat::Grey,
    PixelFormat::Rgb3,
    PixelFormat::Bgr3,
];

fn nowhen() -> Moment {
    Moment { monotonic: Duration::ZERO, wall: SystemTime::UNIX_EPOCH }
}

/// The pixel's colour as real numbers in 0…255, straight from the definitions.
fn colour_at(frame: &Frame, x: usize, y: usize) -> [f64; 3] {
    let byte = |plane: usize, row: usize, column: usize| {
        let Plane { offset, stride } = frame.planes[plane];
        f64::from(frame.data[offset + row * stride + column])
    };
    let (luma, cb, cr) = match frame.format {
        PixelFormat::Grey => return [byte(0, y, x); 3],
        PixelFormat::Rgb3 => return [0, 1, 2].map(|c| byte(0, y, 3 * x + c)),
        PixelFormat::Bgr3 => return [2, 1, 0].map(|c| byte(0, y, 3 * x + c)),
        PixelFormat::Yuyv => (byte(0, y, 2 * x), byte(0, y, x / 2 * 4 + 1), byte(0, y, x / 2 * 4 + 3)),
        PixelFormat::Uyvy => (byte(0, y, 2 * x + 1), byte(0, y, x / 2 * 4), byte(0, y, x / 2 * 4 + 2)),
        PixelFormat::Nv12 => (byte(0, y, x), byte(1, y / 2, x / 2 * 2), byte(1, y / 2, x / 2 * 2 + 1)),
        PixelFormat::Nv21 => (byte(0, y, x), byte(1, y / 2, x / 2 * 2 + 1), byte(1, y / 2, x / 2 * 2)),
        PixelFormat::Yu12 => (byte(0, y, x), byte(1, y / 2, x / 2), byte(2, y / 2, x / 2)),
        PixelFormat::Mjpeg => unreachable!("no reference for compressed frames"),
    };
    let (kr, kb) = match frame.colour.matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
    };
    let (luma, cb, cr) = match frame.colour.range {
        Range::Limited => ((luma - 16.0) / 219.0, (cb - 128.0) / 224.0, (cr - 128.0) / 224.0),
        Range::Full => (luma / 255.0, (cb - 128.0) / 255.0, (cr - 128.0) / 255.0),
    };
    // E'Y = kr E'R + kg E'G + kb E'B, E'Cb = (E'B − E'Y) / 2 (1 − kb), E'Cr = (E'R − E'Y) / 2 (1 − kr)
    let red = luma + 2.0 * (1.0 - kr) * cr;
    let blue = luma + 2.0 * (1.0 - kb) * cb;
    let green = (luma - kr * red - kb * blue) / (1.0 - kr - kb);
    [red, green, blue].map(|c| (c * 255.0).clamp(0.0, 255.0))
}

/// Source pixels and weights of target pixel `j` when an axis of `from` pixels becomes one of `to`.
fn weights(from: usize, to: usize, j: usize) -> Vec<(usize, f64)> {
    let scale = from as f64 / to as f64;
    if to > from {
        let p = ((j as f64 + 0.5) * scale - 0.5).clamp(0.0, from as f64 - 1.0);
        let k = p.floor() as usize;
        return vec![(k, 1.0 - p.fract()), ((k + 1).min(from - 1), p.fract())];
    }
    let (a, b) = (j as f64 * scale, (j + 1) as f64 * scale);
    (a.floor() as usize..(b.ceil() as usize).min(from))
        .map(|k| (k, ((k as f64 + 1.0).min(b) - (k as f64).max(a)).max(0.0) / scale))
        .collect()
}

fn reference(frame: &Frame, tensor: Size) -> Vec<f64> {
    let l = Letterbox::new(frame.size, tensor);
    let (w, h) = (frame.size.width as usize, frame.size.height as usize);
    let (inner_w, inner_h) = (l.inner.width as usize, l.inner.height as usize);
    let mut out = vec![f64::from(Tensor::PAD); tensor.area() as usize * 3];
    for j in 0..inner_h {
        let mut row = vec![[0.0; 3]; w];
        for (k, weight) in weights(h, inner_h, j) {
            for (x, sum) in row.iter_mut().enumerate() {
                let c = colour_at(frame, x, k);
                (0..3).for_each(|i| sum[i] += weight * c[i]);
            }
        }
        for i in 0..inner_w {
            let mut pixel = [0.0; 3];
            for (k, weight) in weights(w, inner_w, i) {
                (0..3).for_each(|c| pixel[c] += weight * row[k][c]);
            }
            let at = ((j + l.top as usize) * tensor.width as usize + i + l.left as usize) * 3;
            out[at..at + 3].copy_from_slice(&pixel);
        }
    }
    out
}

/// A frame full of noise, or of noise at the ends of the scale, with `padding` bytes after each row and plane.
fn noise(format: PixelFormat, size: Size, padding: usize, extreme: bool, seed: u64) -> Frame {
    let mut frame = Frame::packed(format, size, nowhen());
    let mut offset = padding;
    let rows = |plane: usize| if plane == 0 { size.height } else { size.height.div_ceil(2) } as usize;
    for k in 0..format.planes() {
        let stride = frame.planes[k].stride + padding;
        frame.planes[k] = Plane { offset, stride };
        offset += stride * rows(k) + padding;
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let byte = |random: &mut fastrand::Rng| {
        if extreme { *random.choice([0, 1, 16, 128, 235, 254, 255].iter()).unwrap() } else { random.u8(..) }
    };
    frame.data = (0..offset).map(|_| byte(&mut random)).collect();
    frame
}

fn check(frame: &Frame, tensor_size: Size, preprocessor: &mut Preprocessor) {
    let mut tensor = Tensor::new(tensor_size);
    tensor.data.fill(77);
    let prepared = preprocessor.prepare(frame, &mut tensor).unwrap();
    assert_eq!(prepared.letterbox, Letterbox::new(frame.size, tensor_size));
    assert_eq!(prepared.decode, Duration::ZERO);
    for (k, (&got, want)) in tensor.data.iter().zip(reference(frame, tensor_size)).enumerate() {
        let (x, y) = (k / 3 % tensor_size.width as usize, k / 3 / tensor_size.width as usize);
        assert!(
            (f64::from(got) - want.round()).abs() <= 1.0,
            "{} {} to {tensor_size}, {:?}: channel {} at {x}, {y} is {got}, should be {want:.2}",
            frame.format,
            frame.size,
            frame.colour,
            k % 3,
        );
    }
}

fn colours() -> impl Strategy<Value = Colour> {
    let matrix = prop_oneof![Just(Matrix::Bt601), Just(Matrix::Bt709), Just(Matrix::Bt2020)];
    let range = prop_oneof![Just(Range::Limited), Just(Range::Full)];
    (matrix, range).prop_map(|(matrix, range)| Colour { matrix, range })
}

fn sizes(longest: u32) -> impl Strategy<Value = Size> {
    let side = prop_oneof![3 => 1..=longest, 1 => Just(1), 1 => 1u32..4];
    (side.clone(), side).prop_map(|(w, h)| Size::new(w, h))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_frame_is_within_one_of_the_reference(
        format in prop::sample::select(&UNCOMPRESSED[..]),
        size in sizes(150),
        tensor in sizes(96),
        colour in colours(),
        padding in 0usize..9,
        extreme: bool,
        seed: u64,
    ) {
        let frame = Frame { colour, ..noise(format, size, padding, extreme, seed) };
        check(&frame, tensor, &mut Preprocessor::new(tensor));
    }
}

#[test]
fn common_camera_sizes_are_within_one_of_the_reference() {
    let tensor = Size::new(320, 320);
    let mut preprocessor = Preprocessor::new(tensor);
    for (w, h) in [(1280, 720), (640, 480), (800, 600), (848, 480), (321, 1081), (200, 100)] {
        for format in UNCOMPRESSED {
            check(&noise(format, Size::new(w, h), 0, false, 7), tensor, &mut preprocessor);
        }
    }
}

#[test]
fn extremely_wide_and_tall_frames_work() {
    let tensor = Size::new(64, 64);
    let mut preprocessor = Preprocessor::new(tensor);
    for format in UNCOMPRESSED {
        for (w, h) in [(65_535, 1), (1, 65_535), (9_999, 3), (2, 4_097), (1, 1)] {
            check(&noise(format, Size::new(w, h), 1, true, 3), tensor, &mut preprocessor);
        }
    }
}

#[test]
fn frames_that_are_not_all_there_are_refused() {
    let mut preprocessor = Preprocessor::new(Size::new(32, 32));
    let mut tensor = Tensor::new(Size::new(32, 32));
    for format in UNCOMPRESSED {
        let mut frame = noise(format, Size::new(33, 17), 0, false, 1);
        frame.data.pop();
        let error = preprocessor.prepare(&frame, &mut tensor).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
        frame.planes[0].stride = 5;
        let error = preprocessor.prepare(&frame, &mut tensor).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Layout, "{error}");
        frame.planes[0] = Plane { offset: usize::MAX, stride: usize::MAX };
        assert_eq!(preprocessor.prepare(&frame, &mut tensor).unwrap_err().kind(), ErrorKind::Layout);
        frame.size = Size::new(33, 1);
        let error = preprocessor.prepare(&frame, &mut tensor).unwrap_err();
        assert!(error.to_string().ends_with("plane 0 ends beyond all memory"), "{error}");
        frame.size = Size::new(0, 17);
        assert_eq!(preprocessor.prepare(&frame, &mut tensor).unwrap_err().kind(), ErrorKind::Layout);
        frame.size = Size::new(70_000, 1);
        frame.data = vec![0; 70_000 * 4];
        frame.planes = vigie::frame::packed_planes(format, frame.size).0;
        assert_eq!(preprocessor.prepare(&frame, &mut tensor).unwrap_err().kind(), ErrorKind::TooLarge);
    }
    let short = noise(PixelFormat::Yuyv, Size::new(640, 480), 0, false, 1);
    let error =
        preprocessor.prepare(&Frame { data: short.data[..1000].to_vec(), ..short }, &mut tensor).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the YUYV frame of 640x480 is truncated: 1000 bytes, its layout needs 614400"
    );
}
