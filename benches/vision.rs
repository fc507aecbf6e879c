//! How long a frame takes to become a tensor: `cargo bench --bench vision`.
//!
//! `benches/peers/prepare.py` compares the same work with OpenCV, side by side.

#![allow(missing_docs)] // criterion's macros make public functions

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, SystemTime};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vigie::clock::Moment;
use vigie::frame::{Frame, PixelFormat};
use vigie::geometry::{BBox, Size};
use vigie::vision::annotate::{Mark, class_colour, draw};
use vigie::vision::{Preprocessor, Tensor, encode, picture};

const MODEL: Size = Size::new(320, 320);

fn noise(format: PixelFormat, size: Size) -> Frame {
    let mut frame =
        Frame::packed(format, size, Moment { monotonic: Duration::ZERO, wall: SystemTime::UNIX_EPOCH });
    let mut random = fastrand::Rng::with_seed(1);
    random.fill(&mut frame.data);
    frame
}

/// A photograph at that size, as a camera would compress it.
fn motion_jpeg(size: Size) -> Frame {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/pictures/horses.jpg");
    let photo = picture::load(&path).expect("the demonstration's picture");
    // Enlarged by the letterbox itself, bars and all.
    let mut tensor = Tensor::new(size);
    Preprocessor::new(size).prepare(&photo, &mut tensor).expect("a whole picture");
    let mut rgb = Frame::packed(PixelFormat::Rgb3, size, photo.captured);
    rgb.data = tensor.data;
    let data = encode::jpeg(&rgb, 85).expect("a picture that JPEG can hold");
    Frame { data, ..Frame::packed(PixelFormat::Mjpeg, size, photo.captured) }
}

fn prepare(c: &mut Criterion) {
    let mut group = c.benchmark_group("prepare");
    for size in [Size::new(640, 480), Size::new(1280, 720), Size::new(1920, 1080)] {
        for format in PixelFormat::ALL {
            let frame = if format == PixelFormat::Mjpeg { motion_jpeg(size) } else { noise(format, size) };
            let (mut preprocessor, mut tensor) = (Preprocessor::new(MODEL), Tensor::new(MODEL));
            group.throughput(Throughput::Elements(size.area()));
            group.bench_function(BenchmarkId::new(format.name(), size), |b| {
                b.iter(|| preprocessor.prepare(black_box(&frame), &mut tensor).expect("a good frame"));
            });
        }
    }
    // A ratio that is no whole number.
    let frame = noise(PixelFormat::Yuyv, Size::new(848, 480));
    let (mut preprocessor, mut tensor) = (Preprocessor::new(MODEL), Tensor::new(MODEL));
    group.throughput(Throughput::Elements(frame.size.area()));
    group.bench_function(BenchmarkId::new("YUYV", frame.size), |b| {
        b.iter(|| preprocessor.prepare(black_box(&frame), &mut tensor).expect("a good frame"));
    });
    group.finish();
}

fn annotate(c: &mut Criterion) {
    let frame = noise(PixelFormat::Rgb3, Size::new(1280, 720));
    let marks: Vec<Mark> = (0..5)
        .map(|k| {
            let x = 200.0 * k as f32;
            Mark {
                bbox: BBox::new(x, 100.0, x + 180.0, 600.0),
                text: "person 87 %".into(),
                colour: class_colour(k),
            }
        })
        .collect();
    let mut group = c.benchmark_group("snapshot");
    group.bench_function("five boxes on 1280x720", |b| {
        let mut picture = frame.clone();
        b.iter(|| draw(black_box(&mut picture), &marks).expect("an RGB frame"));
    });
    let photo = picture::decode(&motion_jpeg(Size::new(1280, 720)).data).expect("a whole picture");
    group.bench_function("JPEG of 1280x720", |b| b.iter(|| encode::jpeg(black_box(&photo), 85)));
    group.finish();
}

criterion_group!(benches, prepare, annotate);
criterion_main!(benches);
