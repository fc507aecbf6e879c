//! From the boxes of single looks to objects over time: a [`Tracker`] gives each [`Track`] an id that stays.
//!
//! ByteTrack (Zhang et al., arXiv 2110.06864): boxes with good scores are matched first, then what is left of the tracks is
//! matched with the weak ones, because a weak box where an object should be is that object, half hidden, and a weak box
//! anywhere else is noise. Time comes in with the frames, so that 1 and 30 looks a second, uneven ones and missing ones are
//! all the same. Pure and bounded; in steady state nothing is allocated.

use std::time::Duration;

use crate::detector::Detection;
use crate::geometry::{BBox, Size};

mod assign;
mod kalman;
mod track;

use assign::Assignment;
pub use track::{State, Track};

/// How objects are followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// In so many looks an object must be seen before it is believed.
    pub min_hits: u32,
    /// An object that is not seen for so long, and in two looks at least, is gone.
    pub lost_after: Duration,
    /// The same for an object that rests: what is parked is overlooked for a while and still there.
    pub resting_lost_after: Duration,
    /// What has not moved for so long rests.
    pub stationary_after: Duration,
    /// So many objects at most are followed; a further one waits until another is gone.
    pub most: usize,
}

impl Options {
    /// How many looks it takes until an object that is seen in all but one of them is believed.
    pub fn looks_to_believe(&self) -> u32 {
        self.min_hits.max(1) + MISSES
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            min_hits: 3,
            lost_after: Duration::from_secs(2),
            resting_lost_after: Duration::from_secs(10),
            stationary_after: Duration::from_secs(10),
            most: 128,
        }
    }
}

/// Why a track ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It went out of the picture.
    Left,
    /// It was not seen any more.
    Lost,
}

/// Follows the objects of one camera.
#[derive(Clone, Debug)]
pub struct Tracker {
    options: Options,
    tracks: Vec<Track>,
    ended: Vec<(Track, End)>,
    /// When the last look was.
    at: Option<Duration>,
    size: Size,
    next_id: u64,
    next_serial: u64,
    work: Work,
}

/// Memory of a look.
#[derive(Clone, Debug, Default)]
struct Work {
    /// Which detections are still to be had: good ones, weak ones.
    good: Vec<usize>,
    weak: Vec<usize>,
    /// Which tracks are still without one.
    open: Vec<usize>,
    costs: Vec<f32>,
    assignment: Assignment,
}

/// What a pair may cost, by the pass that matches it.
const GOOD_LIMIT: f32 = 0.8;
const WEAK_LIMIT: f32 = 0.6;
const NEW_LIMIT: f32 = 0.7;
/// A pair of another class costs more by this, and must overlap by that.
const STRANGE: f32 = 0.2;
const STRANGE_IOU: f32 = 0.5;
/// Boxes of two classes that overlap so much (intersection over union) are one object, for which the detector has two words;
/// so are two tracks.
pub const SAME: f32 = 0.85;
/// Boxes are widened for matching by as much as the filter doubts, but no more than this part of their sides.
const MOST_WIDENED: f32 = 0.6;
/// The speed of what is not seen is believed half after this.
const TIRES: Duration = Duration::from_millis(700);
/// A tentative track may be missed so often in a row.
const MISSES: u32 = 1;
/// Looks further apart than this have nothing to do with each other.
const LONGEST_PAUSE: u32 = 5;

impl Tracker {
    /// Nothing is followed yet. Ids begin with 1.
    pub fn new(options: Options) -> Tracker {
        Tracker {
            options,
            tracks: Vec::new(),
            ended: Vec::new(),
            at: None,
            size: Size::default(),
            next_id: 1,
            next_serial: 0,
            work: Work::default(),
        }
    }

