//! A [`Turn`]: something that may be done at most so many times a second.

use std::time::Duration;

/// Who is asked within this time after a turn was due is on time, and what came no longer before it is new.
const PUNCTUAL: Duration = Duration::from_millis(5);

/// Turns at a rate: no more than that, and none owed for the past. Times are on the monotonic clock.
#[derive(Clone, Debug)]
pub struct Turn {
    interval: Duration,
    due: Duration,
    /// Somebody stands ready since it was due, and may wait for something new.
    ready: bool,
}

impl Turn {
    /// Turns at most `rate` times a second (> 0), the first one at once.
    pub fn new(rate: f32) -> Turn {
        Turn { interval: Duration::from_secs_f64(1.0 / f64::from(rate)), due: Duration::ZERO, ready: false }
    }

    /// When the next turn is due.
    pub fn due(&self) -> Duration {
        self.due
    }

    /// A turn is due at `now`: what it is taken with shall not have come before this time. Who was ready in time need not
    /// take what has lain there for most of a camera's period, for the next comes soon; but waits no longer than the
    /// interval between two turns. Who is late takes what there is.
    pub fn wants_since(&mut self, now: Duration) -> Duration {
        let late = now.saturating_sub(self.due);
        self.ready |= late <= PUNCTUAL;
        if self.ready && late < self.interval { self.due.saturating_sub(PUNCTUAL) } else { Duration::ZERO }
    }

    /// A turn begins at `now`. A little lateness does not slow the rate; what was missed altogether is not owed.
    pub fn taken(&mut self, now: Duration) {
        let next = self.due + self.interval;
        self.due = if next > now { next } else { now + self.interval };
        self.ready = false;
    }

    /// Whether a turn is due at `now`; it is taken then.
    pub fn take(&mut self, now: Duration) -> bool {
        let due = self.due <= now;
        if due {
            self.taken(now);
        }
        due
    }

    /// The next turn is due at once, whenever the last one was.
    pub fn reset(&mut self) {
        self.due = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the turn that is due longest, with a worker that needs `service` for each, and counts who had how many.
    fn turns_in(seconds: u64, rates: &[f32], service: Duration) -> Vec<u32> {
        let mut turns: Vec<(Turn, u32)> = rates.iter().map(|&r| (Turn::new(r), 0)).collect();
        let mut now = Duration::from_secs(1000);
        let end = now + Duration::from_secs(seconds);
        while now < end {
            match turns.iter_mut().filter(|(turn, _)| turn.due() <= now).min_by_key(|(turn, _)| turn.due()) {
                Some((turn, count)) => {
                    turn.taken(now);
                    *count += 1;
                    now += service;
                }
                None => now += Duration::from_millis(1),
            }
        }
        turns.into_iter().map(|(_, count)| count).collect()
    }

    #[test]
    fn a_fast_machine_keeps_every_rate() {
        let counts = turns_in(10, &[5.0, 2.0], Duration::from_millis(10));
        assert!((50..=51).contains(&counts[0]) && (20..=21).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn a_slow_machine_shares_fairly_and_starves_nobody() {
        let counts = turns_in(60, &[30.0, 30.0, 1.0], Duration::from_millis(100));
        assert!(counts[2] >= 50, "the slow one gets its one a second: {counts:?}");
        assert!(counts[0].abs_diff(counts[1]) <= 2, "{counts:?}");
    }

    #[test]
    fn who_is_ready_in_time_waits_for_what_is_new_and_who_is_late_takes_what_there_is() {
        let ms = Duration::from_millis;
        let mut turn = Turn::new(5.0);
        assert_eq!(turn.wants_since(ms(9000)), Duration::ZERO, "the first takes whatever there is");
        turn.taken(ms(9000));
        assert_eq!(turn.due(), ms(9200));
        assert_eq!(turn.wants_since(ms(9200)), ms(9195));
        assert_eq!(turn.wants_since(ms(9250)), ms(9195), "it was ready, and waits");
        assert_eq!(turn.wants_since(ms(9400)), Duration::ZERO, "but not for ever");
        turn.taken(ms(9260));
        assert_eq!(turn.due(), ms(9400), "waiting does not slow the rate");
        assert_eq!(turn.wants_since(ms(9420)), Duration::ZERO, "it was busy when its turn came");
    }

    #[test]
    fn after_a_reset_the_next_turn_is_due_at_once() {
        let mut turn = Turn::new(0.1);
        assert!(turn.take(Duration::from_secs(5)));
        assert!(!turn.take(Duration::from_secs(6)));
        turn.reset();
        assert!(turn.take(Duration::from_secs(6)));
    }
}
