//! The client against a real mosquitto: births and wills, order, outages, takeovers, large messages.
#![allow(clippy::unwrap_used, missing_docs)]

#[macro_use]
mod support;

use std::time::{Duration, Instant};

use support::client::{STATUS, options, quick, until};
use support::gate::Gate;
use support::mosquitto::{Broker, PATIENCE, Received, Setup, free_port};
use vigie::mqtt::client::Client;
use vigie::mqtt::{Message, Options, Protocol};

fn spawn(port: u16, protocol: Protocol) -> Client {
    Client::spawn_with(options(port, protocol), STATUS.into(), quick()).unwrap()
}

fn received(retained: bool, qos: u8, topic: &str, payload: &str) -> Received {
    Received { retained, qos, topic: topic.into(), payload: payload.into() }
}

in_both_protocols! {
    birth_messages_and_a_clean_stop
    the_last_will_says_offline_when_the_connection_is_cut
    a_network_that_is_cut_brings_offline_and_then_online
    a_network_that_goes_silent_does_not_leave_a_stale_offline
    a_stop_towards_a_broker_that_hangs_keeps_its_deadline
    a_broker_that_is_down_at_start_is_waited_for
    a_broker_that_is_killed_and_comes_back_loses_nothing
    what_was_in_flight_when_the_broker_died_comes_again
    the_queue_is_bounded_while_the_broker_is_away
    a_listener_that_hangs_up_at_once_is_not_hammered
    another_client_with_the_same_id_is_named
    a_megabyte_goes_through_and_more_than_the_limit_is_refused
    a_message_that_the_broker_hangs_up_on_does_not_block_the_others_for_ever
    many_threads_publish_at_once_and_nobody_waits
}

