//! Every topic that is published, built in one place from validated levels.

use std::borrow::Cow;
use std::collections::HashSet;

use super::error::Error;

/// Longest level in bytes; MQTT allows 65535 for the whole topic, a person reads far fewer.
const MAX_LEVEL: usize = 128;

/// The levels under `PREFIX/DEVICE/` that no camera may have for its name.
pub const DEVICE_LEVELS: [&str; 3] = ["status", "stats", "error"];

/// The levels under `PREFIX/DEVICE/CAMERA/` that no label and no zone may have for its name.
pub const CAMERA_LEVELS: [&str; 14] = [
    "status",
    "stats",
    "detections",
    "events",
    "snapshot",
    "detect",
    "zone",
    "line",
    "motion",
    "hours",
    "threshold",
    "error",
    "set",
    "state",
];

/// Whether a label's level would be one of [`CAMERA_LEVELS`].
pub fn is_reserved(label: &str) -> bool {
    CAMERA_LEVELS.contains(&label_level(label).as_ref())
}

/// Says whether `level` can stand between two slashes of a topic.
pub fn check_level(level: &str) -> Result<(), Error> {
    let problem = if level.is_empty() {
        "it is empty"
    } else if level.len() > MAX_LEVEL {
        "it is longer than 128 bytes"
    } else if level.contains('/') {
        "it contains '/', which separates levels"
    } else if level.contains(['+', '#']) {
        "it contains '+' or '#', which are wildcards"
    } else if level.chars().any(char::is_control) {
        "it contains a control character"
    } else {
        return Ok(());
    };
    Err(Error::Topic { level: level.to_owned(), problem })
}

/// Says whether `prefix`, one or more levels, can begin a topic.
pub fn check_prefix(prefix: &str) -> Result<(), Error> {
    if prefix.starts_with('$') {
        let problem = "topics that begin with '$' belong to the broker";
        return Err(Error::Topic { level: prefix.to_owned(), problem });
    }
    prefix.split('/').try_for_each(check_level)
}

/// A model's label as a level: spaces and what MQTT forbids become `_`, so that no name of a class can fail.
pub fn label_level(label: &str) -> Cow<'_, str> {
    let forbidden = |c: char| c == '/' || c == '+' || c == '#' || c.is_control() || c.is_whitespace();
    if label.is_empty() {
        Cow::Borrowed("_")
    } else if label.contains(forbidden) {
        Cow::Owned(label.chars().map(|c| if forbidden(c) { '_' } else { c }).collect())
    } else {
        Cow::Borrowed(label)
    }
}

/// A model's labels as levels, by class: no two of them are the same, though two labels may differ in nothing but a
/// character that MQTT forbids. The later one gets a number then (`traffic_light_2`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelLevels(Vec<String>);

impl LabelLevels {
    /// For labels in the order of their classes.
    pub fn new(labels: &[String]) -> LabelLevels {
        let mut taken: HashSet<String> = HashSet::with_capacity(labels.len());
        // Who can have the level that it would have alone gets it, wherever it stands.
        let own: HashSet<Cow<'_, str>> = labels.iter().map(|label| label_level(label)).collect();
        let levels = labels.iter().map(|label| {
            let plain = label_level(label);
            let mut level = plain.clone().into_owned();
            let mut number = 1;
            while taken.contains(&level) || (number > 1 && own.contains(level.as_str())) {
                number += 1;
                level = format!("{plain}_{number}");
            }
            taken.insert(level.clone());
            level
        });
        LabelLevels(levels.collect())
    }

    /// The level of a class; that of a class without a name is `_`.
    pub fn of(&self, class_id: u16) -> &str {
        self.0.get(usize::from(class_id)).map_or("_", String::as_str)
    }

    /// The class that has that level.
    pub fn class(&self, level: &str) -> Option<u16> {
        self.0.iter().position(|own| own == level).and_then(|class_id| u16::try_from(class_id).ok())
    }

    /// All of them, by class.
    pub fn all(&self) -> &[String] {
        &self.0
    }
}

/// The topics of a device: `PREFIX/DEVICE/…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    base: String,
}

impl Topics {
    /// For a prefix of one or more levels and a device's name of one.
    pub fn new(prefix: &str, device: &str) -> Result<Topics, Error> {
        check_prefix(prefix)?;
        check_level(device)?;
        Ok(Topics { base: format!("{prefix}/{device}") })
    }

