//! What happened to an object, published on `…/events`.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FrameFacts, Latency, Origin, SCHEMA, edges, label, nanoseconds, rfc3339, round};
use crate::clock::Moment;
use crate::mqtt::dialect::{SiteCamera, SitePart};
use crate::scene::objects::{Happened, Object, Reason};
use crate::scene::zones::Direction;

/// What happened to an object. Published on `…/CAMERA/events`: once when it is new, again when something about it changed
/// that is worth acting upon, and once when it has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// The object's name, which no other object ever has; all of its events carry it.
    pub id: Cow<'a, str>,
    /// Name of the device.
    pub device: Cow<'a, str>,
    /// Name of the camera.
    pub camera: Cow<'a, str>,
    /// Sequence number of the frame that it came of, or of the last one before it.
    pub seq: u64,
    /// The kernel's id of this boot; `seq` and monotonic times compare only within one.
    pub boot_id: Cow<'a, str>,
    /// When that frame was captured (RFC 3339, UTC).
    #[schemars(extend("format" = "date-time"))]
    pub captured: String,
    /// The same instant on CLOCK_MONOTONIC, in nanoseconds; it never jumps.
    pub captured_monotonic_ns: u64,
    /// Whether the wall clock was known to be right; if not, times of day may be far off.
    pub clock_synced: bool,
    /// How long each stage took for that frame, in milliseconds.
    pub latency_ms: Latency,
    /// Width of the frame in pixels.
    pub width: u32,
    /// Height of the frame in pixels.
    pub height: u32,
    /// Name of the model.
    pub model: Cow<'a, str>,
    /// Name of the class that most of its looks agreed on, the latest counting most.
    pub label: Cow<'a, str>,
    /// Index of the class in the model.
    pub class_id: u16,
    /// The model's confidence when it was last seen, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub score: f32,
    /// The best confidence so far.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub top_score: f32,
    /// Left, upper, right and lower edge where it was last seen, in pixels of the frame, the origin at the upper left.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
    /// The same where the model was surest.
    pub top_box: [f32; 4],
    /// The zones that it is in, the one that it entered first before the others.
    pub zones: Vec<Cow<'a, str>>,
    /// The zones that it has been in.
    pub entered_zones: Vec<Cow<'a, str>>,
    /// The lines that it crossed, in order; the latest sixteen.
    pub lines: Vec<Crossing<'a>>,
    /// When it was first seen (RFC 3339, UTC).
    #[schemars(extend("format" = "date-time"))]
    pub first_seen: String,
    /// The same instant on CLOCK_MONOTONIC, in nanoseconds.
    pub first_seen_monotonic_ns: u64,
    /// When it was last seen (RFC 3339, UTC).
    #[schemars(extend("format" = "date-time"))]
    pub last_seen: String,
    /// The same instant on CLOCK_MONOTONIC, in nanoseconds.
    pub last_seen_monotonic_ns: u64,
    /// Whether it has not moved for some time.
    pub stationary: bool,
    /// The way of the middle of its lower edge, simplified, in fractions of the picture.
    pub path: Vec<[f32; 2]>,
    /// How fast it goes, in its own widths a second.
    pub speed: f32,
    /// The picture of its best view; `null` where there is none, or none are made.
    pub snapshot: Option<SnapshotFacts<'a>>,
    /// Why it has ended: `left` (out of the picture), `lost` (not seen any more), `camera_lost`, `detect_off` (a command), `stopping`.
    /// Only in `end`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Cow<'a, str>>,
}

/// A picture of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotFacts<'a> {
    /// The topic on which it goes out, about now or earlier; the latest picture of the label is there.
    pub topic: Cow<'a, str>,
    /// When its frame was captured (RFC 3339, UTC).
    #[schemars(extend("format" = "date-time"))]
    pub captured: String,
    /// The same instant on CLOCK_MONOTONIC, in nanoseconds.
    pub captured_monotonic_ns: u64,
    /// Where the object is in that frame, in pixels: left, upper, right and lower edge.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
    /// The model's confidence there.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub score: f32,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventType {
    /// It was not there before.
    New,
    /// Something about it changed.
    Update,
    /// It is not there any more.
    End,
}

