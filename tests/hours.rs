//! Hours, in the real daemon with a real mosquitto and a wall clock that the test sets.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that meets what it does not expect shall fail")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use support::daemon::{config, folder_of, until};
use support::mosquitto::{Broker, Received, Subscriber};
use vigie::clock::{Clock, Moment, SystemClock};
use vigie::config::Config;
use vigie::daemon::System;

const FRONT: &str = "vigie/porch/front";

/// A clock whose hands are set to a minute of Friday, 3 July 2026, UTC, and then go on.
#[derive(Default)]
struct Hands {
    minute: AtomicU64,
}

impl Hands {
    fn set(&self, hour: u64, minute: u64) {
        self.minute.store(60 * hour + minute, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Moment {
        let friday = 20_637 * 24 * 3600;
        let since = friday + 60 * self.minute.load(Ordering::SeqCst);
        Moment { wall: SystemTime::UNIX_EPOCH + Duration::from_secs(since), ..SystemClock.now() }
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// The next message on a topic under the camera's with that payload; what comes before it is returned with it.
fn next(all: &Subscriber, topic: &str, payload: &str) -> Vec<Received> {
    let mut passed = Vec::new();
    until(all, topic, |message| {
        passed.push(message.clone());
        message.topic == format!("{FRONT}/{topic}") && message.payload == payload
    });
    passed
}

fn kept(broker: &Broker, topic: &str) -> String {
    broker.subscribe(&format!("{FRONT}/{topic}")).next().payload
}

/// From ten to twelve, and the zone, which is all of the picture, from ten to eleven.
fn with_hours(broker: &Broker, pictures: &std::path::Path) -> Config {
    let dialects = "mqtt.dialects = ['native', 'frigate']\n";
    let text = dialects.to_owned()
        + &config(broker.port, pictures).replace(
            "device.name = 'porch'",
            "device = { name = 'porch', timezone = 'Europe/Paris', trust_clock = true }",
        )
        + "hours = { from = '12:00', to = '14:00', days = ['fri'] }\n\
           [[camera.zone]]\nname = 'steps'\npoints = [[0, 0], [1, 0], [1, 1], [0, 1]]\n\
           hours = { from = '12:00', to = '13:00' }\n";
    Config::parse("test", &text).unwrap_or_else(|error| panic!("{error:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_and_a_zone_keep_their_hours() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    let all = broker.subscribe(&format!("{FRONT}/#"));
    let clock = Arc::new(Hands::default());
    clock.set(10, 30);
    let system =
        System::start(with_hours(&broker, pictures.path()), None, Arc::clone(&clock) as _).await.unwrap();
    next(&all, "zone/steps/person/occupancy", "ON");
    assert_eq!((kept(&broker, "hours"), kept(&broker, "zone/steps/hours")), ("ON".into(), "ON".into()));

    // The zone's are over: nothing waits for `hold`, and the picture as a whole is as it was.
    clock.set(11, 0);
    next(&all, "zone/steps/hours", "OFF");
    next(&all, "zone/steps/person/occupancy", "OFF");
    assert_eq!(kept(&broker, "zone/steps/person/count"), "0");
    let left = until(&all, "update", |message| {
        message.topic == format!("{FRONT}/events") && message.payload.contains("\"zones\":[]")
    });
    assert!(left.payload.contains("\"entered_zones\":[\"steps\"]"), "{left:?}");
    assert_eq!(kept(&broker, "person/occupancy"), "ON");

    // So are the camera's.
    clock.set(12, 0);
    next(&all, "hours", "OFF");
    let quiet = Instant::now();
    let (mut ended, mut late) = (Vec::new(), 0);
    while quiet.elapsed() < Duration::from_secs(3) {
        let Some(message) = all.poll(Duration::from_millis(100)) else { continue };
        match message.topic.strip_prefix(FRONT).unwrap() {
            // States overtake samples and events.
            "/detections" => late += 1,
            "/events" => {
                let event: Value = message.payload.parse().unwrap();
                ended.push(event["reason"].clone());
            }
            _ => panic!("no value follows: {message:?}"),
        }
    }
    assert!(late <= 1 && ended.contains(&"detect_off".into()), "{late} looks; {ended:?}");
    assert_eq!((kept(&broker, "detect/state"), kept(&broker, "status")), ("ON".into(), "online".into()));
    assert_eq!(kept(&broker, "person/occupancy"), "ON", "old, not wrong");
    assert_eq!(
        broker.subscribe("frigate/front/detect/state").next().payload,
        "OFF",
        "Frigate knows no hours"
    );

    // A command does not override them, and is not forgotten.
    broker.publish(&format!("{FRONT}/detect/set"), "ON", false);
    assert!(all.poll(Duration::from_secs(2)).is_none_or(|message| message.topic.ends_with("/set")));

    // A clock that is set back is followed, to the zone too.
    clock.set(10, 30);
    next(&all, "hours", "ON");
    next(&all, "zone/steps/person/occupancy", "ON");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_outside_of_its_hours_says_so_and_looks_at_nothing() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    // As a run within its hours has left it.
    broker.publish(&format!("{FRONT}/zone/steps/person/occupancy"), "ON", true);
    let all = broker.subscribe(&format!("{FRONT}/#"));
    let clock = Arc::new(Hands::default());
    clock.set(9, 59);
    let system =
        System::start(with_hours(&broker, pictures.path()), None, Arc::clone(&clock) as _).await.unwrap();
    let before = next(&all, "hours", "OFF");
    // A camera that is quicker than the connection to the broker is online from the first message on.
    if !before.iter().any(|m| m.topic == format!("{FRONT}/status") && m.payload == "online") {
        next(&all, "status", "online");
    }
    let quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(3) {
        let Some(message) = all.poll(Duration::from_millis(100)) else { continue };
        assert!(
            !message.topic.ends_with("/detections") && !message.topic.ends_with("/events"),
            "{message:?}"
        );
    }
    assert_eq!(kept(&broker, "zone/steps/person/occupancy"), "OFF", "and nobody waits for ever");
    system.stop().await;
}
