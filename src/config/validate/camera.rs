//! A camera: where its frames come from, what is asked of it, how it is looked at, its zones and masks.

use std::time::Duration;

use super::files::{self, check_file};
use super::{refuse_reserved, unique};
use crate::capture::{DeviceMatcher, Request, SourceSpec};
use crate::config::read::{Coordinate, Fraction, Located, Map, OneOf, Pair, Text, Unit, raw};
use crate::config::report::{Kind, Problem, Problems};
use crate::config::{Camera, Zone, defaults};
use crate::detector::Thresholds;
use crate::geometry::{Polygon, PolygonError, Size};
use crate::mqtt::topics::CAMERA_LEVELS;

pub(super) fn camera(
    place: &Located<raw::Camera>,
    detect: Option<&raw::Detect>,
    problems: &mut Problems,
) -> Option<Camera> {
    let raw = &place.value;
    let source = raw.source.as_ref().and_then(|place| source(place, problems));
    if let Some(source) = &source {
        refuse_what_only_devices_heed(raw, source, problems);
    }
    let max_fps = raw.max_fps.as_ref().or(detect.and_then(|detect| detect.max_fps.as_ref()));
    let max_fps = max_fps.map_or(defaults::MAX_FPS, |max| max.value.0);
    let request = Request {
        size: raw.size.as_ref().map(|size| Size::new(size.value.0.0 as u32, size.value.1.0 as u32)),
        fps: raw.fps.as_ref().map(|fps| fps.value.0),
        enough_fps: max_fps,
        format: raw.format.as_ref().map(|format| format.value.0),
        stall_after: stall_after(raw, source.as_ref(), problems),
    };
    let zones = zones(raw, request.size, problems);
    let masks = raw.privacy_mask.iter().flat_map(|masks| &masks.value);
    let masks: Vec<_> = masks
        .map(|mask| {
            polygon(&mask.path, mask.value.points.as_ref(), mask.value.unit.as_ref(), request.size, problems)
        })
        .collect();
    let rate = raw.detections_rate.as_ref().or(detect.and_then(|detect| detect.detections_rate.as_ref()));
    let hold = raw.hold.as_ref().or(detect.and_then(|detect| detect.hold.as_ref()));
    let thresholds = [detect.and_then(|detect| detect.thresholds.as_ref()), raw.thresholds.as_ref()];
    Some(Camera {
        name: raw.name.as_ref()?.value.0.clone(),
        source: source?,
        request,
        max_fps,
        thresholds: merge(thresholds.into_iter().flatten()),
        detections_rate: rate.map_or(defaults::DETECTIONS_RATE, |rate| rate.value.0),
        hold: hold.map_or(defaults::HOLD, |hold| hold.value.0),
        zones: zones.into_iter().collect::<Option<_>>()?,
        privacy_masks: masks.into_iter().collect::<Option<_>>()?,
    })
}