async fn birth_messages_and_a_clean_stop(protocol: Protocol) {
    let broker = Broker::start();
    let subscriber = broker.subscribe("vigie/#");
    let client = spawn(broker.port, protocol);
    let publisher = client.publisher();
    assert_eq!(subscriber.next(), received(false, 1, STATUS, "online"));
    publisher.publish(Message::state("vigie/porch/front/person/count", "2"));
    publisher.publish(Message::event("vigie/porch/front/events", r#"{"a":"b c"}"#));
    publisher.publish(Message::sample("vigie/porch/front/detections", "{}"));
    assert_eq!(subscriber.next(), received(false, 1, "vigie/porch/front/person/count", "2"));
    assert_eq!(subscriber.next(), received(false, 1, "vigie/porch/front/events", r#"{"a":"b c"}"#));
    assert_eq!(subscriber.next(), received(false, 0, "vigie/porch/front/detections", "{}"));
    until(&publisher, "acknowledged", |s| s.queued == 0 && s.published == 4).await;

    let late = broker.subscribe("vigie/#");
    let mut stored = [late.next(), late.next()];
    stored.sort_by(|a, b| a.topic.cmp(&b.topic));
    assert_eq!(stored[0], received(true, 1, "vigie/porch/front/person/count", "2"));
    assert_eq!(stored[1], received(true, 1, STATUS, "online"));
    assert!(late.is_silent_for(Duration::from_millis(300)), "events and samples are not retained");

    publisher.publish(Message::event("vigie/porch/front/events", "last"));
    assert!(client.close(Duration::from_secs(5)).await, "a clean stop");
    assert_eq!(subscriber.next_on("vigie/porch/front/events").payload, "last");
    assert_eq!(subscriber.next(), received(false, 1, STATUS, "offline"));
    assert!(subscriber.is_silent_for(Duration::from_millis(300)), "no will after a clean stop");
    assert_eq!(broker.subscribe(STATUS).next(), received(true, 1, STATUS, "offline"));
    assert!(broker.log().contains("Received DISCONNECT from porch-1"));
}

async fn the_last_will_says_offline_when_the_connection_is_cut(protocol: Protocol) {
    let broker = Broker::start();
    let subscriber = broker.subscribe(STATUS);
    let client = spawn(broker.port, protocol);
    assert_eq!(subscriber.next(), received(false, 1, STATUS, "online"));
    drop(client);
    assert_eq!(subscriber.next(), received(false, 1, STATUS, "offline"), "same topic and qos as the birth");
    assert_eq!(broker.subscribe(STATUS).next(), received(true, 1, STATUS, "offline"), "and as retained");
}

async fn a_network_that_is_cut_brings_offline_and_then_online(protocol: Protocol) {
    let broker = Broker::start();
    let gate = Gate::to(broker.port, true);
    let subscriber = broker.subscribe("vigie/#");
    let client = spawn(gate.port, protocol);
    let publisher = client.publisher();
    assert_eq!(subscriber.next().payload, "online");
    publisher.publish(Message::state("vigie/porch/front/status", "online"));
    assert_eq!(subscriber.next().topic, "vigie/porch/front/status");
    for _ in 0..3 {
        gate.cut();
        assert_eq!(subscriber.next(), received(false, 1, STATUS, "offline"));
        assert_eq!(subscriber.next(), received(false, 1, STATUS, "online"), "the birth comes first");
        assert_eq!(subscriber.next(), received(false, 1, "vigie/porch/front/status", "online"));
    }
    assert_eq!(publisher.stats().reconnects, 3);
}

/// The broker still holds the dead connection when the new one comes, and publishes the old one's will.
async fn a_network_that_goes_silent_does_not_leave_a_stale_offline(protocol: Protocol) {
    let broker = Broker::start();
    let gate = Gate::to(broker.port, true);
    let subscriber = broker.subscribe(STATUS);
    let options = Options { keep_alive: Duration::from_secs(1), ..options(gate.port, protocol) };
    let client = Client::spawn_with(options, STATUS.into(), quick()).unwrap();
    let publisher = client.publisher();
    assert_eq!(subscriber.next().payload, "online");
    gate.freeze();
    until(&publisher, "connected anew", |s| s.reconnects == 1 && s.queued == 0).await;
    assert_eq!(subscriber.next().payload, "offline");
    assert_eq!(subscriber.next().payload, "online");
    assert!(subscriber.is_silent_for(Duration::from_secs(2)), "nothing comes after it");
    assert_eq!(broker.subscribe(STATUS).next(), received(true, 1, STATUS, "online"));
}

async fn a_stop_towards_a_broker_that_hangs_keeps_its_deadline(protocol: Protocol) {
    let broker = Broker::start();
    let gate = Gate::to(broker.port, true);
    let client = spawn(gate.port, protocol);
    let publisher = client.publisher();
    until(&publisher, "born", |s| s.published == 1).await;
    gate.freeze();
    publisher.publish(Message::event("e", "unheard"));
    let start = Instant::now();
    assert!(!client.close(Duration::from_secs(1)).await, "no clean stop");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(publisher.stats().dropped.closing, 0, "what is in flight may have arrived");
}

async fn a_broker_that_is_down_at_start_is_waited_for(protocol: Protocol) {
    let mut broker = Broker::prepare(&Setup::default());
    let client = spawn(broker.port, protocol);
    let publisher = client.publisher();
    for n in 0..50 {
        publisher.publish(Message::event("vigie/porch/front/events", n.to_string()));
    }
    let stats = until(&publisher, "in trouble", |s| s.trouble.is_some()).await;
    assert!(stats.trouble.unwrap().starts_with("connection refused"));
    broker.run();
    until(&publisher, "drained", |s| s.connected && s.queued == 0 && s.published == 51).await;
    assert_eq!(publisher.stats().dropped.total(), 0);
    assert!(client.close(Duration::from_secs(5)).await);
}

async fn a_broker_that_is_killed_and_comes_back_loses_nothing(protocol: Protocol) {
    let mut broker = Broker::start();
    let gate = Gate::to(broker.port, true);
    let client = spawn(gate.port, protocol);
    let publisher = client.publisher();
    publisher.publish(Message::state("vigie/porch/front/person/count", "1"));
    until(&publisher, "published", |s| s.published == 2).await;

    gate.shut();
    broker.kill();
    gate.cut();
    until(&publisher, "disconnected", |s| !s.connected).await;
    for n in 0..300 {
        publisher.publish(Message::event("vigie/porch/front/events", n.to_string()));
        publisher.publish(Message::state("vigie/porch/front/person/count", (n % 7).to_string()));
        publisher.publish(Message::sample("vigie/porch/front/detections", n.to_string()));
    }
    let stats = publisher.stats();
    assert_eq!(stats.dropped.disconnected, 300, "samples are worth nothing later: {stats:?}");
    assert_eq!(stats.dropped.total(), 300);

    broker.run();
    let subscriber = broker.subscribe("vigie/#");
    gate.open();
    assert_eq!(subscriber.next(), received(false, 1, STATUS, "online"));
    assert_eq!(
        subscriber.next(),
        received(false, 1, "vigie/porch/front/person/count", "5"),
        "the newest alone"
    );
    for n in 0..300 {
        assert_eq!(subscriber.next(), received(false, 1, "vigie/porch/front/events", &n.to_string()));
    }
    assert!(subscriber.is_silent_for(Duration::from_millis(300)));
    let stats = until(&publisher, "drained", |s| s.queued == 0).await;
    assert_eq!((stats.reconnects, stats.dropped.total()), (1, 300));
    let late = broker.subscribe("vigie/#");
    let mut stored = [late.next().payload, late.next().payload];
    stored.sort();
    assert_eq!(stored, ["5", "online"], "the broker had forgotten its retained values");
}

/// Killed in the middle of a burst: at least once, and each first arrival in order.
async fn what_was_in_flight_when_the_broker_died_comes_again(protocol: Protocol) {
    let mut broker = Broker::start();
    let gate = Gate::to(broker.port, true);
    let client = spawn(gate.port, protocol);
    let publisher = client.publisher();
    until(&publisher, "born", |s| s.published == 1).await;
    let mut seen = Vec::new();
    let mut published = 0;
    for round in 0..3 {
        let subscriber = broker.subscribe("e");
        for _ in 0..200 {
            publisher.publish(Message::event("e", published.to_string()));
            published += 1;
        }
        until(&publisher, "under way", |s| s.published > 250 * round + 50).await;
        gate.shut();
        // A fast broker may have acknowledged all of the burst by now; these it never sees.
        gate.freeze();
        for _ in 0..50 {
            publisher.publish(Message::event("e", published.to_string()));
            published += 1;
        }
        broker.kill();
        gate.cut();
        while !subscriber.is_silent_for(Duration::from_millis(200)) {}
        drop(subscriber);
        broker.run();
        let subscriber = broker.subscribe("e");
        let before = publisher.stats().published;
        gate.open();
        until(&publisher, "drained", |s| s.connected && s.queued == 0).await;
        // What was acknowledged before the kill is the broker's to lose; all the rest must arrive, in order.
        let mut numbers = Vec::new();
        while numbers.last() != Some(&(published - 1)) {
            numbers.push(subscriber.next().payload.parse::<u64>().unwrap());
        }
        assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "{numbers:?}");
        assert!(numbers[0] <= before, "from the first that was not acknowledged on");
        seen.extend(numbers);
    }
    assert_eq!(publisher.stats().dropped.total(), 0);
    assert!(!seen.is_empty());
}

async fn the_queue_is_bounded_while_the_broker_is_away(protocol: Protocol) {
    let mut broker = Broker::prepare(&Setup::default());
    let options = Options { queue_messages: 10, ..options(broker.port, protocol) };
    let client = Client::spawn_with(options, STATUS.into(), quick()).unwrap();
    let publisher = client.publisher();
    for n in 0..25 {
        publisher.publish(Message::event("e", n.to_string()));
    }
    assert_eq!(publisher.stats().dropped.overflow, 15);
    until(&publisher, "refused", |s| s.trouble.is_some()).await;
    broker.run();
    until(&publisher, "drained", |s| s.connected && s.queued == 0 && s.published == 11).await;
}

async fn a_listener_that_hangs_up_at_once_is_not_hammered(protocol: Protocol) {
    let gate = Gate::to(free_port(), false);
    let client = spawn(gate.port, protocol);
    let publisher = client.publisher();
    let stats = until(&publisher, "in trouble", |s| s.trouble.is_some()).await;
    let trouble = stats.trouble.unwrap();
    assert!(trouble.contains("closed the connection at once") && trouble.contains("mqtts://"), "{trouble}");
    let (start, before) = (Instant::now(), gate.accepted());
    while gate.accepted() < before + 6 {
        assert!(start.elapsed() < PATIENCE, "it is tried again and again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // From the second attempt on at least half of 40, 80, 160, 200 and 200 ms lies between two.
    assert!(start.elapsed() >= Duration::from_millis(300), "6 attempts in {:?}", start.elapsed());
    assert!(!client.close(Duration::from_secs(5)).await, "nothing to say goodbye to, and no waiting for it");
}

async fn another_client_with_the_same_id_is_named(protocol: Protocol) {
    let broker = Broker::start();
    let ours = spawn(broker.port, protocol);
    let theirs =
        Client::spawn_with(options(broker.port, protocol), "vigie/garage/status".into(), quick()).unwrap();
    let stats = until(&ours.publisher(), "taken over", |s| {
        s.trouble.as_ref().is_some_and(|t| t.contains("another client is using this client id"))
    })
    .await;
    assert!(stats.trouble.unwrap().contains("\"porch-1\""));
    drop(theirs);
    until(&ours.publisher(), "connected", |s| s.connected).await;
}

async fn a_megabyte_goes_through_and_more_than_the_limit_is_refused(protocol: Protocol) {
    let broker = Broker::start();
    let subscriber = broker.subscribe("big");
    let client = spawn(broker.port, protocol);
    let publisher = client.publisher();
    let payload: String = (0..1 << 20).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    publisher.publish(Message::event("big", payload.as_str()));
    publisher.publish(Message::event("big", vec![b'x'; vigie::mqtt::MAX_PAYLOAD + 1]));
    publisher.publish(Message::event("big", "end"));
    assert!(subscriber.next().payload == payload, "a megabyte arrives whole");
    assert_eq!(subscriber.next().payload, "end");
    let stats = publisher.stats();
    assert_eq!((stats.dropped.too_large, stats.reconnects), (1, 0));
}

async fn a_message_that_the_broker_hangs_up_on_does_not_block_the_others_for_ever(protocol: Protocol) {
    let broker = Broker::with(&Setup { extra: "max_packet_size 1000\n", ..Setup::default() });
    let subscriber = broker.subscribe("e");
    let client = spawn(broker.port, protocol);
    let publisher = client.publisher();
    publisher.publish(Message::event("e", "before"));
    publisher.publish(Message::event("e", vec![b'x'; 5000]));
    publisher.publish(Message::event("e", "after"));
    assert_eq!(subscriber.next().payload, "before");
    let stats =
        until(&publisher, "over it", |s| s.connected && s.dropped.rejected == 1 && s.queued == 0).await;
    assert_eq!(stats.dropped.total(), 1);
    while subscriber.next().payload != "after" {}
}

async fn many_threads_publish_at_once_and_nobody_waits(protocol: Protocol) {
    let broker = Broker::start();
    let client = spawn(broker.port, protocol);
    let publisher = client.publisher();
    until(&publisher, "born", |s| s.published == 1).await;
    let longest = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut longest = Duration::ZERO;
                    for n in 0..200 {
                        let start = Instant::now();
                        publisher.publish(Message::event("e", n.to_string()));
                        longest = longest.max(start.elapsed());
                    }
                    longest
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).max().unwrap()
    });
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    until(&publisher, "drained", |s| s.queued == 0 && s.published == 801).await;
}
