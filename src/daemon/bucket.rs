//! A [`Bucket`]: something that may be done at a rate in the long run, and more often for a moment.

use std::time::Duration;

/// A token bucket. Times are on the monotonic clock.
#[derive(Clone, Debug)]
pub struct Bucket {
    capacity: f64,
    per_second: f64,
    tokens: f64,
    filled: Duration,
}

impl Bucket {
    /// Full, with `capacity` tokens, and `per_second` more as time goes by.
    pub fn new(capacity: u32, per_second: f64) -> Bucket {
        let capacity = f64::from(capacity);
        Bucket { capacity, per_second, tokens: capacity, filled: Duration::ZERO }
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Duration) -> bool {
        let gained = now.saturating_sub(self.filled).as_secs_f64() * self.per_second;
        (self.tokens, self.filled) = ((self.tokens + gained).min(self.capacity), now);
        let there_is_one = self.tokens >= 1.0;
        if there_is_one {
            self.tokens -= 1.0;
        }
        there_is_one
    }

    /// Whether half of the tokens are there: it was asked for no more than the rate for a while.
    pub fn is_half_full(&self) -> bool {
        2.0 * self.tokens >= self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_rate_holds() {
        let mut bucket = Bucket::new(5, 2.0);
        let start = Duration::from_secs(1000);
        let mut taken = |ms: u64| bucket.take(start + Duration::from_millis(ms));
        assert_eq!((0..10).filter(|_| taken(0)).count(), 5);
        assert!(!taken(499) && taken(500) && !taken(501));
        assert_eq!((501..10_501).filter(|&ms| taken(ms)).count(), 20, "two a second, however often one asks");
        assert_eq!(
            (0..10).filter(|_| taken(3_600_000)).count(),
            5,
            "nothing is saved up beyond the capacity"
        );
    }
}
