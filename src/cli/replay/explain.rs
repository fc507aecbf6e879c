//! Why something that the model saw became no object: the rule that dropped it, and by how much.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

use serde::Serialize;

use super::super::story::clock;
use super::seconds;
use crate::config;
use crate::daemon::watch::{Eye, Watch};
use crate::detector::Detection;
use crate::geometry::{BBox, Size};
use crate::mqtt::payload::round;
use crate::scene::objects::Unmet;
use crate::tracker::{self, Track};

/// Something that was followed and became no object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dropped {
    /// What it seemed to be.
    pub label: String,
    /// When it was first seen, since the beginning.
    #[serde(serialize_with = "as_seconds")]
    pub from: Duration,
    /// When it was last seen.
    #[serde(serialize_with = "as_seconds")]
    pub until: Duration,
    /// In how many looks it was seen.
    pub looks: u32,
    /// The best of its scores.
    pub score: f32,
    /// Where it was last seen, in pixels.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
    /// The key of the configuration that dropped it.
    pub rule: String,
    /// What it had.
    pub value: f32,
    /// What the rule asks for.
    pub limit: f32,
    /// The same in words.
    pub words: String,
    /// Where it was first and last, feet down, in fractions of the picture.
    #[serde(skip)]
    pub way: [[f32; 2]; 2],
}

fn as_seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(seconds(*time))
}

impl Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Dropped { label, looks, score, words, rule, .. } = self;
        let looks = if *looks == 1 { "1 look".to_owned() } else { format!("{looks} looks") };
        write!(f, "({label}: {words} [{rule}]; in {looks}, {:.0} % at best)", score * 100.0)
    }
}

/// Gathers what becomes of everything that is seen.
pub struct Explanation {
    names: Vec<String>,
    min_hits: u32,
    ignored: usize,
    /// What is followed, by its serial number, and is no object yet.
    open: BTreeMap<u64, Open>,
    dropped: Vec<Dropped>,
    /// By label and rule, boxes that nothing followed.
    boxes: BTreeMap<(String, String), Boxes>,
}

/// Something that is followed.
struct Open {
    class_id: u16,
    first: Duration,
    last: Duration,
    hits: u32,
    best: f32,
    bbox: BBox,
    way: [[f32; 2]; 2],
    unmet: Option<Unmet>,
}

/// Boxes of a label that a rule dropped.
struct Boxes {
    count: usize,
    /// The best of them, and what would have been enough.
    best: f32,
    limit: f32,
    at: Duration,
}

impl Explanation {
    /// For a camera and its way of following.
    pub fn new(camera: &config::Camera, tracking: &tracker::Options, names: Vec<String>) -> Explanation {
        Explanation {
            names,
            min_hits: tracking.min_hits,
            ignored: camera.ignore_zones.len(),
            open: BTreeMap::new(),
            dropped: Vec::new(),
            boxes: BTreeMap::new(),
        }
    }

    /// Takes in what a look at `at` saw and what was made of it.
    pub fn look(&mut self, at: Duration, watch: &Watch, eye: &Eye) {
        let (tracks, size) = (watch.tracker().tracks(), watch.occasion().size);
        for detection in eye.everything() {
            let is_followed = tracks.iter().any(|track| track.last_seen() == at && track.seen() == detection);
            if !is_followed {
                self.lone(at, detection, watch, eye);
            }
        }
        for track in tracks {
            if watch.scene().is_object(track) {
                self.open.remove(&track.serial());
            } else {
                self.follow(track, size, watch);
            }
        }
        let gone = |serial: &u64| !tracks.iter().any(|track| track.serial() == *serial);
        let gone: Vec<u64> = self.open.keys().copied().filter(gone).collect();
        for serial in gone {
            if let Some(open) = self.open.remove(&serial) {
                self.drop_it(open);
            }
        }
    }

    /// A box that no track took.
    fn lone(&mut self, at: Duration, detection: &Detection, watch: &Watch, eye: &Eye) {
        let label = self.label(detection.class_id);
        let limit = watch.threshold(detection.class_id);
        let rule = if detection.score < limit {
            format!("thresholds.{label}")
        } else if eye.everything().iter().any(|other| {
            other.class_id != detection.class_id
                && other.score > detection.score
                && other.bbox.iou(&detection.bbox) > tracker::SAME
        }) {
            "another word for the same box".to_owned()
        } else {
            "as many objects as are followed at once".to_owned()
        };
        let boxes = self.boxes.entry((label, rule)).or_insert(Boxes { count: 0, best: 0.0, limit, at });
        boxes.count += 1;
        if detection.score > boxes.best {
            (boxes.best, boxes.at) = (detection.score, at);
        }
    }

