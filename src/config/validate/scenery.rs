//! What is drawn into a camera's picture: zones, lines, ignored parts; and what an object must be like.

use super::hours::hours;
use super::{refuse_reserved, unique};
use crate::config::read::{Coordinate, Fraction, Located, Map, OneOf, Pair, Ratio, Text, Unit, raw};
use crate::config::report::{Kind, Problem, Problems};
use crate::config::{Filters, IgnoreZone, Line, Zone, defaults};
use crate::geometry::{Polygon, PolygonError, Size};
use crate::mqtt::topics::CAMERA_LEVELS;
use crate::scene::objects::Filter;

type Points = Located<Vec<Located<Pair<Coordinate>>>>;

pub(super) fn zones(raw: &raw::Camera, size: Option<Size>, problems: &mut Problems) -> Vec<Option<Zone>> {
    let zones = || raw.zone.iter().flat_map(|zones| &zones.value);
    let names = zones().filter_map(|zone| zone.value.name.as_ref());
    unique("zone", names.clone().map(|name| (name.value.0.as_str(), name)), problems);
    for name in names {
        refuse_reserved("zone", &CAMERA_LEVELS, &name.value.0, name, problems);
    }
    let mut zone = |place: &Located<raw::Zone>| {
        let raw = &place.value;
        let labels = labels(raw.labels.as_ref(), problems);
        let hours = hours(raw.hours.as_ref(), problems);
        let polygon = polygon(&place.path, raw.points.as_ref(), raw.unit.as_ref(), size, problems);
        Some(Zone {
            name: raw.name.as_ref()?.value.0.clone(),
            polygon: polygon?,
            labels,
            inertia: raw.inertia.as_ref().map_or(defaults::INERTIA, |inertia| inertia.value.0 as u32),
            loitering: raw.loitering.as_ref().map(|time| time.value.0).unwrap_or_default(),
            hours,
        })
    };
    zones().map(&mut zone).collect()
}

pub(super) fn ignore_zones(
    raw: &raw::Camera,
    size: Option<Size>,
    problems: &mut Problems,
) -> Vec<Option<IgnoreZone>> {
    let mut zone = |place: &Located<raw::IgnoreZone>| {
        let raw = &place.value;
        let labels = labels(raw.labels.as_ref(), problems);
        let polygon = polygon(&place.path, raw.points.as_ref(), raw.unit.as_ref(), size, problems);
        Some(IgnoreZone { polygon: polygon?, labels })
    };
    raw.ignore_zone.iter().flat_map(|zones| &zones.value).map(&mut zone).collect()
}

pub(super) fn lines(raw: &raw::Camera, size: Option<Size>, problems: &mut Problems) -> Vec<Option<Line>> {
    let lines = || raw.line.iter().flat_map(|lines| &lines.value);
    let names = lines().filter_map(|line| line.value.name.as_ref());
    unique("line", names.map(|name| (name.value.0.as_str(), name)), problems);
    let mut line = |place: &Located<raw::Line>| {
        let raw = &place.value;
        let labels = labels(raw.labels.as_ref(), problems);
        let ends = ends(&place.path, raw.points.as_ref(), raw.unit.as_ref(), size, problems);
        Some(Line { name: raw.name.as_ref()?.value.0.clone(), ends: ends?, labels })
    };
    lines().map(&mut line).collect()
}

/// What stands later replaces what stands before, label by label.
pub(super) fn filters(
    maps: [Option<&Located<Map<raw::Filter>>>; 2],
    problems: &mut Problems,
) -> Option<Filters> {
    let mut merged = std::collections::BTreeMap::new();
    for (label, raw) in maps.into_iter().flatten().flat_map(|map| &map.value.0) {
        merged.insert(label.clone(), filter(raw, problems));
    }
    let default = merged.remove("*").unwrap_or(Some(Filter::NONE));
    let labels = merged.into_iter().map(|(label, filter)| Some((label, filter?))).collect::<Option<_>>();
    Some(Filters { default: default?, labels: labels? })
}

fn filter(place: &Located<raw::Filter>, problems: &mut Problems) -> Option<Filter> {
    let raw = &place.value;
    let fraction =
        |key: &Option<Located<Fraction>>, default| key.as_ref().map_or(default, |fraction| fraction.value.0);
    let ratio = |key: &Option<Located<Ratio>>, default| key.as_ref().map_or(default, |ratio| ratio.value.0);
    let none = Filter::NONE;
    let filter = Filter {
        area: [fraction(&raw.min_area, none.area[0]), fraction(&raw.max_area, none.area[1])],
        aspect: [ratio(&raw.min_aspect, none.aspect[0]), ratio(&raw.max_aspect, none.aspect[1])],
        score: fraction(&raw.min_score, none.score),
        displacement: fraction(&raw.min_displacement, none.displacement),
    };
    for (what, [least, largest]) in [("area", filter.area), ("aspect", filter.aspect)] {
        if least > largest && !problems.touch(&place.path) {
            let message = format!(
                "`min_{what}` {least} is more than `max_{what}` {largest}, so nothing would ever pass"
            );
            problems.add(Problem::with(Kind::Conflict, place, message).hint("are they the wrong way round?"));
            return None;
        }
    }
    Some(filter)
}

