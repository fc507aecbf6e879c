//! What the inference thread sleeps on: a camera rings when it has a frame, the daemon when it is time to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A bell that remembers one ring, and whether the house is closing.
#[derive(Debug, Default)]
pub struct Wake {
    rung: Mutex<bool>,
    bell: Condvar,
    stopping: AtomicBool,
}

impl Wake {
    /// Wakes the sleeper, or spares it its next sleep.
    pub fn ring(&self) {
        // A poisoned bell still rings: the flag behind it cannot be half set.
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_one();
    }

    /// Says that it is time to stop, and wakes the sleeper.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.ring();
    }

    /// Whether it is time to stop.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Sleeps until the next ring, at most so long.
    pub fn sleep(&self, at_most: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.bell.wait_timeout_while(rung, at_most, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_ring_before_the_sleep_is_not_lost() {
        let wake = Wake::default();
        wake.ring();
        let start = Instant::now();
        wake.sleep(Duration::from_secs(5));
        assert!(start.elapsed() < Duration::from_secs(1));
        wake.sleep(Duration::from_millis(20));
        assert!(start.elapsed() >= Duration::from_millis(20), "one ring spares one sleep");
    }
}
