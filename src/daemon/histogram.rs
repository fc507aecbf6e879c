//! How long something takes, as counters that only grow: a histogram that one thread fills and any thread reads, without
//! a lock. The difference of two readings is the histogram of the time between them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::mqtt::payload::Quantiles;

/// Buckets an octave: a duration is told to within 1/16 of itself.
const STEPS: usize = 16;
/// Octaves of microseconds above the first bucket; the last one ends at 134 s, and what lasts longer counts there.
const OCTAVES: usize = 23;
const BUCKETS: usize = STEPS * (OCTAVES + 1);

/// Durations in buckets whose width grows with them: exact below 16 µs, to a sixteenth above.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    /// The sum of all durations, in microseconds.
    sum_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum_us: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts a duration in.
    pub fn add(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(us)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// The counts as they are.
    pub fn read(&self) -> Reading {
        Reading {
            buckets: self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect(),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

/// A histogram at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Empty for a histogram that nothing was counted into.
    buckets: Vec<u64>,
    sum_us: u64,
}

impl Reading {
    /// How many durations there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// What came since an earlier reading of the same histogram.
    pub fn since(&self, before: &Reading) -> Reading {
        let then = before.buckets.iter().copied().chain(std::iter::repeat(0));
        Reading {
            buckets: self.buckets.iter().zip(then).map(|(now, then)| now.saturating_sub(then)).collect(),
            sum_us: self.sum_us.saturating_sub(before.sum_us),
        }
    }

    /// The middle and the slow end in milliseconds, by nearest rank, each as the middle of its bucket; `None` of none.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let count = self.count();
        let rank = |percent: u64| -> Option<f64> {
            let nearest = (count * percent).div_ceil(100).max(1);
            let mut sum = 0;
            let i = self.buckets.iter().position(|n| {
                sum += n;
                sum >= nearest
            })?;
            Some(middle_us(i) / 1000.0)
        };
        Some(Quantiles { median: rank(50)?, p95: rank(95)? })
    }
}

/// Which bucket a duration belongs to: the position of its highest bit, and the four bits below it.
fn bucket(us: u64) -> usize {
    if us < STEPS as u64 {
        return us as usize;
    }
    let octave = us.ilog2() as usize - STEPS.ilog2() as usize;
    let step = (us >> octave) as usize - STEPS;
    (STEPS * (octave + 1) + step).min(BUCKETS - 1)
}

/// The middle of a bucket, in microseconds.
fn middle_us(i: usize) -> f64 {
    if i < STEPS {
        return i as f64;
    }
    let (octave, step) = (i / STEPS - 1, i % STEPS);
    let width = (1u64 << octave) as f64;
    (STEPS + step) as f64 * width + (width - 1.0) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(us: impl IntoIterator<Item = u64>) -> Histogram {
        let histogram = Histogram::default();
        us.into_iter().for_each(|us| histogram.add(Duration::from_micros(us)));
        histogram
    }

    #[test]
    fn every_duration_is_told_to_a_sixteenth() {
        for us in (0..2000).chain([10_000, 40_123, 1_000_000, 59_999_999, 130_000_000]) {
            let told = of([us]).read().quantiles().unwrap().median * 1000.0;
            let error = (told - us as f64).abs();
            assert!(error <= us as f64 / 32.0, "{us} µs is told as {told} µs");
        }
    }

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let quantiles = of((1..=100).rev().map(|ms| ms * 1000)).read().quantiles().unwrap();
        assert!((quantiles.median / 50.0 - 1.0).abs() < 0.04, "{quantiles:?}");
        assert!((quantiles.p95 / 95.0 - 1.0).abs() < 0.04, "{quantiles:?}");
        assert_eq!(of([]).read().quantiles(), None);
    }

    #[test]
    fn the_difference_of_two_readings_is_what_came_between() {
        let histogram = of([1000; 500]);
        let before = histogram.read();
        assert_eq!(histogram.read().since(&before).quantiles(), None);
        histogram.add(Duration::from_millis(8));
        let lately = histogram.read().since(&before);
        assert_eq!((lately.count(), lately.sum()), (1, Duration::from_millis(8)));
        assert!(lately.quantiles().unwrap().median > 7.5);
        assert_eq!(before.since(&Reading::default()), before);
    }

    #[test]
    fn what_lasts_for_ever_has_a_bucket_too() {
        let read = of([u64::MAX, 0]).read();
        assert_eq!(read.count(), 2);
        assert!(read.quantiles().unwrap().p95 > 100_000.0);
    }
}
