//! What is seen, over time: a [`Scene`] turns the detections of a camera, and the time that passes, into [`Fact`]s.
//!
//! Pure: time comes in with the frames, and nothing is told that has not changed.

mod counts;
mod fact;

use std::time::Duration;

pub use counts::Counts;
pub use fact::Fact;

use crate::detector::Detection;

/// What is remembered of one camera.
#[derive(Clone, Debug)]
pub struct Scene {
    counts: Counts,
}

impl Scene {
    /// For a model of that many classes. A count falls, and the first word after a start is said, when the camera was
    /// looked at for `hold`.
    pub fn new(classes: usize, hold: Duration) -> Scene {
        Scene { counts: Counts::new(classes, hold) }
    }

    /// Takes in what was seen in a frame captured at `at` on the monotonic clock; what changed by it is appended to
    /// `facts`. Allocates nothing beyond their room.
    pub fn look(&mut self, at: Duration, detections: &[Detection], facts: &mut Vec<Fact>) {
        self.counts.look(at, detections, facts);
    }

    /// The camera gives no frames any more. What was last known may be old, and is not corrected by a guess: the
    /// camera's status says that it is old.
    pub fn lost(&mut self) {
        self.counts.lost();
    }

    /// Time has passed, it is `now` on the monotonic clock; what changed by that alone is appended to `facts`.
    pub fn tick(&mut self, now: Duration, facts: &mut Vec<Fact>) {
        self.counts.tick(now, facts);
    }
}
