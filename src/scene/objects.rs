//! Objects: what is told of a track from when it is believed to when it has ended.
//!
//! A track becomes an object when it passes the filters of its label; from then on it is one to its end, whatever the
//! filters would say. An object is told of when it is new, when something about it changed that a subscriber would act
//! upon (not its box: that changes with every look), at most so often, and when it has ended, with the reason.

use std::time::Duration;

use super::path::Path;
use super::tally::{Crossing, Tally};
use super::view::{self, Sharpness, View};
use super::zones::{Direction, Line, Presence, Side, Zone, foot};
use crate::clock::Moment;
use crate::geometry::{BBox, Size};
use crate::tracker::{End, State, Track, Tracker};

/// What an object of a label must be like.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// Least and largest part of the picture that its box takes.
    pub area: [f32; 2],
    /// Least and largest width, in heights.
    pub aspect: [f32; 2],
    /// Least median of its latest scores.
    pub score: f32,
    /// How far it must have come from where it was first seen, in parts of the picture.
    pub displacement: f32,
}

impl Filter {
    /// Lets everything pass.
    pub const NONE: Filter =
        Filter { area: [0.0, 1.0], aspect: [0.0, f32::INFINITY], score: 0.0, displacement: 0.0 };
}

/// Which rule an object does not meet, and by how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unmet {
    /// Its box takes this part of the picture, and the least is that.
    TooSmall(f32, f32),
    /// Its box takes this part of the picture, and the most is that.
    TooLarge(f32, f32),
    /// Its width is so many heights, and the least is that.
    TooNarrow(f32, f32),
    /// Its width is so many heights, and the most is that.
    TooWide(f32, f32),
    /// Its median score is this, and the least is that.
    TooUnsure(f32, f32),
    /// It came so far, and the least is that.
    TooStill(f32, f32),
    /// It stands in a part of the picture where nothing begins, by its index.
    Ignored(usize),
}

impl Filter {
    /// Whether a track that came so far passes.
    ///
    /// # Errors
    /// The first rule that it does not meet.
    pub fn check(&self, track: &Track, size: Size, displacement: f32) -> Result<(), Unmet> {
        let bbox = track.bbox();
        let area = bbox.clamp(size).area() / size.area().max(1) as f32;
        let aspect = bbox.width() / bbox.height().max(1.0);
        let score = track.median_score();
        let rules = [
            (area < self.area[0], Unmet::TooSmall(area, self.area[0])),
            (area > self.area[1], Unmet::TooLarge(area, self.area[1])),
            (aspect < self.aspect[0], Unmet::TooNarrow(aspect, self.aspect[0])),
            (aspect > self.aspect[1], Unmet::TooWide(aspect, self.aspect[1])),
            (score < self.score, Unmet::TooUnsure(score, self.score)),
            (displacement < self.displacement, Unmet::TooStill(displacement, self.displacement)),
        ];
        match rules.into_iter().find(|(unmet, _)| *unmet) {
            Some((_, unmet)) => Err(unmet),
            None => Ok(()),
        }
    }
}

/// How objects are told of.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// By class, what an object must be like; a class beyond the end has no rules.
    pub filters: Vec<Filter>,
    /// Parts of the picture that have a name.
    pub zones: Vec<Zone>,
    /// Lines that are watched.
    pub lines: Vec<Line>,
    /// Parts of the picture where no object begins; one that walks in from elsewhere stays one.
    pub ignored: Vec<Zone>,
    /// An object is told of again no sooner than this.
    pub update_every: Duration,
    /// What has not moved for so long is stationary.
    pub stationary_after: Duration,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It was not there before.
    New,
    /// Something about it changed.
    Update,
    /// It is not there any more.
    End(Reason),
}

/// Why an object is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It went out of the picture.
    Left,
    /// It was not seen any more.
    Lost,
    /// The camera gives no frames.
    CameraLost,
    /// Nobody is to look any more: somebody asked for that, or the camera's hours are over.
    DetectOff,
    /// The program stops.
    Stopping,
}

/// A line that an object crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossed {
    /// Index of the line.
    pub line: usize,
    /// Which way.
    pub direction: Direction,
}

/// An object as it is told of.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its number, which no other object of the same run and camera has.
    pub id: u64,
    /// Index into the model's names.
    pub class_id: u16,
    /// The detector's score when it was last seen.
    pub score: f32,
    /// The best of its scores.
    pub top_score: f32,
    /// Where it was last seen, in pixels.
    pub bbox: BBox,
    /// Where it was when its score was best.
    pub top_bbox: BBox,
    /// In which zones it is, by index, the first entered first.
    pub zones: Vec<usize>,
    /// In which zones it has been, the first entered first.
    pub entered: Vec<usize>,
    /// The lines that it crossed, in order; the latest ones if there were many.
    pub lines: Vec<Crossed>,
    /// When it was first seen, and when last.
    pub first_seen: Moment,
    /// See `first_seen`.
    pub last_seen: Moment,
    /// Whether it has not moved for long.
    pub stationary: bool,
    /// The way of its foot, in fractions of the picture.
    pub path: Path,
    /// How fast it goes, in its own widths a second.
    pub speed: f32,
    /// The best look at it, if pictures are kept.
    pub view: Option<View>,
}

