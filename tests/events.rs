//! Objects as subscribers hear of them on `…/events`: the real program, a real mosquitto, photographs for a camera.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that meets what it does not expect shall fail")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use support::daemon::{Daemon, config, folder_of, folder_that_goes_away, until};
use support::mosquitto::{Broker, Received, Subscriber};

/// Zones of the camera `front`: all of the picture, the left half for cars only, and a strip of sky.
const ZONES: &str = "
[[camera.zone]]
name = 'everywhere'
points = [[0, 0], [1, 0], [1, 1], [0, 1]]
[[camera.zone]]
name = 'cars'
points = [[0, 0], [1, 0], [1, 1], [0, 1]]
labels = ['car']
[[camera.zone]]
name = 'sky'
points = [[0, 0], [1, 0], [1, 0.05], [0, 0.05]]
";

/// The next event for which `wanted` is true.
fn event(events: &Subscriber, wanted: impl Fn(&Value) -> bool) -> Value {
    let parsed = |payload: &str| serde_json::from_str::<Value>(payload).unwrap();
    parsed(&until(events, "event", |message| wanted(&parsed(&message.payload))).payload)
}

fn is_new_person(event: &Value) -> bool {
    event["type"] == "new" && event["label"] == "person"
}

#[test]
fn an_object_is_told_of_from_its_beginning_to_its_end() {
    let broker = Broker::start();
    let (_folder, shown, away) = folder_that_goes_away("musicians.jpg");
    let events = broker.subscribe("vigie/porch/front/events");
    let daemon = Daemon::start(&(config(broker.port, &shown) + ZONES));
    let new = event(&events, is_new_person);
    let id = new["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (&new["schema"], &new["device"], &new["camera"]),
        (&1.into(), &"porch".into(), &"front".into())
    );
    assert!(new["score"].as_f64().unwrap() >= 0.3 && new.get("reason").is_none(), "{new}");
    let (width, height) = (new["width"].as_f64().unwrap(), new["height"].as_f64().unwrap());
    let edges: Vec<f64> = new["box"].as_array().unwrap().iter().map(|edge| edge.as_f64().unwrap()).collect();
    assert!(
        edges[0] < edges[2] && edges[2] <= width + 1.0 && edges[1] < edges[3] && edges[3] <= height + 1.0
    );
    let seen = |event: &Value, key: &str| event[format!("{key}_seen_monotonic_ns")].as_u64().unwrap();
    assert!(seen(&new, "first") <= seen(&new, "last"));

    // It comes into the zone that it was in from the beginning, and into no other.
    let update = event(&events, |event| event["id"] == id.as_str() && event["type"] == "update");
    assert_eq!(update["zones"], serde_json::json!(["everywhere"]));
    assert_eq!(update["entered_zones"], update["zones"]);
    assert_eq!(seen(&update, "first"), seen(&new, "first"));

    // A folder that is gone is a camera that is lost.
    std::fs::rename(&shown, &away).unwrap();
    let end = event(&events, |event| event["id"] == id.as_str() && event["type"] == "end");
    assert_eq!(end["reason"], "camera_lost");
    assert!(seen(&end, "last") >= seen(&update, "last"));

    // And who comes back is another one.
    std::fs::rename(&away, &shown).unwrap();
    let again = event(&events, is_new_person);
    assert_ne!(again["id"], id.as_str());
    daemon.signal(Signal::TERM);
    // Under the emulator a look takes longer than a stop waits for it.
    if cfg!(not(target_arch = "aarch64")) {
        let last = event(&events, |event| event["id"] == again["id"] && event["type"] == "end");
        assert_eq!(last["reason"], "stopping");
    }
    assert_eq!(daemon.end().code, Some(0));
}

/// The daemon is killed while the broker is away: the end of the object is told by the next run, before all else.
#[test]
fn what_happened_while_the_broker_was_away_outlives_a_kill_of_the_daemon() {
    let mut broker = Broker::start();
    let (_folder, shown, away) = folder_that_goes_away("musicians.jpg");
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool.redb");
    let spool = format!("mqtt.spool = {{ path = '{}' }}\n", spool.display());
    let config = spool + &config(broker.port, &shown);
    let events = broker.subscribe("vigie/porch/front/events");
    let mut daemon = Daemon::start(&config);
    let id = event(&events, is_new_person)["id"].as_str().unwrap().to_owned();
    broker.kill();
    daemon.says("connection lost");
    std::fs::rename(&shown, &away).unwrap();
    daemon.says("next try in");
    // The spool is written once a second; under the emulator the rest takes its time.
    std::thread::sleep(Duration::from_secs(if cfg!(target_arch = "aarch64") { 20 } else { 3 }));
    daemon.kill();

    std::fs::rename(&away, &shown).unwrap();
    broker.run();
    let events = broker.subscribe("vigie/porch/#");
    let daemon = Daemon::start(&config);
    let is_event = |message: &Received| message.topic.ends_with("/front/events");
    let end = loop {
        let message = until(&events, "event of the run before", is_event);
        let event: Value = serde_json::from_str(&message.payload).unwrap();
        let of_that_run = event["id"].as_str().unwrap().starts_with(id.split('.').next().unwrap());
        assert!(of_that_run, "the old ones come first: {event}");
        if event["id"] == id.as_str() && event["type"] == "end" {
            break event;
        }
    };
    assert_eq!(end["reason"], "camera_lost");
    let stats = until(&events, "stats", |message| message.topic == "vigie/porch/stats");
    let stats: Value = serde_json::from_str(&stats.payload).unwrap();
    assert_eq!((&stats["spool"]["kind"], &stats["spool"]["reason"]), (&"disk".into(), &Value::Null));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().code, Some(0));
}

#[test]
fn no_run_gives_an_object_the_name_of_another() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    let events = broker.subscribe("vigie/porch/front/events");
    let mut ids = BTreeSet::new();
    for _ in 0..2 {
        let daemon = Daemon::start(&config(broker.port, pictures.path()));
        let new = event(&events, is_new_person);
        assert!(ids.insert(new["id"].as_str().unwrap().to_owned()), "{new} again");
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.end().code, Some(0));
        while events.poll(Duration::from_millis(500)).is_some() {}
    }
}
