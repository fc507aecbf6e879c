//! The daemon as its users see it: the real program, a real mosquitto, pictures and a test card for cameras.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect shall fail")]

mod common;
mod support;

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use common::vigie;
use rustix::process::{Pid, Signal, kill_process};
use support::mosquitto::{Broker, PATIENCE, Setup};

/// Under emulation the program takes its time to load a model.
const START: Duration = Duration::from_secs(120);

/// A running `vigie run`; killed when dropped.
struct Daemon {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Daemon {
    fn start(config: &str) -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vigie.toml");
        std::fs::write(&file, config).unwrap();
        let child = vigie()
            .args(["run", "--config"])
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Daemon { child, _folder: folder }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; returns exit code, standard output and standard error.
    fn end(mut self) -> (Option<i32>, String, String) {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < START, "the daemon does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), out, err)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A device `porch` with a camera `front` that shows the bundled photographs.
fn config(port: u16) -> String {
    format!(
        "device.name = 'porch'\n\
         mqtt.url = 'mqtt://127.0.0.1:{port}'\n\
         stats.interval = '1s'\n\
         detect = {{ max_fps = 30, detections_max_fps = 30, thresholds = {{ '*' = 0.35 }} }}\n\
         [[camera]]\n\
         name = 'front'\n\
         source = {{ pictures = 'demo/pictures', fps = 2 }}\n"
    )
}

#[test]
fn from_photographs_to_the_broker_and_a_clean_stop() {
    let broker = Broker::start();
    let all = broker.subscribe("vigie/#");
    let daemon = Daemon::start(&config(broker.port));
    let start = Instant::now();
    let (mut counts, mut labels, mut stats) = (0, Vec::new(), None);
    while labels.is_empty() || stats.is_none() || counts == 0 {
        assert!(start.elapsed() < START, "counts {counts}, labels {labels:?}, stats {stats:?}");
        let message = all.next();
        match message.topic.as_str() {
            "vigie/porch/status" | "vigie/porch/front/status" => assert!(!message.payload.is_empty()),
            "vigie/porch/front/detections" => {
                let json: serde_json::Value = serde_json::from_str(&message.payload).unwrap();
                assert_eq!((&json["schema"], &json["camera"]), (&1.into(), &"front".into()));
                assert_eq!(message.qos, 0);
                labels.extend(json["detections"].as_array().unwrap().iter().map(|d| d["label"].to_string()));
            }
            "vigie/porch/stats" => {
                let json: serde_json::Value = serde_json::from_str(&message.payload).unwrap();
                let processed = json["cameras"]["front"]["frames_processed"].as_u64().unwrap();
                stats = (processed > 0).then_some(processed);
            }
            topic if topic.ends_with("/count") => counts += usize::from(message.payload != "0"),
            topic => assert!(topic.ends_with("/occupancy"), "an unknown topic {topic}"),
        }
    }
    assert_eq!(broker.subscribe("vigie/porch/status").next().payload, "online", "the birth is retained");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().0, Some(0));
    for topic in ["vigie/porch/status", "vigie/porch/front/status"] {
        let message = broker.subscribe(topic).next();
        assert_eq!((message.payload.as_str(), message.retained), ("offline", true), "{topic}");
    }
    let left = broker.subscribe("vigie/porch/front/+/count");
    while !left.is_silent_for(Duration::ZERO) {
        assert_eq!(left.next().payload, "0", "no count outlives the daemon");
    }
}

#[test]
fn a_killed_daemon_leaves_its_last_will() {
    let broker = Broker::start();
    let status = broker.subscribe("vigie/porch/status");
    let mut daemon = Daemon::start(&config(broker.port));
    assert_eq!(until(&status, START).payload, "online");
    daemon.child.kill().unwrap();
    assert_eq!(until(&status, PATIENCE).payload, "offline");
    assert!(broker.subscribe("vigie/porch/status").next().retained);
}

#[test]
fn a_broker_that_comes_late_hears_everything_that_holds() {
    let mut broker = Broker::prepare(&Setup::default());
    let daemon = Daemon::start(&config(broker.port));
    std::thread::sleep(Duration::from_secs(2));
    broker.run();
    let status = broker.subscribe("vigie/porch/front/status");
    // It is offline until it has been opened.
    while until(&status, START).payload != "online" {}
    daemon.signal(Signal::INT);
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
fn a_camera_that_is_not_there_is_offline_and_the_others_work() {
    let broker = Broker::start();
    let cameras = broker.subscribe("vigie/porch/+/status");
    let config = config(broker.port)
        + "[[camera]]\nname = 'gone'\nsource = { device = '/dev/there-is-no-such-camera' }\n\
           [[camera]]\nname = 'card'\nsource = { testcard = true }\n";
    let daemon = Daemon::start(&config);
    let mut states = std::collections::BTreeMap::new();
    let expected = [("card", "online"), ("front", "online"), ("gone", "offline")];
    while !expected.iter().all(|&(name, state)| states.get(name).is_some_and(|s| s == state)) {
        let message = until(&cameras, START);
        let camera = message.topic.split('/').nth(2).unwrap().to_owned();
        states.insert(camera, message.payload);
    }
    daemon.signal(Signal::TERM);
    let (code, _, log) = daemon.end();
    assert_eq!(code, Some(0));
    let complaints = log.lines().filter(|line| line.contains("there-is-no-such-camera")).count();
    assert!((1..=3).contains(&complaints), "said, and not again and again:\n{log}");
}

#[test]
fn without_a_broker_messages_are_lines_of_json() {
    let mut config = config(1);
    config =
        config.lines().filter(|line| !line.starts_with("mqtt")).map(|line| format!("{line}\n")).collect();
    let mut daemon = Daemon::start(&config);
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(daemon.child.stdout.take().unwrap()));
    let mut next = || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let mut seen = Vec::new();
    while !seen.contains(&"vigie/porch/front/detections".to_owned()) {
        seen.push(next()["topic"].as_str().unwrap().to_owned());
    }
    assert!(seen.contains(&"vigie/porch/status".to_owned()));
}

#[test]
fn what_can_not_work_is_said_and_ends_with_the_right_code() {
    let run = |config: &str, words: &[&str], code: i32| {
        let (ended, _, log) = Daemon::start(config).end();
        assert_eq!(ended, Some(code), "{log}");
        for word in words {
            assert!(log.contains(word), "'{word}' is missing:\n{log}");
        }
    };
    let good = config(1);
    run(&good.replace("max_fps = 30,", "max_fsp = 30,"), &["max_fsp", "max_fps"], 2);
    run(&good.replace("'*' = 0.35", "persn = 0.3"), &["persn", "person"], 2);
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.onnx");
    std::fs::write(&broken, b"this is no model").unwrap();
    run(&with_model(&good, &broken), &["broken.onnx", "ONNX"], 1);
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

fn with_model(config: &str, model: &Path) -> String {
    format!("model.path = '{}'\n{config}", model.display())
}

/// The next message, with more patience than the subscriber's own.
fn until(subscriber: &support::mosquitto::Subscriber, patience: Duration) -> support::mosquitto::Received {
    let start = Instant::now();
    loop {
        if let Some(message) = subscriber.poll(Duration::from_secs(1)) {
            return message;
        }
        assert!(start.elapsed() < patience, "no message in {patience:?}");
    }
}
