//! A window over the latest durations of one stage: what is typical lately, without growing.

use std::time::Duration;

use crate::mqtt::messages::stats::Quantiles;

/// How many durations are remembered.
const LENGTH: usize = 256;

/// The latest durations of one stage.
#[derive(Clone, Debug)]
pub struct Window {
    latest: Vec<Duration>,
    next: usize,
}

impl Default for Window {
    /// An empty window with room for all that it will ever hold.
    fn default() -> Window {
        Window { latest: Vec::with_capacity(LENGTH), next: 0 }
    }
}

impl Window {
    /// Remembers a duration; the oldest gives way.
    pub fn push(&mut self, duration: Duration) {
        if self.latest.len() < LENGTH {
            self.latest.push(duration);
        } else {
            self.latest[self.next] = duration;
        }
        self.next = (self.next + 1) % LENGTH;
    }

    /// What is typical; `None` before the first duration.
    pub fn quantiles(&self) -> Option<Quantiles> {
        Quantiles::of(&mut self.latest.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_forgets_the_oldest() {
        let mut window = Window::default();
        assert_eq!(window.quantiles(), None);
        for _ in 0..LENGTH {
            window.push(Duration::from_millis(100));
        }
        for _ in 0..LENGTH {
            window.push(Duration::from_millis(1));
        }
        assert_eq!(window.quantiles(), Some(Quantiles { median: 1.0, p95: 1.0 }));
        assert_eq!(window.latest.capacity(), LENGTH);
    }
}
