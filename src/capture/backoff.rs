//! How long to wait before a source is opened again: exponential, jittered, capped, and never zero.

use std::time::Duration;

use super::ErrorKind;

/// The delays of one run of failures.
///
/// Each kind of failure has an exponent of its own: a camera that was unplugged for long, and now may not be opened for
/// the moment that udev takes to set its group, is tried again as after a first failure of that kind.
///
/// Fifty boards that lose the same hub must not come back in step, so each delay is drawn from the upper half of its
/// slot.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: Vec<(ErrorKind, u32)>,
    random: fastrand::Rng,
}

impl Backoff {
    pub(super) fn new(random: fastrand::Rng) -> Backoff {
        Backoff { failures: Vec::new(), random }
    }

    /// The delay before the next try after a failure of that kind.
    pub(super) fn delay(&mut self, kind: ErrorKind) -> Duration {
        let before = match self.failures.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, failures)) => {
                *failures = failures.saturating_add(1);
                *failures - 1
            }
            None => {
                self.failures.push((kind, 1));
                0
            }
        };
        let retry = kind.retry();
        let doubled = retry.first.saturating_mul(1 << before.min(16));
        doubled.min(retry.longest).mul_f64(0.5 + 0.5 * self.random.f64())
    }

    /// The source works again: the next failure of any kind is a first one.
    pub(super) fn reset(&mut self) {
        self.failures.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_never_vanish() {
        let retry = ErrorKind::Lost.retry();
        let mut backoff = Backoff::new(fastrand::Rng::with_seed(7));
        let delays: Vec<Duration> = (0..40).map(|_| backoff.delay(ErrorKind::Lost)).collect();
        for (i, delay) in delays.iter().enumerate() {
            let slot = retry.first.saturating_mul(1 << i.min(16)).min(retry.longest);
            assert!((slot / 2..=slot).contains(delay), "delay {i} is {delay:?} in a slot of {slot:?}");
        }
        assert!(delays[39] >= retry.longest / 2);
        backoff.reset();
        assert!(backoff.delay(ErrorKind::Lost) <= retry.first);
    }

    #[test]
    fn another_kind_of_failure_begins_with_its_first_delay_and_no_kind_is_forgotten() {
        let mut backoff = Backoff::new(fastrand::Rng::with_seed(7));
        // Unplugged for a minute, and then not yet allowed.
        let unplugged: Duration = (0..20).map(|_| backoff.delay(ErrorKind::NotFound)).sum();
        assert!(unplugged > Duration::from_secs(50));
        assert!(backoff.delay(ErrorKind::Permission) <= ErrorKind::Permission.retry().first);
        // Two kinds in turn are backed off all the same.
        (0..10).for_each(|_| _ = (backoff.delay(ErrorKind::Lost), backoff.delay(ErrorKind::NotFound)));
        assert!(backoff.delay(ErrorKind::Lost) >= ErrorKind::Lost.retry().longest / 2);
    }

    #[test]
    fn two_boards_do_not_come_back_in_step() {
        let mut a = Backoff::new(fastrand::Rng::with_seed(1));
        let mut b = Backoff::new(fastrand::Rng::with_seed(2));
        assert_ne!(a.delay(ErrorKind::Lost), b.delay(ErrorKind::Lost));
    }
}
