//! How many objects of each class a camera sees, told only when it changes, and never on the word of one frame.

use std::time::Duration;

use super::Fact;
use crate::detector::Detection;

/// So many looks must agree that there are fewer, or that there are none after a start, however long they take: at one
/// look in ten seconds a single miss would otherwise outlast any hold.
const LOOKS: u32 = 3;

/// The counts of one camera.
///
/// More objects count at once. Fewer count when no look of the last `hold` showed more, and at least three looks
/// agreed; then the count falls to the most that was seen in that time.
///
/// After a start nothing is told until the camera has been looked at for `hold`, and three times at least; then
/// everything is told once, so that a restart with a person in view is no arrival, and no leaving either.
#[derive(Clone, Debug)]
pub struct Counts {
    hold: Duration,
    classes: Vec<Class>,
    telling: Telling,
}

/// Whether subscribers were told what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    /// There was no look yet, or none since the camera was lost.
    NotLooked,
    /// Looking since then, so many times, and nothing told yet.
    Looking { since: Duration, looks: u32 },
    /// All was told; from now on, what changes.
    Changes,
}

#[derive(Clone, Copy, Debug, Default)]
struct Class {
    /// How many there are.
    count: u32,
    /// What this look shows.
    seen: u32,
    /// What there were fewer of, as long as there were fewer in every look.
    fewer: Option<Fewer>,
}

/// A run of looks that all showed fewer than the count.
#[derive(Clone, Copy, Debug)]
struct Fewer {
    /// The last look that showed the count, or the first one after a loss.
    since: Duration,
    /// How many looks it is long.
    looks: u32,
    /// The most that any of them showed.
    most: u32,
}

impl Counts {
    /// For a model of that many classes, nothing known of any of them.
    pub fn new(classes: usize, hold: Duration) -> Counts {
        Counts { hold, classes: vec![Class::default(); classes], telling: Telling::NotLooked }
    }

    /// Takes in a look's detections, captured at `at` on the monotonic clock. Classes that the model does not have are
    /// ignored.
    pub fn look(&mut self, at: Duration, detections: &[Detection], facts: &mut Vec<Fact>) {
        for class in &mut self.classes {
            class.seen = 0;
        }
        for detection in detections {
            if let Some(class) = self.classes.get_mut(usize::from(detection.class_id)) {
                class.seen += 1;
            }
        }
        self.telling = match self.telling {
            Telling::NotLooked => Telling::Looking { since: at, looks: 1 },
            Telling::Looking { since, looks } => Telling::Looking { since, looks: looks.saturating_add(1) },
            Telling::Changes => Telling::Changes,
        };
        let telling = self.telling == Telling::Changes;
        for (class_id, class) in (0u16..).zip(&mut self.classes) {
            let before = class.count;
            class.look(at, self.hold);
            if telling && class.count != before {
                class.tell(class_id, Some(before), facts);
            }
        }
        self.tick(at, facts);
    }

    /// The camera is away. The counts stay: they are old, not wrong. Time that nobody looked counts for nothing.
    pub fn lost(&mut self) {
        for class in &mut self.classes {
            class.fewer = None;
        }
        if self.telling != Telling::Changes {
            self.telling = Telling::NotLooked;
        }
    }

    /// Tells everything once when the camera has been looked at for long enough.
    pub fn tick(&mut self, now: Duration, facts: &mut Vec<Fact>) {
        let Telling::Looking { since, looks } = self.telling else { return };
        if looks < LOOKS || now.saturating_sub(since) < self.hold {
            return;
        }
        self.telling = Telling::Changes;
        for (class_id, class) in (0u16..).zip(&self.classes) {
            class.tell(class_id, None, facts);
        }
    }
}

