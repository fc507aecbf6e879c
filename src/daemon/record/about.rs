//! What is known of a clip, in a small file beside it.

use std::time::Duration;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use super::director::Member;
use crate::clock::Moment;
use crate::detector::label_of;
use crate::geometry::Size;
use crate::mqtt::Site;
use crate::mqtt::payload::{SCHEMA, nanoseconds, object_id, rfc3339};

/// A clip. Lies beside it, in a file of the same name that ends in `.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct About {
    /// Version of this file.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Name of the device.
    pub device: String,
    /// Name of the camera.
    pub camera: String,
    /// The kernel's id of the boot in which it was recorded; monotonic times compare only within one. `null` where that is not
    /// known any more.
    pub boot_id: Option<String>,
    /// When its first frame was captured (RFC 3339, UTC).
    #[schemars(extend("format" = "date-time"))]
    pub captured: String,
    /// How long it is from the first frame to the last, in seconds.
    pub seconds: f64,
    /// Whether the wall clock was known to be right.
    pub clock_synced: bool,
    /// Width of its frames in pixels.
    pub width: u32,
    /// Height of its frames in pixels.
    pub height: u32,
    /// The most frames a second.
    pub fps: f32,
    /// Name of the model that looked; empty where that is not known any more.
    pub model: String,
    /// Whether it was ended as it should be; what a power cut left is whole up to there, but who is in it is not known.
    pub complete: bool,
    /// Who is in it, in the order in which they came.
    pub objects: Vec<Seen>,
    /// How many frames it has.
    pub frames: u64,
    /// When each of its frames was captured, on CLOCK_MONOTONIC, in nanoseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub captured_monotonic_ns: Vec<u64>,
}

/// An object in a clip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// Its name, the `id` of its events.
    pub id: String,
    /// Name of its class.
    pub label: String,
    /// When it was first seen (RFC 3339, UTC); that may be before the clip.
    #[schemars(extend("format" = "date-time"))]
    pub first_seen: String,
    /// When it was last seen (RFC 3339, UTC); `null`: it was still there when the clip ended.
    pub last_seen: Option<String>,
}

impl About {
    /// A clip of these frames, of which there is at least one, that was ended as it should be and shows nobody.
    pub fn new(site: &Site, camera: &str, size: Size, fps: f32, times: &[Moment]) -> About {
        let first = times.first().map_or(std::time::SystemTime::UNIX_EPOCH, |first| first.wall);
        let span = times.first().zip(times.last());
        let long =
            span.map_or(Duration::ZERO, |(first, last)| last.monotonic.saturating_sub(first.monotonic));
        About {
            schema: SCHEMA,
            device: site.device.clone(),
            camera: camera.to_owned(),
            boot_id: Some(site.boot_id.clone()),
            captured: rfc3339(first),
            seconds: (long.as_secs_f64() * 1e3).round() / 1e3,
            clock_synced: site.trust.is_synced(),
            width: size.width,
            height: size.height,
            fps,
            model: site.model.clone(),
            complete: true,
            objects: Vec::new(),
            frames: times.len() as u64,
            captured_monotonic_ns: times.iter().map(|time| nanoseconds(time.monotonic)).collect(),
        }
    }

    /// The same, with who is in it.
    pub fn with<'a>(self, site: &Site, cast: impl Iterator<Item = &'a (Member, bool)>) -> About {
        let seen = |(member, gone): &(Member, bool)| Seen {
            id: object_id(&site.run_id, &self.camera, member.number),
            label: label_of(&site.labels, member.class_id).into_owned(),
            first_seen: rfc3339(member.first_seen.wall),
            last_seen: gone.then(|| rfc3339(member.last_seen.wall)),
        };
        About { objects: cast.map(seen).collect(), ..self }
    }

    /// The same, of an earlier run that did not come to its end.
    pub fn left_over(self) -> About {
        About { boot_id: None, clock_synced: false, complete: false, model: String::new(), ..self }
    }
}

/// The file's schema.
pub fn schema() -> Schema {
    schema_for!(About)
}
