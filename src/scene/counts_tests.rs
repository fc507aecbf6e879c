//! Counts of objects that are there, look by look.

use std::time::SystemTime;

use super::*;
use crate::clock::Moment;
use crate::geometry::BBox;
use crate::scene::path::Path;

const HOLD: Duration = Duration::from_millis(1000);
const AT_ONCE: Settling = Settling { looks: 1, time: Duration::ZERO };

fn object(class_id: u16, zones: &[usize], stationary: bool) -> Object {
    let seen = Moment { monotonic: Duration::ZERO, wall: SystemTime::UNIX_EPOCH };
    Object {
        id: 1,
        class_id,
        score: 0.9,
        top_score: 0.9,
        bbox: BBox::default(),
        top_bbox: BBox::default(),
        zones: zones.to_vec(),
        entered: Vec::new(),
        lines: Vec::new(),
        first_seen: seen,
        last_seen: seen,
        stationary,
        path: Path::new([0.5, 0.5]),
        speed: 0.0,
        view: None,
    }
}

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn count(class_id: u16, count: u32) -> Fact {
    Fact::Count { place: Place::Camera, class_id, count }
}

fn active(class_id: u16, count: u32) -> Fact {
    Fact::Active { place: Place::Camera, class_id, count }
}

fn occupancy(class_id: u16, occupied: bool) -> Fact {
    Fact::Occupancy { place: Place::Camera, class_id, occupied }
}

/// All that is said of a class when so many of its objects are there and move, and there were none before, or all have gone.
fn all(class_id: u16, n: u32) -> [Fact; 3] {
    [count(class_id, n), active(class_id, n), occupancy(class_id, n > 0)]
}

/// What a look at moving objects says.
fn look(counts: &mut Counts, ms: u64, class_ids: &[u16]) -> Vec<Fact> {
    let objects: Vec<Object> = class_ids.iter().map(|&class_id| object(class_id, &[], false)).collect();
    look_at(counts, ms, &objects)
}

fn look_at(counts: &mut Counts, ms: u64, objects: &[Object]) -> Vec<Fact> {
    let mut facts = Vec::new();
    counts.look(at(ms), objects.iter(), &mut facts);
    facts
}

/// Counts of a camera that was looked at, and saw nothing, until 10 s.
fn settled(classes: usize, hold: Duration) -> Counts {
    let mut counts = Counts::new(classes, hold, AT_ONCE);
    for ms in [10_000 - hold.as_millis() as u64; 2] {
        assert_eq!(look(&mut counts, ms, &[]), []);
    }
    assert_eq!(look(&mut counts, 10_000, &[]).len(), 3 * classes, "everything was told");
    counts
}

#[test]
fn only_changes_are_told() {
    let mut counts = settled(3, HOLD);
    assert_eq!(look(&mut counts, 10_100, &[]), []);
    assert_eq!(look(&mut counts, 10_200, &[1, 1]), all(1, 2));
    assert_eq!(look(&mut counts, 10_300, &[1, 1]), []);
    let more = [&all(0, 1)[..], &[count(1, 3), active(1, 3)]].concat();
    assert_eq!(look(&mut counts, 10_400, &[0, 1, 1, 1]), more);
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
    assert_eq!(look(&mut counts, 35_000, &[]), all(0, 0), "three looks agree");
}

#[test]
fn what_goes_is_told_after_the_hold() {
    let mut counts = settled(1, HOLD);
    look(&mut counts, 20_000, &[0, 0]);
    for ms in (20_100..21_000).step_by(100) {
        assert_eq!(look(&mut counts, ms, if ms == 20_500 { &[0] } else { &[] }), [], "at {ms} ms");
    }
    assert_eq!(look(&mut counts, 21_000, &[]), [count(0, 1), active(0, 1)], "one was seen lately");
    for ms in (21_100..22_000).step_by(100) {
        assert_eq!(look(&mut counts, ms, &[]), [], "at {ms} ms");
    }
    assert_eq!(look(&mut counts, 22_000, &[]), all(0, 0));
}

#[test]
fn what_rests_is_there_and_not_active() {
    let mut counts = settled(1, HOLD);
    assert_eq!(look(&mut counts, 20_000, &[0]), all(0, 1));
    let parked = [object(0, &[], true)];
    for ms in [20_400, 20_800] {
        assert_eq!(look_at(&mut counts, ms, &parked), []);
    }
    assert_eq!(look_at(&mut counts, 21_200, &parked), [active(0, 0)]);
    assert_eq!(look(&mut counts, 21_600, &[0]), [active(0, 1)], "it moves on");
}

#[test]
fn zones_count_for_themselves() {
    let slow = Settling { looks: 5, time: Duration::ZERO };
    let mut counts =
        Counts::new(2, HOLD, AT_ONCE).with_zone(slow, vec![]).with_zone(AT_ONCE, vec![true, false]);
    let said = |facts: &[Fact]| {
        let place = |fact: &Fact| match fact {
            Fact::Count { place, class_id, count } => Some((*place, *class_id, *count)),
            _ => None,
        };
        facts.iter().filter_map(place).collect::<Vec<_>>()
    };
    let there = [object(0, &[0, 1], false), object(1, &[1], false), object(0, &[], false)];
    let mut facts = Vec::new();
    for ms in [0, 500, 1000] {
        facts = look_at(&mut counts, ms, &there);
    }
    let (camera, first, second) = (Place::Camera, Place::Zone(0), Place::Zone(1));
    assert_eq!(said(&facts), [(camera, 0, 2), (camera, 1, 1), (second, 0, 1)], "not of every label");
    assert_eq!(look_at(&mut counts, 1500, &there), []);
    facts = look_at(&mut counts, 2000, &there);
    assert_eq!(said(&facts), [(first, 0, 1), (first, 1, 0)], "when an object could count there");
    let gone = [object(0, &[1], false), object(1, &[9], false), object(0, &[], false)];
    facts.clear();
    for ms in [2500, 3000, 3500] {
        facts.extend(look_at(&mut counts, ms, &gone));
    }
    assert_eq!(said(&facts), [(first, 0, 0)], "and a zone that there is not counts nothing");
}

