//! The latest frames, in case something happens: bounded in time, number and bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::geometry::Size;

/// The frames of one camera take no more memory than this.
const MOST_BYTES: usize = 32 << 20;
/// Nor are there more of them than this.
const MOST: usize = 4096;

/// A frame as it will be recorded: what is masked is black, the rest a JPEG.
#[derive(Clone, Debug, PartialEq)]
pub struct Still {
    /// The picture.
    pub jpeg: Vec<u8>,
    /// Its size.
    pub size: Size,
    /// When it was captured.
    pub captured: Moment,
}

/// See the module's words.
pub struct Ring {
    before: Duration,
    bytes: usize,
    stills: VecDeque<Arc<Still>>,
    held: usize,
    /// How many of the latest were not taken.
    fresh: usize,
}

impl Ring {
    /// Holds what is no older than this, seen from the latest frame, which is always there.
    pub fn new(before: Duration) -> Ring {
        Ring { before, bytes: MOST_BYTES, stills: VecDeque::new(), held: 0, fresh: 0 }
    }

    /// Adds the latest frame; the oldest go.
    pub fn push(&mut self, still: Still) {
        let oldest = still.captured.monotonic.saturating_sub(self.before);
        self.held += still.jpeg.len();
        self.stills.push_back(Arc::new(still));
        self.fresh += 1;
        let is_too_much = |ring: &Ring| {
            ring.held > ring.bytes
                || ring.stills.len() > MOST
                || ring.stills.front().is_some_and(|first| first.captured.monotonic < oldest)
        };
        while self.stills.len() > 1 && is_too_much(self) {
            self.held -= self.stills.pop_front().map_or(0, |oldest| oldest.jpeg.len());
        }
        self.fresh = self.fresh.min(self.stills.len());
    }

    /// The oldest that was not taken yet. It stays until it is too old.
    pub fn take(&mut self) -> Option<Arc<Still>> {
        let next = self.stills.len() - self.fresh;
        self.fresh = self.fresh.saturating_sub(1);
        self.stills.get(next).map(Arc::clone)
    }

    /// What is still there can be taken again.
    pub fn rewind(&mut self) {
        self.fresh = self.stills.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn still(ms: u64, bytes: usize) -> Still {
        let captured = Moment { monotonic: Duration::from_millis(ms), wall: SystemTime::UNIX_EPOCH };
        Still { jpeg: vec![0; bytes], size: Size::new(8, 8), captured }
    }

    fn times(ring: &mut Ring) -> Vec<u128> {
        std::iter::from_fn(|| ring.take()).map(|still| still.captured.monotonic.as_millis()).collect()
    }

    #[test]
    fn the_oldest_go_by_time_by_bytes_and_by_number() {
        let mut ring = Ring::new(Duration::from_secs(1));
        (0..10).for_each(|n| ring.push(still(n * 300, 10)));
        assert_eq!(times(&mut ring), [1800, 2100, 2400, 2700]);
        assert_eq!((ring.held, ring.take()), (40, None));
        ring.push(still(3000, 10));
        assert_eq!(times(&mut ring), [3000], "what was taken is there, and not taken twice");
        ring.rewind();
        assert_eq!(times(&mut ring), [2100, 2400, 2700, 3000], "unless somebody wants it");

        let mut ring = Ring::new(Duration::from_secs(1));
        ring.bytes = 100;
        (0..10).for_each(|n| ring.push(still(n, 30)));
        assert_eq!(times(&mut ring), [7, 8, 9]);
        ring.push(still(10, 500));
        assert_eq!(times(&mut ring), [10], "the latest is there however large it is");

        let mut ring = Ring::new(Duration::from_secs(60));
        (0..2 * MOST as u64).for_each(|n| ring.push(still(n, 1)));
        assert_eq!(ring.stills.len(), MOST);

        let mut ring = Ring::new(Duration::ZERO);
        (0..3).for_each(|n| ring.push(still(n, 1)));
        assert_eq!(times(&mut ring), [2]);
        ring.push(still(5, 1));
        ring.push(still(9000, 1));
        assert_eq!(times(&mut ring), [9000], "after a pause what was before it is old");
    }
}