/// The most crossings of one object that are remembered.
const MOST_CROSSED: usize = 16;
/// A score that is better by so much is told of.
const BETTER: f32 = 0.1;

/// Tells of a camera's objects.
#[derive(Clone, Debug)]
pub struct Objects {
    options: Options,
    followed: Vec<Followed>,
    tally: Tally,
}

/// A track, and what was told of it.
#[derive(Clone, Debug)]
struct Followed {
    object: Object,
    presences: Vec<Presence>,
    sides: Vec<Side>,
    /// Whether it passed the filters.
    is_object: bool,
    /// How many of the latest crossings are not in the tally.
    uncounted: usize,
    /// Whether something changed that was not told of yet.
    changed: bool,
    told_at: Duration,
    told_top: f32,
}

impl Objects {
    /// No object is known yet.
    pub fn new(options: Options) -> Objects {
        let tally = Tally::new(options.lines.len());
        Objects { options, followed: Vec::new(), tally }
    }

    /// Takes in what the tracker made of a look at a picture of that `size`, captured at `at`, whose `sharpness` can be asked
    /// for; `tell` hears what happened.
    pub fn look(
        &mut self,
        at: Moment,
        size: Size,
        tracker: &Tracker,
        sharpness: Sharpness<'_>,
        mut tell: impl FnMut(Happened, &Object),
    ) {
        self.ended(tracker, &mut tell);
        for track in tracker.tracks().iter().filter(|track| track.is_confirmed()) {
            let place = self.followed.iter().position(|followed| followed.object.id == track.id());
            let place = place.unwrap_or_else(|| {
                self.followed.push(Followed::new(track, at, size, &self.options));
                self.followed.len() - 1
            });
            let followed = &mut self.followed[place];
            if track.state() == State::Seen {
                followed.see(track, at, size, &self.options);
                if followed.is_object || followed.check(track, size, &self.options).is_ok() {
                    followed.view(at, size, sharpness);
                }
            }
            followed.tell(track, at, size, &self.options, &mut tell);
            if followed.is_object {
                let uncounted = std::mem::take(&mut followed.uncounted).min(followed.object.lines.len());
                let latest = &followed.object.lines[followed.object.lines.len() - uncounted..];
                latest.iter().for_each(|crossed| self.tally.count(*crossed, followed.object.class_id));
            }
        }
    }

    /// The crossings of the last look, each with how many of its kind there have been.
    pub fn crossings(&mut self) -> impl Iterator<Item = Crossing> {
        self.tally.latest.drain(..)
    }

    /// Time passed without a look; tells of what ended by that.
    pub fn tick(&mut self, tracker: &Tracker, mut tell: impl FnMut(Happened, &Object)) {
        self.ended(tracker, &mut tell);
    }

    /// From now on a zone can be entered, or it is as if it were not there: who is in it has gone out then.
    pub fn set_open(&mut self, zone: usize, open: bool) {
        let Some(options) = self.options.zones.get_mut(zone) else { return };
        options.open = open;
        if open {
            return;
        }
        for followed in &mut self.followed {
            if let Some(presence) = followed.presences.get_mut(zone) {
                *presence = Presence::default();
            }
            let before = followed.object.zones.len();
            followed.object.zones.retain(|&there| there != zone);
            followed.changed |= followed.object.zones.len() != before;
        }
    }

    /// All objects end, for this reason.
    pub fn end_all(&mut self, reason: Reason, mut tell: impl FnMut(Happened, &Object)) {
        for followed in self.followed.drain(..).filter(|followed| followed.is_object) {
            tell(Happened::End(reason), &followed.object);
        }
    }

    /// The objects that are there.
    pub fn present(&self) -> impl Iterator<Item = &Object> {
        self.followed.iter().filter(|followed| followed.is_object).map(|followed| &followed.object)
    }

    /// Why a track is no object yet; `None`: it is one, or nothing is known of it.
    pub fn unmet(&self, track: &Track, size: Size) -> Option<Unmet> {
        let followed = self.followed.iter().find(|followed| followed.object.id == track.id())?;
        if followed.is_object { None } else { followed.check(track, size, &self.options).err() }
    }