#[test]
fn who_has_to_loiter_is_waited_for() {
    let slow = Settling { looks: 3, time: Duration::from_secs(5) };
    let mut counts = Counts::new(1, HOLD, AT_ONCE).with_zone(slow, vec![]);
    let zone =
        |facts: Vec<Fact>| facts.iter().any(|fact| matches!(fact, Fact::Count { place: Place::Zone(0), .. }));
    for ms in (0..5400).step_by(200) {
        assert!(!zone(look(&mut counts, ms, &[0])), "at {ms} ms");
    }
    assert!(zone(look(&mut counts, 5400, &[0])), "three looks and five seconds");
}

#[test]
fn after_a_start_everything_is_told_once_and_not_before_the_hold() {
    let mut counts = Counts::new(2, HOLD, AT_ONCE);
    assert_eq!(look(&mut counts, 0, &[1]), []);
    assert_eq!(look(&mut counts, 500, &[1]), []);
    let both = [all(0, 0), all(1, 1)].concat();
    assert_eq!(look(&mut counts, 1000, &[]), both, "one miss is no leaving at the start either");
    assert_eq!(look(&mut counts, 1100, &[1]), []);
}

#[test]
fn time_tells_too_when_looks_are_few() {
    let mut counts = Counts::new(1, HOLD, AT_ONCE);
    let mut facts = Vec::new();
    counts.tick(at(50_000), &mut facts);
    assert_eq!(facts, [], "nobody has looked");
    for ms in [60_000, 60_100, 60_200] {
        assert_eq!(look(&mut counts, ms, &[0]), []);
    }
    counts.tick(at(60_999), &mut facts);
    assert_eq!(facts, []);
    counts.tick(at(61_000), &mut facts);
    counts.tick(at(62_000), &mut facts);
    assert_eq!(facts, all(0, 1), "once");
}

#[test]
fn one_miss_after_a_start_is_no_empty_room_however_seldom_the_looks() {
    let mut counts = Counts::new(1, HOLD, AT_ONCE);
    assert_eq!(look(&mut counts, 0, &[]), []);
    let mut facts = Vec::new();
    counts.tick(at(9000), &mut facts);
    assert_eq!(facts, [], "one look, longer ago than the hold");
    assert_eq!(look(&mut counts, 10_000, &[0]), []);
    assert_eq!(look(&mut counts, 20_000, &[]), all(0, 1));
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
    assert_eq!(look(&mut counts, 301_000, &[]), all(0, 0));
}

#[test]
fn after_a_loss_nothing_falls_before_it_could_be_there_again() {
    let mut counts = Counts::new(1, HOLD, Settling { looks: 5, time: Duration::ZERO });
    for ms in (0..=2000).step_by(500) {
        look(&mut counts, ms, &[0]);
    }
    counts.lost();
    for ms in (60_000..100_000).step_by(10_000) {
        assert_eq!(look(&mut counts, ms, &[]), [], "at {ms} ms: it has to be believed anew");
    }
    assert_eq!(look(&mut counts, 100_000, &[0]), [], "it was there all the time");
}

#[test]
fn a_loss_before_the_first_word_begins_the_wait_anew() {
    let mut counts = Counts::new(1, HOLD, AT_ONCE);
    look(&mut counts, 0, &[0]);
    counts.lost();
    let mut facts = Vec::new();
    counts.tick(at(5000), &mut facts);
    assert_eq!(facts, []);
    assert_eq!(look(&mut counts, 9000, &[0]), []);
    assert_eq!(look(&mut counts, 9500, &[0]), []);
    assert_eq!(look(&mut counts, 10_000, &[0]), all(0, 1));
}

#[test]
fn classes_that_the_model_does_not_have_are_ignored() {
    let mut counts = settled(1, HOLD);
    assert_eq!(look(&mut counts, 10_100, &[7]), []);
}

#[test]
fn a_zone_that_is_closed_is_empty_at_once_and_says_so() {
    let zone = |fact: [Fact; 3]| {
        fact.map(|fact| match fact {
            Fact::Count { class_id, count, .. } => Fact::Count { place: Place::Zone(0), class_id, count },
            Fact::Active { class_id, count, .. } => Fact::Active { place: Place::Zone(0), class_id, count },
            Fact::Occupancy { class_id, occupied, .. } => {
                Fact::Occupancy { place: Place::Zone(0), class_id, occupied }
            }
            other => other,
        })
    };
    let close = |counts: &mut Counts, zone: usize| {
        let mut facts = Vec::new();
        counts.close(zone, &mut facts);
        facts
    };
    let mut counts = Counts::new(2, HOLD, AT_ONCE).with_zone(AT_ONCE, vec![true, false]);
    assert_eq!(close(&mut counts, 0), zone(all(0, 0)), "before anybody has looked: it is known without");
    assert_eq!(close(&mut counts, 0), [], "once");
    assert_eq!(close(&mut counts, 7), [], "there is none");
    for ms in [10_000, 10_500, 11_000] {
        look_at(&mut counts, ms, &[]);
    }
    let inside = look_at(&mut counts, 11_100, &[object(0, &[0], false), object(1, &[0], false)]);
    assert!(zone(all(0, 1)).iter().all(|fact| inside.contains(fact)), "{inside:?}");
    assert_eq!(close(&mut counts, 0), zone(all(0, 0)), "whoever stands there, and without any hold");
}
