//! The tracker in made worlds: what there is at a time, and how often it is looked at.

use super::*;

const SIZE: Size = Size::new(640, 480);
const PERSON: u16 = 0;
const CAR: u16 = 2;
const GOOD: [f32; 4] = [0.4; 4];

fn options() -> Options {
    Options {
        min_hits: 3,
        lost_after: Duration::from_secs(2),
        resting_lost_after: Duration::from_secs(10),
        stationary_after: Duration::from_secs(5),
        most: 64,
    }
}

fn person(x: f32, y: f32, score: f32) -> Detection {
    Detection { class_id: PERSON, score, bbox: BBox::new(x - 20.0, y - 50.0, x + 20.0, y + 50.0) }
}

fn seconds(s: f32) -> Duration {
    Duration::from_secs_f32(s)
}

/// A tracker that is shown a world: what there is at a time, in seconds.
struct Watch {
    tracker: Tracker,
    now: f32,
    ended: Vec<(u64, End)>,
}

impl Watch {
    fn new() -> Watch {
        Watch { tracker: Tracker::new(options()), now: 0.0, ended: Vec::new() }
    }

    fn look(&mut self, after: f32, detections: &[Detection]) {
        self.now += after;
        self.tracker.look(seconds(self.now), SIZE, detections, &GOOD);
        self.ended.extend(self.tracker.ended().iter().map(|(track, end)| (track.id(), *end)));
    }

    /// Looks at `world` so many times, every `step` seconds.
    fn watch(&mut self, looks: usize, step: f32, world: impl Fn(f32) -> Vec<Detection>) {
        for _ in 0..looks {
            let detections = world(self.now + step);
            self.look(step, &detections);
        }
    }

    /// The confirmed tracks' ids, each with the centre of its box.
    fn seen(&self) -> Vec<(u64, f32)> {
        let confirmed = self.tracker.tracks().iter().filter(|track| track.is_confirmed());
        confirmed.map(|track| (track.id(), 0.5 * (track.bbox().x1 + track.bbox().x2))).collect()
    }

    fn ids(&self) -> Vec<u64> {
        self.seen().into_iter().map(|(id, _)| id).collect()
    }
}

#[test]
fn an_object_keeps_its_id_at_every_rate() {
    for fps in [2.0, 3.0, 5.0, 10.0, 30.0] {
        let mut watch = Watch::new();
        // Half its height a second, as a person strolls.
        watch.watch((6.0 * fps) as usize, 1.0 / fps, |t| vec![person(100.0 + 50.0 * t, 240.0, 0.6)]);
        assert_eq!(watch.ids(), [1], "at {fps} frames a second");
        assert_eq!(watch.ended, [], "at {fps} frames a second");
    }
    let mut slow = Watch::new();
    slow.watch(8, 1.0, |t| vec![person(100.0 + 20.0 * t, 240.0, 0.6)]);
    assert_eq!(slow.ids(), [1]);
}

#[test]
fn uneven_looks_and_missed_ones_change_nothing() {
    let mut watch = Watch::new();
    for (n, step) in [0.2, 0.2, 0.1, 0.5, 0.2, 0.2, 0.9, 0.2, 0.4, 0.1, 0.1, 1.0, 0.2].into_iter().enumerate()
    {
        let there = [person(100.0 + 60.0 * (watch.now + step), 240.0, 0.6)];
        watch.look(step, if n % 5 == 4 { &[] } else { &there });
    }
    assert_eq!(watch.ids(), [1]);
}

#[test]
fn nobody_is_believed_before_the_third_look() {
    let mut watch = Watch::new();
    watch.watch(2, 0.2, |_| vec![person(100.0, 240.0, 0.9)]);
    assert_eq!(watch.ids(), [0; 0]);
    assert_eq!(watch.tracker.tracks().len(), 1);
    watch.watch(1, 0.2, |_| vec![person(100.0, 240.0, 0.9)]);
    assert_eq!(watch.ids(), [1]);
    // What flares up once in a while never is.
    let mut noise = Watch::new();
    for n in 0..60 {
        let flare = [person(100.0 + 90.0 * (n % 6) as f32, 240.0, 0.9)];
        noise.look(0.2, if n % 3 == 0 { &flare } else { &[] });
    }
    assert_eq!((noise.ids(), noise.tracker.next_id), (vec![], 1));
}

