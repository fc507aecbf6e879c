//! What tells subscribers that events are missing, published on `…/events` in their place.

use std::borrow::Cow;
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SCHEMA, rfc3339};

/// Events of one camera that were given up before the broker had them. Published on `…/CAMERA/events`, in their place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gap<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// That this is no event of an object.
    #[serde(rename = "type")]
    pub kind: GapType,
    /// Name of the device.
    pub device: Cow<'a, str>,
    /// Name of the camera.
    pub camera: Cow<'a, str>,
    /// How many events were given up, one after the other.
    pub dropped: u64,
    /// Why.
    pub reason: GapReason,
    /// When the first of them was made (RFC 3339, UTC).
    #[schemars(extend("format" = "date-time"))]
    pub from: String,
    /// When the last of them was made (RFC 3339, UTC).
    #[schemars(extend("format" = "date-time"))]
    pub to: String,
}

/// Always `gap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GapType {
    /// Events are missing.
    Gap,
}

/// Why events were given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GapReason {
    /// There was no room for more.
    Overflow,
    /// They were older than `max_age`.
    Age,
}

impl<'a> Gap<'a> {
    /// A gap in the events of a camera.
    pub fn new(
        (device, camera): (&'a str, &'a str),
        dropped: u64,
        reason: GapReason,
        (from, to): (SystemTime, SystemTime),
    ) -> Gap<'a> {
        Gap {
            schema: SCHEMA,
            kind: GapType::Gap,
            device: device.into(),
            camera: camera.into(),
            dropped,
            reason,
            from: rfc3339(from),
            to: rfc3339(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_gap_reads_as_documented() {
        let from = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let gap =
            Gap::new(("porch", "front"), 12, GapReason::Overflow, (from, from + Duration::from_secs(60)));
        let text = String::from_utf8(crate::mqtt::payload::to_json(&gap)).unwrap();
        assert_eq!(
            text,
            r#"{"schema":1,"type":"gap","device":"porch","camera":"front","dropped":12,"reason":"overflow","from":"2023-11-14T22:13:20.000000Z","to":"2023-11-14T22:14:20.000000Z"}"#
        );
        assert_eq!(serde_json::from_str::<Gap<'_>>(&text).unwrap(), gap);
    }
}
