//! Commands to the real daemon through a real mosquitto: what they do, and what is refused, retained, huge or far too much.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that meets what it does not expect shall fail")]

mod support;

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use support::client::{STATUS, options, quick};
use support::daemon::{Daemon, START, config, folder_of, until};
use support::mosquitto::{Broker, PATIENCE, Received, Setup, Subscriber};
use vigie::mqtt::client::{Client, Tuning};
use vigie::mqtt::inbox::inbox;
use vigie::mqtt::{Message, Protocol};

const FRONT: &str = "vigie/porch/front";

/// A daemon that has a person in view, and has said so.
fn watching(broker: &Broker, all: &Subscriber, pictures: &std::path::Path) -> Daemon {
    let daemon = Daemon::start(&config(broker.port, pictures));
    until(all, "person", |message| {
        message.topic == format!("{FRONT}/person/occupancy") && message.payload == "ON"
    });
    daemon
}

/// The next value of a topic under the camera's.
fn next(all: &Subscriber, topic: &str) -> Received {
    until(all, topic, |message| message.topic == format!("{FRONT}/{topic}"))
}

fn json(message: &Received) -> Value {
    serde_json::from_str(&message.payload).unwrap()
}

/// The labels of the next frame that is told of.
fn labels(all: &Subscriber) -> Vec<String> {
    let detections = json(&next(all, "detections"))["detections"].clone();
    detections.as_array().unwrap().iter().map(|d| d["label"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn detection_is_switched_off_and_on_again() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    let events = broker.subscribe(&format!("{FRONT}/events"));
    let all = broker.subscribe("vigie/porch/front/#");
    let _daemon = watching(&broker, &all, pictures.path());
    until(&events, "object", |message| message.payload.contains("\"type\":\"new\""));

    broker.publish(&format!("{FRONT}/detect/set"), "OFF", false);
    let (mut ended, mut late) = (Vec::new(), 0);
    until(&all, "state", |message| {
        if message.topic == format!("{FRONT}/events") {
            ended.push(json(message)["reason"].clone());
        }
        message.topic == format!("{FRONT}/detect/state") && message.payload == "OFF"
    });
    let quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(3) {
        let Some(message) = all.poll(Duration::from_millis(100)) else { continue };
        match message.topic.strip_prefix(FRONT).unwrap() {
            // States overtake samples and events.
            "/detections" => late += 1,
            "/events" => ended.push(json(&message)["reason"].clone()),
            "/detect/set" => {}
            _ => panic!("no value follows: {message:?}"),
        }
    }
    assert!(late <= 1, "{late} looks after it was switched off");
    assert!(ended.contains(&"detect_off".into()), "objects end: {ended:?}");
    assert_eq!(broker.subscribe(&format!("{FRONT}/detect/state")).next().payload, "OFF", "retained");
    assert_eq!(
        broker.subscribe(&format!("{FRONT}/status")).next().payload,
        "online",
        "it still gives frames"
    );
    assert_eq!(broker.subscribe(&format!("{FRONT}/person/occupancy")).next().payload, "ON", "old, not wrong");

    while !events.is_silent_for(Duration::from_millis(300)) {}
    broker.publish(&format!("{FRONT}/detect/set"), " on ", false);
    let state = next(&all, "detect/state");
    assert_eq!((state.payload.as_str(), state.qos), ("ON", 1));
    assert!(labels(&all).contains(&"person".to_owned()));
    let new = until(&events, "event", |_| true);
    assert_eq!(json(&new)["type"], "new", "what is there is an object again, another one");
}

#[test]
fn a_camera_that_comes_back_while_detection_is_off_is_online_again() {
    let broker = Broker::start();
    let (_folder, shown, away) = support::daemon::folder_that_goes_away("musicians.jpg");
    let all = broker.subscribe("vigie/porch/front/#");
    let _daemon = watching(&broker, &all, &shown);
    broker.publish(&format!("{FRONT}/detect/set"), "OFF", false);
    until(&all, "state", |message| message.topic.ends_with("/detect/state") && message.payload == "OFF");
    std::fs::rename(&shown, &away).unwrap();
    until(&all, "offline", |message| {
        message.topic == format!("{FRONT}/status") && message.payload == "offline"
    });
    std::fs::rename(&away, &shown).unwrap();
    until(&all, "online", |message| {
        message.topic == format!("{FRONT}/status") && message.payload == "online"
    });
    let quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(1) {
        let Some(message) = all.poll(Duration::from_millis(100)) else { continue };
        assert!(!message.topic.ends_with("/detections"), "nobody looks");
    }
}

#[test]
fn thresholds_are_set_by_label_and_all_at_once() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    let all = broker.subscribe("vigie/porch/front/#");
    let daemon = watching(&broker, &all, pictures.path());
    assert_eq!(broker.subscribe(&format!("{FRONT}/threshold/dog/state")).next().payload, "0.35");

    broker.publish(&format!("{FRONT}/threshold/all/set"), "1", false);
    let states: Vec<Received> =
        (0..2).map(|_| until(&all, "state", |m| m.topic.ends_with("/state"))).collect();
    assert!(states.iter().all(|state| state.payload == "1"), "{states:?}");
    until(&all, "nothing seen", |m| {
        m.topic.ends_with("/detections") && m.payload.contains("\"detections\":[]")
    });
    broker.publish(&format!("{FRONT}/threshold/person/set"), "0.3", false);
    until(&all, "state", |m| m.topic == format!("{FRONT}/threshold/person/state") && m.payload == "0.3");
    until(&all, "person", |m| m.topic.ends_with("/detections") && m.payload.contains("\"label\":\"person\""));
    assert_eq!(broker.subscribe(&format!("{FRONT}/threshold/dog/state")).next().payload, "1");
    let log = daemon.says("by a command");
    assert!(log.contains("camera front: every threshold 1, by a command"), "{log}");
}

#[test]
fn what_is_no_command_is_answered_with_the_reason() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    let errors = broker.subscribe("vigie/porch/error");
    let front = broker.subscribe("vigie/porch/front/error");
    let state = broker.subscribe("vigie/porch/front/detect/state");
    let _daemon = Daemon::start(&config(broker.port, pictures.path()));
    until(&state, "state", |message| message.payload == "ON");
    let megabyte = vec![b'O'; 1 << 20];
    let cases: [(&Subscriber, &str, &[u8], &str); 11] = [
        (&front, "front/detect/set", b"ONN", "ON or OFF is expected"),
        (&front, "front/detect/set", b"", "the payload is empty"),
        (&front, "front/detect/set", b"\xff\xfe", "no UTF-8"),
        (&front, "front/detect/set", &megabyte, "the payload has 1048576 bytes"),
        (&front, "front/threshold/person/set", b"1e-3", "a number from 0 to 1"),
        (&front, "front/threshold/unicorn/set", b"0.4", "the model has no label of that name"),
        (&front, "front/motion/set", b"ON", "has no motion gate"),
        (&front, "front/snapshot/set", b"ON", "has no snapshots"),
        (&front, "front/detekt/set", b"ON", "no such setting"),
        (&errors, "garage/detect/set", b"ON", "no camera of that name; it has: front"),
        (&errors, "$(reboot)/detect/set", b"ON", "no camera of that name"),
    ];
    for (subscriber, topic, payload, reason) in cases {
        broker.publish(&format!("vigie/porch/{topic}"), payload, false);
        let answer = subscriber.poll(PATIENCE).unwrap_or_else(|| panic!("no answer to {topic}"));
        let error = json(&answer);
        assert!(error["reason"].as_str().unwrap().contains(reason), "{topic}: {error}");
        assert_eq!((&error["schema"], &error["device"]), (&1.into(), &"porch".into()));
        assert_eq!(error["topic"], format!("vigie/porch/{topic}"));
        assert_eq!(error["payload_bytes"], payload.len());
        assert_eq!(error["camera"], if topic.starts_with("front") { "front".into() } else { Value::Null });
        assert!(!answer.retained && answer.payload.len() < 2000);
    }
    assert!(state.is_silent_for(Duration::from_millis(300)), "nothing was switched");
}

