//! What stands before and after inference at 320 × 320: filling the input; decoding and suppression on outputs as quiet and
//! busy scenes make them.
//!
//! `cargo bench --bench decode`. Decoding with suppression is to stay below half a millisecond.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use vigie::detector::{ClassThresholds, Layout, Options, Post, input};
use vigie::geometry::Size;
use vigie::vision::{Letterbox, Tensor};

const SIZE: Size = Size::new(320, 320);
const CLASSES: usize = 21;
const BINS: usize = 16;
/// Objects in a scene; each is reported by a cluster of nine neighbouring anchors, as trained heads do.
const OBJECTS: [usize; 3] = [0, 10, 100];

/// A small generator, so that every run measures the same.
struct Noise(u64);

impl Noise {
    /// Between 0 and 1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// Logits of distances and of classes for a grid of `w × h` anchors, of which `objects` clusters see something.
fn level(w: usize, h: usize, objects: usize, noise: &mut Noise) -> (Vec<f32>, Vec<f32>) {
    let n = w * h;
    let boxes = (0..4 * BINS * n).map(|_| noise.next() * 4.0 - 2.0).collect();
    let mut classes: Vec<f32> = (0..CLASSES * n).map(|_| noise.next() * 4.0 - 9.0).collect();
    for object in 0..objects {
        let (x, y) = ((noise.next() * (w - 2) as f32) as usize, (noise.next() * (h - 2) as f32) as usize);
        for i in 0..9 {
            classes[object % CLASSES * n + (y + i / 3) * w + x + i % 3] = 1.0 + noise.next();
        }
    }
    (boxes, classes)
}

/// A scene's outputs with raw heads at strides 8, 16 and 32.
fn raw(objects: usize) -> Vec<Vec<f32>> {
    let mut noise = Noise(7);
    let share = [objects - objects / 3, objects / 3, 0];
    let levels = [40, 20, 10].into_iter().zip(share);
    levels.flat_map(|(side, objects)| <[_; 2]>::from(level(side, side, objects, &mut noise))).collect()
}

/// The same scene, decoded as in a stock export.
fn decoded(objects: usize) -> Vec<Vec<f32>> {
    let heads = raw(objects);
    let mut output = Vec::new();
    let mut noise = Noise(8);
    for row in 0..4 {
        output.extend(
            (0..2100).map(|_| if row < 2 { noise.next() * 320.0 } else { 10.0 + noise.next() * 60.0 }),
        );
    }
    for class in 0..CLASSES {
        for (side, logits) in [40, 20, 10].into_iter().zip(heads.iter().skip(1).step_by(2)) {
            output.extend(
                logits[class * side * side..][..side * side].iter().map(|l| 1.0 / (1.0 + (-l).exp())),
            );
        }
    }
    vec![output]
}

fn post(c: &mut Criterion) {
    let thresholds = ClassThresholds::uniform(0.4, CLASSES);
    let letterbox = Letterbox::new(Size::new(1280, 720), SIZE);
    let stock = Layout::Decoded { anchors: 2100, classes: CLASSES };
    type Scene = fn(usize) -> Vec<Vec<f32>>;
    let layouts = [
        ("raw", Layout::raw(SIZE, &[8, 16, 32], BINS, CLASSES), raw as Scene),
        ("stock", stock, decoded as Scene),
    ];
    for (name, layout, scene) in layouts {
        for objects in OBJECTS {
            let outputs = scene(objects);
            let outputs: Vec<&[f32]> = outputs.iter().map(Vec::as_slice).collect();
            let mut post = Post::new(&layout, &Options::new(""));
            let mut found = Vec::new();
            post.run(&layout, &outputs, &thresholds, &letterbox, &mut found);
            assert_eq!(found.is_empty(), objects == 0);
            c.bench_function(&format!("decode and nms/{name}, {objects} objects"), |b| {
                b.iter(|| post.run(&layout, black_box(&outputs), &thresholds, &letterbox, &mut found));
            });
        }
    }
}

fn feed(c: &mut Criterion) {
    let tensor = Tensor::new(SIZE);
    let mut floats = vec![0f32; tensor.data.len()];
    let mut bytes = vec![0u8; tensor.data.len()];
    c.bench_function("input/f32", |b| b.iter(|| input::planes(black_box(&tensor), &mut floats, input::unit)));
    c.bench_function("input/u8", |b| b.iter(|| input::planes(black_box(&tensor), &mut bytes, |v| v)));
}

criterion_group!(benches, post, feed);
criterion_main!(benches);
