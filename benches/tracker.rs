//! Following objects: a look at 10, 50 and 100 of them that move, some of which are missed or half seen.
//!
//! `cargo bench --bench tracker`. A look at 50 is to stay below 0.2 ms.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use vigie::detector::Detection;
use vigie::geometry::{BBox, Size};
use vigie::tracker::{Options, Tracker};

const SIZE: Size = Size::new(1280, 720);
/// Looks after which the scene repeats itself.
const LOOKS: usize = 600;

/// What a detector says of `objects` that walk to and fro, in rows that overlap, at 5 looks a second.
fn scene(objects: usize) -> Vec<Vec<Detection>> {
    let look = |n: usize| {
        let seen = (0..objects).filter(|object| !(n + object * 7).is_multiple_of(9));
        let detection = |object: usize| {
            let phase = std::f32::consts::TAU * (n as f32 / 100.0 + object as f32 * 0.37);
            let (x, y) = (600.0 + 540.0 * phase.sin(), (object % 10) as f32 * 62.0);
            let score = if (n + object).is_multiple_of(4) { 0.2 } else { 0.6 };
            Detection { class_id: 0, score, bbox: BBox::new(x, y, x + 40.0, y + 100.0) }
        };
        seen.map(detection).collect()
    };
    (0..LOOKS).map(look).collect()
}

fn follow(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("follow");
    for objects in [10, 50, 100] {
        let looks = scene(objects);
        let mut tracker = Tracker::new(Options::default());
        let mut n = 0u32;
        group.bench_function(BenchmarkId::from_parameter(objects), |bencher| {
            bencher.iter(|| {
                let detections = &looks[n as usize % LOOKS];
                tracker.look(Duration::from_millis(200) * n, SIZE, black_box(detections), &[0.4]);
                n += 1;
                tracker.tracks().len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, follow);
criterion_main!(benches);
