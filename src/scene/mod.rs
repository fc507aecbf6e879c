//! What is seen, over time: a [`Scene`] turns the detections and tracks of a camera, and the time that passes, into [`Fact`]s.
//!
//! Pure: time comes in with the frames, and nothing is told that has not changed.

mod counts;
mod fact;
pub mod objects;
pub mod path;
pub mod zones;

use std::time::Duration;

pub use counts::Counts;
pub use fact::Fact;

use crate::clock::Moment;
use crate::detector::Detection;
use crate::geometry::Size;
use crate::tracker::Tracker;
use objects::{Happened, Object, Objects, Reason};

/// What is remembered of one camera.
#[derive(Clone, Debug)]
pub struct Scene {
    counts: Counts,
    objects: Objects,
}

impl Scene {
    /// For a model of that many classes. A count falls, and the first word after a start is said, when the camera was
    /// looked at for `hold`; `objects` says how single objects are told of.
    pub fn new(classes: usize, hold: Duration, objects: objects::Options) -> Scene {
        Scene { counts: Counts::new(classes, hold), objects: Objects::new(objects) }
    }

    /// Takes in what was seen in a frame of that `size` captured at `at`, and what the tracker made of it; what changed by
    /// it is appended to `facts`.
    pub fn look(
        &mut self,
        at: Moment,
        size: Size,
        detections: &[Detection],
        tracker: &Tracker,
        facts: &mut Vec<Fact>,
    ) {
        self.counts.look(at.monotonic, detections, facts);
        self.objects.look(at, size, tracker, into(facts));
    }

    /// The camera gives no frames any more, and the tracker has stopped. What was last known may be old, and is not
    /// corrected by a guess: the camera's status says that it is old. Its objects have ended.
    pub fn lost(&mut self, facts: &mut Vec<Fact>) {
        self.counts.lost();
        self.objects.end_all(Reason::CameraLost, into(facts));
    }

    /// Nobody looks for now, and the tracker has stopped. Values stay as at a loss; objects have ended.
    pub fn pause(&mut self, facts: &mut Vec<Fact>) {
        self.counts.lost();
        self.objects.end_all(Reason::DetectOff, into(facts));
    }

    /// Time has passed, for the tracker too, and it is `now` on the monotonic clock; what changed by that alone is appended
    /// to `facts`.
    pub fn tick(&mut self, now: Duration, tracker: &Tracker, facts: &mut Vec<Fact>) {
        self.counts.tick(now, facts);
        self.objects.tick(tracker, into(facts));
    }

    /// Nobody will look any more: objects end, values stay.
    pub fn stop(&mut self, facts: &mut Vec<Fact>) {
        self.objects.end_all(Reason::Stopping, into(facts));
    }
}

fn into(facts: &mut Vec<Fact>) -> impl FnMut(Happened, &Object) {
    |happened, object| facts.push(Fact::Object { happened, object: Box::new(object.clone()) })
}
