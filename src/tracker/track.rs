//! A [`Track`]: one object over time, as far as boxes can tell.

use std::time::Duration;

use super::kalman::Motion;
use crate::detector::Detection;
use crate::geometry::BBox;

/// How many of the latest scores are remembered, and how many classes a track is torn between.
const SCORES: usize = 15;
const CLASSES: usize = 4;
/// What a class's votes are worth a look later.
const FADING: f32 = 0.92;
/// Another class must have so many times the votes before the track changes its mind.
const CONVINCING: f32 = 1.3;
/// A class that has this part of the votes is no surprise.
const FAMILIAR: f32 = 0.15;
/// The centre of what rests stays within this part of its sides.
const RESTLESS: f32 = 0.25;

/// Where a track is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Seen too seldom yet to be believed.
    Tentative,
    /// Seen in the last look.
    Seen,
    /// Believed, and not seen in the last look; it may be found again.
    Unseen,
}

/// An object that is followed.
#[derive(Clone, Debug)]
pub struct Track {
    serial: u64,
    pub(super) id: u64,
    pub(super) state: State,
    pub(super) motion: Motion,
    votes: Votes,
    scores: Scores,
    rest: Rest,
    hits: u32,
    pub(super) misses: u32,
    first_seen: Duration,
    last_seen: Duration,
    /// What the detector said last.
    seen: Detection,
}

impl Track {
    pub(super) fn new(serial: u64, at: Duration, detection: &Detection) -> Track {
        Track {
            serial,
            id: 0,
            state: State::Tentative,
            motion: Motion::new(&detection.bbox),
            votes: Votes::new(detection),
            scores: Scores::new(detection.score),
            rest: Rest { place: detection.bbox, since: at, strayed: 0 },
            hits: 1,
            misses: 0,
            first_seen: at,
            last_seen: at,
            seen: *detection,
        }
    }

    /// It was seen in a look at `at`.
    pub(super) fn hit(&mut self, at: Duration, detection: &Detection) {
        self.motion.correct(&detection.bbox, detection.score);
        self.votes.cast(detection);
        self.scores.push(detection.score);
        self.rest.look(at, &self.motion.bbox());
        (self.hits, self.misses) = (self.hits.saturating_add(1), 0);
        (self.last_seen, self.seen) = (at, *detection);
        if self.state == State::Unseen {
            self.state = State::Seen;
        }
    }

    /// It was not seen in a look.
    pub(super) fn miss(&mut self) {
        self.misses = self.misses.saturating_add(1);
        if self.state == State::Seen {
            self.state = State::Unseen;
        }
    }

    /// Whether a detection of that class is no surprise.
    pub(super) fn knows(&self, class_id: u16) -> bool {
        self.votes.knows(class_id)
    }

    /// Its number, which no other track of the same tracker ever has; 0 while it is tentative.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Which track of its tracker it is, tentative ones counted too.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether it has been seen often enough to be believed.
    pub fn is_confirmed(&self) -> bool {
        self.state != State::Tentative
    }

    /// The class that most of its detections were of, the latest counting most.
    pub fn class_id(&self) -> u16 {
        self.votes.winner
    }

    /// Where it is now, as the filter reckons, in pixels of the picture; while it is unseen, where it should be.
    pub fn bbox(&self) -> BBox {
        self.motion.bbox()
    }

    /// What the detector said when it was last seen.
    pub fn seen(&self) -> &Detection {
        &self.seen
    }

    /// The centre's speed, in pixels a second.
    pub fn velocity(&self) -> [f32; 2] {
        self.motion.velocity()
    }

    /// The median of its latest scores (up to 15): a phantom flares up, an object is seen again and again.
    pub fn median_score(&self) -> f32 {
        self.scores.median()
    }

    /// In how many looks it was seen.
    pub fn hits(&self) -> u32 {
        self.hits
    }

    /// When it was seen first, on the monotonic clock of the frames.
    pub fn first_seen(&self) -> Duration {
        self.first_seen
    }

    /// When it was seen last.
    pub fn last_seen(&self) -> Duration {
        self.last_seen
    }

    /// Since when it has been where it is.
    pub fn resting_since(&self) -> Duration {
        self.rest.since
    }

    /// Whether it has not moved for that long before it was seen last.
    pub fn is_stationary(&self, after: Duration) -> bool {
        self.last_seen.saturating_sub(self.rest.since) >= after
    }
}

/// The classes that a track's detections were of.
#[derive(Clone, Copy, Debug)]
struct Votes {
    /// Class and weight; a weight of 0 is an empty place.
    classes: [(u16, f32); CLASSES],
    winner: u16,
}

impl Votes {
    fn new(detection: &Detection) -> Votes {
        let mut classes = [(0, 0.0); CLASSES];
        classes[0] = (detection.class_id, detection.score);
        Votes { classes, winner: detection.class_id }
    }

    fn cast(&mut self, detection: &Detection) {
        for (_, weight) in &mut self.classes {
            *weight *= FADING;
        }
        let known =
            self.classes.iter().position(|&(class, weight)| class == detection.class_id && weight > 0.0);
        let place = known.unwrap_or_else(|| {
            // The place of who has the fewest votes.
            let weights = self.classes.iter().enumerate();
            let least = weights.min_by(|(_, a), (_, b)| a.1.total_cmp(&b.1)).map_or(0, |(place, _)| place);
            self.classes[least] = (detection.class_id, 0.0);
            least
        });
        self.classes[place].1 += detection.score;
        if self.classes[place].1 > CONVINCING * self.weight(self.winner) {
            self.winner = detection.class_id;
        }
    }