#[test]
fn weak_boxes_prolong_a_track_and_begin_none() {
    let mut watch = Watch::new();
    watch.watch(20, 0.2, |_| vec![person(100.0, 240.0, 0.2)]);
    assert!(watch.tracker.tracks().is_empty());
    watch.watch(5, 0.2, |_| vec![person(100.0, 240.0, 0.6)]);
    watch.watch(60, 0.2, |_| vec![person(101.0, 240.0, 0.15), person(400.0, 240.0, 0.3)]);
    assert_eq!(watch.ids(), [1], "twelve seconds of weak boxes");
    let unknown = Detection { class_id: 9, ..person(300.0, 240.0, 0.99) };
    watch.watch(5, 0.2, |_| vec![unknown]);
    assert!(
        watch.tracker.tracks().iter().all(|track| track.class_id() == PERSON),
        "a class without a threshold"
    );
}

#[test]
fn two_who_cross_keep_their_ids() {
    let world = |t: f32| {
        let (a, b) = (person(100.0 + 80.0 * t, 230.0, 0.7), person(500.0 - 80.0 * t, 245.0, 0.6));
        // Whoever is behind is not seen while they overlap much.
        if a.bbox.iou(&b.bbox) > 0.3 { vec![a] } else { vec![a, b] }
    };
    for fps in [5.0, 10.0, 25.0] {
        let mut watch = Watch::new();
        watch.watch((5.0 * fps) as usize, 1.0 / fps, world);
        let mut seen = watch.seen();
        seen.sort_by_key(|(id, _)| *id);
        assert_eq!(seen.len(), 2, "at {fps} frames a second: {seen:?}");
        let right_way = seen[0].1 > 400.0 && seen[1].1 < 200.0;
        let (first, second) = (&seen[0], &seen[1]);
        assert!(right_way && (first.0, second.0) == (1, 2), "at {fps} frames a second: {seen:?}");
    }
}

#[test]
fn who_was_hidden_for_a_moment_is_found_again() {
    let mut watch = Watch::new();
    // A pillar hides what is between 250 and 330.
    watch.watch(40, 0.2, |t| {
        let x = 100.0 + 60.0 * t;
        if (250.0..330.0).contains(&x) { vec![] } else { vec![person(x, 240.0, 0.6)] }
    });
    assert_eq!((watch.ids(), &watch.ended[..]), (vec![1], &[][..]));
}

#[test]
fn who_walks_out_has_left_and_who_vanishes_is_lost() {
    let mut out = Watch::new();
    out.watch(40, 0.2, |t| {
        let x = 400.0 + 80.0 * t;
        let mut there = person(x, 240.0, 0.6);
        there.bbox = there.bbox.clamp(SIZE);
        if there.bbox.width() > 4.0 { vec![there] } else { vec![] }
    });
    assert_eq!(out.ended, [(1, End::Left)]);
    let mut vanishes = Watch::new();
    vanishes.watch(40, 0.2, |t| if t < 4.0 { vec![person(300.0, 240.0, 0.6)] } else { vec![] });
    assert_eq!(vanishes.ended, [(1, End::Lost)]);
}

#[test]
fn time_alone_ends_a_track_too() {
    let mut watch = Watch::new();
    watch.watch(5, 0.2, |_| vec![person(300.0, 240.0, 0.6)]);
    watch.watch(1, 0.2, |_| vec![]);
    watch.tracker.tick(seconds(60.0));
    assert!(watch.tracker.ended().is_empty(), "one look is not enough, however long ago");
    watch.watch(1, 0.2, |_| vec![]);
    watch.tracker.tick(seconds(2.9));
    assert!(watch.tracker.ended().is_empty());
    watch.tracker.tick(seconds(3.1));
    assert_eq!(watch.tracker.ended().len(), 1);
    watch.tracker.tick(seconds(3.2));
    assert!(watch.tracker.ended().is_empty(), "once");
}