/// The labels that are named; an empty list is a problem.
pub(super) fn labels(
    labels: Option<&Located<Vec<Located<Text>>>>,
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let labels = labels?;
    if labels.value.is_empty() && !problems.touch(&labels.path) {
        let problem = Problem::with(Kind::BadValue, labels, "is empty, so nothing would ever count");
        problems.add(problem.hint("name labels, or leave it out for all"));
    }
    Some(labels.value.iter().map(|label| label.value.0.clone()).collect())
}

/// What coordinates are divided by to be fractions; `None`: that can't be said.
fn scale(
    owner: &str,
    unit: Option<&Located<OneOf<Unit>>>,
    size: Option<Size>,
    problems: &mut Problems,
) -> Option<[f32; 2]> {
    // Of points that could not be read, or whose unit is unknown, nothing more can be said.
    if problems.touch(&format!("{owner}.points")) || problems.touch(&format!("{owner}.unit")) {
        return None;
    }
    match (unit, size) {
        (Some(unit), None) if unit.value.0 == Unit::Pixel => {
            let problem = Problem::with(Kind::Conflict, unit, "pixels of what? the camera has no `size`");
            problems.add(problem.hint("give the camera a `size`, or the points in fractions"));
            None
        }
        (Some(unit), Some(size)) if unit.value.0 == Unit::Pixel => {
            Some([size.width as f32, size.height as f32])
        }
        _ => Some([1.0, 1.0]),
    }
}

/// The ends of a line, in fractions whatever the unit was.
fn ends(
    owner: &str,
    points: Option<&Points>,
    unit: Option<&Located<OneOf<Unit>>>,
    size: Option<Size>,
    problems: &mut Problems,
) -> Option<[[f32; 2]; 2]> {
    let points = points?;
    let scale = scale(owner, unit, size, problems)?;
    let fraction =
        |point: &Located<Pair<Coordinate>>| [point.value.0.0 / scale[0], point.value.1.0 / scale[1]];
    let wrong = |message: String| Problem::new(Kind::BadValue, &points.path, message);
    let [from, to] = &points.value[..] else {
        let message = format!("a line has two ends, and here are {} point(s)", points.value.len());
        problems.add(wrong(message).label(points.span.clone(), "no line"));
        return None;
    };
    let ends = [fraction(from), fraction(to)];
    for (end, place) in ends.iter().zip([from, to]) {
        if !end.iter().all(|c| (0.0..=1.0).contains(c)) {
            let problem = wrong("an end lies outside of the picture".to_owned());
            problems.add(problem.label(place.span.clone(), "outside").hint(bounds(scale)));
            return None;
        }
    }
    if ends[0] == ends[1] {
        let problem = wrong("both ends are the same point, so there is nothing to cross".to_owned());
        problems.add(problem.label(to.span.clone(), "again").label(from.span.clone(), "first here"));
        return None;
    }
    Some(ends)
}

/// Where points may lie, in words.
fn bounds(scale: [f32; 2]) -> String {
    match scale {
        [1.0, 1.0] => {
            "fractions go from 0 (left, top) to 1 (right, bottom); for pixels add `unit = \"px\"`".to_owned()
        }
        [width, height] => format!("the camera's `size` is [{width}, {height}], width, then height"),
    }
}

/// The polygon, in fractions whatever the unit was.
pub(super) fn polygon(
    owner: &str,
    points: Option<&Points>,
    unit: Option<&Located<OneOf<Unit>>>,
    size: Option<Size>,
    problems: &mut Problems,
) -> Option<Polygon> {
    let points = points?;
    let scale = scale(owner, unit, size, problems)?;
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
        PolygonError::Outside(index) if scale == [1.0, 1.0] => {
            problem.label(spot(index), "outside").hint(bounds(scale))
        }
        PolygonError::Outside(index) => {
            let [width, height] = scale;
            let turned =
                points.value.iter().all(|point| point.value.0.0 <= height && point.value.1.0 <= width);
            let turned = if turned { ": is it meant the other way round?" } else { "" };
            problem.label(spot(index), "outside").hint(bounds(scale) + turned)
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
