//! Events through a NATS cluster that speaks MQTT (three servers, JetStream on each), one of them killed in the middle.
//! The client, the servers and the subscribers (mosquitto's) are the real ones; a gate before the servers is the load
//! balancer that such a cluster has.
//!
//! Not for aarch64: the servers would be this machine's own there too, and the client's way to a broker is tested under
//! emulation with mosquitto; NATS, slow as its elections are beside QEMU, adds nothing to that.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that meets what it does not expect shall fail")]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use support::client::{STATUS, options, quick, until};
use support::gate::Gate;
use support::mosquitto::Subscriber;
use support::nats::Cluster;
use support::publisher::{TOPIC, payload};
use vigie::mqtt::client::Client;
use vigie::mqtt::{Message, Options, Protocol, Publisher, Stats};

const EVENTS: usize = 2000;
/// All in five seconds.
const RATE: u32 = 400;
const COUNT: &str = "vigie/porch/front/person/count";

/// What arrived, by the number of the event.
#[derive(Debug, Default)]
struct Arrived {
    first: BTreeMap<usize, usize>,
    duplicates: usize,
    disorder: usize,
    changed: usize,
}

impl Arrived {
    /// Takes events until all are there, or none comes any more.
    fn all_of(subscriber: &Subscriber) -> Arrived {
        let mut arrived = Arrived::default();
        let mut latest: BTreeMap<String, usize> = BTreeMap::new();
        while arrived.first.len() < EVENTS {
            // What NATS has to deliver again takes its `ack_wait`, and before it the election of a leader for the
            // subscriber's consumer, where the dead node was its leader.
            let Some(message) = subscriber.poll(Duration::from_secs(30)) else {
                break;
            };
            if message.topic != TOPIC || message.payload == "probe" {
                continue;
            }
            let event: serde_json::Value = serde_json::from_str(&message.payload).unwrap();
            let (id, n) = (event["id"].as_str().unwrap(), event["seq"].as_u64().unwrap() as usize);
            arrived.changed += usize::from(message.payload != payload(0, n));
            let order = arrived.first.len();
            if arrived.first.contains_key(&n) {
                arrived.duplicates += 1;
                continue;
            }
            arrived.first.insert(n, order);
            let before = latest.insert(id.to_owned(), n);
            arrived.disorder += usize::from(before.is_some_and(|before| before > n));
        }
        arrived
    }

    fn check(&self, who: &str) {
        let lost: Vec<usize> = (0..EVENTS).filter(|n| !self.first.contains_key(n)).collect();
        eprintln!(
            "{who}: {} of {EVENTS} events, {} came again, {} out of order",
            self.first.len(),
            self.duplicates,
            self.disorder
        );
        assert!(lost.is_empty(), "{who}: lost {lost:?}");
        assert_eq!((self.disorder, self.changed), (0, 0), "{who}: out of order, changed");
    }
}

