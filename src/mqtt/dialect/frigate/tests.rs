//! What Frigate's listeners hear.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::*;
use crate::clock::Trust;
use crate::geometry::{BBox, Size};
use crate::mqtt::Class;
use crate::mqtt::dialect::SitePart;
use crate::mqtt::payload::Stages;
use crate::scene::objects::{Object, Reason};
use crate::scene::path::Path;
use crate::scene::view::View;

fn at(ms: u64) -> Moment {
    let monotonic = Duration::from_millis(ms);
    Moment { monotonic, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + monotonic }
}

fn camera(name: &str) -> SiteCamera {
    let zone = |name: &str| SitePart { name: name.into(), ..SitePart::default() };
    SiteCamera {
        name: name.into(),
        zones: vec![zone("street"), zone("steps")],
        snapshots: true,
        ..SiteCamera::default()
    }
}

fn dialect() -> Frigate {
    let site = Site {
        prefix: "vigie".into(),
        device: "porch".into(),
        boot_id: "b00t".into(),
        run_id: "b00t-1".into(),
        model: "m".into(),
        labels: vec!["person".into(), "traffic light".into()],
        cameras: vec![camera("front"), camera("back")],
        trust: Trust::default(),
        commands: false,
    };
    Frigate::new(Arc::new(site), "frigate").unwrap()
}

fn voice(dialect: &Frigate, name: &str) -> Box<dyn Voice> {
    let camera = camera(name);
    dialect.voice(&VoiceOptions { camera: &camera, max_fps: 5.0, detections_max_fps: 0.0 })
}

fn occasion() -> Occasion {
    Occasion { seq: 7, captured: at(5_000), size: Size::new(640, 480), stages: Stages::default() }
}

fn object() -> Object {
    Object {
        id: 12,
        class_id: 0,
        score: 0.612_345,
        top_score: 0.8,
        bbox: BBox::new(100.0, 200.0, 140.4, 300.0),
        top_bbox: BBox::new(60.0, 200.0, 100.0, 300.0),
        zones: vec![1],
        entered: vec![0, 1],
        lines: Vec::new(),
        first_seen: at(1_000),
        last_seen: at(5_000),
        stationary: false,
        path: Path::new([0.1, 0.9]),
        speed: 1.2,
        view: Some(View {
            captured: at(3_000),
            bbox: BBox::new(80.0, 200.0, 120.0, 300.0),
            score: 0.75,
            worth: 0.2,
        }),
    }
}