#[test]
fn what_rests_is_waited_for_longer() {
    let car = |score| Detection { class_id: CAR, score, bbox: BBox::new(200.0, 200.0, 400.0, 300.0) };
    let mut watch = Watch::new();
    watch.watch(30, 0.2, |_| vec![car(0.6)]);
    assert!(watch.tracker.tracks()[0].is_stationary(options().stationary_after));
    watch.watch(40, 0.2, |_| vec![]);
    assert_eq!(watch.ids(), [1], "eight seconds without it");
    watch.watch(3, 0.2, |_| vec![car(0.6)]);
    assert_eq!((watch.ids(), &watch.ended[..]), (vec![1], &[][..]));
    watch.watch(60, 0.2, |_| vec![]);
    assert_eq!(watch.ended, [(1, End::Lost)]);
}

#[test]
fn a_label_that_flickers_is_no_other_object() {
    let animal = |class_id, score| Detection { class_id, score, bbox: BBox::new(100.0, 100.0, 200.0, 180.0) };
    let mut watch = Watch::new();
    for n in 0..40 {
        // Now a dog, now a cat, now both at once.
        let (dog, cat) = (animal(1, 0.6), animal(3, 0.5));
        match n % 5 {
            0 => watch.look(0.2, &[cat]),
            1 => watch.look(0.2, &[dog, cat]),
            _ => watch.look(0.2, &[dog]),
        }
        assert!(watch.tracker.tracks().len() <= 1, "look {n}");
    }
    assert_eq!(watch.tracker.tracks()[0].class_id(), 1);
    // A person before a car is two objects, however much they overlap.
    let mut two = Watch::new();
    let car = Detection { class_id: CAR, score: 0.7, bbox: BBox::new(100.0, 100.0, 300.0, 240.0) };
    two.watch(5, 0.2, |_| vec![car, person(200.0, 180.0, 0.6)]);
    assert_eq!(two.ids().len(), 2);
}

#[test]
fn a_camera_that_is_away_ends_everything_and_ids_go_on() {
    let mut watch = Watch::new();
    watch.watch(5, 0.2, |_| vec![person(300.0, 240.0, 0.6)]);
    watch.tracker.stop();
    assert_eq!(watch.tracker.ended().len(), 1);
    watch.watch(5, 0.2, |_| vec![person(300.0, 240.0, 0.6)]);
    assert_eq!(watch.ids(), [2]);
    // So does a pause that nobody noticed.
    watch.look(3600.0, &[person(300.0, 240.0, 0.6)]);
    assert_eq!(watch.ended, [(2, End::Lost)]);
}

#[test]
fn there_are_never_more_than_the_bound_and_time_may_stand_still_or_jump() {
    let mut watch = Watch::new();
    let crowd: Vec<Detection> =
        (0..400).map(|n| person(10.0 + (n % 20) as f32 * 32.0, 20.0 + (n / 20) as f32 * 24.0, 0.9)).collect();
    watch.watch(5, 0.2, |_| crowd.clone());
    assert_eq!(watch.tracker.tracks().len(), options().most);
    watch.tracker.look(seconds(0.1), SIZE, &crowd, &GOOD);
    watch.tracker.look(seconds(0.1), SIZE, &crowd, &GOOD);
    assert!(watch.tracker.tracks().len() <= options().most);
    watch.tracker.look(Duration::MAX, SIZE, &crowd, &GOOD);
    watch.tracker.tick(Duration::ZERO);
    let odd = Detection { class_id: PERSON, score: f32::NAN, bbox: BBox::new(f32::NAN, 0.0, 9.0, 9.0) };
    watch.tracker.look(Duration::MAX, SIZE, &[odd; 3], &GOOD);
}
