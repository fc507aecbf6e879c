//! Which camera is looked at next: earliest deadline first, so that one busy camera starves nobody.

use std::time::Duration;

/// One camera's turns: no more than its rate, and none owed for the past.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Between two turns.
    interval: Duration,
    /// When the next turn is due, on the monotonic clock.
    due: Duration,
}

impl Turn {
    /// Turns at most `max_fps` times a second (> 0), the first one at once.
    pub fn new(max_fps: f32) -> Turn {
        Turn { interval: Duration::from_secs_f64(1.0 / f64::from(max_fps)), due: Duration::ZERO }
    }

    /// When the next turn is due.
    pub fn due(&self) -> Duration {
        self.due
    }

    /// A turn begins at `now`. A little lateness does not slow the rate; what was missed altogether is not owed.
    pub fn taken(&mut self, now: Duration) {
        let next = self.due + self.interval;
        self.due = if next > now { next } else { now + self.interval };
    }
}

/// The order in which those whose turn is due at `now` are asked: the longest waiting first.
///
/// `order` is scratch, cleared and filled with indices; it allocates only while it grows.
pub fn due_first(turns: &[Turn], now: Duration, order: &mut Vec<usize>) {
    order.clear();
    order.extend((0..turns.len()).filter(|&i| turns[i].due <= now));
    order.sort_unstable_by_key(|&i| (turns[i].due, i));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the schedule with always-fresh cameras and a detector that takes `service`, and counts turns.
    fn turns_in(seconds: u64, rates: &[f32], service: Duration) -> Vec<u32> {
        let mut turns: Vec<Turn> = rates.iter().map(|&r| Turn::new(r)).collect();
        let (mut counts, mut order) = (vec![0; rates.len()], Vec::new());
        let mut now = Duration::from_secs(1000);
        let end = now + Duration::from_secs(seconds);
        while now < end {
            due_first(&turns, now, &mut order);
            match order.first() {
                Some(&i) => {
                    turns[i].taken(now);
                    counts[i] += 1;
                    now += service;
                }
                None => now += Duration::from_millis(1),
            }
        }
        counts
    }

    #[test]
    fn a_fast_machine_keeps_every_rate() {
        let counts = turns_in(10, &[5.0, 2.0], Duration::from_millis(10));
        assert!((50..=51).contains(&counts[0]) && (20..=21).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn a_slow_machine_shares_fairly_and_starves_nobody() {
        let counts = turns_in(60, &[30.0, 30.0, 1.0], Duration::from_millis(100));
        assert!(counts[2] >= 50, "the slow camera gets its one a second: {counts:?}");
        assert!(counts[0].abs_diff(counts[1]) <= 2, "{counts:?}");
    }
}
