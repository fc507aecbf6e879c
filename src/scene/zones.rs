//! Where an object stands: in which zones it is, and which lines it crossed. The point that counts is the middle of its
//! box's lower edge, where its feet or wheels are.

use std::time::Duration;

use crate::geometry::{BBox, Polygon, Size};

/// A part of the picture that objects can be in.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// Where it is.
    pub polygon: Polygon,
    /// By class, whether its objects count here; empty: all do.
    pub classes: Vec<bool>,
    /// So many looks in a row must agree before an object has come in or gone out.
    pub inertia: u32,
    /// An object counts when it has been there for so long.
    pub loitering: Duration,
    /// Whether anything can be in it now; if not, it is as if it were not there.
    pub open: bool,
}

impl Zone {
    /// Whether an object of a class whose foot is there stands in it.
    pub fn has(&self, class_id: u16, foot: [f32; 2]) -> bool {
        self.open && applies(&self.classes, class_id) && self.polygon.contains(foot)
    }
}

/// A line that objects can cross.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// From here…
    pub from: [f32; 2],
    /// …to here, in fractions of the picture's width and height.
    pub to: [f32; 2],
    /// By class, whether its objects count here; empty: all do.
    pub classes: Vec<bool>,
}

/// Which way a line was crossed, for who stands at its first point and looks at its second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the left to the right.
    In,
    /// From the right to the left.
    Out,
}

/// An object is on one side of a line when it is this far from it, in parts of the picture; nearer, its box may just
/// shake.
const MARGIN: f32 = 0.02;

/// The point of a box that stands on the ground, in fractions of the picture.
pub fn foot(bbox: &BBox, size: Size) -> [f32; 2] {
    let (w, h) = (size.width.max(1) as f32, size.height.max(1) as f32);
    // What reaches below the picture's edge stands on it, a hair above, so that zones down to the edge have it.
    [(0.5 * (bbox.x1 + bbox.x2) / w).clamp(0.0, 1.0), (bbox.y2 / h).clamp(0.0, 0.9999)]
}

/// How one object stands to one zone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Presence {
    /// Since when its foot has been there; `None`: it is elsewhere.
    since: Option<Duration>,
    /// So many looks in a row disagreed with what is so.
    disagree: u32,
    there: bool,
}

impl Presence {
    /// A look showed the object's foot at a point; `true`: it came in, went out, or began to count.
    pub fn look(&mut self, zone: &Zone, class_id: u16, foot: [f32; 2], at: Duration) -> bool {
        let before = self.there;
        let there = zone.has(class_id, foot);
        if there == self.since.is_some() {
            self.disagree = 0;
        } else {
            self.disagree += 1;
            if self.disagree >= zone.inertia.max(1) {
                (self.since, self.disagree) = (there.then_some(at), 0);
            }
        }
        self.there = self.since.is_some_and(|since| at.saturating_sub(since) >= zone.loitering);
        self.there != before
    }

    /// Whether the object counts in the zone.
    pub fn is_there(&self) -> bool {
        self.there
    }
}

/// How one object stands to one line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Side {
    /// The last point that was clearly on a side, and whether that was the right one.
    last: Option<([f32; 2], bool)>,
}

impl Side {
    /// A look showed the object's foot at a point; says which way it crossed the line since the last clear one.
    pub fn look(&mut self, line: &Line, class_id: u16, foot: [f32; 2]) -> Option<Direction> {
        if !applies(&line.classes, class_id) {
            return None;
        }
        let along = [line.to[0] - line.from[0], line.to[1] - line.from[1]];
        let length = along[0].hypot(along[1]);
        // In a picture, whose y goes down, what is on the right hand has a positive cross product.
        let distance = cross(along, [foot[0] - line.from[0], foot[1] - line.from[1]]) / length;
        // A line of no length has no sides.
        if distance.is_nan() || distance.abs() < MARGIN {
            return None;
        }
        let right = distance > 0.0;
        let (before, was_right) = self.last.replace((foot, right))?;
        // Around the end of a line is not over it.
        (was_right != right && meets(line, before, foot)).then_some(if right {
            Direction::In
        } else {
            Direction::Out
        })
    }
}

/// Whether a class is one of these; a list that is empty names all.
pub(super) fn applies(classes: &[bool], class_id: u16) -> bool {
    classes.is_empty() || classes.get(usize::from(class_id)).copied().unwrap_or(false)
}

fn cross(a: [f32; 2], b: [f32; 2]) -> f32 {
    a[0] * b[1] - a[1] * b[0]
}

