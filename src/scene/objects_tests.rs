//! Objects of a made world, five looks a second.

use std::time::SystemTime;

use super::*;
use crate::detector::Detection;
use crate::geometry::Polygon;
use crate::tracker;

const SIZE: Size = Size::new(640, 480);

fn moment(seconds: f32) -> Moment {
    let monotonic = Duration::from_secs_f32(seconds);
    Moment { monotonic, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + monotonic }
}

fn options() -> Options {
    Options {
        filters: Vec::new(),
        zones: Vec::new(),
        lines: Vec::new(),
        ignored: Vec::new(),
        update_every: Duration::from_secs(1),
        stationary_after: Duration::from_secs(5),
    }
}

/// The right half of the picture.
fn right() -> Zone {
    let corners = vec![[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]];
    let polygon = Polygon::new(corners).unwrap();
    Zone { polygon, classes: Vec::new(), inertia: 2, loitering: Duration::ZERO, open: true }
}

fn person(x: f32, score: f32) -> Detection {
    Detection { class_id: 0, score, bbox: BBox::new(x - 20.0, 190.0, x + 20.0, 290.0) }
}

/// A tracker and objects that are shown a world five times a second, and what was told.
struct Watch {
    tracker: Tracker,
    objects: Objects,
    now: f32,
    told: Vec<(Happened, Object)>,
}

impl Watch {
    fn new(options: Options) -> Watch {
        let tracker = Tracker::new(tracker::Options::default());
        Watch { tracker, objects: Objects::new(options), now: 0.0, told: Vec::new() }
    }

    fn watch(&mut self, looks: usize, world: impl Fn(f32) -> Vec<Detection>) {
        for _ in 0..looks {
            self.now += 0.2;
            let at = moment(self.now);
            self.tracker.look(at.monotonic, SIZE, &world(self.now), &[0.4; 4]);
            let told = &mut self.told;
            self.objects.look(at, SIZE, &self.tracker, &|_| None, |happened, object| {
                told.push((happened, object.clone()))
            });
        }
    }

    fn happened(&self) -> Vec<Happened> {
        self.told.iter().map(|(happened, _)| *happened).collect()
    }
}

#[test]
fn an_object_is_new_once_and_ends_once_with_its_times() {
    let mut watch = Watch::new(options());
    watch.watch(10, |_| vec![person(300.0, 0.6)]);
    assert_eq!(watch.happened(), [Happened::New]);
    assert_eq!(watch.objects.present().count(), 1);
    watch.watch(20, |_| vec![]);
    assert_eq!(watch.happened(), [Happened::New, Happened::End(Reason::Lost)]);
    let (_, object) = &watch.told[1];
    let off = |is: Moment, seconds: f32| is.monotonic.abs_diff(moment(seconds).monotonic);
    assert!(off(object.first_seen, 0.2) < Duration::from_millis(1), "before it was believed");
    assert!(off(object.last_seen, 2.0) < Duration::from_millis(1), "before it was given up");
    assert_eq!(object.first_seen.wall, moment(0.0).wall + object.first_seen.monotonic);
    assert_eq!(watch.objects.present().count(), 0);
}

#[test]
fn what_changes_is_told_and_a_box_that_moves_is_not() {
    let options = Options { zones: vec![right()], update_every: Duration::ZERO, ..options() };
    let mut watch = Watch::new(options);
    watch.watch(30, |t| vec![person(200.0 + 40.0 * t, 0.6)]);
    assert_eq!(watch.happened(), [Happened::New, Happened::Update], "six seconds of walking, into a zone");
    let (_, object) = &watch.told[1];
    assert_eq!((&object.zones[..], &object.entered[..]), (&[0][..], &[0][..]));
    assert!(watch.told[0].1.zones.is_empty());
    assert!((0.8..1.2).contains(&object.speed), "a width a second: {}", object.speed);
    watch.watch(30, |t| vec![person(200.0 + 40.0 * (12.0 - t), 0.6)]);
    let (_, object) = watch.told.last().unwrap();
    assert_eq!((&object.zones[..], &object.entered[..]), (&[][..], &[0][..]), "it was there");
    assert!(object.path.points().count() > 5);
}