    fn ended(&mut self, tracker: &Tracker, tell: &mut impl FnMut(Happened, &Object)) {
        for (track, end) in tracker.ended() {
            let Some(place) = self.followed.iter().position(|followed| followed.object.id == track.id())
            else {
                continue;
            };
            let followed = self.followed.remove(place);
            let reason = match end {
                End::Left => Reason::Left,
                End::Lost => Reason::Lost,
            };
            if followed.is_object {
                tell(Happened::End(reason), &followed.object);
            }
        }
    }
}

impl Followed {
    fn new(track: &Track, at: Moment, size: Size, options: &Options) -> Followed {
        let seen = track.seen();
        let object = Object {
            id: track.id(),
            class_id: track.class_id(),
            score: seen.score,
            top_score: seen.score,
            bbox: seen.bbox,
            top_bbox: seen.bbox,
            zones: Vec::new(),
            entered: Vec::new(),
            lines: Vec::new(),
            first_seen: at.at(track.first_seen()),
            last_seen: at,
            stationary: false,
            path: Path::new(foot(&track.bbox(), size)),
            speed: 0.0,
            view: None,
        };
        Followed {
            object,
            presences: vec![Presence::default(); options.zones.len()],
            sides: vec![Side::default(); options.lines.len()],
            is_object: false,
            uncounted: 0,
            changed: false,
            told_at: Duration::ZERO,
            told_top: 0.0,
        }
    }

    /// It was seen.
    fn see(&mut self, track: &Track, at: Moment, size: Size, options: &Options) {
        let (seen, bbox, object) = (track.seen(), track.bbox(), &mut self.object);
        let foot = foot(&bbox, size);
        object.path.push(foot);
        (object.score, object.bbox, object.last_seen) = (seen.score, seen.bbox, at);
        if seen.score > object.top_score {
            (object.top_score, object.top_bbox) = (seen.score, seen.bbox);
        }
        let [vx, vy] = track.velocity();
        object.speed = vx.hypot(vy) / bbox.width().max(1.0);
        let (class_id, stationary) = (track.class_id(), track.is_stationary(options.stationary_after));
        self.changed |= (object.class_id, object.stationary) != (class_id, stationary);
        (object.class_id, object.stationary) = (class_id, stationary);
        for (index, (zone, presence)) in options.zones.iter().zip(&mut self.presences).enumerate() {
            if !presence.look(zone, class_id, foot, at.monotonic) {
                continue;
            }
            self.changed = true;
            if presence.is_there() {
                object.zones.push(index);
                if !object.entered.contains(&index) {
                    object.entered.push(index);
                }
            } else {
                object.zones.retain(|&zone| zone != index);
            }
        }
        for (index, (line, side)) in options.lines.iter().zip(&mut self.sides).enumerate() {
            if let Some(direction) = side.look(line, class_id, foot) {
                self.changed = true;
                if object.lines.len() == MOST_CROSSED {
                    object.lines.remove(0);
                }
                object.lines.push(Crossed { line: index, direction });
                self.uncounted += 1;
            }
        }
        self.changed |= object.top_score >= self.told_top + BETTER;
    }

    /// Takes the present look for the view, if it is a better one.
    fn view(&mut self, at: Moment, size: Size, sharpness: Sharpness<'_>) {
        let Object { bbox, score, view, .. } = &mut self.object;
        let Some(sharpness) = sharpness(bbox) else { return };
        let worth = view::worth(*score, bbox, size, sharpness);
        if view::is_better(worth, view.as_ref()) {
            *view = Some(View { captured: at, bbox: *bbox, score: *score, worth });
        }
    }

    fn check(&self, track: &Track, size: Size, options: &Options) -> Result<(), Unmet> {
        let (class_id, foot) = (track.class_id(), foot(&track.bbox(), size));
        if let Some(index) = options.ignored.iter().position(|zone| zone.has(class_id, foot)) {
            return Err(Unmet::Ignored(index));
        }
        let filter = options.filters.get(usize::from(class_id)).unwrap_or(&Filter::NONE);
        filter.check(track, size, self.object.path.displacement())
    }

    /// Tells of it if there is something to tell, and it is time.
    fn tell(
        &mut self,
        track: &Track,
        at: Moment,
        size: Size,
        options: &Options,
        tell: &mut impl FnMut(Happened, &Object),
    ) {
        let happened = if !self.is_object {
            if self.check(track, size, options).is_err() {
                return;
            }
            self.is_object = true;
            Happened::New
        } else if self.changed && at.monotonic.saturating_sub(self.told_at) >= options.update_every {
            Happened::Update
        } else {
            return;
        };
        (self.changed, self.told_at, self.told_top) = (false, at.monotonic, self.object.top_score);
        tell(happened, &self.object);
    }
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
