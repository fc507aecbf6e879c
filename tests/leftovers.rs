//! What an earlier configuration has left at a real mosquitto: it goes, and nothing else does.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that meets what it does not expect shall fail")]

#[macro_use]
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::client::{STATUS, options, quick};
use support::daemon::{Daemon, folder_of, until};
use support::mosquitto::{Broker, PATIENCE};
use vigie::mqtt::client::{Client, Tuning};
use vigie::mqtt::dialect::Leftovers;
use vigie::mqtt::{Message, Protocol};

/// The topics under a filter that have a retained value at the broker, and how long it is.
fn retained(broker: &Broker, filter: &str) -> BTreeMap<String, String> {
    let all = broker.lengths(filter);
    let mut values = BTreeMap::new();
    while let Some(message) = all.poll(Duration::from_millis(500)) {
        if message.retained {
            values.insert(message.topic, message.payload);
        }
    }
    values
}

/// A device with these cameras, of which the first has a zone if there are two.
fn device(port: u16, pictures: &std::path::Path, cameras: &[&str], zone: bool) -> String {
    let source = format!("source = {{ pictures = '{}', fps = 5 }}", pictures.display());
    let mut text = format!(
        "device.name = 'porch'\nmqtt.url = 'mqtt://127.0.0.1:{port}'\n\
         detect = {{ max_fps = 5, hold = '0s' }}\nsnapshot = {{ }}\n"
    );
    for name in cameras {
        text += &format!("[[camera]]\nname = '{name}'\n{source}\n");
        if zone && *name == "a" {
            text += "[[camera.zone]]\nname = 'steps'\npoints = [[0, 0], [1, 0], [1, 1], [0, 1]]\n\
                     labels = ['person']\nhours = {}\n";
        }
    }
    text
}

#[test]
fn a_camera_and_a_zone_that_went_while_the_daemon_was_down_are_retired() {
    let broker = Broker::start();
    let pictures = folder_of(&["musicians.jpg"]);
    let all = broker.lengths("vigie/porch/#");
    let daemon = Daemon::start(&device(broker.port, pictures.path(), &["a", "b"], true));
    let (mut camera, mut zone, mut picture) = (false, false, false);
    until(&all, "values", |message| {
        camera |= message.topic == "vigie/porch/b/person/occupancy";
        zone |= message.topic == "vigie/porch/a/zone/steps/person/occupancy";
        picture |= message.topic == "vigie/porch/b/snapshot/person";
        camera && zone && picture
    });
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().code, Some(0));
    let foreign = [
        ("vigie/porch/a/mynote", "1"),
        ("vigie/porch/b/mynote", "2"),
        ("vigie/porch/b/status/mynote", "3"),
        ("vigie/porch/c/person/count", "many"),
        ("vigie/porch2/b/status", "online"),
        ("vigie/porch/b/detect/set", ""),
    ];
    foreign.iter().for_each(|(topic, payload)| broker.publish(topic, payload, true));
    let before = retained(&broker, "vigie/#");
    let of = |values: &BTreeMap<String, String>, prefix: &str| {
        values.keys().filter(|topic| topic.starts_with(prefix)).count()
    };
    assert!(of(&before, "vigie/porch/b/") > 30 && of(&before, "vigie/porch/a/zone/") == 4, "{before:#?}");

    let logged = broker.log().len();
    let daemon = Daemon::start(&device(broker.port, pictures.path(), &["a"], false));
    daemon.says("values that an earlier configuration had");
    // The last of them are on their way to the broker.
    std::thread::sleep(Duration::from_secs(1));
    let after = retained(&broker, "vigie/#");
    let ours = |(topic, _): &(&String, &String)| {
        topic.starts_with("vigie/porch/b/") || topic.contains("/zone/") && !topic.contains("mynote")
    };
    let left: Vec<_> = after.iter().filter(ours).filter(|(topic, _)| !topic.contains("mynote")).collect();
    assert!(left.is_empty(), "{left:#?}");
    for (topic, payload) in &foreign[..5] {
        assert_eq!(broker.subscribe(topic).next().payload, *payload, "{topic}");
    }
    for topic in
        before.keys().filter(|topic| topic.starts_with("vigie/porch/a/") && !topic.contains("/zone/"))
    {
        assert!(after.contains_key(topic), "{topic} is still said");
    }
    assert_eq!(broker.subscribe("vigie/porch/a/status").next().payload, "online");

    // Each filter was asked for and given up again, one after the other.
    let log = broker.log().split_off(logged);
    let said = |what: &str| log.matches(&format!("Received {what} from vigie-porch")).count();
    assert_eq!((said("SUBSCRIBE"), said("UNSUBSCRIBE")), (15, 14), "and commands are heard");
}

