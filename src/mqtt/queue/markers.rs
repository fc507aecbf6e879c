//! Markers of gaps: which topics have them, and what they say.

use crate::mqtt::Message;
use crate::mqtt::payload::{self, Gap, GapReason};
use crate::mqtt::spool::{Missing, Reason};

/// Knows the topics on which a gap is told; the default knows none.
#[derive(Clone, Debug, Default)]
pub(in crate::mqtt) struct Markers {
    base: Option<String>,
}

impl Markers {
    /// For the device whose status is on that topic.
    pub fn of_device(status_topic: &str) -> Markers {
        Markers { base: status_topic.strip_suffix("/status").map(str::to_owned) }
    }

    /// Whether a gap in what is said on a topic is told there: it is a camera's `…/CAMERA/events`.
    pub fn mark(&self, topic: &str) -> bool {
        let camera = || {
            let below = topic.strip_prefix(self.base.as_deref()?)?.strip_prefix('/')?;
            below.strip_suffix("/events").filter(|camera| !camera.contains('/'))
        };
        camera().is_some()
    }
}

/// What is said in the place of events that were given up. The names are those of the topic, which may be of a run in
/// which the device was called otherwise.
pub(in crate::mqtt) fn message(missing: &Missing) -> Message {
    let mut levels = missing.topic.rsplit('/').skip(1);
    let (camera, device) = (levels.next().unwrap_or_default(), levels.next().unwrap_or_default());
    let reason = match missing.reason {
        Reason::Overflow => GapReason::Overflow,
        Reason::Age => GapReason::Age,
    };
    let gap = Gap::new((device, camera), missing.count, reason, (missing.from, missing.to));
    Message::event(missing.topic.as_str(), payload::to_json(&gap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cameras_events_have_markers() {
        let markers = Markers::of_device("home/vigie/porch/status");
        assert!(markers.mark("home/vigie/porch/front/events"));
        for other in [
            "home/vigie/porch/events",
            "home/vigie/porch/front/zone/events",
            "home/vigie/porch2/front/events",
            "frigate/events",
            "",
        ] {
            assert!(!markers.mark(other), "{other}");
        }
        assert!(!Markers::default().mark("home/vigie/porch/front/events"));
    }

    #[test]
    fn a_marker_names_the_camera_and_the_device_of_its_topic() {
        let at = std::time::SystemTime::UNIX_EPOCH;
        let message = message(&Missing::of("home/vigie/porch/front/events", Reason::Age, at));
        assert_eq!((message.topic.as_str(), message.retain), ("home/vigie/porch/front/events", false));
        let gap: Gap<'_> = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!((&*gap.device, &*gap.camera, gap.reason), ("porch", "front", GapReason::Age));
    }
}
