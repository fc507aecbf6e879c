//! Times the preprocessor on request, so that a script can take turns between it and another program.
//!
//! `prepare_rounds FORMAT WIDTH HEIGHT SIDE FILE` reads a frame's bytes from FILE; for each line `N` on standard input
//! it prepares N frames for a SIDE × SIDE model and prints the median processor time in microseconds: what other programs
//! take of the processor meanwhile does not count.
#![allow(clippy::print_stdout)] // that is its interface

use std::io::{BufRead, Write};
use std::time::{Duration, SystemTime};

use vigie::clock::Moment;
use vigie::frame::{Frame, PixelFormat};
use vigie::geometry::Size;
use vigie::vision::{Preprocessor, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [format, width, height, side, file] = &args[..] else {
        return Err("usage: prepare_rounds FORMAT WIDTH HEIGHT SIDE FILE".into());
    };
    let format = PixelFormat::ALL
        .into_iter()
        .find(|f| f.name().eq_ignore_ascii_case(format))
        .ok_or_else(|| format!("unknown format {format}"))?;
    let nowhen = Moment { monotonic: Duration::ZERO, wall: SystemTime::UNIX_EPOCH };
    let mut frame = Frame::packed(format, Size::new(width.parse()?, height.parse()?), nowhen);
    frame.data = std::fs::read(file)?;
    let side = side.parse()?;
    let mut tensor = Tensor::new(Size::new(side, side));
    let mut preprocessor = Preprocessor::new(tensor.size);
    for line in std::io::stdin().lock().lines() {
        let rounds: usize = line?.trim().parse()?;
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds.max(1) {
            let start = processor_time();
            preprocessor.prepare(&frame, &mut tensor)?;
            times.push(processor_time() - start);
        }
        times.sort_by(f64::total_cmp);
        println!("{:.1}", times[times.len() / 2] / 1e3);
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// What this thread has used of the processor, in nanoseconds.
fn processor_time() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as f64 * 1e9 + t.tv_nsec as f64
}
