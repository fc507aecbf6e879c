//! The JSON payloads, version 1: what every message says about its origin, and the detections of a frame.
//!
//! Within a version fields may be added, never removed or changed; readers ignore what they don't know.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::geometry::{BBox, Size};

mod event;
mod gap;
mod refused;
mod stats;

pub use event::{Crossing, Event, EventFacts, EventType, SnapshotFacts, way};
pub use gap::{Gap, GapReason, GapType};
pub use refused::Refused;
pub use stats::{
    CameraStats, CommandStats, DeviceStats, MqttStats, Quantiles, RecordStats, SpoolStats, StageLatencies,
};

/// The payloads' version, in every message's `schema`.
pub const SCHEMA: u32 = 1;

/// Which run of which board speaks.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The device's name.
    pub device: &'a str,
    /// The kernel's id of this boot.
    pub boot_id: &'a str,
    /// Whether the wall clock is known to be right.
    pub clock_synced: bool,
}

/// The objects that the model saw in one frame. Published on `…/CAMERA/detections`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Detections<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Name of the device.
    pub device: Cow<'a, str>,
    /// Name of the camera.
    pub camera: Cow<'a, str>,
    /// Sequence number of the frame; a gap means frames that were not processed.
    pub seq: u64,
    /// The kernel's id of this boot; `seq` and `captured_monotonic_ns` compare only within one.
    pub boot_id: Cow<'a, str>,
    /// When the frame was captured (RFC 3339, UTC).
    #[schemars(extend("format" = "date-time"))]
    pub captured: String,
    /// The same instant on CLOCK_MONOTONIC, in nanoseconds; it never jumps.
    pub captured_monotonic_ns: u64,
    /// Whether the wall clock was known to be right; if not, `captured` may be far off.
    pub clock_synced: bool,
    /// How long each stage took, in milliseconds.
    pub latency_ms: Latency,
    /// Width of the frame in pixels.
    pub width: u32,
    /// Height of the frame in pixels.
    pub height: u32,
    /// Name of the model.
    pub model: Cow<'a, str>,
    /// The objects, the highest score first.
    pub detections: Vec<Detection<'a>>,
}

/// How long each stage took for one frame, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Decompressing the picture (0 for raw formats).
    pub decode: f64,
    /// Scaling and converting into the model's input.
    pub prepare: f64,
    /// Running the model.
    pub infer: f64,
    /// Turning the model's output into boxes.
    pub post: f64,
    /// From the frame's capture to the making of this message.
    pub capture_to_publish: f64,
}

/// One object in one frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Detection<'a> {
    /// Name of the class.
    pub label: Cow<'a, str>,
    /// Index of the class in the model.
    pub class_id: u16,
    /// The model's confidence, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub score: f32,
    /// Left, upper, right and lower edge in pixels of the frame, the origin at the upper left.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
}

/// How long the stages before publishing took for one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// Decompressing.
    pub decode: Duration,
    /// Scaling and converting.
    pub prepare: Duration,
    /// The model.
    pub infer: Duration,
    /// Boxes from its output.
    pub post: Duration,
}

/// What is known of a processed frame beside its objects.
#[derive(Clone, Copy, Debug)]
pub struct FrameFacts<'a> {
    /// Name of the camera.
    pub camera: &'a str,
    /// Sequence number of the frame.
    pub seq: u64,
    /// When it was captured.
    pub captured: Moment,
    /// Its size.
    pub size: Size,
    /// How long its stages took.
    pub stages: Stages,
    /// Name of the model.
    pub model: &'a str,
}

impl<'a> Detections<'a> {
    /// The message about a frame, made at `now`; `names` are the model's labels by class.
    pub fn new(
        origin: Origin<'a>,
        frame: FrameFacts<'a>,
        names: &'a [String],
        detections: &[crate::detector::Detection],
        now: Moment,
    ) -> Detections<'a> {
        Detections {
            schema: SCHEMA,
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
            detections: detections.iter().map(|d| Detection::new(d, names)).collect(),
        }
    }
}

impl Latency {
    fn new(frame: &FrameFacts<'_>, now: Moment) -> Latency {
        Latency {
            decode: milliseconds(frame.stages.decode),
            prepare: milliseconds(frame.stages.prepare),
            infer: milliseconds(frame.stages.infer),
            post: milliseconds(frame.stages.post),
            capture_to_publish: milliseconds(now.monotonic.saturating_sub(frame.captured.monotonic)),
        }
    }
}

