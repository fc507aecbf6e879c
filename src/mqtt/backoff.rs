//! How long to wait before the next attempt: exponential, jittered, capped.

use std::time::Duration;

/// The pause between attempts: `first`, doubled each time up to `cap`, of which a random half to whole is waited, so
/// that fifty boards don't come back at the same instant after a broker's restart.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    attempts: u32,
}

impl Backoff {
    /// From `first` up to `cap`.
    pub fn new(first: Duration, cap: Duration) -> Backoff {
        Backoff { first, cap, attempts: 0 }
    }

    /// How long to wait now.
    pub fn pause(&mut self) -> Duration {
        let whole =
            self.first.saturating_mul(1u32.checked_shl(self.attempts).unwrap_or(u32::MAX)).min(self.cap);
        self.attempts = self.attempts.saturating_add(1);
        whole.mul_f64(0.5 + 0.5 * fastrand::f64())
    }

    /// Things are well again: the next pause is a short one.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_cap_and_stays_there() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for whole in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = backoff.pause();
            assert!(
                pause >= Duration::from_secs(whole) / 2 && pause <= Duration::from_secs(whole),
                "{pause:?}"
            );
        }
        for _ in 0..100 {
            assert!(backoff.pause() <= Duration::from_secs(60));
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_secs(1));
    }

    #[test]
    fn two_boards_do_not_wait_the_same() {
        let pauses: Vec<Duration> =
            (0..20).map(|_| Backoff::new(Duration::from_secs(1), Duration::from_secs(60)).pause()).collect();
        assert!(pauses.windows(2).any(|w| w[0] != w[1]));
    }
}
