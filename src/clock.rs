//! Where time comes from: rooms below the daemon never read the wall clock, they are handed a [`Clock`] or a [`Moment`].
//!
//! How long a step takes, and how much is left of a wait in the system, they measure with [`std::time::Instant`]: it is
//! monotonic too, and such a length is never compared with a [`Moment`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// One instant, on both of the clocks that matter.
///
/// The monotonic one orders frames and measures delays; the wall clock is only for people and may jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// `CLOCK_MONOTONIC`, since an arbitrary start (on Linux: boot).
    pub monotonic: Duration,
    /// The wall clock, as far as the board knows it.
    pub wall: SystemTime,
}

impl Moment {
    /// The instant at which the monotonic clock read `monotonic`, given that `self` is now.
    ///
    /// V4L2 stamps buffers with `CLOCK_MONOTONIC`; this gives such a stamp its wall time.
    pub fn at(&self, monotonic: Duration) -> Moment {
        let wall = if monotonic <= self.monotonic {
            self.wall.checked_sub(self.monotonic - monotonic)
        } else {
            self.wall.checked_add(monotonic - self.monotonic)
        };
        Moment { monotonic, wall: wall.unwrap_or(self.wall) }
    }
}

/// A source of time, so that tests can bring their own.
pub trait Clock: Send + Sync {
    /// The instant it is now.
    fn now(&self) -> Moment;
    /// Waits for that long.
    fn sleep(&self, duration: Duration);
}

/// Whether the wall clock is known to be right, said by one and read by many; at first it is not known.
#[derive(Clone, Debug, Default)]
pub struct Trust(Arc<AtomicBool>);

impl Trust {
    /// Says whether it is known to be right.
    pub fn set(&self, synced: bool) {
        self.0.store(synced, Ordering::Relaxed);
    }

    /// Whether it is known to be right.
    pub fn is_synced(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let monotonic = Duration::new(t.tv_sec.try_into().unwrap_or(0), t.tv_nsec.try_into().unwrap_or(0));
        Moment { monotonic, wall: SystemTime::now() }
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monotonic_stamp_gets_the_wall_time_of_its_instant() {
        let now = Moment {
            monotonic: Duration::from_secs(100),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1000),
        };
        assert_eq!(now.at(Duration::from_secs(97)).wall, SystemTime::UNIX_EPOCH + Duration::from_secs(997));
        assert_eq!(now.at(Duration::from_secs(101)).wall, SystemTime::UNIX_EPOCH + Duration::from_secs(1001));
    }

    #[test]
    fn the_system_clock_goes_forward() {
        let a = SystemClock.now();
        SystemClock.sleep(Duration::from_millis(2));
        assert!(SystemClock.now().monotonic >= a.monotonic + Duration::from_millis(2));
    }
}