/// Whether the way between two points, on different sides of the line, goes through it.
fn meets(line: &Line, a: [f32; 2], b: [f32; 2]) -> bool {
    let way = [b[0] - a[0], b[1] - a[1]];
    let side = |point: [f32; 2]| cross(way, [point[0] - a[0], point[1] - a[1]]);
    side(line.from) * side(line.to) <= 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(640, 480);

    fn seconds(s: f32) -> Duration {
        Duration::from_secs_f32(s)
    }

    fn zone(inertia: u32, loitering: f32) -> Zone {
        let corners = [[0.25, 0.5], [0.75, 0.5], [0.75, 1.0], [0.25, 1.0]];
        Zone {
            polygon: Polygon::new(corners.to_vec()).unwrap(),
            classes: Vec::new(),
            inertia,
            loitering: seconds(loitering),
            open: true,
        }
    }

    /// Whether it counts after each look, five a second, at these places.
    fn counted(zone: &Zone, class_id: u16, xs: &[f32]) -> Vec<bool> {
        let mut presence = Presence::default();
        let looks = xs.iter().enumerate();
        looks
            .map(|(n, &x)| {
                let before = presence.is_there();
                let changed = presence.look(zone, class_id, [x, 0.8], seconds(0.2 * n as f32));
                assert_eq!(changed, presence.is_there() != before);
                presence.is_there()
            })
            .collect()
    }

    #[test]
    fn the_foot_decides_and_the_edge_of_the_picture_is_ground() {
        assert_eq!(foot(&BBox::new(100.0, 0.0, 200.0, 240.0), SIZE), [150.0 / 640.0, 0.5]);
        let cut = foot(&BBox::new(300.0, 200.0, 340.0, 480.0), SIZE);
        assert!(zone(1, 0.0).polygon.contains(cut), "{cut:?}");
        let far = foot(&BBox::new(-50.0, 0.0, -10.0, 900.0), SIZE);
        assert!((0.0..=1.0).contains(&far[0]) && (0.0..1.0).contains(&far[1]));
        assert!(foot(&BBox::default(), Size::default())[0].is_finite());
    }

    #[test]
    fn coming_and_going_take_as_many_looks_as_the_inertia() {
        let xs = [0.1, 0.5, 0.1, 0.5, 0.5, 0.5, 0.1, 0.5, 0.1, 0.1, 0.1];
        let expected = [false, false, false, false, true, true, true, true, true, false, false];
        assert_eq!(counted(&zone(2, 0.0), 0, &xs), expected);
        assert_eq!(counted(&zone(1, 0.0), 0, &xs), xs.map(|x| x == 0.5));
        assert_eq!(counted(&zone(0, 0.0), 0, &xs), xs.map(|x| x == 0.5), "none is one");
    }

    #[test]
    fn who_passes_through_does_not_loiter() {
        let stays = counted(&zone(1, 1.0), 0, &[0.5; 8]);
        assert_eq!(stays.iter().position(|&there| there), Some(5), "after a second");
        assert!(
            counted(&zone(1, 1.0), 0, &[0.5, 0.5, 0.5, 0.1, 0.5, 0.5, 0.5, 0.1]).iter().all(|&there| !there)
        );
    }

    #[test]
    fn only_the_labels_that_are_named_count() {
        let people = Zone { classes: vec![true, false], ..zone(1, 0.0) };
        assert_eq!(counted(&people, 0, &[0.5]), [true]);
        assert_eq!(counted(&people, 1, &[0.5]), [false]);
        assert_eq!(counted(&people, 7, &[0.5]), [false], "a class that the model lacks");
    }

    #[test]
    fn nothing_is_in_a_zone_that_is_closed() {
        assert_eq!(counted(&Zone { open: false, ..zone(1, 0.0) }, 0, &[0.5, 0.5, 0.5]), [false; 3]);
    }

    fn crossings(line: &Line, points: &[[f32; 2]]) -> Vec<Direction> {
        let mut side = Side::default();
        points.iter().filter_map(|&point| side.look(line, 0, point)).collect()
    }

    #[test]
    fn a_line_is_crossed_one_way_or_the_other() {
        // From the lower edge up: to the right of who goes that way is the picture's right.
        let up = Line { from: [0.5, 0.9], to: [0.5, 0.1], classes: Vec::new() };
        assert_eq!(crossings(&up, &[[0.3, 0.5], [0.6, 0.5]]), [Direction::In]);
        assert_eq!(crossings(&up, &[[0.6, 0.5], [0.3, 0.5], [0.7, 0.6]]), [Direction::Out, Direction::In]);
        let down = Line { from: up.to, to: up.from, classes: Vec::new() };
        assert_eq!(crossings(&down, &[[0.3, 0.5], [0.6, 0.5]]), [Direction::Out]);
    }

    #[test]
    fn who_stands_on_a_line_does_not_cross_it_again_and_again() {
        let line = Line { from: [0.5, 0.9], to: [0.5, 0.1], classes: Vec::new() };
        let dithers: Vec<[f32; 2]> = (0..20).map(|n| [if n % 2 == 0 { 0.49 } else { 0.51 }, 0.5]).collect();
        assert_eq!(crossings(&line, &dithers), []);
        let over = [&[[0.4, 0.5]][..], &dithers, &[[0.6, 0.5]]].concat();
        assert_eq!(crossings(&line, &over), [Direction::In], "once, when it is over");
    }

    #[test]
    fn around_the_end_is_not_over_and_other_labels_do_not_count() {
        let line = Line { from: [0.5, 0.5], to: [0.5, 0.1], classes: vec![true] };
        assert_eq!(crossings(&line, &[[0.3, 0.8], [0.7, 0.8]]), []);
        assert_eq!(
            crossings(&line, &[[0.3, 0.3], [0.3, 0.8], [0.7, 0.8], [0.7, 0.3]]),
            [],
            "all the way around"
        );
        let mut side = Side::default();
        assert_eq!(side.look(&line, 1, [0.3, 0.3]), None);
        assert_eq!(side.look(&line, 1, [0.7, 0.3]), None);
        let point = Line { from: [0.5, 0.5], to: [0.5, 0.5], classes: Vec::new() };
        assert_eq!(crossings(&point, &[[0.3, 0.5], [0.7, 0.5]]), [], "no line at all");
    }
}
