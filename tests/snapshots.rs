//! Pictures of what is seen, as subscribers and folders get them: the real program, a real mosquitto, a photograph.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that meets what it does not expect shall fail")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use support::daemon::{Daemon, START, config, folder_of, until};
use support::mosquitto::Broker;
use vigie::frame::Frame;
use vigie::vision::picture;

/// The retained picture on a topic, byte for byte; `mosquitto_sub` ends after one message.
fn picture_on(port: u16, topic: &str) -> Vec<u8> {
    let port = port.to_string();
    let output =
        Command::new("mosquitto_sub").args(["-p", &port, "-t", topic, "-C", "1", "-W", "60", "-N"]).output();
    output.unwrap().stdout
}

/// The files in a folder and those in it.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let of = |path: std::path::PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flatten().flat_map(|entry| of(entry.path())).collect()
}

/// How many of the pixels are black.
fn black(frame: &Frame) -> usize {
    frame.data.chunks(3).filter(|pixel| pixel.iter().all(|&byte| byte < 16)).count()
}

#[test]
fn an_object_is_shown_on_its_topic_and_kept_as_a_file() {
    let broker = Broker::start();
    let (pictures, kept) = (folder_of(&["musicians.jpg"]), tempfile::tempdir().unwrap());
    let events = broker.subscribe("vigie/porch/front/events");
    // Wherever the objects are, the right half is nobody's business.
    let more = format!(
        "[[camera.privacy_mask]]\npoints = [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]\n\
         [snapshot]\ndirectory = '{}'\ncrop = false\nmax_size = 480\nmax_bytes = '40 KiB'\n",
        kept.path().display()
    );
    let daemon = Daemon::start(&(config(broker.port, pictures.path()) + &more));
    let is_shown = |event: &Value| event["label"] == "person" && !event["snapshot"].is_null();
    let parsed = |payload: &str| serde_json::from_str::<Value>(payload).unwrap();
    let event = parsed(&until(&events, "snapshot", |message| is_shown(&parsed(&message.payload))).payload);
    let topic = "vigie/porch/front/snapshot/person";
    assert_eq!(event["snapshot"]["topic"], topic);
    assert!(event["snapshot"]["score"].as_f64().unwrap() >= 0.35, "{event}");

    let jpeg = picture_on(broker.port, topic);
    assert!(jpeg.len() <= 40 << 10, "{} bytes", jpeg.len());
    let shown = picture::decode(&jpeg).unwrap();
    assert_eq!(shown.size.width, 480, "960 wide, made smaller");
    let right = |frame: &Frame| {
        let (width, stride) = (frame.size.width as usize, 3 * frame.size.width as usize);
        frame.data.chunks(stride).all(|row| row[3 * (width / 2 + 4)..].iter().all(|&byte| byte < 24))
    };
    assert!(right(&shown), "the mask");
    let pixels = shown.size.area() as usize;
    assert!(black(&shown) < pixels * 9 / 10, "and nothing else");

    let start = Instant::now();
    while files(kept.path()).is_empty() {
        assert!(start.elapsed() < START, "no file");
        std::thread::sleep(Duration::from_millis(50));
    }
    let file = files(kept.path()).into_iter().next().unwrap();
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    assert!(file.starts_with(kept.path().join("front")) && name.ends_with("-person.jpg"), "{name}");
    let number = event["id"].as_str().unwrap().rsplit('.').next().unwrap();
    assert!(name.contains(&format!(".{number}-")) || files(kept.path()).len() > 1, "{name} of {event}");
    assert!(right(&picture::load(&file).unwrap()), "the mask, in the file too");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().code, Some(0));
}

#[test]
fn nothing_is_shown_unless_it_is_asked_for() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    let all = broker.subscribe("vigie/porch/front/#");
    let daemon = Daemon::start(&config(broker.port, pictures.path()));
    let event = until(&all, "event", |message| {
        assert!(!message.topic.contains("/snapshot/"), "{message:?}");
        message.topic.ends_with("/events")
    });
    assert!(serde_json::from_str::<Value>(&event.payload).unwrap()["snapshot"].is_null());
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().code, Some(0));
}

#[test]
fn pictures_are_switched_off_and_on_again() {
    let broker = Broker::start();
    let folder = folder_of(&["musicians.jpg"]);
    // Not the payload, which is no text.
    let pictures = broker.properties("vigie/porch/front/snapshot/person");
    let events = broker.subscribe("vigie/porch/front/events");
    let states = broker.subscribe("vigie/porch/front/+/state");
    let _daemon = Daemon::start(&(config(broker.port, folder.path()) + "[snapshot]\nretain = false\n"));
    until(&pictures, "picture", |_| true);
    let set = |what: &str, value: &str| {
        broker.publish(&format!("vigie/porch/front/{what}/set"), value, false);
        let topic = format!("vigie/porch/front/{what}/state");
        until(&states, "state", |message| message.topic == topic && message.payload == value);
    };
    // Who is new has a best view, which is pictured if anything is.
    let begin_anew = || {
        set("detect", "OFF");
        while !events.is_silent_for(Duration::from_millis(500)) {}
        while !pictures.is_silent_for(Duration::from_millis(500)) {}
        set("detect", "ON");
        let is_person = |payload: &str| payload.contains("\"new\"") && payload.contains("\"person\"");
        until(&events, "new object", |message| is_person(&message.payload));
    };
    set("snapshot", "OFF");
    begin_anew();
    assert!(pictures.is_silent_for(Duration::from_secs(3)), "pictures are off");
    set("snapshot", "ON");
    begin_anew();
    until(&pictures, "picture", |_| true);
}