/// Waits until the cluster has acknowledged everything, and says what happens meanwhile. NATS needs up to four seconds for
/// each question to a leader that is no more, and keeps a client's id for as long; and the elections come before.
async fn acknowledged(publisher: &Publisher, begin: Instant) -> Stats {
    let (start, mut said) = (Instant::now(), String::new());
    loop {
        let stats = publisher.stats();
        let text = format!("connected: {}, {}", stats.connected, stats.trouble.as_deref().unwrap_or("well"));
        if text != said {
            let (at, queued) = (begin.elapsed().as_secs_f32(), stats.queued);
            eprintln!("{at:5.1} s: {text}; {queued} wait");
            said = text;
        }
        if stats.queued == 0 {
            return stats;
        }
        assert!(start.elapsed() < Duration::from_secs(35), "not all is acknowledged in time: {stats:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until who subscribes at that node now gets these values as retained ones. Just after a node has died NATS may
/// refuse a subscription, for which it has to make a consumer; then it is asked again.
fn retained(cluster: &Cluster, node: usize, wanted: &[(&str, &str)]) -> Subscriber {
    let (start, mut attempt, mut values) = (Instant::now(), 0, BTreeMap::new());
    while start.elapsed() < Duration::from_secs(20) {
        let late = cluster.subscribe(node, &format!("late-{node}-{attempt}"), "vigie/#");
        values.clear();
        while let Some(message) = late.poll(Duration::from_secs(2)) {
            assert!(message.retained || message.topic != COUNT, "nobody publishes it now: {message:?}");
            if message.retained {
                values.insert(message.topic, message.payload);
            }
            if wanted.iter().all(|&(topic, value)| values.get(topic).is_some_and(|have| have == value)) {
                return late;
            }
        }
        attempt += 1;
        eprintln!("node {node} has {values:?}: once more");
    }
    panic!("node {node} has {values:?}, not {wanted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_lost_when_a_node_of_a_nats_cluster_is_killed() {
    let begin = Instant::now();
    let mut cluster = Cluster::of(3);
    eprintln!("{:5.1} s: the cluster is ready", begin.elapsed().as_secs_f32());
    let balancer = Gate::among((0..3).map(|node| cluster.port(node)).collect(), true);
    let live = cluster.subscribed(1, "live", "vigie/#", "vigie/probe");
    eprintln!("{:5.1} s: the subscriber is there", begin.elapsed().as_secs_f32());

    let options = Options { queue_messages: 2 * EVENTS, ..options(balancer.port, Protocol::V311) };
    let client = Client::spawn_with(options, STATUS.into(), quick()).unwrap();
    let publisher = client.publisher();
    until(&publisher, "born", |stats| stats.published > 0).await;
    let (start, mut before) = (Instant::now(), 0);
    for n in 0..EVENTS {
        let due = Duration::from_secs(1) / RATE * n as u32;
        tokio::time::sleep(due.saturating_sub(start.elapsed())).await;
        publisher.publish(Message::event(TOPIC, payload(0, n)));
        if n % 100 == 99 {
            publisher.publish(Message::state(COUNT, n.to_string()));
        }
        if n == EVENTS / 2 {
            before = publisher.stats().published;
            cluster.kill(0);
            eprintln!("{:5.1} s: the client's node is killed", begin.elapsed().as_secs_f32());
        }
    }
    assert!(before > 100, "events went out before: {before}");
    let stats = acknowledged(&publisher, begin).await;
    let seconds = begin.elapsed().as_secs_f32();
    eprintln!("{seconds:5.1} s: all is acknowledged, after {} new connections", stats.reconnects);
    assert!(stats.reconnects > 0, "it had to go to another node");
    assert_eq!(stats.dropped.total(), 0);

    Arrived::all_of(&live).check("at another node");

    let last = (EVENTS - 1).to_string();
    let late = retained(&cluster, 2, &[(COUNT, &last), (STATUS, "online")]);
    eprintln!("{:5.1} s: the retained values are at a third node", begin.elapsed().as_secs_f32());
    balancer.shut();
    balancer.cut();
    assert_eq!(late.next_on(STATUS).payload, "offline", "the last will");
    retained(&cluster, 1, &[(STATUS, "offline")]);
    eprintln!("{:5.1} s: done", begin.elapsed().as_secs_f32());
}

/// NATS speaks 3.1.1 alone, and answers MQTT 5 with words of 3.1.1.
#[tokio::test(flavor = "multi_thread")]
async fn mqtt_5_towards_nats_is_an_error_that_says_what_to_do() {
    let server = Cluster::of(1);
    let client = Client::spawn_with(options(server.port(0), Protocol::V5), STATUS.into(), quick()).unwrap();
    let stats = until(&client.publisher(), "refused", |stats| stats.trouble.is_some()).await;
    let trouble = stats.trouble.unwrap();
    eprintln!("{trouble}");
    assert!(trouble.contains("does not speak MQTT 5"), "{trouble}");
    assert!(trouble.contains("protocol = \"3.1.1\""), "{trouble}");
    assert!(!stats.connected && stats.published == 0);
}
