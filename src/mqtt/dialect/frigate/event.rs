//! What `frigate/events` carries: what was known of an object before, and what is known now.

use std::time::SystemTime;

use serde::Serialize;

use crate::detector::label_of;
use crate::geometry::BBox;
use crate::mqtt::dialect::{Occasion, Site, SiteCamera};
use crate::mqtt::payload::round;
use crate::scene::objects::{Happened, Object};

/// Something happened to an object.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    #[serde(rename = "type")]
    kind: &'static str,
    before: Seen,
    after: Seen,
}

impl Event {
    /// From what was known before to what is known now.
    pub fn new(happened: Happened, before: Seen, after: Seen) -> Event {
        let kind = match happened {
            Happened::New => "new",
            Happened::Update => "update",
            Happened::End(_) => "end",
        };
        Event { kind, before, after }
    }
}

/// An object as Frigate tells of it; the names are Frigate's.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    id: String,
    camera: String,
    frame_time: f64,
    snapshot: Option<Shot>,
    label: String,
    sub_label: Option<()>,
    top_score: f32,
    false_positive: bool,
    start_time: f64,
    end_time: Option<f64>,
    score: f32,
    #[serde(rename = "box")]
    bbox: [i32; 4],
    area: i64,
    ratio: f32,
    region: [i32; 4],
    active: bool,
    stationary: bool,
    motionless_count: u32,
    position_changes: u32,
    current_zones: Vec<String>,
    entered_zones: Vec<String>,
    has_clip: bool,
    has_snapshot: bool,
    thumbnail: Option<()>,
    attributes: Empty,
    current_attributes: [(); 0],
    path_data: Vec<([f32; 2], f64)>,
}

/// The best view of it.
#[derive(Clone, Debug, Serialize)]
struct Shot {
    frame_time: f64,
    #[serde(rename = "box")]
    bbox: [i32; 4],
    area: i64,
    region: [i32; 4],
    score: f32,
    attributes: [(); 0],
}

/// An object of JSON without members.
#[derive(Clone, Copy, Debug, Serialize)]
struct Empty {}

impl Seen {
    /// An object as it is now, told of `before` or not.
    pub fn of(
        object: &Object,
        of: &Occasion,
        site: &Site,
        camera: &SiteCamera,
        happened: Happened,
        before: Option<&Seen>,
    ) -> Seen {
        let region = [0, 0, of.size.width as i32, of.size.height as i32];
        let (last, bbox) = (epoch(object.last_seen.wall), pixels(&object.bbox));
        let names = |zones: &[usize]| -> Vec<String> {
            zones.iter().filter_map(|&zone| camera.zones.get(zone)).map(|zone| zone.name.clone()).collect()
        };
        let shot = object.view.filter(|_| camera.snapshots).map(|view| Shot {
            frame_time: epoch(view.captured.wall),
            bbox: pixels(&view.bbox),
            area: area(&view.bbox),
            region,
            score: round(view.score, 1e6),
            attributes: [],
        });
        let moved_on = before.is_some_and(|before| before.stationary) && !object.stationary;
        Seen {
            id: id(object, site, camera),
            camera: camera.name.clone(),
            frame_time: last,
            has_snapshot: shot.is_some(),
            snapshot: shot,
            label: label_of(&site.labels, object.class_id).into_owned(),
            sub_label: None,
            top_score: round(object.top_score, 1e6),
            false_positive: false,
            start_time: epoch(object.first_seen.wall),
            end_time: matches!(happened, Happened::End(_)).then_some(last),
            score: round(object.score, 1e6),
            bbox,
            area: area(&object.bbox),
            ratio: round(object.bbox.width() / object.bbox.height().max(1.0), 100.0),
            region,
            active: !object.stationary,
            stationary: object.stationary,
            motionless_count: u32::from(object.stationary),
            position_changes: before.map_or(0, |before| before.position_changes) + u32::from(moved_on),
            current_zones: names(&object.zones),
            entered_zones: names(&object.entered),
            has_clip: false,
            thumbnail: None,
            attributes: Empty {},
            current_attributes: [],
            path_data: object.path.points().map(|point| (point.map(|part| round(part, 1e4)), last)).collect(),
        }
    }
}

/// Frigate's ids are the second in which an object was first seen, and six letters: here they are drawn from the name that the
/// object has in Vigie's own dialect, so that it has one id for ever.
fn id(object: &Object, site: &Site, camera: &SiteCamera) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let name = format!("{}.{}.{}", site.run_id, camera.name, object.id);
    // FNV-1a (Fowler, Noll, Vo), 64 bits.
    let mut hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut letters = String::with_capacity(6);
    for _ in 0..6 {
        letters.push(char::from(LETTERS[(hash % 36) as usize]));
        hash /= 36;
    }
    format!("{:.6}-{letters}", epoch(object.first_seen.wall))
}

/// Seconds since 1970; before it, 0.
fn epoch(wall: SystemTime) -> f64 {
    let micros = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    micros as f64 / 1e6
}

fn pixels(bbox: &BBox) -> [i32; 4] {
    [bbox.x1, bbox.y1, bbox.x2, bbox.y2].map(|edge| edge.round() as i32)
}

fn area(bbox: &BBox) -> i64 {
    bbox.area().round() as i64
}