    /// `PREFIX/DEVICE`.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// `…/status`: `online` or `offline`, retained; the last will says `offline` here.
    pub fn status(&self) -> String {
        format!("{}/status", self.base)
    }

    /// `…/error`: JSON, why a command that names no camera of this device was not carried out.
    pub fn error(&self) -> String {
        format!("{}/error", self.base)
    }

    /// `…/stats`: figures of the device.
    pub fn stats(&self) -> String {
        format!("{}/stats", self.base)
    }

    /// The topics of one camera.
    pub fn camera(&self, camera: &str) -> Result<CameraTopics, Error> {
        check_level(camera)?;
        Ok(self.camera_checked(camera))
    }

    /// The topics of a camera whose name is known to be a level.
    pub(super) fn camera_checked(&self, camera: &str) -> CameraTopics {
        CameraTopics { base: format!("{}/{camera}", self.base) }
    }
}

/// The topics of a camera: `PREFIX/DEVICE/CAMERA/…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraTopics {
    base: String,
}

impl CameraTopics {
    /// `…/status`: `online`, `offline` or `stalled`, retained.
    pub fn status(&self) -> String {
        format!("{}/status", self.base)
    }

    /// `…/detections`: JSON, all that was seen in a frame, as often as was asked for.
    pub fn detections(&self) -> String {
        format!("{}/detections", self.base)
    }

    /// `…/events`: JSON, what happened to an object.
    pub fn events(&self) -> String {
        format!("{}/events", self.base)
    }

    /// `…/error`: JSON, why a command was not carried out.
    pub fn error(&self) -> String {
        format!("{}/error", self.base)
    }

    /// `…/motion/state`: whether the motion gate keeps anything out, `ON` or `OFF`, retained.
    pub fn motion_state(&self) -> String {
        format!("{}/motion/state", self.base)
    }

    /// `…/snapshot/state`: whether pictures are made, `ON` or `OFF`, retained.
    pub fn snapshot_state(&self) -> String {
        format!("{}/snapshot/state", self.base)
    }

    /// `…/detect/set`: the command whether the camera is looked at, `ON` or `OFF`.
    pub fn detect_set(&self) -> String {
        format!("{}/detect/set", self.base)
    }

    /// `…/detect/state`: whether the camera is looked at, `ON` or `OFF`, retained.
    pub fn detect_state(&self) -> String {
        format!("{}/detect/state", self.base)
    }

    /// `…/threshold/LABEL/set`: the command how sure the model must be, from 0 to 1. `level` is one of [`LabelLevels`], or
    /// `all` where no label has that level.
    pub fn threshold_set(&self, level: &str) -> String {
        format!("{}/threshold/{level}/set", self.base)
    }

    /// `…/threshold/LABEL/state`: how sure the model must be, retained. `level` is one of [`LabelLevels`].
    pub fn threshold_state(&self, level: &str) -> String {
        format!("{}/threshold/{level}/state", self.base)
    }

    /// `…/LABEL/…`: what is so of that label in all of the picture. `level` is one of [`LabelLevels`].
    pub fn label(&self, level: &str) -> LabelTopics {
        LabelTopics { base: format!("{}/{level}", self.base) }
    }

    /// `…/zone/ZONE/LABEL/…`: what is so of a label in a zone. Both are levels.
    pub fn zone_label(&self, zone: &str, level: &str) -> LabelTopics {
        LabelTopics { base: format!("{}/zone/{zone}/{level}", self.base) }
    }

    /// `…/hours`: whether it is within the camera's hours, `ON` or `OFF`, retained.
    pub fn hours(&self) -> String {
        format!("{}/hours", self.base)
    }

    /// `…/zone/ZONE/hours`: the same of a zone.
    pub fn zone_hours(&self, zone: &str) -> String {
        format!("{}/zone/{zone}/hours", self.base)
    }

    /// `…/motion`: `ON` or `OFF`, retained.
    pub fn motion(&self) -> String {
        format!("{}/motion", self.base)
    }

    /// `…/snapshot/LABEL`: a JPEG of the label's object that was seen last, where it was seen best.
    pub fn snapshot(&self, level: &str) -> String {
        format!("{}/snapshot/{level}", self.base)
    }