/// What is said: topic, payload, class.
fn said(work: impl FnOnce(Say<'_>)) -> Vec<(String, String, Class)> {
    let mut said = Vec::new();
    work(&mut |message: Message| {
        said.push((message.topic, String::from_utf8(message.payload).unwrap(), message.class));
    });
    said
}

fn facts(voice: &mut dyn Voice, facts: &[Fact]) -> Vec<(String, String)> {
    let all = said(|say| facts.iter().for_each(|fact| voice.fact(fact, &occasion(), at(5_050), say)));
    all.into_iter().map(|(topic, payload, _)| (topic, payload)).collect()
}

/// The golden event: every field of it, as it stands in Frigate's own documentation.
#[test]
fn an_event_has_frigates_fields() {
    let (dialect, golden) = (dialect(), include_str!("../../../../tests/data/frigate_event.json"));
    let golden: Value = golden.parse().unwrap();
    let mut voice = voice(&dialect, "front");
    let mut tell = |happened, object: Object| -> Value {
        let fact = Fact::Object { happened, object: Box::new(object) };
        let mut all = said(|say| voice.fact(&fact, &occasion(), at(5_050), say));
        let (topic, payload, class) = all.remove(0);
        assert_eq!((topic.as_str(), class, all.len()), ("frigate/events", Class::Event, 0));
        payload.parse().unwrap()
    };
    let new = tell(Happened::New, Object { zones: vec![], entered: vec![0], ..object() });
    assert_eq!((&new["type"], &new["before"]), (&"new".into(), &new["after"]));
    let rests = tell(Happened::Update, Object { stationary: true, ..object() });
    assert_eq!((&rests["after"]["active"], &rests["after"]["motionless_count"]), (&false.into(), &1.into()));
    let moves = tell(Happened::Update, object());
    assert_eq!(moves["after"]["position_changes"], 1, "it moved on");
    assert_eq!(moves["before"], rests["after"]);
    let end = tell(Happened::End(Reason::Left), object());
    assert_eq!(end, golden);
    let again = tell(Happened::New, object());
    assert_eq!(again["before"], again["after"], "nothing is kept of what has ended");
}

#[test]
fn counts_are_by_camera_and_zone_with_a_sum_of_all() {
    let dialect = dialect();
    let (mut front, mut back) = (voice(&dialect, "front"), voice(&dialect, "back"));
    let count = |place, class_id, count| Fact::Count { place, class_id, count };
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(topic, payload)| ((*topic).to_owned(), (*payload).to_owned())).collect()
    };
    let first = facts(front.as_mut(), &[count(Place::Camera, 0, 2), count(Place::Camera, 1, 1)]);
    let expected = [
        ("frigate/front/person", "2"),
        ("frigate/front/all", "2"),
        ("frigate/front/traffic_light", "1"),
        ("frigate/front/all", "3"),
    ];
    assert_eq!(first, owned(&expected));
    let active = facts(front.as_mut(), &[Fact::Active { place: Place::Camera, class_id: 0, count: 1 }]);
    assert_eq!(active, owned(&[("frigate/front/person/active", "1"), ("frigate/front/all/active", "1")]));
    let zone = facts(front.as_mut(), &[count(Place::Zone(1), 0, 2)]);
    assert_eq!(zone, owned(&[("frigate/steps/person", "2")]));
    let both = facts(back.as_mut(), &[count(Place::Zone(1), 0, 1)]);
    assert_eq!(both, owned(&[("frigate/steps/person", "3")]), "a zone in the pictures of two cameras");
    let none = [Fact::Occupancy { place: Place::Camera, class_id: 0, occupied: true }];
    assert_eq!(facts(front.as_mut(), &none), []);
}

#[test]
fn a_site_comes_and_goes() {
    let dialect = dialect();
    let pairs = |all: Vec<(String, String, Class)>| -> Vec<String> {
        all.into_iter()
            .map(|(topic, payload, class)| {
                assert_eq!(class, Class::State);
                format!("{topic} {payload}")
            })
            .collect()
    };
    let hello = pairs(said(|say| dialect.introduce(say)));
    let expected = [
        "frigate/available online",
        "frigate/front/status/detect offline",
        "frigate/back/status/detect offline",
    ];
    assert_eq!(hello, expected);
    let bye = pairs(said(|say| dialect.take_leave(say)));
    assert_eq!(bye.last().map(String::as_str), Some("frigate/available stopped"));
    let mut voice = voice(&dialect, "front");
    assert_eq!(pairs(said(|say| voice.status(State::Stalled, say))), ["frigate/front/status/detect offline"]);
    assert_eq!(
        pairs(said(|say| voice.setting(&Setting::Detect(false), say))),
        ["frigate/front/detect/state OFF"]
    );
    let picture = Snapshot { class_id: 1, jpeg: b"jpeg", retain: true };
    let pictures = said(|say| voice.snapshot(&picture, say));
    assert_eq!(pictures, [("frigate/front/traffic_light/snapshot".into(), "jpeg".into(), Class::Picture)]);
    assert!(Frigate::new(Arc::clone(&dialect.site), "a/#").is_err());
}

#[test]
fn detection_is_on_where_a_command_and_the_hours_let_it_be() {
    let dialect = dialect();
    let mut voice = voice(&dialect, "front");
    let mut detect = |on| said(|say| voice.setting(&Setting::Detect(on), say)).remove(0).1;
    assert_eq!((detect(false), detect(true)), ("OFF".to_owned(), "ON".to_owned()));
    let hours = |place, within| Fact::Hours { place, within };
    let state = ("frigate/front/detect/state".to_owned(), "OFF".to_owned());
    assert_eq!(facts(voice.as_mut(), &[hours(Place::Camera, false)]), [state]);
    assert_eq!(said(|say| voice.setting(&Setting::Detect(true), say)).remove(0).1, "OFF", "the hours hold");
    assert_eq!(facts(voice.as_mut(), &[hours(Place::Zone(0), false)]), []);
    assert_eq!(facts(voice.as_mut(), &[hours(Place::Camera, true)])[0].1, "ON");
}