/// Whatever is below `vigie/porch/gone/` is said no more.
struct Gone;

impl Leftovers for Gone {
    fn filters(&self) -> Vec<String> {
        ["count", "active", "occupancy"].map(|what| format!("vigie/porch/+/{what}")).to_vec()
    }

    fn of(&self, topic: &str, payload: &[u8]) -> Vec<String> {
        let is_gone = topic.contains("/gone") && payload == b"0";
        if is_gone { vec![topic.to_owned()] } else { Vec::new() }
    }
}

in_both_protocols! {
    thousands_of_values_are_retired_with_a_broker_that_is_slow
    a_value_that_is_far_too_large_costs_no_other
}

async fn gone(broker: &Broker, seconds: u64) {
    let start = Instant::now();
    loop {
        let left = retained(broker, "vigie/porch/+/+");
        if !left.keys().any(|topic| topic.contains("/gone")) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(seconds), "{} are left", left.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn thousands_of_values_are_retired_with_a_broker_that_is_slow(protocol: Protocol) {
    let broker = Broker::start();
    let earlier = Client::spawn_with(options(broker.port, protocol), STATUS.into(), quick()).unwrap();
    let publisher = earlier.publisher();
    for n in 0..1000 {
        for what in ["count", "active", "occupancy"] {
            publisher.publish(Message::state(format!("vigie/porch/gone{n}/{what}"), "0"));
        }
    }
    publisher.publish(Message::state("vigie/porch/here/count", "0"));
    support::client::until(&publisher, "kept", |s| s.queued == 0 && s.published > 3000).await;
    assert!(earlier.close(PATIENCE).await);
    let client =
        Client::listen(options(broker.port, protocol), STATUS.into(), quick(), None, vec![Box::new(Gone)])
            .unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    broker.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_secs(3)).await;
    broker.signal(Signal::CONT);
    gone(&broker, 60).await;
    assert_eq!(retained(&broker, "vigie/porch/here/count").len(), 1);
    assert!(client.close(Duration::from_secs(5)).await);
}

async fn a_value_that_is_far_too_large_costs_no_other(protocol: Protocol) {
    let broker = Broker::start();
    broker.publish("vigie/porch/huge/count", vec![b'x'; 3 << 20], true);
    broker.publish("vigie/porch/gone/occupancy", "0", true);
    let tuning = Tuning { after_bad_command: Duration::from_secs(1), ..quick() };
    let client =
        Client::listen(options(broker.port, protocol), STATUS.into(), tuning, None, vec![Box::new(Gone)])
            .unwrap();
    gone(&broker, 20).await;
    let publisher = client.publisher();
    let reconnects = publisher.stats().reconnects;
    assert!(reconnects <= 1, "{reconnects}");
    tokio::time::sleep(PATIENCE / 10).await;
    assert_eq!(publisher.stats().reconnects, reconnects, "and it is left at that");
    assert_eq!(retained(&broker, "vigie/porch/huge/count").len(), 1);
    assert!(client.close(Duration::from_secs(5)).await);
}