#[test]
fn a_line_that_is_crossed_is_told() {
    let line = Line { from: [0.5, 0.9], to: [0.5, 0.1], classes: Vec::new() };
    let mut watch = Watch::new(Options { lines: vec![line], ..options() });
    watch.watch(30, |t| vec![person(200.0 + 40.0 * t, 0.6)]);
    let (happened, object) = watch.told.last().unwrap();
    assert_eq!(*happened, Happened::Update);
    assert_eq!(object.lines, [Crossed { line: 0, direction: Direction::In }]);
}

#[test]
fn updates_keep_their_distance_and_none_is_lost() {
    let flicker = |t: f32| vec![person(300.0 + 80.0 * (2.0 * t).sin(), 0.6)];
    let often = Options { zones: vec![right()], update_every: Duration::from_secs(2), ..options() };
    let mut watch = Watch::new(often);
    watch.watch(100, flicker);
    let updates: Vec<&(Happened, Object)> =
        watch.told.iter().filter(|(happened, _)| *happened == Happened::Update).collect();
    assert!((5..=10).contains(&updates.len()), "{} in 20 seconds", updates.len());
    for pair in updates.windows(2) {
        assert!(pair[1].1.last_seen.monotonic - pair[0].1.last_seen.monotonic >= Duration::from_secs(2));
    }
    // What happens just after one is told when it is time, though nothing else happens.
    let mut late =
        Watch::new(Options { zones: vec![right()], update_every: Duration::from_secs(5), ..options() });
    late.watch(50, |t| vec![person(if t < 1.0 { 250.0 } else { 330.0 + (t - 1.0).min(0.5) * 80.0 }, 0.6)]);
    let (happened, object) = late.told.last().unwrap();
    assert_eq!((*happened, &object.zones[..]), (Happened::Update, &[0][..]));
}

#[test]
fn what_comes_to_rest_and_moves_on_is_told() {
    let mut watch = Watch::new(options());
    watch.watch(40, |_| vec![person(300.0, 0.6)]);
    let (happened, object) = watch.told.last().unwrap();
    assert_eq!((*happened, object.stationary), (Happened::Update, true));
    watch.watch(20, |t| vec![person(300.0 + 40.0 * (t - 8.0), 0.6)]);
    let (happened, object) = watch.told.last().unwrap();
    assert_eq!((*happened, object.stationary), (Happened::Update, false));
}

#[test]
fn a_better_view_is_told() {
    let mut watch = Watch::new(options());
    watch.watch(10, |_| vec![person(300.0, 0.5)]);
    watch.watch(1, |_| vec![person(300.0, 0.8)]);
    watch.watch(20, |_| vec![person(300.0, 0.5)]);
    let (happened, object) = &watch.told[1];
    assert_eq!((*happened, object.top_score), (Happened::Update, 0.8));
    assert!(object.score <= 0.8 && object.top_bbox.width() > 0.0);
}

#[test]
fn filters_keep_things_from_being_objects_and_say_why() {
    let with = |filter: Filter| Options { filters: vec![filter], ..options() };
    let unmet = |filter: Filter, world: &dyn Fn(f32) -> Vec<Detection>| {
        let mut watch = Watch::new(with(filter));
        watch.watch(20, world);
        assert_eq!(watch.told, []);
        let track = watch.tracker.tracks().iter().find(|track| track.is_confirmed()).unwrap();
        watch.objects.unmet(track, SIZE).unwrap()
    };
    let still = |_: f32| vec![person(300.0, 0.5)];
    let flares = |t: f32| vec![person(300.0, if (t * 5.0).rem_euclid(5.0) < 1.0 { 0.9 } else { 0.41 })];
    assert!(matches!(unmet(Filter { area: [0.1, 1.0], ..Filter::NONE }, &still), Unmet::TooSmall(..)));
    assert!(matches!(unmet(Filter { area: [0.0, 0.01], ..Filter::NONE }, &still), Unmet::TooLarge(..)));
    assert!(matches!(unmet(Filter { aspect: [1.0, 9.0], ..Filter::NONE }, &still), Unmet::TooNarrow(..)));
    assert!(matches!(unmet(Filter { aspect: [0.0, 0.1], ..Filter::NONE }, &still), Unmet::TooWide(..)));
    assert!(matches!(unmet(Filter { displacement: 0.1, ..Filter::NONE }, &still), Unmet::TooStill(..)));
    assert!(matches!(unmet(Filter { score: 0.5, ..Filter::NONE }, &flares), Unmet::TooUnsure(..)));
}