    fn follow(&mut self, track: &Track, size: Size, watch: &Watch) {
        let foot = crate::scene::zones::foot(&track.seen().bbox, size);
        let open = self.open.entry(track.serial()).or_insert_with(|| Open {
            class_id: track.class_id(),
            first: track.first_seen(),
            last: track.last_seen(),
            hits: 0,
            best: 0.0,
            bbox: BBox::default(),
            way: [foot; 2],
            unmet: None,
        });
        (open.class_id, open.last, open.hits) = (track.class_id(), track.last_seen(), track.hits());
        (open.best, open.bbox) = (open.best.max(track.seen().score), track.seen().bbox);
        open.way[1] = foot;
        open.unmet = watch.scene().unmet(track, size).or(open.unmet);
    }

    fn drop_it(&mut self, open: Open) {
        let label = self.label(open.class_id);
        let filter = |key: &str| format!("filters.{label}.{key}");
        let percent = |part: f32| format!("{:.2} %", part * 100.0);
        let (rule, value, limit, words) = match open.unmet {
            None => {
                let (hits, needed) = (open.hits, self.min_hits);
                let times = if hits == 1 { "once".to_owned() } else { format!("{hits} times") };
                let words = format!("seen {times}, of {needed}");
                ("track.min_hits".to_owned(), hits as f32, needed as f32, words)
            }
            Some(Unmet::TooSmall(is, least)) => {
                let words = format!("takes {} of the picture, {} at least", percent(is), percent(least));
                (filter("min_area"), is, least, words)
            }
            Some(Unmet::TooLarge(is, most)) => {
                let words = format!("takes {} of the picture, {} at most", percent(is), percent(most));
                (filter("max_area"), is, most, words)
            }
            Some(Unmet::TooNarrow(is, least)) => {
                (filter("min_aspect"), is, least, format!("{is:.2} heights wide, {least:.2} at least"))
            }
            Some(Unmet::TooWide(is, most)) => {
                (filter("max_aspect"), is, most, format!("{is:.2} heights wide, {most:.2} at most"))
            }
            Some(Unmet::TooUnsure(is, least)) => {
                let words = format!("its median score is {is:.2}, {least:.2} at least");
                (filter("min_score"), is, least, words)
            }
            Some(Unmet::TooStill(is, least)) => {
                let words = format!("came {} of the picture, {} at least", percent(is), percent(least));
                (filter("min_displacement"), is, least, words)
            }
            Some(Unmet::Ignored(zone)) => {
                let words = format!("stands in ignored part {} of {}", zone + 1, self.ignored);
                (format!("ignore_zone[{zone}]"), zone as f32, 0.0, words)
            }
        };
        let BBox { x1, y1, x2, y2 } = open.bbox;
        self.dropped.push(Dropped {
            label,
            from: open.first,
            until: open.last,
            looks: open.hits,
            score: round(open.best, 1e4),
            bbox: [x1, y1, x2, y2].map(|edge| round(edge, 10.0)),
            rule,
            value: round(value, 1e4),
            limit: round(limit, 1e4),
            words,
            way: open.way,
        });
    }

    /// Nothing more will be seen: what is still open became no object.
    pub fn end(&mut self) {
        for open in std::mem::take(&mut self.open).into_values() {
            self.drop_it(open);
        }
    }

    /// What has turned out to be no object since the last call.
    pub fn dropped(&mut self) -> Vec<Dropped> {
        std::mem::take(&mut self.dropped)
    }

    /// The boxes that nothing followed, by label and rule, in words.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for ((label, rule), boxes) in &self.boxes {
            let Boxes { count, best, limit, at } = boxes;
            let when = clock(*at);
            text += &format!(
                "{count:>9}  boxes of {label} were followed by nothing [{rule}]; the best {best:.2} of {limit:.2}, at {when}\n"
            );
        }
        text
    }

    fn label(&self, class_id: u16) -> String {
        self.names.get(usize::from(class_id)).cloned().unwrap_or_else(|| class_id.to_string())
    }
}