    /// Takes in the detections of a look at a picture of that `size`, captured at `at`; `good` is the score by class from
    /// which a detection may begin a track, and below which it can only prolong one.
    pub fn look(&mut self, at: Duration, size: Size, detections: &[Detection], good: &[f32]) {
        self.ended.clear();
        let passed = self.at.map_or(Duration::ZERO, |before| at.saturating_sub(before));
        if passed > LONGEST_PAUSE * self.options.resting_lost_after {
            self.end_all();
        }
        (self.at, self.size) = (Some(at), size);
        for track in &mut self.tracks {
            track.motion.predict(passed);
            if track.misses > 0 {
                track.motion.tire(passed, TIRES);
            }
        }
        self.sort_out(detections, good);
        self.work.open.clear();
        self.work.open.extend((0..self.tracks.len()).filter(|&t| self.tracks[t].is_confirmed()));
        self.pair(at, detections, Pass::Good);
        // Weak boxes keep up what was seen just before; what was lost needs a good one to be found.
        self.work.open.retain(|&t| self.tracks[t].misses <= MISSES);
        self.pair(at, detections, Pass::Weak);
        self.work.open.clear();
        self.work.open.extend((0..self.tracks.len()).filter(|&t| !self.tracks[t].is_confirmed()));
        self.pair(at, detections, Pass::New);
        self.begin(at, detections);
        for track in &mut self.tracks {
            if track.last_seen() != at {
                track.miss();
            } else if track.state == State::Tentative && track.hits() >= self.options.min_hits {
                (track.id, track.state) = (self.next_id, State::Seen);
                self.next_id += 1;
            }
        }
        self.part(at);
    }

    /// Time passed without a look; what has not been seen for too long has ended.
    pub fn tick(&mut self, now: Duration) {
        self.ended.clear();
        self.part(now);
    }

    /// Nobody looks any more: all tracks end, as lost.
    pub fn stop(&mut self) {
        self.ended.clear();
        self.end_all();
        self.at = None;
    }

    /// What is followed, tentative tracks too, the older before the younger.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The confirmed tracks that ended in the last call, each with the reason.
    pub fn ended(&self) -> &[(Track, End)] {
        &self.ended
    }

    /// Which detections are good, which are weak, and which are another word for an object that has a better one.
    fn sort_out(&mut self, detections: &[Detection], good: &[f32]) {
        let Work { good: goods, weak, .. } = &mut self.work;
        goods.clear();
        weak.clear();
        for (d, detection) in detections.iter().enumerate() {
            let better = |other: &Detection| {
                other.class_id != detection.class_id
                    && other.score > detection.score
                    && other.bbox.iou(&detection.bbox) > SAME
            };
            if !is_sane(detection) || detections.iter().any(better) {
                continue;
            }
            let from = good.get(usize::from(detection.class_id)).copied().unwrap_or(f32::INFINITY);
            if detection.score >= from { goods.push(d) } else { weak.push(d) }
        }
    }

    /// Gives open tracks detections, and takes both off the lists.
    fn pair(&mut self, at: Duration, detections: &[Detection], pass: Pass) {
        let Work { good, weak, open, costs, assignment } = &mut self.work;
        let (list, limit) = match pass {
            Pass::Good => (good, GOOD_LIMIT),
            Pass::Weak => (weak, WEAK_LIMIT),
            Pass::New => (good, NEW_LIMIT),
        };
        if list.is_empty() || open.is_empty() {
            return;
        }
        costs.clear();
        for &t in open.iter() {
            let wide = Widened::of(&self.tracks[t]);
            costs.extend(list.iter().map(|&d| wide.cost(&self.tracks[t], &detections[d])));
        }
        assignment.solve(costs, open.len(), list.len(), limit);
        for (row, &t) in open.iter().enumerate() {
            if let Some(column) = assignment.column(row) {
                self.tracks[t].hit(at, &detections[list[column]]);
            }
        }
        let mut columns = 0..;
        list.retain(|_| columns.next().is_some_and(|column| assignment.is_free(column)));
        open.retain(|&t| self.tracks[t].last_seen() != at);
    }

    /// Ends what has been out of sight for too long, and the younger of two tracks of one object.
    fn part(&mut self, now: Duration) {
        let mut t = 0;
        while t < self.tracks.len() {
            match self.verdict(t, now) {
                None => t += 1,
                Some(end) => {
                    let track = self.tracks.remove(t);
                    if track.is_confirmed() {
                        self.ended.push((track, end));
                    }
                }
            }
        }
    }