fn source(place: &Located<raw::Source>, problems: &mut Problems) -> Option<SourceSpec> {
    let raw = &place.value;
    let span = |span: &std::ops::Range<usize>, what| Some((span.clone(), what));
    let matcher = raw.usb.as_ref().map(|usb| &usb.span);
    let matcher =
        matcher.or([&raw.serial, &raw.card, &raw.bus].into_iter().flatten().map(|text| &text.span).next());
    let ways: Vec<(std::ops::Range<usize>, &str)> = [
        raw.device.as_ref().and_then(|device| span(&device.span, "a device by its path")),
        matcher.and_then(|matcher| span(matcher, "a device by what it is")),
        raw.pictures.as_ref().and_then(|pictures| span(&pictures.span, "pictures")),
        raw.clip.as_ref().and_then(|clip| span(&clip.span, "a clip")),
        raw.testcard.as_ref().and_then(|card| span(&card.span, "a test card")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if ways.len() > 1 {
        let problem = Problem::new(Kind::Conflict, &place.path, "frames can come from one place only");
        let problem = ways.into_iter().fold(problem, |problem, (span, what)| problem.label(span, what));
        problems.add(problem.hint("keep one, or make each a [[camera]] of its own"));
        return None;
    }
    if ways.is_empty() && !problems.touch(&place.path) {
        let problem = Problem::with(Kind::MissingKey, place, "does not say where frames come from");
        problems.add(problem.hint(
            "one of `device = \"/dev/video0\"`, `usb = \"046d:0825\"` (or `serial`, `card`, `bus`), \
             `pictures = \"FOLDER\"`, `clip = \"FILE\"`, `testcard = true`",
        ));
        return None;
    }
    let fps = raw.fps.as_ref().map(|fps| fps.value.0);
    if let (Some(fps), true) = (&raw.fps, raw.device.is_some() || matcher.is_some()) {
        let problem = Problem::with(Kind::Conflict, fps, "a device's rate does not belong here");
        problems.add(problem.hint("move `fps` from `source` to the camera"));
    }
    if let Some(device) = &raw.device {
        return Some(SourceSpec::Device(DeviceMatcher::Path(device.value.0.clone())));
    }
    if let Some(pictures) = &raw.pictures {
        let path = check_file(pictures, files::readable_file_or_folder, problems)?;
        return Some(SourceSpec::Pictures { path, fps: fps.unwrap_or(defaults::PICTURES_FPS) });
    }
    if let Some(clip) = &raw.clip {
        return Some(SourceSpec::Clip { path: check_file(clip, files::readable_file, problems)?, fps });
    }
    if let Some(card) = &raw.testcard {
        if !card.value {
            let problem = Problem::with(Kind::BadValue, card, "a test card that is none");
            problems.add(problem.hint("write `testcard = true`, or another source"));
            return None;
        }
        return Some(SourceSpec::TestCard { fps: fps.unwrap_or(defaults::TESTCARD_FPS) });
    }
    matcher?;
    let text = |value: &Option<Located<Text>>| value.as_ref().map(|text| text.value.0.clone());
    Some(SourceSpec::Device(DeviceMatcher::Match {
        usb: raw.usb.as_ref().map(|usb| (usb.value.0, usb.value.1)),
        serial: text(&raw.serial),
        card: text(&raw.card),
        bus: text(&raw.bus),
    }))
}

/// A key that has no effect is a mistake that the user wants to know of.
fn refuse_what_only_devices_heed(raw: &raw::Camera, source: &SourceSpec, problems: &mut Problems) {
    let what = match source {
        SourceSpec::Device(_) => return,
        SourceSpec::Pictures { .. } => "pictures",
        SourceSpec::Clip { .. } => "a clip",
        SourceSpec::TestCard { .. } => "the test card",
    };
    let own_size = !matches!(source, SourceSpec::TestCard { .. });
    let size = raw.size.as_ref().filter(|_| own_size).map(|size| (&size.span, &size.path, "size"));
    let format = raw.format.as_ref().map(|format| (&format.span, &format.path, "format"));
    let fps = raw.fps.as_ref().map(|fps| (&fps.span, &fps.path, "fps"));
    for (span, path, key) in [size, format, fps].into_iter().flatten() {
        let hint = match key {
            "fps" => "move `fps` into `source`".to_owned(),
            _ => format!("drop `{key}`"),
        };
        let message = format!("`{key}` asks something of a device, and the source is {what}");
        problems
            .add(Problem::new(Kind::Conflict, path, message).label(span.clone(), "has no effect").hint(hint));
    }
}

/// The patience with the source; a slow one must not look stalled between two frames.
fn stall_after(raw: &raw::Camera, source: Option<&SourceSpec>, problems: &mut Problems) -> Duration {
    let fps = match source {
        Some(SourceSpec::Pictures { fps, .. } | SourceSpec::TestCard { fps }) => Some(*fps),
        Some(SourceSpec::Clip { fps, .. }) => *fps,
        Some(SourceSpec::Device(_)) => raw.fps.as_ref().map(|fps| fps.value.0),
        None => None,
    };
    let period =
        fps.map_or(Duration::ZERO, |fps| Duration::from_millis((1000.0 / f64::from(fps)).round() as u64));
    match &raw.stall_after {
        Some(given) if given.value.0 <= period => {
            let message =
                format!("a frame comes every {}, so each would be late", humantime::format_duration(period));
            let problem = Problem::with(Kind::Conflict, given, message);
            problems.add(problem.hint("wait for a few frame periods at least, or leave it out"));
            given.value.0
        }
        Some(given) => given.value.0,
        None => defaults::STALL_AFTER.max(period * 3),
    }
}

/// What stands later replaces what stands before, label by label.
fn merge<'a>(maps: impl Iterator<Item = &'a Located<Map<Fraction>>>) -> Thresholds {
    let mut merged = std::collections::BTreeMap::new();
    for map in maps {
        merged.extend(map.value.0.iter().map(|(label, score)| (label.clone(), score.value.0)));
    }
    let default = merged.remove("*").unwrap_or(defaults::THRESHOLD);
    Thresholds { default, labels: merged.into_iter().collect() }
}

fn zones(raw: &raw::Camera, size: Option<Size>, problems: &mut Problems) -> Vec<Option<Zone>> {
    let zones = || raw.zone.iter().flat_map(|zones| &zones.value);
    let names = zones().filter_map(|zone| zone.value.name.as_ref());
    unique("zone", names.clone().map(|name| (name.value.0.as_str(), name)), problems);
    for name in names {
        refuse_reserved("zone", &CAMERA_LEVELS, &name.value.0, name, problems);
    }
    let mut zone = |place: &Located<raw::Zone>| {
        let raw = &place.value;
        if let Some(labels) = &raw.labels
            && labels.value.is_empty()
            && !problems.touch(&labels.path)
        {
            let problem = Problem::with(Kind::BadValue, labels, "is empty, so nothing would ever count");
            problems.add(problem.hint("name labels, or leave it out for all"));
        }
        let polygon = polygon(&place.path, raw.points.as_ref(), raw.unit.as_ref(), size, problems);
        let labels = raw.labels.as_ref();
        Some(Zone {
            name: raw.name.as_ref()?.value.0.clone(),
            polygon: polygon?,
            labels: labels.map(|labels| labels.value.iter().map(|label| label.value.0.clone()).collect()),
        })
    };
    zones().map(&mut zone).collect()
}

/// The polygon, in fractions whatever the unit was.
fn polygon(
    owner: &str,
    points: Option<&Located<Vec<Located<Pair<Coordinate>>>>>,
    unit: Option<&Located<OneOf<Unit>>>,
    size: Option<Size>,
    problems: &mut Problems,
) -> Option<Polygon> {
    let points = points?;
    // Of points that could not be read, or whose unit is unknown, nothing more can be said.
    if problems.touch(&format!("{owner}.points")) || problems.touch(&format!("{owner}.unit")) {
        return None;
    }
    let scale = match (unit, size) {
        (Some(unit), None) if unit.value.0 == Unit::Pixel => {
            let problem = Problem::with(Kind::Conflict, unit, "pixels of what? the camera has no `size`");
            problems.add(problem.hint("give the camera a `size`, or the points in fractions"));
            return None;
        }
        (Some(unit), Some(size)) if unit.value.0 == Unit::Pixel => [size.width as f32, size.height as f32],
        _ => [1.0, 1.0],
    };
    let fractions = points.value.iter().map(|point| [point.value.0.0 / scale[0], point.value.1.0 / scale[1]]);
    let error = match Polygon::new(fractions.collect()) {
        Ok(polygon) => return Some(polygon),
        Err(error) => error,
    };
    let spot = |index: usize| points.value[index].span.clone();
    // The last edge goes back to the first point; a label over all the points between would show nothing.
    let edge = |index: usize| match points.value.get(index + 1) {
        Some(end) => spot(index).start..end.span.end,
        None => spot(index),
    };
    let problem = Problem::new(Kind::BadValue, &points.path, error.to_string());
    problems.add(match error {
        PolygonError::TooFew(_) | PolygonError::TooMany(_) | PolygonError::Flat => {
            problem.label(points.span.clone(), "no polygon")
        }
        PolygonError::Outside(index) if scale == [1.0, 1.0] => problem
            .label(spot(index), "outside")
            .hint("fractions go from 0 (left, top) to 1 (right, bottom); for pixels add `unit = \"px\"`"),
        PolygonError::Outside(index) => {
            let [width, height] = scale;
            let turned =
                points.value.iter().all(|point| point.value.0.0 <= height && point.value.1.0 <= width);
            let turned = if turned { ": is it meant the other way round?" } else { "" };
            problem
                .label(spot(index), "outside")
                .hint(format!("the camera's `size` is [{width}, {height}], width, then height{turned}"))
        }
        PolygonError::Repeated(first, again) => problem
            .label(spot(again), "again")
            .label(spot(first), "first here")
            .hint("the last point is joined to the first by itself; do not repeat it"),
        PolygonError::Crossing(one, other) => problem
            .label(edge(one), "this edge")
            .label(edge(other), "and this one")
            .hint("give the corners in the order in which one would walk around"),
    });
    None
}
