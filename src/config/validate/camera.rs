//! A camera: where its frames come from, what is asked of it, how it is looked at, its zones and masks.

use std::time::Duration;

use super::files::{self, check_file};
use super::hours::hours;
use super::scenery::{filters, ignore_zones, lines, polygon, zones};
use crate::capture::{DeviceMatcher, Request, SourceSpec};
use crate::config::read::{Fraction, Located, Map, Text, raw};
use crate::config::report::{Kind, Problem, Problems};
use crate::config::{Camera, MotionGate, defaults};
use crate::detector::Thresholds;
use crate::geometry::Size;

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
    let ignored = ignore_zones(raw, request.size, problems);
    let lines = lines(raw, request.size, problems);
    let filters =
        filters([detect.and_then(|detect| detect.filters.as_ref()), raw.filters.as_ref()], problems);
    let masks = raw.privacy_mask.iter().flat_map(|masks| &masks.value);
    let masks: Vec<_> = masks
        .map(|mask| {
            polygon(&mask.path, mask.value.points.as_ref(), mask.value.unit.as_ref(), request.size, problems)
        })
        .collect();
    let rate = raw.detections_rate.as_ref().or(detect.and_then(|detect| detect.detections_rate.as_ref()));
    let hold = raw.hold.as_ref().or(detect.and_then(|detect| detect.hold.as_ref()));
    let motion = raw.motion.as_ref().or(detect.and_then(|detect| detect.motion.as_ref()));
    let thresholds = [detect.and_then(|detect| detect.thresholds.as_ref()), raw.thresholds.as_ref()];
    Some(Camera {
        name: raw.name.as_ref()?.value.0.clone(),
        source: source?,
        request,
        max_fps,
        thresholds: merge(thresholds.into_iter().flatten()),
        detections_rate: rate.map_or(defaults::DETECTIONS_RATE, |rate| rate.value.0),
        hold: hold.map_or(defaults::HOLD, |hold| hold.value.0),
        filters: filters?,
        motion: motion.and_then(|motion| gate(&motion.value)),
        hours: hours(raw.hours.as_ref(), problems),
        snapshots: raw.snapshots.as_ref().is_none_or(|snapshots| snapshots.value),
        record: raw.record.as_ref().is_none_or(|record| record.value),
        zones: zones.into_iter().collect::<Option<_>>()?,
        ignore_zones: ignored.into_iter().collect::<Option<_>>()?,
        lines: lines.into_iter().collect::<Option<_>>()?,
        privacy_masks: masks.into_iter().collect::<Option<_>>()?,
    })
}

fn gate(raw: &raw::Motion) -> Option<MotionGate> {
    let default = defaults::MOTION;
    raw.gate.as_ref().is_none_or(|gate| gate.value).then(|| MotionGate {
        min_area: raw.min_area.as_ref().map_or(default.min_area, |area| area.value.0),
        contrast: raw.contrast.as_ref().map_or(default.contrast, |contrast| contrast.value.0 as f32),
        recheck: raw.recheck.as_ref().map_or(default.recheck, |recheck| recheck.value.0),
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
    let default = merged.remove("*");
    Thresholds { default, labels: merged.into_iter().collect() }
}
