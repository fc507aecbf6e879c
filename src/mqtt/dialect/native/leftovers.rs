//! What an earlier configuration has left of the native topics: values of cameras, zones, lines and labels that are no more.
//!
//! Only what this dialect could have said itself is taken for its own: a topic of its schema, with a value of the right kind.
//! Pictures are not asked for, they are too large. That a camera had some is known from their switch and its labels' counts.

use super::Native;
use crate::capture::State;
use crate::mqtt::dialect::{Leftovers, SiteCamera, SitePart};
use crate::mqtt::topics::{CAMERA_LEVELS, DEVICE_LEVELS};

/// The longest name of a camera, a zone or a line.
const LONGEST_NAME: usize = 64;
/// No value that is looked at is longer.
const LONGEST_VALUE: usize = 32;

/// The kind of value on a topic.
#[derive(Clone, Copy)]
enum Kind {
    Status,
    Switch,
    Number,
}

impl Kind {
    fn fits(self, payload: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(payload) else { return false };
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        match self {
            Kind::Status => {
                [State::Online, State::Stalled, State::Offline].iter().any(|state| state.name() == text)
            }
            Kind::Switch => matches!(text, "ON" | "OFF"),
            Kind::Number => !text.is_empty() && text.len() <= LONGEST_VALUE && text.chars().all(is_number),
        }
    }

    /// That of what is counted.
    fn of_count(level: &str) -> Option<Kind> {
        match level {
            "count" | "active" => Some(Kind::Number),
            "occupancy" => Some(Kind::Switch),
            _ => None,
        }
    }
}

impl Native {
    /// Whether a topic below a camera's is still said, and what is said there; `None`: it is no retained topic.
    fn said(&self, camera: Option<&SiteCamera>, levels: &[&str]) -> Option<(bool, Kind)> {
        let counts = |parts: &[SitePart], name: &str, label: &str| {
            let part = parts.iter().find(|part| part.name == name);
            part.is_some_and(|part| self.levels.class(label).is_some_and(|class| part.counts(class)))
        };
        let there = camera.is_some();
        let (has_motion, has_hours) = (camera.is_some_and(|c| c.motion), camera.is_some_and(|c| c.hours));
        let zones = camera.map_or(&[][..], |camera| &camera.zones);
        let lines = camera.map_or(&[][..], |camera| &camera.lines);
        Some(match levels {
            ["status"] => (there, Kind::Status),
            ["motion"] | ["motion", "state"] => (has_motion, Kind::Switch),
            ["hours"] => (has_hours, Kind::Switch),
            ["detect", "state"] => (there, Kind::Switch),
            ["snapshot", "state"] => (camera.is_some_and(|camera| camera.snapshots), Kind::Switch),
            ["threshold", label, "state"] => (there && self.levels.class(label).is_some(), Kind::Number),
            ["zone", zone, "hours"] if is_name(zone) => {
                (zones.iter().any(|own| own.name == **zone && own.hours), Kind::Switch)
            }
            ["zone", zone, label, what] if is_name(zone) => {
                (counts(zones, zone, label), Kind::of_count(what)?)
            }
            ["line", line, label, "in" | "out"] if is_name(line) => {
                (counts(lines, line, label), Kind::Number)
            }
            [label, what] if !CAMERA_LEVELS.contains(label) => {
                (there && self.levels.class(label).is_some(), Kind::of_count(what)?)
            }
            _ => return None,
        })
    }
}

impl Leftovers for Native {
    fn filters(&self) -> Vec<String> {
        let ends = [
            "status",
            "+/state",
            "threshold/+/state",
            "motion",
            "hours",
            "zone/+/hours",
            "+/count",
            "+/active",
            "+/occupancy",
            "zone/+/+/count",
            "zone/+/+/active",
            "zone/+/+/occupancy",
            "line/+/+/in",
            "line/+/+/out",
        ];
        ends.iter().map(|end| format!("{}/+/{end}", self.topics.base())).collect()
    }

    fn of(&self, topic: &str, payload: &[u8]) -> Vec<String> {
        let below = topic.strip_prefix(self.topics.base()).and_then(|rest| rest.strip_prefix('/'));
        // One level more than any of ours has.
        let levels: Vec<&str> = below.unwrap_or_default().split('/').take(6).collect();
        let [name, levels @ ..] = &levels[..] else { return Vec::new() };
        if !is_name(name) || DEVICE_LEVELS.contains(name) {
            return Vec::new();
        }
        let camera = self.site.cameras.iter().find(|camera| camera.name == **name);
        match self.said(camera, levels) {
            Some((false, kind)) if kind.fits(payload) => {}
            _ => return Vec::new(),
        }
        let topics = self.topics.camera_checked(name);
        // Pictures first: if all ends in between, what tells of them is still there the next time.
        let mut gone: Vec<String> = match levels {
            ["snapshot", "state"] => self.levels.all().iter().map(|label| topics.snapshot(label)).collect(),
            [label, "count"] => vec![topics.snapshot(label)],
            _ => Vec::new(),
        };
        gone.push(topic.to_owned());
        gone
    }
}