    /// Why a track is at its end; `None`: it isn't.
    fn verdict(&self, t: usize, now: Duration) -> Option<End> {
        let track = &self.tracks[t];
        if !track.is_confirmed() {
            return (track.misses > MISSES || self.is_doubled(t)).then_some(End::Lost);
        }
        let unseen = now.saturating_sub(track.last_seen());
        let outside = is_outside(&track.bbox(), self.size);
        let patience = if track.is_stationary(self.options.stationary_after) {
            self.options.resting_lost_after
        } else {
            self.options.lost_after
        };
        if track.misses > MISSES && outside {
            return Some(End::Left);
        }
        // However seldom it is looked at: time alone is no reason to give anything up.
        if unseen > patience && track.misses > MISSES {
            return Some(if is_going_out(track, self.size) { End::Left } else { End::Lost });
        }
        (track.state == State::Unseen && self.is_doubled(t)).then_some(End::Lost)
    }

    /// Whether an older track is in the same place: a box that came in two for a while.
    fn is_doubled(&self, t: usize) -> bool {
        let (older, track) = (&self.tracks[..t], &self.tracks[t]);
        older.iter().any(|older| {
            older.state == State::Seen
                && older.knows(track.class_id())
                && older.bbox().iou(&track.bbox()) > SAME
        })
    }

    /// Begins tracks with the good detections that nobody has.
    fn begin(&mut self, at: Duration, detections: &[Detection]) {
        for &d in &self.work.good {
            if self.tracks.len() >= self.options.most {
                return;
            }
            self.tracks.push(Track::new(self.next_serial, at, &detections[d]));
            self.next_serial += 1;
        }
    }

    fn end_all(&mut self) {
        let confirmed = self.tracks.drain(..).filter(Track::is_confirmed);
        self.ended.extend(confirmed.map(|track| (track, End::Lost)));
    }
}

/// Whether it can be reckoned with.
fn is_sane(detection: &Detection) -> bool {
    let BBox { x1, y1, x2, y2 } = detection.bbox;
    [x1, y1, x2, y2, detection.score].iter().all(|number| number.is_finite())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Good,
    Weak,
    New,
}

/// A track's box, and by how much it and its candidates are widened: buffered IoU (Yang et al., arXiv 2211.14317), whose
/// buffer is the filter's doubt, so that a new object at a low rate is found where two boxes don't meet.
struct Widened {
    bbox: BBox,
    by: [f32; 2],
}

impl Widened {
    fn of(track: &Track) -> Widened {
        let (bbox, doubt) = (track.bbox(), track.motion.doubt());
        let most = [MOST_WIDENED * bbox.width(), MOST_WIDENED * bbox.height()];
        Widened { bbox, by: [doubt[0].min(most[0]), doubt[1].min(most[1])] }
    }

    /// What it costs to take a detection for the track, 0…1, or more than any limit.
    fn cost(&self, track: &Track, detection: &Detection) -> f32 {
        let iou = self.widen(&self.bbox).iou(&self.widen(&detection.bbox));
        let known = track.knows(detection.class_id);
        if iou <= 0.0 || (!known && iou < STRANGE_IOU) {
            return f32::INFINITY;
        }
        // Of two boxes that fit as well, the one that the detector believes in more.
        let cost = 1.0 - iou * (0.7 + 0.3 * detection.score.clamp(0.0, 1.0));
        if known { cost } else { cost + STRANGE }
    }

    fn widen(&self, bbox: &BBox) -> BBox {
        let [x, y] = self.by;
        BBox::new(bbox.x1 - x, bbox.y1 - y, bbox.x2 + x, bbox.y2 + y)
    }
}

/// How near to an edge of the picture an object touches it, in parts of the picture.
const EDGE: f32 = 0.02;

/// Whether the centre is out of the picture.
fn is_outside(bbox: &BBox, size: Size) -> bool {
    let (x, y) = (0.5 * (bbox.x1 + bbox.x2), 0.5 * (bbox.y1 + bbox.y2));
    x < 0.0 || y < 0.0 || x > size.width as f32 || y > size.height as f32
}

/// Whether it was last seen moving towards an edge that it touches.
fn is_going_out(track: &Track, size: Size) -> bool {
    let (bbox, [vx, vy]) = (&track.seen().bbox, track.velocity());
    let (w, h) = (size.width as f32, size.height as f32);
    (bbox.x1 <= EDGE * w && vx <= 0.0)
        || (bbox.x2 >= (1.0 - EDGE) * w && vx >= 0.0)
        || (bbox.y1 <= EDGE * h && vy <= 0.0)
        || (bbox.y2 >= (1.0 - EDGE) * h && vy >= 0.0)
}

#[cfg(test)]
mod tests;
