//! The beat of sources that have none of their own: files and the test card. A recording's beat is as uneven as it was.

use std::time::Duration;

use crate::clock::Clock;

/// Says when the next frame is due.
#[derive(Debug)]
pub(super) struct Pace {
    /// From each frame to the next, over and over.
    intervals: Vec<Duration>,
    /// The interval behind the frame that comes next.
    next: usize,
    /// On the monotonic clock; `None` before the first frame, which is due at once.
    due: Option<Duration>,
}

impl Pace {
    /// The slowest and the fastest beat that make sense; what lies beyond is brought to the nearer end.
    const LIMITS: (f32, f32) = (0.001, 1000.0);

    /// A beat of `fps` frames a second.
    pub(super) fn new(fps: f32) -> Pace {
        let fps = if fps.is_finite() { fps.clamp(Pace::LIMITS.0, Pace::LIMITS.1) } else { 1.0 };
        Pace::uneven(vec![Duration::from_secs_f64(1.0 / f64::from(fps))])
    }

    /// A beat of these intervals, over and over; at least one.
    pub(super) fn uneven(intervals: Vec<Duration>) -> Pace {
        Pace { intervals, next: 0, due: None }
    }

    /// The longest interval.
    pub(super) fn longest(&self) -> Duration {
        self.intervals.iter().copied().max().unwrap_or_default()
    }

    /// Waits until a frame is due, at most `wait`; `false`: none is yet.
    ///
    /// A source that comes late skips the beats that it missed: frames are dropped, never queued.
    pub(super) fn wait(&mut self, clock: &dyn Clock, wait: Duration) -> bool {
        let now = clock.now().monotonic;
        let due = self.due.unwrap_or(now);
        if due > now + wait {
            clock.sleep(wait);
            return false;
        }
        if due > now {
            clock.sleep(due - now);
        }
        let late = now.saturating_sub(due);
        let interval = self.intervals.get(self.next).copied().unwrap_or_default();
        self.next = (self.next + 1) % self.intervals.len().max(1);
        self.due = Some(if late > interval { now } else { due } + interval);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::testing::FakeClock;

    #[test]
    fn frames_come_at_the_rate_and_a_short_wait_gives_none() {
        let clock = FakeClock::new();
        let mut pace = Pace::new(2.0);
        assert!(pace.wait(&clock, Duration::from_millis(100)), "the first is due at once");
        assert!(!pace.wait(&clock, Duration::from_millis(100)));
        assert_eq!(clock.elapsed(), Duration::from_millis(100), "no spin");
        for _ in 0..10 {
            assert!(pace.wait(&clock, Duration::from_secs(5)));
        }
        assert_eq!(clock.elapsed(), Duration::from_secs(5));
    }

    #[test]
    fn an_uneven_beat_begins_anew_at_its_end() {
        let clock = FakeClock::new();
        let mut pace = Pace::uneven([100, 700, 200].map(Duration::from_millis).to_vec());
        let mut at = || {
            assert!(pace.wait(&clock, Duration::from_secs(1)));
            clock.elapsed().as_millis()
        };
        assert_eq!([at(), at(), at(), at(), at()], [0, 100, 800, 1000, 1100]);
        assert_eq!(pace.longest(), Duration::from_millis(700));
    }

    #[test]
    fn missed_beats_are_skipped() {
        let clock = FakeClock::new();
        let mut pace = Pace::new(10.0);
        assert!(pace.wait(&clock, Duration::ZERO));
        clock.sleep(Duration::from_secs(3));
        assert!(pace.wait(&clock, Duration::ZERO));
        assert!(!pace.wait(&clock, Duration::ZERO), "thirty missed frames don't come in a burst");
    }

    #[test]
    fn a_senseless_rate_is_no_panic() {
        for fps in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e30] {
            assert!(Pace::new(fps).wait(&FakeClock::new(), Duration::from_secs(1)));
        }
    }
}