#[test]
fn what_passed_the_filters_once_is_an_object_to_its_end() {
    let moved = Filter { displacement: 0.1, ..Filter::NONE };
    let mut watch = Watch::new(Options { filters: vec![moved], ..options() });
    watch.watch(10, |_| vec![person(300.0, 0.6)]);
    assert_eq!(watch.told, []);
    watch.watch(20, |t| vec![person(300.0 + 40.0 * (t - 2.0), 0.6)]);
    assert_eq!(watch.happened(), [Happened::New]);
    watch.watch(20, |t| vec![person(300.0 + 40.0 * (10.0 - t), 0.6)]);
    assert!(
        !watch.happened().iter().any(|happened| matches!(happened, Happened::End(_))),
        "back where it was"
    );
    watch
        .objects
        .end_all(Reason::CameraLost, |happened, _| assert_eq!(happened, Happened::End(Reason::CameraLost)));
    assert_eq!(watch.objects.present().count(), 0);
}

#[test]
fn a_clock_that_jumps_back_a_day_changes_neither_order_nor_lengths() {
    let day = Duration::from_secs(24 * 3600);
    let (mut tracker, mut objects) = (Tracker::new(tracker::Options::default()), Objects::new(options()));
    let mut told: Vec<(Happened, Object)> = Vec::new();
    for n in 0..40 {
        let mut at = moment(0.2 * n as f32);
        if n >= 10 {
            at.wall -= day;
        }
        let seen = if n < 20 { vec![person(300.0, 0.6)] } else { vec![] };
        tracker.look(at.monotonic, SIZE, &seen, &[0.4]);
        objects.look(at, SIZE, &tracker, &|_| None, |happened, object| told.push((happened, object.clone())));
    }
    let [(Happened::New, new), (Happened::End(Reason::Lost), end)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(new.first_seen, end.first_seen, "as it was told first");
    assert_eq!(new.first_seen.wall, moment(0.0).wall);
    let lasted = end.last_seen.monotonic - end.first_seen.monotonic;
    assert!(lasted.abs_diff(Duration::from_secs_f32(3.8)) < Duration::from_millis(1), "{lasted:?}");
    assert!(end.last_seen.wall < end.first_seen.wall, "by the clock that jumped it ended before it began");
}

#[test]
fn who_stands_in_a_zone_goes_out_when_it_closes_and_comes_in_when_it_opens() {
    let never = Duration::from_secs(3600);
    let mut watch = Watch::new(Options { zones: vec![right()], stationary_after: never, ..options() });
    let there = |_| vec![person(500.0, 0.6)];
    watch.watch(10, there);
    watch.objects.set_open(0, false);
    watch.objects.set_open(7, false);
    assert!(watch.objects.present().all(|object| object.zones.is_empty()), "at once");
    watch.watch(10, there);
    let (happened, object) = watch.told.last().unwrap();
    assert_eq!((*happened, &object.zones[..], &object.entered[..]), (Happened::Update, &[][..], &[0][..]));
    let told = watch.told.len();
    watch.watch(10, there);
    assert_eq!(watch.told.len(), told, "nothing enters it");
    watch.objects.set_open(0, true);
    watch.watch(10, there);
    assert_eq!(watch.told.last().unwrap().1.zones, [0]);
}
