//! The daemon as its subscribers see it: the real program, a real mosquitto, pictures and a test card for cameras.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that meets what it does not expect shall fail")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::daemon::common::vigie;
use support::daemon::{Daemon, START, config, folder_of, folder_that_goes_away, photographs, until};
use support::mosquitto::{Broker, PATIENCE, Received, Setup, Subscriber};

/// The retained values under a topic filter, as they are at the broker.
fn retained(broker: &Broker, filter: &str) -> BTreeMap<String, String> {
    let all = broker.subscribe(filter);
    let mut values = BTreeMap::new();
    while let Some(message) = all.poll(Duration::from_millis(500)).filter(|message| message.retained) {
        values.insert(message.topic, message.payload);
    }
    values
}

fn is(topic: &str, payload: &str) -> impl Fn(&Received) -> bool {
    move |message| message.topic == topic && message.payload == payload
}

#[test]
fn from_photographs_to_the_broker_and_a_clean_stop() {
    let broker = Broker::start();
    let all = broker.subscribe("vigie/#");
    // Each photograph is seen once only, so that everything has to be believed at once.
    let daemon = Daemon::start(&(config(broker.port, &photographs()) + "[track]\nmin_hits = 1\n"));
    let start = Instant::now();
    let (mut values, mut labels, mut processed) = (BTreeMap::new(), Vec::new(), 0);
    while labels.is_empty() || processed == 0 || !values.values().any(|value| value == "ON") {
        assert!(start.elapsed() < START, "values {values:?}, labels {labels:?}, processed {processed}");
        let Received { topic, payload, qos, retained: _ } = all.next();
        match topic.strip_prefix("vigie/porch/").unwrap() {
            "status" => assert_eq!(payload, "online"),
            "front/status" => assert!(payload == "offline" || payload == "online", "{payload}"),
            "front/detections" => {
                let json: serde_json::Value = serde_json::from_str(&payload).unwrap();
                assert_eq!((&json["schema"], &json["camera"]), (&1.into(), &"front".into()));
                assert_eq!(qos, 0);
                labels.extend(json["detections"].as_array().unwrap().iter().map(|d| d["label"].to_string()));
            }
            "front/events" => {
                let json: serde_json::Value = serde_json::from_str(&payload).unwrap();
                assert_eq!((&json["schema"], &json["camera"]), (&1.into(), &"front".into()));
                assert_eq!(qos, 1);
            }
            "stats" => {
                let json: serde_json::Value = serde_json::from_str(&payload).unwrap();
                processed = json["cameras"]["front"]["frames_processed"].as_u64().unwrap();
                let latency = &json["cameras"]["front"]["latency_ms"]["infer"];
                assert!(processed == 0 || latency.is_null() || latency["p95"].as_f64().unwrap() > 0.0);
            }
            "front/detect/state" => assert_eq!((payload.as_str(), qos), ("ON", 1)),
            value if value.starts_with("front/threshold/") && value.ends_with("/state") => {
                assert_eq!((payload.as_str(), qos), ("0.35", 1), "as the configuration says");
            }
            value if value.ends_with("/count") || value.ends_with("/active") => {
                assert!(payload.parse::<u32>().is_ok(), "{topic} {payload}");
                assert_eq!(qos, 1);
                values.insert(topic, payload);
            }
            value if value.ends_with("/occupancy") => {
                assert!(payload == "ON" || payload == "OFF", "{topic} {payload}");
                values.insert(topic, payload);
            }
            _ => panic!("an unknown topic {topic}"),
        }
    }
    assert_eq!(broker.subscribe("vigie/porch/status").next().payload, "online", "the birth is retained");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().code, Some(0));
    for topic in ["vigie/porch/status", "vigie/porch/front/status"] {
        let message = broker.subscribe(topic).next();
        assert_eq!((message.payload.as_str(), message.retained), ("offline", true), "{topic}");
    }
    while let Some(message) = all.poll(Duration::from_millis(300)) {
        if ["/count", "/active", "/occupancy"].iter().any(|end| message.topic.ends_with(end)) {
            values.insert(message.topic, message.payload);
        }
    }
    let left =
        ["count", "active", "occupancy"].map(|end| retained(&broker, &format!("vigie/porch/front/+/{end}")));
    let left: BTreeMap<_, _> = left.into_iter().flatten().collect();
    assert_eq!(left, values, "what was last known stays; the status says that it is old");
}

/// Waits until a person is known to be there.
fn person_is_seen(all: &Subscriber) {
    until(all, "person", is("vigie/porch/front/person/occupancy", "ON"));
}

