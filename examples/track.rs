//! Follows boxes: reads detections in MOTChallenge's format on standard input, writes tracks in the same on standard output.
//! `benches/tracking/` scores it.
//!
//! Usage: `track FPS WIDTH HEIGHT < detections.txt > tracks.txt`, with lines `frame,-1,x,y,width,height,score,class` in the
//! order of their frames, pixels and frame numbers as the format has them.

use std::io::{BufRead, Write};
use std::time::Duration;

use vigie::detector::Detection;
use vigie::geometry::{BBox, Size};
use vigie::tracker::{Options, State, Tracker};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<f32> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let [fps, width, height] = arguments[..] else {
        return Err("usage: track FPS WIDTH HEIGHT < detections.txt".into());
    };
    let size = Size::new(width as u32, height as u32);
    let mut looks: Vec<(u64, Vec<Detection>)> = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let fields: Vec<f32> = line.split(',').map(|word| word.trim().parse()).collect::<Result<_, _>>()?;
        let [frame, _, x, y, w, h, score, class, ..] = fields[..] else {
            return Err(format!("eight fields are wanted: {line}").into());
        };
        let frame = frame as u64;
        // A frame in which nothing was seen is a look all the same.
        let next = looks.last().map_or(frame, |(last, _)| last + 1);
        looks.extend((next..=frame).map(|empty| (empty, Vec::new())));
        if let Some((_, detections)) = looks.last_mut() {
            let bbox = BBox::new(x, y, x + w, y + h);
            detections.push(Detection { class_id: class as u16, score, bbox });
        }
    }
    let mut tracker = Tracker::new(Options::default());
    let good = [0.4; 256];
    let mut out = std::io::stdout().lock();
    let started = std::time::Instant::now();
    for (frame, detections) in &looks {
        tracker.look(Duration::from_secs_f64(*frame as f64 / f64::from(fps)), size, detections, &good);
        for track in tracker.tracks().iter().filter(|track| track.state() == State::Seen) {
            let b = track.bbox();
            let (id, class, score) = (track.id(), track.class_id(), track.median_score());
            writeln!(
                out,
                "{frame},{id},{},{},{},{},{score},{class},-1,-1",
                b.x1,
                b.y1,
                b.width(),
                b.height()
            )?;
        }
    }
    eprintln!(
        "{} looks, {:.1} µs each",
        looks.len(),
        1e6 * started.elapsed().as_secs_f64() / looks.len().max(1) as f64
    );
    Ok(())
}