#[test]
fn a_retained_command_is_ignored_and_said() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    broker.publish(&format!("{FRONT}/detect/set"), "OFF", true);
    let all = broker.subscribe("vigie/porch/front/#");
    let _daemon = Daemon::start(&config(broker.port, pictures.path()));
    let (mut refused, mut looked) = (false, false);
    until(&all, "answer and a look", |message| {
        match message.topic.strip_prefix(FRONT).unwrap() {
            "/error" => {
                refused |= json(message)["reason"].as_str().unwrap().contains("the command is retained")
            }
            "/detections" => looked = true,
            "/detect/state" => assert_eq!(message.payload, "ON"),
            _ => {}
        }
        refused && looked
    });
}

#[test]
fn without_commands_nothing_is_subscribed_to_and_the_state_is_said_all_the_same() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    let all = broker.subscribe("vigie/porch/front/#");
    let config = config(broker.port, pictures.path());
    let _daemon = Daemon::start(&format!("mqtt.commands = false\n{config}"));
    assert_eq!(next(&all, "detect/state").payload, "ON");
    broker.publish(&format!("{FRONT}/detect/set"), "OFF", false);
    labels(&all);
    labels(&all);
    assert!(!broker.log().contains("SUBSCRIBE from vigie-porch"), "it only talks");
}

