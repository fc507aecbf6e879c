//! The answer to a command that is not carried out, published on `…/error`.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Origin, SCHEMA, rfc3339};
use crate::clock::Moment;
use crate::mqtt::commands::{LONGEST, Received, Refusal, quoted};

/// So many characters of a payload are quoted.
const QUOTED: usize = 40;
/// So many characters of a topic are quoted.
const QUOTED_TOPIC: usize = 256;

/// Why a command was not carried out. Published on `…/CAMERA/error`, or on the device's `…/error` when it names no camera
/// of this device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Refused<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Name of the device.
    pub device: Cow<'a, str>,
    /// Name of the camera, if there is one of that name.
    pub camera: Option<Cow<'a, str>>,
    /// The kernel's id of this boot.
    pub boot_id: Cow<'a, str>,
    /// Whether the wall clock was known to be right.
    pub clock_synced: bool,
    /// When it was refused (RFC 3339, UTC).
    #[schemars(extend("format" = "date-time"))]
    pub time: String,
    /// Where it was published; whatever is not plain ASCII is written as `\u{…}`, and what is very long is cut.
    pub topic: Cow<'a, str>,
    /// Why.
    pub reason: String,
    /// The payload's first 40 characters, whatever is not plain ASCII written as `\u{…}`; `null` if it is no short text.
    pub payload: Option<Cow<'a, str>>,
    /// How long the payload is.
    pub payload_bytes: usize,
}

impl<'a> Refused<'a> {
    /// The answer to a message, made at `now`.
    pub fn new(origin: Origin<'a>, message: &'a Received, refusal: &'a Refusal, now: Moment) -> Refused<'a> {
        let text = Some(message.payload.as_slice()).filter(|_| message.bytes <= LONGEST);
        Refused {
            schema: SCHEMA,
            device: origin.device.into(),
            camera: refusal.camera.as_deref().map(Into::into),
            boot_id: origin.boot_id.into(),
            clock_synced: origin.clock_synced,
            time: rfc3339(now.wall),
            topic: quoted(&message.topic, QUOTED_TOPIC),
            reason: refusal.reason.to_string(),
            payload: text.and_then(|bytes| std::str::from_utf8(bytes).ok()).map(|text| quoted(text, QUOTED)),
            payload_bytes: message.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::mqtt::commands::Reason;

    #[test]
    fn an_answer_reads_as_documented() {
        let origin = Origin { device: "porch", boot_id: "b00t", clock_synced: true };
        let now = Moment { monotonic: Duration::ZERO, wall: SystemTime::UNIX_EPOCH };
        let refusal =
            Refusal { camera: Some("front".into()), reason: Reason::NoValue { expected: "ON or OFF" } };
        let answer = |payload: &[u8]| {
            let message = Received::new("vigie/porch/front/detect/set", payload, false);
            serde_json::to_value(Refused::new(origin, &message, &refusal, now)).unwrap()
        };
        assert_eq!(
            answer(b"ONN\x1b"),
            serde_json::json!({
                "schema": 1, "device": "porch", "camera": "front", "boot_id": "b00t", "clock_synced": true,
                "time": "1970-01-01T00:00:00.000000Z", "topic": "vigie/porch/front/detect/set",
                "reason": "ON or OFF is expected", "payload": "ONN\\u{1b}", "payload_bytes": 4
            })
        );
        assert!(answer(&[0xff; 3])["payload"].is_null());
        let megabyte = answer(&vec![b'x'; 1 << 20]);
        assert!(megabyte["payload"].is_null() && megabyte["payload_bytes"] == 1 << 20);
    }
}
