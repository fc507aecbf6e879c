//! What is seen, over time: a [`Scene`] turns the tracks of a camera, and the time that passes, into [`Fact`]s.
//!
//! Pure: time comes in with the frames, and nothing is told that has not changed.

mod counts;
mod fact;
pub mod objects;
pub mod path;
pub mod tally;
pub mod view;
pub mod zones;

use std::time::Duration;

pub use counts::{Counts, Settling};
pub use fact::{Fact, Place};

use crate::clock::Moment;
use crate::geometry::Size;
use crate::tracker::{self, Track, Tracker};
use objects::{Happened, Object, Objects, Reason};
use view::Sharpness;

/// What is remembered of one camera.
#[derive(Clone, Debug)]
pub struct Scene {
    counts: Counts,
    objects: Objects,
}

impl Scene {
    /// For a model of that many classes. A count falls, and the first word after a start is said, when the camera was
    /// looked at for `hold`; `objects` says how single objects are told of, `tracking` how long one takes to be believed.
    pub fn new(
        classes: usize,
        hold: Duration,
        objects: objects::Options,
        tracking: &tracker::Options,
    ) -> Scene {
        let looks = tracking.looks_to_believe();
        let mut counts = Counts::new(classes, hold, Settling { looks, time: Duration::ZERO });
        for zone in &objects.zones {
            let settling = Settling { looks: looks + zone.inertia.max(1), time: zone.loitering };
            counts = counts.with_zone(settling, zone.classes.clone());
        }
        Scene { counts, objects: Objects::new(objects) }
    }

    /// Takes in what the tracker made of a frame of that `size` captured at `at`, whose `sharpness` can be asked for; what
    /// changed by it is appended to `facts`.
    pub fn look(
        &mut self,
        at: Moment,
        size: Size,
        tracker: &Tracker,
        sharpness: Sharpness<'_>,
        facts: &mut Vec<Fact>,
    ) {
        self.objects.look(at, size, tracker, sharpness, into(facts));
        facts.extend(self.objects.crossings().map(|crossing| Fact::Crossings {
            line: crossing.crossed.line,
            class_id: crossing.class_id,
            direction: crossing.crossed.direction,
            total: crossing.total,
        }));
        self.counts.look(at.monotonic, self.objects.present(), facts);
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

    /// From now on a zone can be entered, or it is as if it were not there: it is empty then, whoever stands there, and
    /// whether anybody looks or not.
    pub fn set_open(&mut self, zone: usize, open: bool, facts: &mut Vec<Fact>) {
        self.objects.set_open(zone, open);
        if !open {
            self.counts.close(zone, facts);
        }
    }

    /// Time has passed, for the tracker too, and it is `now` on the monotonic clock; what changed by that alone is appended
    /// to `facts`.
    pub fn tick(&mut self, now: Duration, tracker: &Tracker, facts: &mut Vec<Fact>) {
        self.counts.tick(now, facts);
        self.objects.tick(tracker, into(facts));
    }

    /// Whether a frame is waited for although nothing moves: not everything was told yet, or an object is there that does not
    /// rest.
    pub fn is_waiting(&self) -> bool {
        !self.counts.is_settled() || self.objects.present().any(|object| !object.stationary)
    }

    /// The objects whose best view is the frame captured at `at`.
    pub fn viewed(&self, at: Duration) -> impl Iterator<Item = &Object> {
        self.objects
            .present()
            .filter(move |object| object.view.is_some_and(|view| view.captured.monotonic == at))
    }

    /// Whether a track is an object that was told of.
    pub fn is_object(&self, track: &Track) -> bool {
        track.is_confirmed() && self.objects.present().any(|object| object.id == track.id())
    }

    /// Why a track is no object yet; `None`: it is one, or nothing is known of it.
    pub fn unmet(&self, track: &Track, size: Size) -> Option<objects::Unmet> {
        self.objects.unmet(track, size)
    }

    /// Nobody will look any more: objects end, values stay.
    pub fn stop(&mut self, facts: &mut Vec<Fact>) {
        self.objects.end_all(Reason::Stopping, into(facts));
    }
}

fn into(facts: &mut Vec<Fact>) -> impl FnMut(Happened, &Object) {
    |happened, object| facts.push(Fact::Object { happened, object: Box::new(object.clone()) })
}