#[test]
fn in_mqtt_5_too_and_there_a_retained_command_is_known_at_once() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    let all = broker.subscribe("vigie/porch/front/#");
    let status = broker.subscribe("vigie/porch/status");
    let config = config(broker.port, pictures.path());
    let daemon = Daemon::start(&format!("mqtt.protocol = '5'\n{config}"));
    labels(&all);
    broker.publish(&format!("{FRONT}/detect/set"), "OFF", true);
    assert!(json(&next(&all, "error"))["reason"].as_str().unwrap().contains("is retained"));
    labels(&all);
    broker.publish(&format!("{FRONT}/detect/set"), "OFF", false);
    until(&all, "state", |message| message.topic.ends_with("/detect/state") && message.payload == "OFF");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().code, Some(0));
    until(&status, "farewell", |message| message.payload == "offline");
    assert!(broker.log().contains("(p5, c1, k30"), "it was MQTT 5");
}

#[test]
fn the_motion_gate_and_the_pictures_are_switched_where_there_are_any() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    // Not the pictures themselves.
    let moving = broker.subscribe(&format!("{FRONT}/motion"));
    let states = broker.subscribe(&format!("{FRONT}/+/state"));
    let looks = broker.subscribe(&format!("{FRONT}/detections"));
    let config = config(broker.port, pictures.path()).replace("[[camera]]", "[snapshot]\n[[camera]]");
    let _daemon = Daemon::start(&format!("{config}motion = {{ recheck = '1h' }}\n"));
    let state = |setting: &str, wanted: &str| {
        until(&states, setting, |m| m.topic == format!("{FRONT}/{setting}/state") && m.payload == wanted);
    };
    state("motion", "ON");
    state("snapshot", "ON");
    // A still picture: after a while nothing moves, and the gate lets nothing through.
    until(&moving, "rest", |message| message.payload == "OFF");
    let start = Instant::now();
    while !looks.is_silent_for(Duration::from_secs(2)) {
        assert!(start.elapsed() < START, "it is looked at all the time");
    }
    broker.publish(&format!("{FRONT}/motion/set"), "OFF", false);
    state("motion", "OFF");
    until(&looks, "look", |_| true);
    broker.publish(&format!("{FRONT}/snapshot/set"), "OFF", false);
    state("snapshot", "OFF");
    broker.publish(&format!("{FRONT}/motion/set"), "ON", false);
    state("motion", "ON");
}