impl<'a> Detection<'a> {
    fn new(detection: &crate::detector::Detection, names: &'a [String]) -> Detection<'a> {
        Detection {
            label: label(detection.class_id, names),
            class_id: detection.class_id,
            score: round(detection.score, 1e4),
            bbox: edges(&detection.bbox),
        }
    }
}

fn label(class_id: u16, names: &[String]) -> Cow<'_, str> {
    match names.get(usize::from(class_id)) {
        Some(name) => Cow::Borrowed(name.as_str()),
        None => Cow::Owned(format!("class {class_id}")),
    }
}

/// Left, upper, right and lower edge.
fn edges(bbox: &BBox) -> [f32; 4] {
    [bbox.x1, bbox.y1, bbox.x2, bbox.y2].map(|edge| round(edge, 10.0))
}

/// The bytes of a payload. The types here have string keys and finite numbers or none, so that this can't fail.
pub fn to_json<T: Serialize>(message: &T) -> Vec<u8> {
    serde_json::to_vec(message).unwrap_or_else(|error| {
        log::error!("can't write a payload as json: {error}");
        b"{}".to_vec()
    })
}

/// The name of an object, which no other ever has: the run and the camera make its number one.
pub fn object_id(run_id: &str, camera: &str, number: u64) -> String {
    format!("{run_id}.{camera}.{number}")
}

/// RFC 3339 in UTC with microseconds.
pub fn rfc3339(wall: SystemTime) -> String {
    let timestamp = jiff::Timestamp::try_from(wall).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{timestamp:.6}")
}

/// Milliseconds with microseconds after the point; nobody measures finer.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// A time as messages have it.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A tenth of a pixel and a ten-thousandth of a score are finer than any model, and half as long as an f32's digits.
pub fn round(value: f32, steps: f32) -> f32 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(ms: u64) -> Moment {
        Moment {
            monotonic: Duration::from_millis(ms),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_millis(ms),
        }
    }

    #[test]
    fn a_detections_message_reads_as_documented() {
        let names = vec!["person".to_owned(), "dog".to_owned()];
        let seen = [crate::detector::Detection {
            class_id: 1,
            score: 0.876_543,
            bbox: BBox::new(10.04, 20.06, 300.0, 400.123),
        }];
        let stages = Stages {
            decode: Duration::from_micros(1500),
            prepare: Duration::from_micros(2250),
            infer: Duration::from_millis(40),
            post: Duration::from_micros(300),
        };
        let frame = FrameFacts {
            camera: "front",
            seq: 7,
            captured: moment(1000),
            size: Size::new(1280, 720),
            stages,
            model: "vigie-xxs-320-int8",
        };
        let origin = Origin { device: "porch", boot_id: "b00t", clock_synced: true };
        let message = Detections::new(origin, frame, &names, &seen, moment(1050));
        let json: serde_json::Value = serde_json::from_slice(&to_json(&message)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "schema": 1, "device": "porch", "camera": "front", "seq": 7, "boot_id": "b00t",
                "captured": "2023-11-14T22:13:21.000000Z", "captured_monotonic_ns": 1_000_000_000u64,
                "clock_synced": true,
                "latency_ms": {"decode": 1.5, "prepare": 2.25, "infer": 40.0, "post": 0.3, "capture_to_publish": 50.0},
                "width": 1280, "height": 720, "model": "vigie-xxs-320-int8",
                "detections": [{"label": "dog", "class_id": 1, "score": 0.8765, "box": [10.0, 20.1, 300.0, 400.1]}]
            })
            .to_string()
            .parse::<serde_json::Value>()
            .unwrap()
        );
        let text = String::from_utf8(to_json(&message)).unwrap();
        assert!(text.contains("\"score\":0.8765,\"box\":[10.0,20.1,300.0,400.1]"), "short numbers: {text}");
        assert_eq!(serde_json::from_str::<Detections<'_>>(&text).unwrap(), message);
    }

    #[test]
    fn a_class_without_a_name_still_has_a_label() {
        let seen = crate::detector::Detection { class_id: 9, score: 0.5, bbox: BBox::default() };
        assert_eq!(Detection::new(&seen, &[]).label, "class 9");
    }
}
