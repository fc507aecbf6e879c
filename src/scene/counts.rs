//! How many objects of each class a camera sees, told only when it changes.

use std::time::Duration;

use crate::detector::Detection;

/// A class whose count changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Index into the model's names.
    pub class_id: u16,
    /// How many there are now.
    pub count: u32,
    /// How many there were.
    pub before: u32,
}

impl Change {
    /// Whether the class came (`Some(true)`) or went (`Some(false)`), or only its number changed.
    pub fn occupancy(&self) -> Option<bool> {
        (self.count.min(1) != self.before.min(1)).then_some(self.count > 0)
    }
}

/// The counts of one camera.
///
/// More objects count at once. Fewer count only when no frame of the last `hold` showed more, so that an object that
/// the model misses in one frame does not flicker; then the count falls to the most that was seen in that time.
#[derive(Clone, Debug)]
pub struct Counts {
    hold: Duration,
    classes: Vec<Class>,
    changes: Vec<Change>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Class {
    /// What was told.
    shown: u32,
    /// What this frame shows.
    seen: u32,
    /// When `shown` was last reached.
    reached: Duration,
    /// The most that was seen since then.
    most: u32,
}

impl Counts {
    /// For a model of that many classes, all of them unseen.
    pub fn new(classes: usize, hold: Duration) -> Counts {
        Counts { hold, classes: vec![Class::default(); classes], changes: Vec::with_capacity(classes) }
    }

    /// Takes in a frame's detections, captured at `at` on the monotonic clock; returns what changed by it. Allocates
    /// nothing. Classes that the model does not have are ignored.
    pub fn update(&mut self, at: Duration, detections: &[Detection]) -> &[Change] {
        for class in &mut self.classes {
            class.seen = 0;
        }
        for detection in detections {
            if let Some(class) = self.classes.get_mut(usize::from(detection.class_id)) {
                class.seen += 1;
            }
        }
        self.changes.clear();
        for (id, class) in self.classes.iter_mut().enumerate() {
            let before = class.shown;
            if class.seen >= class.shown {
                *class = Class { shown: class.seen, seen: class.seen, reached: at, most: 0 };
            } else {
                class.most = class.most.max(class.seen);
                if at.saturating_sub(class.reached) >= self.hold {
                    *class = Class { shown: class.most, seen: class.seen, reached: at, most: class.seen };
                }
            }
            if class.shown != before {
                // Detections carry 16 bits, so that no class beyond them is ever counted.
                let class_id = u16::try_from(id).unwrap_or(u16::MAX);
                self.changes.push(Change { class_id, count: class.shown, before });
            }
        }
        &self.changes
    }

    /// The camera is away, so that nothing is seen any more; returns what changed by it.
    pub fn clear(&mut self) -> &[Change] {
        self.changes.clear();
        for (id, class) in self.classes.iter_mut().enumerate() {
            if class.shown > 0 {
                let class_id = u16::try_from(id).unwrap_or(u16::MAX);
                self.changes.push(Change { class_id, count: 0, before: class.shown });
            }
            *class = Class::default();
        }
        &self.changes
    }

    /// How many of a class there are now.
    pub fn count(&self, class_id: u16) -> u32 {
        self.classes.get(usize::from(class_id)).map_or(0, |c| c.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::BBox;

    const HOLD: Duration = Duration::from_millis(1000);

    fn seen(class_ids: &[u16]) -> Vec<Detection> {
        class_ids.iter().map(|&class_id| Detection { class_id, score: 0.9, bbox: BBox::default() }).collect()
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn only_changes_are_told() {
        let mut counts = Counts::new(3, HOLD);
        assert_eq!(counts.update(at(0), &[]), []);
        assert_eq!(counts.update(at(100), &seen(&[1, 1])), [Change { class_id: 1, count: 2, before: 0 }]);
        assert_eq!(counts.update(at(200), &seen(&[1, 1])), []);
        let changes = counts.update(at(300), &seen(&[0, 1, 1, 1])).to_vec();
        let one = Change { class_id: 0, count: 1, before: 0 };
        assert_eq!(changes, [one, Change { class_id: 1, count: 3, before: 2 }]);
        assert_eq!(changes.iter().map(Change::occupancy).collect::<Vec<_>>(), [Some(true), None]);
    }

    #[test]
    fn a_missed_frame_does_not_flicker() {
        let mut counts = Counts::new(1, HOLD);
        counts.update(at(0), &seen(&[0, 0]));
        for ms in (200..5000).step_by(200) {
            let now = if ms % 400 == 0 { seen(&[0, 0]) } else { seen(&[]) };
            assert_eq!(counts.update(at(ms), &now), [], "at {ms} ms");
        }
    }

    #[test]
    fn what_goes_is_told_after_the_hold() {
        let mut counts = Counts::new(1, HOLD);
        counts.update(at(0), &seen(&[0, 0]));
        counts.update(at(500), &seen(&[0]));
        assert_eq!(counts.update(at(999), &[]), []);
        assert_eq!(
            counts.update(at(1000), &[]),
            [Change { class_id: 0, count: 1, before: 2 }],
            "one was seen lately"
        );
        assert_eq!(counts.update(at(1999), &[]), []);
        let gone = counts.update(at(2000), &[]).to_vec();
        assert_eq!(gone, [Change { class_id: 0, count: 0, before: 1 }]);
        assert_eq!(gone[0].occupancy(), Some(false));
    }

    #[test]
    fn a_camera_that_is_away_sees_nothing() {
        let mut counts = Counts::new(2, HOLD);
        counts.update(at(0), &seen(&[1]));
        assert_eq!(counts.clear(), [Change { class_id: 1, count: 0, before: 1 }]);
        assert_eq!(counts.clear(), []);
        assert_eq!(counts.update(at(1), &seen(&[1])).len(), 1, "and sees again at once");
    }

    #[test]
    fn classes_that_the_model_does_not_have_are_ignored() {
        let mut counts = Counts::new(1, HOLD);
        assert_eq!(counts.update(at(0), &seen(&[7])), []);
        assert_eq!(counts.count(7), 0);
    }
}