/// Home Assistant's birth is heard, and what an earlier configuration has left at the broker is removed.
#[test]
fn what_a_dialect_asks_for_is_heard_without_commands_too() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    let gone = "homeassistant/device/vigie-porch/side/config";
    let earlier = r#"{"origin":{"name":"Vigie"},"components":{"a":{"platform":"sensor","b":1}}}"#;
    broker.publish(gone, earlier, true);
    let told = broker.subscribe("homeassistant/#");
    let config = config(broker.port, pictures.path());
    let _daemon = Daemon::start(&format!(
        "mqtt.commands = false\nmqtt.dialects = ['native', 'homeassistant']\n{config}"
    ));
    let (mut introduced, mut removed) = (0, false);
    until(&told, "introduction and removal", |message| {
        introduced += usize::from(!message.retained && message.payload.contains("\"name\":\"Vigie\""));
        removed |= message.topic == gone && message.payload.is_empty();
        introduced == 2 && removed
    });
    broker.publish("homeassistant/status", "online", false);
    let mut again = 0;
    until(&told, "introduction again", |message| {
        again += usize::from(message.payload.contains("\"name\":\"Vigie\""));
        again == 2
    });
}

/// The access list that docs/mqtt.md gives lets the board work, Home Assistant switch, and nobody else.
#[test]
fn the_documented_access_list_does_what_it_says() {
    let docs = include_str!("../docs/mqtt.md");
    let list = docs.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access");
    std::fs::write(&file, list).unwrap();
    let broker =
        Broker::with(&Setup { extra: &format!("acl_file {}\n", file.display()), ..Setup::default() });
    let pictures = folder_of(&["musicians.jpg"]);
    let states = broker.subscribe(&format!("{FRONT}/detect/state"));
    let config = config(broker.port, pictures.path());
    let _daemon = Daemon::start(&format!("mqtt.username = 'porch'\n{config}"));
    until(&states, "state", |message| message.payload == "ON");
    let command = format!("{FRONT}/detect/set");
    broker.publish_as(&["-u", "stranger"], &command, "OFF", false);
    broker.publish(&command, "OFF", false);
    assert!(states.is_silent_for(Duration::from_secs(1)), "strangers only read");
    broker.publish_as(&["-u", "homeassistant"], &command, "OFF", false);
    until(&states, "state", |message| message.payload == "OFF");
    broker.publish_as(&["-u", "homeassistant"], &format!("{FRONT}/threshold/person/set"), "0.9", false);
    let threshold = broker.subscribe(&format!("{FRONT}/threshold/person/state"));
    until(&threshold, "state", |message| message.payload == "0.9");
    broker.publish_as(&["-u", "homeassistant"], &format!("{FRONT}/detect/state"), "ON", false);
    assert!(
        states.is_silent_for(Duration::from_millis(500)),
        "it switches, and does not speak for the board"
    );
}

/// The device's figures, the next ones.
fn stats(all: &Subscriber) -> Value {
    json(&until(all, "stats", |message| message.topic == "vigie/porch/stats"))
}

