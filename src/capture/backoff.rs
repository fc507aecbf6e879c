//! How long to wait before a source is opened again: exponential, jittered, capped, and never zero.

use std::time::Duration;

use super::Retry;

/// The delays of one run of failures.
///
/// Fifty boards that lose the same hub must not come back in step, so each delay is drawn from the upper half of its
/// slot.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    random: fastrand::Rng,
}

impl Backoff {
    pub(super) fn new(random: fastrand::Rng) -> Backoff {
        Backoff { failures: 0, random }
    }

    /// The delay before the next try.
    pub(super) fn delay(&mut self, retry: Retry) -> Duration {
        let doubled = retry.first.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        doubled.min(retry.longest).mul_f64(0.5 + 0.5 * self.random.f64())
    }

    /// The source works again: the next failure is a first one.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::ErrorKind;

    #[test]
    fn delays_double_up_to_the_cap_and_never_vanish() {
        let retry = ErrorKind::Lost.retry();
        let mut backoff = Backoff::new(fastrand::Rng::with_seed(7));
        let delays: Vec<Duration> = (0..40).map(|_| backoff.delay(retry)).collect();
        for (i, delay) in delays.iter().enumerate() {
            let slot = retry.first.saturating_mul(1 << i.min(16)).min(retry.longest);
            assert!((slot / 2..=slot).contains(delay), "delay {i} is {delay:?} in a slot of {slot:?}");
        }
        assert!(delays[39] >= retry.longest / 2);
        backoff.reset();
        assert!(backoff.delay(retry) <= retry.first);
    }

    #[test]
    fn two_boards_do_not_come_back_in_step() {
        let retry = ErrorKind::Lost.retry();
        let mut a = Backoff::new(fastrand::Rng::with_seed(1));
        let mut b = Backoff::new(fastrand::Rng::with_seed(2));
        assert_ne!(a.delay(retry), b.delay(retry));
    }
}