#[test]
fn a_camera_that_is_lost_leaves_what_was_known_and_says_that_it_is_old() {
    let broker = Broker::start();
    let (_folder, shown, away) = folder_that_goes_away("musicians.jpg");
    let all = broker.subscribe("vigie/porch/front/#");
    let _daemon = Daemon::start(&config(broker.port, &shown));
    person_is_seen(&all);
    std::fs::rename(&shown, &away).unwrap();
    until(&all, "offline", is("vigie/porch/front/status", "offline"));
    let (quiet, mut late, mut ended) = (Instant::now(), 0, false);
    while quiet.elapsed() < Duration::from_secs(3) {
        let Some(message) = all.poll(Duration::from_millis(100)) else { continue };
        match message.topic.as_str() {
            "vigie/porch/front/status" => {}
            // States overtake samples: the look that was in progress may be told of after the loss.
            "vigie/porch/front/detections" => late += 1,
            // So may what came of it; but nothing comes after the end.
            "vigie/porch/front/events" => {
                let is_end = message.payload.contains("\"reason\":\"camera_lost\"");
                assert!(is_end || !ended, "{message:?}");
                ended |= is_end;
            }
            _ => panic!("no value follows a loss: {message:?}"),
        }
    }
    assert!(late <= 1, "{late} looks after a loss");
    assert_eq!(retained(&broker, "vigie/porch/front/person/occupancy").into_values().next().unwrap(), "ON");
    std::fs::rename(&away, &shown).unwrap();
    until(&all, "online again", is("vigie/porch/front/status", "online"));
}

#[test]
fn a_restart_with_a_person_in_view_is_no_arrival() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    let config = config(broker.port, pictures.path());
    let before = broker.subscribe("vigie/porch/front/#");
    let daemon = Daemon::start(&config);
    person_is_seen(&before);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().code, Some(0));
    let known = retained(&broker, "vigie/porch/front/person/+");

    let after = broker.subscribe("vigie/porch/front/person/+");
    let daemon = Daemon::start(&config);
    let mut said_again = 0;
    let mut hear = |message: &Received| {
        assert_eq!(known[&message.topic], message.payload, "no value changes on the way");
        said_again += usize::from(!message.retained);
    };
    let occupancy = until(&after, "word after the start", |message| {
        hear(message);
        !message.retained && message.topic.ends_with("/occupancy")
    });
    assert_eq!(occupancy.payload, "ON");
    std::thread::sleep(Duration::from_secs(1));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().code, Some(0));
    while let Some(message) = after.poll(Duration::from_millis(300)) {
        hear(&message);
    }
    assert_eq!(said_again, 3, "count, active and occupancy, once each");
}

#[test]
fn a_killed_daemon_leaves_its_last_will() {
    let broker = Broker::start();
    let status = broker.subscribe("vigie/porch/status");
    let mut daemon = Daemon::start(&config(broker.port, &photographs()));
    until(&status, "birth", is("vigie/porch/status", "online"));
    daemon.kill();
    assert_eq!(status.poll(PATIENCE).unwrap().payload, "offline");
    assert!(broker.subscribe("vigie/porch/status").next().retained);
}

#[test]
fn a_broker_that_comes_late_hears_everything_that_holds() {
    let mut broker = Broker::prepare(&Setup::default());
    let daemon = Daemon::start(&config(broker.port, &photographs()));
    daemon.says("connection refused");
    broker.run();
    let status = broker.subscribe("vigie/porch/front/status");
    // It is offline until it has been opened.
    until(&status, "online", is("vigie/porch/front/status", "online"));
    daemon.signal(Signal::INT);
    assert_eq!(daemon.end().code, Some(0));
}

#[test]
fn a_camera_that_is_not_there_is_offline_and_the_others_work() {
    let broker = Broker::start();
    let cameras = broker.subscribe("vigie/porch/+/status");
    let config = config(broker.port, &photographs())
        + "[[camera]]\nname = 'gone'\nsource = { device = '/dev/there-is-no-such-camera' }\n\
           [[camera]]\nname = 'card'\nsource = { testcard = true }\n";
    let daemon = Daemon::start(&config);
    let mut states = BTreeMap::new();
    let expected = [("card", "online"), ("front", "online"), ("gone", "offline")];
    while !expected.iter().all(|&(name, state)| states.get(name).is_some_and(|s| s == state)) {
        let message = until(&cameras, "status", |_| true);
        let camera = message.topic.split('/').nth(2).unwrap().to_owned();
        states.insert(camera, message.payload);
    }
    daemon.signal(Signal::TERM);
    let ended = daemon.end();
    assert_eq!(ended.code, Some(0));
    let complaints = ended.log.lines().filter(|line| line.contains("there-is-no-such-camera")).count();
    assert!((1..=3).contains(&complaints), "said, and not again and again:\n{}", ended.log);
}

#[test]
fn without_a_broker_messages_are_lines_of_json() {
    let config = without_broker(&photographs());
    let mut daemon = Daemon::start(&config);
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(daemon.stdout()));
    let mut next = || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let mut seen = Vec::new();
    while !seen.contains(&"vigie/porch/front/detections".to_owned()) {
        seen.push(next()["topic"].as_str().unwrap().to_owned());
    }
    assert!(seen.contains(&"vigie/porch/status".to_owned()));
}

fn without_broker(pictures: &Path) -> String {
    let config = config(1, pictures);
    config.lines().filter(|line| !line.starts_with("mqtt")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn usage_errors_end_with_2_and_help_with_0() {
    let output = |args: &[&str]| -> Output { vigie().args(args).output().unwrap() };
    assert_eq!(output(&["rum"]).status.code(), Some(2));
    assert_eq!(output(&["run", "--config", "/there/is/none.toml"]).status.code(), Some(2));
    assert_eq!(output(&["--help"]).status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output(&["man"]).stdout).contains(".TH vigie"));
    assert!(String::from_utf8_lossy(&output(&["completions", "bash"]).stdout).contains("_vigie"));
}