impl Class {
    fn look(&mut self, at: Duration, hold: Duration) {
        if self.seen >= self.count {
            *self = Class {
                count: self.seen,
                seen: self.seen,
                fewer: Some(Fewer { since: at, looks: 0, most: 0 }),
            };
            return;
        }
        let fewer = self.fewer.get_or_insert(Fewer { since: at, looks: 0, most: 0 });
        fewer.looks += 1;
        fewer.most = fewer.most.max(self.seen);
        if fewer.looks >= LOOKS && at.saturating_sub(fewer.since) >= hold {
            let most = fewer.most;
            *self = Class {
                count: most,
                seen: self.seen,
                fewer: Some(Fewer { since: at, looks: 0, most: self.seen }),
            };
        }
    }

    /// Says how many there are, and whether there are any unless that was said `before`.
    fn tell(&self, class_id: u16, before: Option<u32>, facts: &mut Vec<Fact>) {
        facts.push(Fact::Count { class_id, count: self.count });
        let occupied = self.count > 0;
        if before.is_none_or(|before| (before > 0) != occupied) {
            facts.push(Fact::Occupancy { class_id, occupied });
        }
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

    fn count(class_id: u16, count: u32) -> Fact {
        Fact::Count { class_id, count }
    }

    fn occupancy(class_id: u16, occupied: bool) -> Fact {
        Fact::Occupancy { class_id, occupied }
    }

    /// What a look says.
    fn look(counts: &mut Counts, ms: u64, class_ids: &[u16]) -> Vec<Fact> {
        let mut facts = Vec::new();
        counts.look(at(ms), &seen(class_ids), &mut facts);
        facts
    }

    /// Counts of a camera that was looked at, and saw nothing, until 10 s.
    fn settled(classes: usize, hold: Duration) -> Counts {
        let mut counts = Counts::new(classes, hold);
        counts.look(at(10_000) - hold, &[], &mut Vec::new());
        counts.look(at(10_000) - hold, &[], &mut Vec::new());
        assert_eq!(look(&mut counts, 10_000, &[]).len(), 2 * classes, "everything was told");
        counts
    }

    #[test]
    fn only_changes_are_told() {
        let mut counts = settled(3, HOLD);
        assert_eq!(look(&mut counts, 10_100, &[]), []);
        assert_eq!(look(&mut counts, 10_200, &[1, 1]), [count(1, 2), occupancy(1, true)]);
        assert_eq!(look(&mut counts, 10_300, &[1, 1]), []);
        assert_eq!(look(&mut counts, 10_400, &[0, 1, 1, 1]), [count(0, 1), occupancy(0, true), count(1, 3)]);
    }

    #[test]
    fn a_missed_frame_does_not_flicker() {
        let mut counts = settled(1, HOLD);
        look(&mut counts, 10_100, &[0, 0]);
        for ms in (10_200..15_000).step_by(200) {
            let now: &[u16] = if ms % 400 == 0 { &[0, 0] } else { &[] };
            assert_eq!(look(&mut counts, ms, now), [], "at {ms} ms");
        }
    }

    #[test]
    fn one_miss_switches_nothing_off_however_seldom_the_looks() {
        let mut counts = settled(1, HOLD);
        look(&mut counts, 20_000, &[0]);
        assert_eq!(look(&mut counts, 22_500, &[]), [], "one look, longer ago than the hold");
        assert_eq!(look(&mut counts, 25_000, &[]), [], "two");
        assert_eq!(look(&mut counts, 27_500, &[0]), [], "it was there all the time");
        assert_eq!(look(&mut counts, 30_000, &[]), []);
        assert_eq!(look(&mut counts, 32_500, &[]), []);
        assert_eq!(look(&mut counts, 35_000, &[]), [count(0, 0), occupancy(0, false)], "three looks agree");
    }

    #[test]
    fn what_goes_is_told_after_the_hold() {
        let mut counts = settled(1, HOLD);
        look(&mut counts, 20_000, &[0, 0]);
        for ms in (20_100..21_000).step_by(100) {
            assert_eq!(look(&mut counts, ms, if ms == 20_500 { &[0] } else { &[] }), [], "at {ms} ms");
        }
        assert_eq!(look(&mut counts, 21_000, &[]), [count(0, 1)], "one was seen lately");
        for ms in (21_100..22_000).step_by(100) {
            assert_eq!(look(&mut counts, ms, &[]), [], "at {ms} ms");
        }
        assert_eq!(look(&mut counts, 22_000, &[]), [count(0, 0), occupancy(0, false)]);
    }

    #[test]
    fn after_a_start_everything_is_told_once_and_not_before_the_hold() {
        let mut counts = Counts::new(2, HOLD);
        assert_eq!(look(&mut counts, 0, &[1]), []);
        assert_eq!(look(&mut counts, 500, &[1]), []);
        let all = [count(0, 0), occupancy(0, false), count(1, 1), occupancy(1, true)];
        assert_eq!(look(&mut counts, 1000, &[]), all, "one miss is no leaving at the start either");
        assert_eq!(look(&mut counts, 1100, &[1]), []);
    }

    #[test]
    fn time_tells_too_when_looks_are_few() {
        let mut counts = Counts::new(1, HOLD);
        let mut facts = Vec::new();
        counts.tick(at(50_000), &mut facts);
        assert_eq!(facts, [], "nobody has looked");
        for ms in [60_000, 60_100, 60_200] {
            counts.look(at(ms), &seen(&[0]), &mut facts);
        }
        counts.tick(at(60_999), &mut facts);
        assert_eq!(facts, []);
        counts.tick(at(61_000), &mut facts);
        counts.tick(at(62_000), &mut facts);
        assert_eq!(facts, [count(0, 1), occupancy(0, true)], "once");
    }

    #[test]
    fn one_miss_after_a_start_is_no_empty_room_however_seldom_the_looks() {
        let mut counts = Counts::new(1, HOLD);
        assert_eq!(look(&mut counts, 0, &[]), []);
        let mut facts = Vec::new();
        counts.tick(at(9000), &mut facts);
        assert_eq!(facts, [], "one look, longer ago than the hold");
        assert_eq!(look(&mut counts, 10_000, &[0]), []);
        assert_eq!(look(&mut counts, 20_000, &[]), [count(0, 1), occupancy(0, true)]);
    }

    #[test]
    fn a_loss_changes_no_count_and_its_time_is_no_looking() {
        let mut counts = settled(1, HOLD);
        look(&mut counts, 20_000, &[0]);
        look(&mut counts, 20_500, &[]);
        look(&mut counts, 20_600, &[]);
        counts.lost();
        let mut facts = Vec::new();
        counts.tick(at(300_000), &mut facts);
        assert_eq!(facts, [], "old, and not corrected by a guess");
        assert_eq!(look(&mut counts, 300_000, &[]), [], "the first look afterwards");
        assert_eq!(look(&mut counts, 300_500, &[]), []);
        assert_eq!(look(&mut counts, 300_999, &[]), []);
        assert_eq!(look(&mut counts, 301_000, &[]), [count(0, 0), occupancy(0, false)]);
    }

    #[test]
    fn a_loss_before_the_first_word_begins_the_wait_anew() {
        let mut counts = Counts::new(1, HOLD);
        look(&mut counts, 0, &[0]);
        counts.lost();
        let mut facts = Vec::new();
        counts.tick(at(5000), &mut facts);
        assert_eq!(facts, []);
        assert_eq!(look(&mut counts, 9000, &[0]), []);
        assert_eq!(look(&mut counts, 9500, &[0]), []);
        assert_eq!(look(&mut counts, 10_000, &[0]), [count(0, 1), occupancy(0, true)]);
    }

    #[test]
    fn classes_that_the_model_does_not_have_are_ignored() {
        let mut counts = settled(1, HOLD);
        assert_eq!(look(&mut counts, 10_100, &[7]), []);
    }
}