/// Whether a configuration can name something like that.
fn is_name(name: &str) -> bool {
    let allows = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(allows)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Trust;
    use crate::mqtt::Site;
    use crate::mqtt::filter;

    /// A device with a camera `front`, which has a zone for people and a line, and a plain one `back`.
    fn native() -> Native {
        let people = |name: &str| SitePart { name: name.into(), classes: vec![true, false], hours: true };
        let front = SiteCamera {
            zones: vec![people("steps")],
            lines: vec![SitePart { name: "gate".into(), ..SitePart::default() }],
            snapshots: true,
            motion: true,
            hours: true,
            name: "front".into(),
        };
        let site = Site {
            prefix: "vigie".into(),
            device: "porch".into(),
            boot_id: "b".into(),
            run_id: "r".into(),
            model: "m".into(),
            labels: vec!["person".into(), "traffic light".into()],
            cameras: vec![front, "back".into()],
            trust: Trust::default(),
            commands: true,
        };
        Native::new(Arc::new(site)).unwrap()
    }

    fn gone(topic: &str, payload: &str) -> Vec<String> {
        native().of(topic, payload.as_bytes())
    }

    #[test]
    fn what_is_still_said_stays() {
        for (topic, payload) in [
            ("front/status", "online"),
            ("back/status", "stalled"),
            ("front/detect/state", "ON"),
            ("front/motion", "OFF"),
            ("front/motion/state", "ON"),
            ("front/snapshot/state", "ON"),
            ("front/hours", "ON"),
            ("front/zone/steps/hours", "OFF"),
            ("front/threshold/traffic_light/state", "0.4"),
            ("front/person/count", "2"),
            ("back/traffic_light/occupancy", "OFF"),
            ("front/zone/steps/person/active", "0"),
            ("front/line/gate/traffic_light/out", "17"),
        ] {
            assert_eq!(gone(&format!("vigie/porch/{topic}"), payload), [""; 0], "{topic}");
            let is_asked_for = native()
                .filters()
                .iter()
                .any(|asked| filter::matches(asked, &format!("vigie/porch/{topic}")));
            assert!(is_asked_for, "{topic}");
        }
    }

    #[test]
    fn what_nobody_says_any_more_is_retired() {
        for (topic, payload) in [
            ("side/status", "offline"),
            ("side/detect/state", "ON"),
            ("side/threshold/person/state", "0.35"),
            ("side/person/active", "1"),
            ("side/person/occupancy", "ON"),
            ("side/zone/steps/person/count", "1"),
            ("side/line/gate/person/in", "3"),
            ("back/motion", "ON"),
            ("back/motion/state", "ON"),
            ("back/hours", "OFF"),
            ("front/zone/lawn/person/count", "0"),
            ("front/zone/lawn/hours", "ON"),
            ("front/zone/steps/traffic_light/occupancy", "ON"),
            ("front/line/kerb/person/out", "3"),
            ("front/zebra/occupancy", "OFF"),
            ("front/threshold/zebra/state", "1"),
        ] {
            let topic = format!("vigie/porch/{topic}");
            assert_eq!(gone(&topic, payload), [topic.as_str()]);
        }
    }

    #[test]
    fn pictures_go_with_what_tells_of_them() {
        let at = |topic: &str| format!("vigie/porch/{topic}");
        assert_eq!(gone(&at("side/cat/count"), "0"), [at("side/snapshot/cat"), at("side/cat/count")]);
        let switch = at("back/snapshot/state");
        let pictures = ["back/snapshot/person", "back/snapshot/traffic_light"].map(at);
        assert_eq!(gone(&switch, "ON"), [&pictures[..], std::slice::from_ref(&switch)].concat());
    }

    #[test]
    fn what_is_not_ours_is_not_touched() {
        for (topic, payload) in [
            ("vigie/other/side/status", "offline"),
            ("vigie/porch/status", "online"),
            ("vigie/porch/side/mynote", "ON"),
            ("vigie/porch/side/status", "read"),
            ("vigie/porch/side/person/count", "many"),
            ("vigie/porch/side/person/count", ""),
            ("vigie/porch/side/person/occupancy", "1"),
            ("vigie/porch/side/detect/set", "ON"),
            ("vigie/porch/side/threshold/person/set", "0.4"),
            ("vigie/porch/side/events", "{}"),
            ("vigie/porch/a b/status", "online"),
            ("vigie/porch//status", "online"),
            ("vigie/porch/error/count", "1"),
            ("vigie/porch/side/zone/a b/person/count", "1"),
            ("vigie/porch/side/zone/steps/person/count/more", "1"),
            ("vigie/porch/side/line/gate/person/up", "1"),
            ("vigie/porch/side", "1"),
            ("vigie/porch", "1"),
            ("vigie/porchside/status", "offline"),
        ] {
            assert_eq!(gone(topic, payload), [""; 0], "{topic} {payload}");
        }
    }
}