    /// `…/line/LINE/LABEL/in` or `…/out`: how many of a label have crossed a line that way, retained.
    pub fn line(&self, line: &str, level: &str, direction: &str) -> String {
        format!("{}/line/{line}/{level}/{direction}", self.base)
    }
}

/// The topics of a label in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelTopics {
    base: String,
}

impl LabelTopics {
    /// `…/count`: how many are there, retained.
    pub fn count(&self) -> String {
        format!("{}/count", self.base)
    }

    /// `…/active`: how many of them move, retained.
    pub fn active(&self) -> String {
        format!("{}/active", self.base)
    }

    /// `…/occupancy`: `ON` or `OFF`, retained.
    pub fn occupancy(&self) -> String {
        format!("{}/occupancy", self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topics_are_those_of_the_documentation() {
        let topics = Topics::new("vigie", "porch").unwrap();
        assert_eq!(topics.status(), "vigie/porch/status");
        assert_eq!(topics.stats(), "vigie/porch/stats");
        let front = topics.camera("front").unwrap();
        assert_eq!(front.status(), "vigie/porch/front/status");
        assert_eq!(front.detections(), "vigie/porch/front/detections");
        assert_eq!(front.events(), "vigie/porch/front/events");
        assert_eq!(front.label("person").count(), "vigie/porch/front/person/count");
        assert_eq!(front.label("person").active(), "vigie/porch/front/person/active");
        assert_eq!(front.label("traffic_light").occupancy(), "vigie/porch/front/traffic_light/occupancy");
        assert_eq!(front.zone_label("steps", "cat").count(), "vigie/porch/front/zone/steps/cat/count");
        assert_eq!(front.line("gate", "car", "in"), "vigie/porch/front/line/gate/car/in");
        assert_eq!(topics.error(), "vigie/porch/error");
        assert_eq!(front.error(), "vigie/porch/front/error");
        assert_eq!(front.detect_set(), "vigie/porch/front/detect/set");
        assert_eq!(front.detect_state(), "vigie/porch/front/detect/state");
        assert_eq!(front.threshold_set("person"), "vigie/porch/front/threshold/person/set");
        assert_eq!(front.threshold_state("person"), "vigie/porch/front/threshold/person/state");
        assert_eq!(Topics::new("home/vigie", "porch").unwrap().status(), "home/vigie/porch/status");
    }

    #[test]
    fn what_mqtt_forbids_is_refused_with_the_reason() {
        for (prefix, device, reason) in [
            ("vigie", "", "empty"),
            ("vigie", "a/b", "separates"),
            ("vigie", "a+", "wildcards"),
            ("vigie", "#", "wildcards"),
            ("vigie", "a\0", "control"),
            ("$SYS", "a", "belong to the broker"),
            ("vigie/", "a", "empty"),
            ("", "a", "empty"),
        ] {
            let error = Topics::new(prefix, device).unwrap_err().to_string();
            assert!(error.contains(reason), "{prefix:?} {device:?}: {error}");
        }
        assert!(check_level(&"x".repeat(129)).unwrap_err().to_string().contains("longer"));
    }

    #[test]
    fn labels_that_would_share_a_topic_do_not() {
        let levels =
            |labels: &[&str]| LabelLevels::new(&labels.iter().map(|&l| l.to_owned()).collect::<Vec<_>>()).0;
        assert_eq!(levels(&["traffic light", "car"]), ["traffic_light", "car"]);
        assert_eq!(levels(&["a b", "a_b", "a/b", "a_b_2"]), ["a_b", "a_b_3", "a_b_4", "a_b_2"]);
        assert_eq!(levels(&["", "_"]), ["_", "__2"]);
    }

    proptest::proptest! {
        #[test]
        fn levels_are_valid_and_differ(labels in proptest::collection::vec("[ab_/ 2]{0,4}", 0..30)) {
            let levels = LabelLevels::new(&labels).0;
            let unlike: HashSet<&String> = levels.iter().collect();
            proptest::prop_assert_eq!(unlike.len(), labels.len());
            proptest::prop_assert!(levels.iter().all(|level| check_level(level).is_ok()));
        }

        #[test]
        fn any_label_makes_a_valid_level(label in ".{0,40}") {
            proptest::prop_assert!(check_level(&label_level(&label)).is_ok() || label.len() > MAX_LEVEL);
        }
    }
}