#[test]
fn a_thousand_commands_a_second_leave_the_daemon_at_work() {
    const SECONDS: u32 = 8;
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    let all = broker.subscribe("vigie/porch/front/#");
    let daemon = watching(&broker, &all, pictures.path());
    drop(all);
    let figures = broker.subscribe("vigie/porch/stats");
    let before = stats(&figures);
    let answers = broker.subscribe("vigie/porch/+/error");
    let all = broker.subscribe("vigie/porch/error");
    let states = broker.subscribe("vigie/porch/front/detect/state");
    let mut senders =
        [broker.lines(&format!("{FRONT}/detect/set")), broker.lines(&format!("{FRONT}/detect/set"))];
    let start = Instant::now();
    for tick in 0..SECONDS * 100 {
        for (sender, line) in senders.iter_mut().zip(["ON\n", "a stranger's words\n"]) {
            let stdin = sender.stdin.as_mut().unwrap();
            stdin.write_all(line.repeat(5).as_bytes()).unwrap();
            stdin.flush().unwrap();
        }
        let due = start + Duration::from_millis(10) * tick;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let took = start.elapsed();
    for mut sender in senders {
        drop(sender.stdin.take());
        sender.wait().unwrap();
    }
    let sent = u64::from(SECONDS) * 1000;
    let counted = |stats: &Value| {
        ["carried_out", "refused", "ignored"].map(|key| stats["commands"][key].as_u64().unwrap())
    };
    // A broker may drop what is QoS 0 when it has too much to do; then the sum stays a little below.
    let (mut after, deadline) = (stats(&figures), Instant::now() + START);
    loop {
        let stats = stats(&figures);
        if counted(&stats) == counted(&after) && counted(&stats)[2] > 0 {
            break;
        }
        after = stats;
        assert!(Instant::now() < deadline, "it does not end: {}", after["commands"]);
    }
    let [carried_out, refused, ignored] = counted(&after);
    let sum = carried_out + refused + ignored;
    assert!(sum <= sent && sum > sent / 2, "{sum} of {sent} are accounted for: {}", after["commands"]);
    let heard = carried_out + refused;
    let most = 100 + 20 * (took.as_secs() + 2);
    assert!(heard >= 100 && heard <= most, "{heard} of {sent} were heard in {took:?}");
    let processed = |stats: &Value| stats["cameras"]["front"]["frames_processed"].as_u64().unwrap();
    let looks = processed(&after) - processed(&before);
    // Under the emulator a look takes seconds, and the memory is the emulator's.
    let emulated = cfg!(target_arch = "aarch64");
    assert!(emulated || looks >= took.as_secs(), "{looks} looks in {took:?}");
    let rss = |stats: &Value| stats["rss_mib"].as_f64().unwrap();
    assert!(
        emulated || rss(&after) - rss(&before) < 20.0,
        "{} MiB before, {} MiB after",
        rss(&before),
        rss(&after)
    );
    let count = |subscriber: &Subscriber| {
        std::iter::from_fn(|| subscriber.poll(Duration::from_millis(300))).count() as u64
    };
    let told = count(&all);
    assert!((1..=2).contains(&told), "that there are too many is said once: {told}");
    assert!(count(&answers) <= refused && count(&states) <= carried_out + 1);
    let log = daemon.says("more than 20 commands a second");
    let lines = log.lines().filter(|line| line.contains("command")).count();
    assert!(lines <= 20, "{lines} lines about them:\n{log}");
    println!(
        "{sent} in {took:?}: {carried_out} carried out, {refused} refused, {ignored} ignored; {looks} looks; rss {} to {} MiB",
        rss(&before),
        rss(&after)
    );
}

/// In MQTT 3.1.1 a broker delivers what is far too large; with a retained one it would do so at every subscription.
#[tokio::test(flavor = "multi_thread")]
async fn a_retained_message_that_is_far_too_large_does_not_keep_the_device_away() {
    let broker = Broker::start();
    broker.publish("vigie/porch/front/detect/set", vec![b'x'; 3 << 20], true);
    let (inbox, mut letters) = inbox(vec!["vigie/porch/+/+/set".into()], Arc::default());
    let tuning = Tuning { after_bad_command: Duration::from_secs(1), ..quick() };
    let options = options(broker.port, Protocol::V311);
    let client = Client::listen(options, STATUS.into(), tuning, Some(inbox), Vec::new()).unwrap();
    let publisher = client.publisher();
    let start = Instant::now();
    while publisher.stats().reconnects == 0 {
        assert!(start.elapsed() < PATIENCE, "{:?}", publisher.stats());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let heard = broker.subscribe("e");
    for n in 0..20 {
        publisher.publish(Message::event("e", n.to_string()));
        // QoS 1: one whose acknowledgement stood behind the large message comes again.
        let new = loop {
            let payload = heard.next_on("e").payload;
            if n == 0 || payload != (n - 1).to_string() {
                break payload;
            }
        };
        assert_eq!(new, n.to_string());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let reconnects = publisher.stats().reconnects;
    assert!((1..=3).contains(&reconnects), "{reconnects} in {:?}", start.elapsed());

    broker.publish("vigie/porch/front/detect/set", "", true);
    let message = loop {
        broker.publish("vigie/porch/front/detect/set", "OFF", false);
        if let Ok(message) = tokio::time::timeout(Duration::from_millis(200), letters.next()).await {
            break message.unwrap();
        }
        assert!(start.elapsed() < PATIENCE, "commands are never heard again");
    };
    assert_eq!((message.payload.as_slice(), message.retained), (&b"OFF"[..], false));
    assert!(client.close(Duration::from_secs(5)).await);
}
