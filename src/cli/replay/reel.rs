//! A [`Reel`]: the frames of a file, each once, in a time that passes with them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::capture::{Error, Source};
use crate::clock::{Clock, Moment};
use crate::frame::Frame;

/// The time in a file: it stands still but while somebody waits, and begins at zero.
#[derive(Debug)]
pub struct FileClock {
    start: SystemTime,
    passed: Mutex<Duration>,
    /// How many times as fast as it was, since when; `None`: waiting takes no time.
    speed: Option<(f32, Instant)>,
}

impl FileClock {
    /// A clock that shows `start` at the first frame, and is so many times as fast as a clock on the wall.
    pub fn new(start: SystemTime, speed: Option<f32>) -> FileClock {
        let speed = speed.map(|speed| (speed, Instant::now()));
        FileClock { start, passed: Mutex::new(Duration::ZERO), speed }
    }
}

impl Clock for FileClock {
    fn now(&self) -> Moment {
        let monotonic = *self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        Moment { monotonic, wall: self.start.checked_add(monotonic).unwrap_or(self.start) }
    }

    fn sleep(&self, duration: Duration) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        *passed += duration;
        if let Some((speed, since)) = self.speed {
            // What looking took is not waited for again.
            std::thread::sleep(passed.div_f32(speed).saturating_sub(since.elapsed()));
        }
    }
}

/// See the module's words.
pub struct Reel {
    source: Box<dyn Source>,
    clock: Arc<FileClock>,
    frame: Frame,
    next: Frame,
    frames: u64,
}

impl Reel {
    /// Of a source that goes by that clock.
    pub fn new(source: Box<dyn Source>, clock: Arc<FileClock>) -> Reel {
        let nothing = super::nothing(clock.now());
        Reel { source, clock, frame: nothing.clone(), next: nothing, frames: 0 }
    }

    /// The time.
    pub fn clock(&self) -> &FileClock {
        &self.clock
    }

    /// Frames a second, where the source knows.
    pub fn fps(&self) -> Option<f32> {
        self.source.negotiated().fps
    }

    /// The next frame; `None`: that was all.
    ///
    /// # Errors
    /// When the file can't be read on.
    pub fn next(&mut self) -> Result<Option<&Frame>, Error> {
        self.source.next(&mut self.next)?;
        if self.source.rounds() > 0 {
            return Ok(None);
        }
        std::mem::swap(&mut self.frame, &mut self.next);
        self.frames += 1;
        Ok(Some(&self.frame))
    }

    /// The frame that came last.
    pub fn last(&self) -> &Frame {
        &self.frame
    }

    /// How many frames there were.
    pub fn frames(&self) -> u64 {
        self.frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_only_while_somebody_waits() {
        let clock = FileClock::new(SystemTime::UNIX_EPOCH, None);
        let hour = Duration::from_secs(3600);
        assert_eq!(clock.now().monotonic, Duration::ZERO);
        clock.sleep(hour);
        assert_eq!(clock.now(), Moment { monotonic: hour, wall: SystemTime::UNIX_EPOCH + hour });
    }

    #[test]
    fn a_speed_is_kept() {
        let (clock, start) = (FileClock::new(SystemTime::UNIX_EPOCH, Some(20.0)), Instant::now());
        for _ in 0..10 {
            clock.sleep(Duration::from_millis(100));
        }
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(50), "{took:?} for a second at twenty times the speed");
        assert!(took < Duration::from_millis(900), "{took:?}");
    }
}
