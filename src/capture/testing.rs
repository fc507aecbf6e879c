//! What this room's tests share: a clock that only moves when somebody sleeps.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use crate::clock::{Clock, Moment};

/// A clock whose time passes by being slept, so that a test of minutes takes no time.
pub(crate) struct FakeClock(Mutex<Duration>);

impl FakeClock {
    pub(crate) fn new() -> FakeClock {
        FakeClock(Mutex::new(Duration::from_secs(1000)))
    }

    /// How long it has been running.
    pub(crate) fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap() - Duration::from_secs(1000)
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Moment {
        let monotonic = *self.0.lock().unwrap();
        Moment { monotonic, wall: SystemTime::UNIX_EPOCH + monotonic }
    }

    fn sleep(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }
}
