//! What only MQTT 5 has, against a real mosquitto: properties of messages, the broker's limits, its reasons.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use support::client::{STATUS, options, quick, until};
use support::mosquitto::{Broker, Received, Setup};
use vigie::mqtt::client::Client;
use vigie::mqtt::inbox::inbox;
use vigie::mqtt::{Message, Options, Protocol};

fn spawn(port: u16) -> Client {
    Client::spawn_with(options(port, Protocol::V5), STATUS.into(), quick()).unwrap()
}

/// A broker that lets everybody write everywhere but to `forbidden/#`.
fn with_access_list() -> (Broker, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("access");
    std::fs::write(&list, "topic readwrite vigie/#\ntopic readwrite e\ntopic read forbidden/#\n").unwrap();
    let broker =
        Broker::with(&Setup { extra: &format!("acl_file {}\n", list.display()), ..Setup::default() });
    (broker, folder)
}

/// The properties after the expiry, which is that much, or a little less by now.
fn in_time(message: Received, expires: u32) -> String {
    let (left, rest) = message.payload.split_once('|').unwrap();
    let left: u32 = left.parse().unwrap();
    assert!(left <= expires && left + 5 >= expires, "{message:?}");
    rest.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_say_what_they_are_and_how_long_they_last() {
    let broker = Broker::start();
    let all = broker.properties("#");
    let client = spawn(broker.port);
    assert_eq!(all.next_on(STATUS).payload, "||1|", "text that holds until the next one");
    let publisher = client.publisher();
    publisher.publish(Message::event("vigie/porch/front/events", r#"{"schema":1,"type":"new"}"#));
    assert_eq!(in_time(all.next(), 86_400), "application/json|1|schema:1");
    publisher.publish(Message::sample("vigie/porch/front/detections", r#"{"schema":1}"#));
    assert_eq!(in_time(all.next(), 60), "application/json|1|schema:1");
    publisher.publish(Message::state("vigie/porch/front/person/count", "2"));
    assert_eq!(all.next().payload, "||1|");
    publisher.publish(Message::picture("vigie/porch/front/snapshot/person", [0xff, 0xd8, 0xff, 0xe0], true));
    assert_eq!(in_time(all.next(), 86_400), "image/jpeg||");
    publisher.publish(Message::retired("vigie/porch/front/person/count"));
    assert_eq!(all.next().payload, "|||");
    drop(client);
    assert_eq!(all.next_on(STATUS).payload, "||1|", "the last will too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_larger_than_the_broker_takes_is_given_up_and_the_connection_stays() {
    let broker = Broker::with(&Setup { extra: "max_packet_size 1000\n", ..Setup::default() });
    let subscriber = broker.subscribe("e");
    let client = spawn(broker.port);
    let publisher = client.publisher();
    until(&publisher, "born", |s| s.published == 1).await;
    publisher.publish(Message::event("e", "before"));
    publisher.publish(Message::event("e", vec![b'x'; 5000]));
    publisher.publish(Message::sample("e", vec![b'x'; 1000]));
    // Topic, length, packet id and properties around it: exactly 1000 bytes.
    publisher.publish(Message::event("e", vec![b'y'; 1000 - 3 - 3 - 2 - 8]));
    publisher.publish(Message::event("e", "after"));
    assert_eq!(subscriber.next().payload, "before");
    assert_eq!(subscriber.next().payload.len(), 984, "what just fits is sent");
    assert_eq!(subscriber.next().payload, "after");
    let stats = until(&publisher, "all said", |s| s.queued == 0).await;
    assert_eq!((stats.dropped.rejected, stats.dropped.total(), stats.reconnects), (2, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_does_not_allow_is_counted_and_holds_nothing_up() {
    let (broker, _folder) = with_access_list();
    let subscriber = broker.subscribe("e");
    let client = spawn(broker.port);
    let publisher = client.publisher();
    for n in 0..10 {
        publisher.publish(Message::event("forbidden/e", "x"));
        publisher.publish(Message::event("e", n.to_string()));
    }
    for n in 0..10 {
        assert_eq!(subscriber.next().payload, n.to_string());
    }
    let stats = until(&publisher, "all said", |s| s.queued == 0).await;
    assert_eq!((stats.dropped.rejected, stats.published, stats.reconnects), (10, 11, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_in_flight_than_the_broker_takes_and_the_order_is_kept() {
    for most in [1, 3] {
        let extra = format!("max_inflight_messages {most}\n");
        let broker = Broker::with(&Setup { extra: &extra, ..Setup::default() });
        let subscriber = broker.subscribe("e");
        let client = spawn(broker.port);
        let publisher = client.publisher();
        for n in 0..200 {
            publisher.publish(Message::event("e", n.to_string()));
        }
        for n in 0..200 {
            assert_eq!(subscriber.next().payload, n.to_string());
        }
        let stats = until(&publisher, "all acknowledged", |s| s.queued == 0).await;
        assert_eq!((stats.published, stats.reconnects, stats.dropped.total()), (201, 0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reasons_are_said_in_words() {
    let broker = Broker::with(&Setup { login: Some(("vigie", "right")), ..Setup::default() });
    let client = spawn(broker.port);
    let trouble = until(&client.publisher(), "refused", |s| s.trouble.is_some()).await.trouble.unwrap();
    assert!(trouble.contains("not authorized") && trouble.contains("is the password right"), "{trouble}");
}

/// Answers a CONNECT with these bytes, and hangs up; again and again.
fn broker_that_answers(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let _ = client.read(&mut [0; 1000]);
            let _ = client.write_all(bytes);
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_before_is_told_by_its_answer() {
    // As MQTT 5 has it; and as 3.1.1 does, with a return code and no properties.
    let cases: [(&[u8], &str); 2] = [
        (&[0x20, 3, 0, 0x84, 0], "the broker does not speak MQTT 5: unsupported protocol version"),
        (&[0x20, 2, 0, 1], "perhaps it does not speak MQTT 5"),
    ];
    for (answer, words) in cases {
        let client = spawn(broker_that_answers(answer));
        let trouble = until(&client.publisher(), "refused", |s| s.trouble.is_some()).await.trouble.unwrap();
        assert!(trouble.contains(words), "{trouble}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_ends_it_says_why() {
    // Refused; or accepted, and then ended: session taken over, server shutting down, packet too large, quota exceeded,
    // keep alive timeout.
    let cases: [(&[u8], &str); 6] = [
        (&[0x20, 3, 0, 0x97, 0], "a limit of the broker is reached: quota exceeded"),
        (&[0x20, 3, 0, 0, 0, 0xe0, 2, 0x8e, 0], "another client is using this client id: \"porch-1\""),
        (&[0x20, 3, 0, 0, 0, 0xe0, 2, 0x8b, 0], "says that it is unavailable: server shutting down"),
        (&[0x20, 3, 0, 0, 0, 0xe0, 2, 0x95, 0], "packet of that size: packet too large"),
        (&[0x20, 3, 0, 0, 0, 0xe0, 7, 0x97, 5, 0x1f, 0, 2, b'n', b'o'], "quota exceeded, \"no\""),
        (&[0x20, 3, 0, 0, 0, 0xe0, 2, 0x8d, 0], "does not answer: keep alive timeout"),
    ];
    for (answer, words) in cases {
        let client = spawn(broker_that_answers(answer));
        let trouble = until(&client.publisher(), "ended", |s| s.trouble.is_some()).await.trouble.unwrap();
        assert!(trouble.contains(words), "{trouble}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_what_is_needed_is_told() {
    // Maximum QoS 0; no retained messages.
    for answer in [&[0x20, 5, 0, 0, 2, 0x24, 0][..], &[0x20, 5, 0, 0, 2, 0x25, 0]] {
        let client = spawn(broker_that_answers(answer));
        let trouble = until(&client.publisher(), "refused", |s| s.trouble.is_some()).await.trouble.unwrap();
        assert!(trouble.contains("can't do what is needed"), "{trouble}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_command_is_known_for_one_and_one_that_is_far_too_large_never_comes() {
    let broker = Broker::start();
    broker.publish("vigie/porch/front/detect/set", vec![b'x'; 3 << 20], true);
    broker.publish("vigie/porch/back/detect/set", "OFF", true);
    let (inbox, mut letters) = inbox(vec!["vigie/porch/+/+/set".into()], Arc::default());
    let options = Options { keep_alive: Duration::from_secs(1), ..options(broker.port, Protocol::V5) };
    let client = Client::listen(options, STATUS.into(), quick(), Some(inbox), Vec::new()).unwrap();
    let stored = letters.next().await.unwrap();
    assert_eq!((stored.topic.as_str(), stored.retained), ("vigie/porch/back/detect/set", true));
    broker.publish("vigie/porch/back/detect/set", "ON", true);
    let live = letters.next().await.unwrap();
    assert_eq!(
        (live.payload.as_slice(), live.retained),
        (&b"ON"[..], true),
        "in MQTT 3.1.1 nobody could tell"
    );
    broker.publish("vigie/porch/back/detect/set", "ON", false);
    assert!(!letters.next().await.unwrap().retained);
    // A keep-alive that rumqttc would not take is no trouble either.
    assert_eq!(client.publisher().stats().reconnects, 0);
}