/// A line that was crossed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Crossing<'a> {
    /// The line's name.
    pub line: Cow<'a, str>,
    /// `in`: from the left of the line to its right, seen from its first point; `out`: the other way.
    pub direction: Cow<'a, str>,
}

/// What an event's names are.
#[derive(Clone, Debug)]
pub struct EventFacts<'a> {
    /// The object's name.
    pub id: &'a str,
    /// The model's labels, by class.
    pub labels: &'a [String],
    /// The camera, for the names of its zones and lines.
    pub camera: &'a SiteCamera,
    /// The topic of the label's pictures, where they are made.
    pub snapshots: Option<String>,
}

impl<'a> Event<'a> {
    /// The message about what happened to an object, made at `now`.
    pub fn new(
        origin: Origin<'a>,
        frame: FrameFacts<'a>,
        names: EventFacts<'a>,
        happened: Happened,
        object: &Object,
        now: Moment,
    ) -> Event<'a> {
        let (kind, reason) = match happened {
            Happened::New => (EventType::New, None),
            Happened::Update => (EventType::Update, None),
            Happened::End(reason) => (EventType::End, Some(word(reason).into())),
        };
        let name =
            |parts: &'a [SitePart], index: usize| Cow::from(parts.get(index).map_or("", |part| &part.name));
        let zones = |indices: &[usize]| indices.iter().map(|&zone| name(&names.camera.zones, zone)).collect();
        let crossing = |crossed: &crate::scene::objects::Crossed| Crossing {
            line: name(&names.camera.lines, crossed.line),
            direction: way(crossed.direction).into(),
        };
        Event {
            schema: SCHEMA,
            kind,
            id: names.id.into(),
            device: origin.device.into(),
            camera: frame.camera.into(),
            seq: frame.seq,
            boot_id: origin.boot_id.into(),
            captured: rfc3339(frame.captured.wall),
            captured_monotonic_ns: nanoseconds(frame.captured.monotonic),
            clock_synced: origin.clock_synced,
            latency_ms: Latency::new(&frame, now),
            width: frame.size.width,
            height: frame.size.height,
            model: frame.model.into(),
            label: label(object.class_id, names.labels),
            class_id: object.class_id,
            score: round(object.score, 1e4),
            top_score: round(object.top_score, 1e4),
            bbox: edges(&object.bbox),
            top_box: edges(&object.top_bbox),
            zones: zones(&object.zones),
            entered_zones: zones(&object.entered),
            lines: object.lines.iter().map(crossing).collect(),
            first_seen: rfc3339(object.first_seen.wall),
            first_seen_monotonic_ns: nanoseconds(object.first_seen.monotonic),
            last_seen: rfc3339(object.last_seen.wall),
            last_seen_monotonic_ns: nanoseconds(object.last_seen.monotonic),
            stationary: object.stationary,
            path: object.path.points().map(|point| point.map(|part| round(part, 1e3))).collect(),
            speed: round(object.speed, 100.0),
            snapshot: names.snapshots.zip(object.view).map(|(topic, view)| SnapshotFacts {
                topic: topic.into(),
                captured: rfc3339(view.captured.wall),
                captured_monotonic_ns: nanoseconds(view.captured.monotonic),
                bbox: edges(&view.bbox),
                score: round(view.score, 1e4),
            }),
            reason,
        }
    }
}

/// Which way a line was crossed, in a word.
pub fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "in",
        Direction::Out => "out",
    }
}

fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::Left => "left",
        Reason::Lost => "lost",
        Reason::CameraLost => "camera_lost",
        Reason::DetectOff => "detect_off",
        Reason::Stopping => "stopping",
    }
}