    fn weight(&self, class_id: u16) -> f32 {
        self.classes.iter().find(|(class, _)| *class == class_id).map_or(0.0, |&(_, weight)| weight)
    }

    fn knows(&self, class_id: u16) -> bool {
        let all: f32 = self.classes.iter().map(|(_, weight)| weight).sum();
        class_id == self.winner || self.weight(class_id) > FAMILIAR * all
    }
}

/// The latest scores, in a ring.
#[derive(Clone, Copy, Debug)]
struct Scores {
    ring: [f32; SCORES],
    len: usize,
    next: usize,
}

impl Scores {
    fn new(score: f32) -> Scores {
        let mut scores = Scores { ring: [0.0; SCORES], len: 0, next: 0 };
        scores.push(score);
        scores
    }

    fn push(&mut self, score: f32) {
        self.ring[self.next] = score;
        self.next = (self.next + 1) % SCORES;
        self.len = (self.len + 1).min(SCORES);
    }

    /// Of an even number, the lower of the two in the middle.
    fn median(&self) -> f32 {
        let mut sorted = self.ring;
        let sorted = &mut sorted[..self.len];
        sorted.sort_unstable_by(f32::total_cmp);
        sorted[(self.len - 1) / 2]
    }
}

/// Whether something stays where it is.
#[derive(Clone, Copy, Debug)]
struct Rest {
    place: BBox,
    since: Duration,
    /// In so many looks in a row it was elsewhere: one may be the detector's mistake.
    strayed: u8,
}

impl Rest {
    fn look(&mut self, at: Duration, bbox: &BBox) {
        if near(&self.place, bbox) {
            self.strayed = 0;
            return;
        }
        self.strayed += 1;
        if self.strayed >= 2 {
            *self = Rest { place: *bbox, since: at, strayed: 0 };
        }
    }
}

fn near(a: &BBox, b: &BBox) -> bool {
    let (dx, dy) = (0.5 * (a.x1 + a.x2 - b.x1 - b.x2), 0.5 * (a.y1 + a.y2 - b.y1 - b.y2));
    dx.abs() <= RESTLESS * a.width().max(b.width()) && dy.abs() <= RESTLESS * a.height().max(b.height())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(200);

    fn detection(class_id: u16, score: f32, x: f32) -> Detection {
        Detection { class_id, score, bbox: BBox::new(x, 0.0, x + 40.0, 100.0) }
    }

    fn seen(detections: impl IntoIterator<Item = Detection>) -> Track {
        let mut detections = detections.into_iter();
        let mut track = Track::new(0, Duration::ZERO, &detections.next().unwrap());
        for (n, detection) in (1..).zip(detections) {
            track.motion.predict(STEP);
            track.hit(n * STEP, &detection);
        }
        track
    }

    #[test]
    fn a_label_that_flickers_changes_nothing_and_one_that_stays_does() {
        let flickers = [7, 7, 7, 2, 7, 7, 2, 2, 7, 7].map(|class| detection(class, 0.5, 0.0));
        let track = seen(flickers);
        assert_eq!(track.class_id(), 7);
        assert!(track.knows(2) && !track.knows(0));
        let mistaken = seen([7, 7, 2, 2, 2, 2, 2, 2].map(|class| detection(class, 0.5, 0.0)));
        assert_eq!(mistaken.class_id(), 2);
        let sure = seen([(7, 0.3), (2, 0.9), (2, 0.9)].map(|(class, score)| detection(class, score, 0.0)));
        assert_eq!(sure.class_id(), 2, "sure votes count more");
        let torn = seen((0..40).map(|n| detection(n % 9, 0.5, 0.0)));
        assert!(torn.class_id() < 9, "more classes than there is room for");
    }

    #[test]
    fn the_median_is_of_the_latest_scores() {
        let track = seen([0.9, 0.3, 0.4].map(|score| detection(0, score, 0.0)));
        assert_eq!(track.median_score(), 0.4);
        let track = seen([0.9; 20].into_iter().chain([0.2; 8]).map(|score| detection(0, score, 0.0)));
        assert_eq!(track.median_score(), 0.2, "8 of 15");
    }

    #[test]
    fn what_stays_rests_and_what_goes_does_not() {
        let after = Duration::from_secs(5);
        let still = seen((0..50).map(|n| detection(0, 0.5, 100.0 + [0.0, 3.0, -3.0][n % 3])));
        assert!(still.is_stationary(after));
        assert_eq!(still.resting_since(), Duration::ZERO);
        let once_elsewhere = (0..50).map(|n| detection(0, 0.5, if n == 30 { 111.0 } else { 100.0 }));
        assert!(seen(once_elsewhere).is_stationary(after), "one look may be wrong");
        let walks = seen((0..50).map(|n| detection(0, 0.5, 6.0 * n as f32)));
        assert!(!walks.is_stationary(after));
        let parks = seen((0..50).map(|n| detection(0, 0.5, 12.0 * n.min(20) as f32)));
        assert!(parks.is_stationary(after) && !parks.is_stationary(2 * after), "since it stopped");
    }
}
