//! Tracker and scene alone, a look for each line on standard input: `benches/arm/facts.py` counts what they cost.
//!
//! Usage: `facts OBJECTS`. Says `ready`, then answers each line with how many facts came of a look at so many objects that
//! walk to and fro, of which some are missed or half seen, with two zones and a line across the picture.

use std::io::{BufRead, Write};
use std::time::{Duration, SystemTime};

use vigie::clock::Moment;
use vigie::detector::Detection;
use vigie::geometry::{BBox, Polygon, Size};
use vigie::scene::zones::{Line, Zone};
use vigie::scene::{Scene, objects};
use vigie::tracker::{Options, Tracker};

const SIZE: Size = Size::new(1280, 720);

/// What a detector says in the `n`th look.
fn seen(n: usize, objects: usize, into: &mut Vec<Detection>) {
    into.clear();
    for object in (0..objects).filter(|object| !(n + object * 7).is_multiple_of(9)) {
        let phase = std::f32::consts::TAU * (n as f32 / 100.0 + object as f32 * 0.37);
        let (x, y) = (600.0 + 540.0 * phase.sin(), (object % 10) as f32 * 62.0);
        let score = if (n + object).is_multiple_of(4) { 0.2 } else { 0.6 };
        into.push(Detection { class_id: 0, score, bbox: BBox::new(x, y, x + 40.0, y + 100.0) });
    }
}

fn zone(left: f32, right: f32) -> Result<Zone, Box<dyn std::error::Error>> {
    let polygon = Polygon::new(vec![[left, 0.0], [right, 0.0], [right, 1.0], [left, 1.0]])?;
    Ok(Zone { polygon, classes: Vec::new(), inertia: 2, loitering: Duration::ZERO, open: true })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let objects: usize = std::env::args().nth(1).ok_or("usage: facts OBJECTS")?.parse()?;
    let following = Options::default();
    let telling = objects::Options {
        filters: Vec::new(),
        zones: vec![zone(0.0, 0.4)?, zone(0.6, 1.0)?],
        lines: vec![Line { from: [0.5, 1.0], to: [0.5, 0.0], classes: Vec::new() }],
        ignored: Vec::new(),
        update_every: Duration::from_secs(1),
        stationary_after: following.stationary_after,
    };
    let mut scene = Scene::new(10, Duration::from_secs(2), telling, &following);
    let (mut tracker, mut detections, mut facts) = (Tracker::new(following), Vec::new(), Vec::new());
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready")?;
    for (n, line) in std::io::stdin().lock().lines().enumerate() {
        line?;
        seen(n, objects, &mut detections);
        let monotonic = Duration::from_millis(200) * n as u32;
        let at = Moment { monotonic, wall: SystemTime::UNIX_EPOCH + monotonic };
        tracker.look(monotonic, SIZE, &detections, &[0.4; 10]);
        facts.clear();
        scene.look(at, SIZE, &tracker, &|_| None, &mut facts);
        writeln!(out, "{}", facts.len())?;
    }
    Ok(())
}
