//! The queue against brokers that hang up, forget, and refuse.

use super::*;

fn queue(max_messages: usize) -> Queue {
    Queue::new(max_messages, 1 << 20, 1 << 16)
}

fn event(n: usize) -> Message {
    Message::event("e", n.to_string())
}

fn payloads(queue: &mut Queue) -> Vec<String> {
    std::iter::from_fn(|| queue.next()).map(|o| String::from_utf8(o.message.payload).unwrap()).collect()
}

#[test]
fn events_stay_until_they_are_acknowledged_and_keep_their_order() {
    let mut queue = queue(100);
    (0..3).for_each(|n| queue.push(event(n)));
    queue.connected();
    let first = queue.next().unwrap();
    assert_eq!(payloads(&mut queue), ["1", "2"]);
    queue.acked(first.token);
    queue.disconnected(0);
    queue.push(event(3));
    queue.connected();
    assert_eq!(payloads(&mut queue), ["1", "2", "3"]);
    assert_eq!(queue.dropped().total(), 0);
}

#[test]
fn an_acknowledgement_out_of_order_is_honoured() {
    let mut queue = queue(100);
    queue.connected();
    (0..3).for_each(|n| queue.push(event(n)));
    let out: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
    queue.acked(out[1].token);
    queue.disconnected(0);
    queue.connected();
    assert_eq!(payloads(&mut queue), ["0", "2"]);
}

#[test]
fn no_more_are_in_flight_than_the_window() {
    let mut queue = queue(1000);
    queue.connected();
    (0..100).for_each(|n| queue.push(event(n)));
    let out: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
    assert_eq!(out.len(), WINDOW);
    queue.acked(out[0].token);
    assert_eq!(payloads(&mut queue), [WINDOW.to_string()]);
    queue.push(Message::sample("s", "x"));
    assert_eq!(payloads(&mut queue), ["x"], "samples need no window");
}

#[test]
fn a_full_queue_drops_the_oldest_samples_first_and_never_what_is_in_flight() {
    let mut queue = queue(4);
    queue.connected();
    queue.push(event(0));
    queue.next().unwrap();
    queue.push(Message::sample("s", "old"));
    queue.push(Message::sample("s", "new"));
    queue.push(event(1));
    queue.push(event(2));
    assert_eq!((queue.dropped().overflow, queue.len()), (1, 4));
    queue.push(event(3));
    queue.push(event(4));
    queue.push(Message::sample("s", "no room"));
    assert_eq!((queue.dropped().overflow, queue.len()), (4, 4), "the samples, event 1, and the new sample");
    assert_eq!(payloads(&mut queue), ["2", "3", "4"]);
    queue.disconnected(0);
    queue.connected();
    assert_eq!(payloads(&mut queue), ["0", "2", "3", "4"]);
}

#[test]
fn bytes_are_bounded_too() {
    let mut queue = Queue::new(1000, 1000, 400);
    queue.push(Message::state("state", vec![b'x'; 195]));
    for _ in 0..10 {
        queue.push(Message::event("e", vec![b'x'; 199]));
    }
    assert_eq!((queue.bytes(), queue.dropped().overflow), (1000, 6));
    queue.push(Message::event("e", vec![b'x'; 401]));
    assert_eq!(queue.dropped().too_large, 1);
    queue.push(Message::state("state", vec![b'x'; 395]));
    assert_eq!((queue.bytes(), queue.dropped().overflow), (1000, 7), "a state is worth more than an event");
}

#[test]
fn states_coalesce_and_come_again_with_every_connection() {
    let mut queue = queue(10);
    queue.push(Message::state("status", "online"));
    for n in 0..50 {
        queue.push(Message::state("count", n.to_string()));
    }
    queue.connected();
    assert_eq!(payloads(&mut queue), ["online", "49"]);
    queue.push(Message::state("count", "50"));
    assert_eq!(payloads(&mut queue), ["50"]);
    queue.disconnected(0);
    queue.connected();
    assert_eq!(payloads(&mut queue), ["online", "50"]);
    assert_eq!(queue.dropped().total(), 0, "an overtaken value is no loss");
}

#[test]
fn samples_live_only_while_connected() {
    let mut queue = queue(10);
    queue.push(Message::sample("s", "1"));
    queue.connected();
    queue.push(Message::sample("s", "2"));
    queue.disconnected(1);
    queue.connected();
    assert_eq!(payloads(&mut queue), Vec::<String>::new());
    assert_eq!(queue.dropped().disconnected, 3);
    assert_eq!(queue.bytes(), 0);
}

#[test]
fn a_message_that_always_breaks_the_connection_is_found_and_given_up() {
    let mut queue = queue(100);
    (0..30).for_each(|n| queue.push(event(n)));
    let mut arrived = Vec::new();
    let mut given_up = 0;
    for _ in 0..100 {
        queue.connected();
        // This broker hangs up on event 7 and loses the acknowledgements of everything behind it.
        while let Some(out) = queue.next() {
            if out.message == event(7) {
                break;
            }
            arrived.push(out.message.clone());
            queue.acked(out.token);
        }
        given_up += usize::from(queue.disconnected(0).given_up.is_some());
    }
    assert_eq!((given_up, queue.dropped().rejected), (1, 1));
    assert_eq!(arrived, (0..30).filter(|&n| n != 7).map(event).collect::<Vec<_>>());
    assert!(queue.is_idle() && queue.bytes() == 0);
}

#[test]
fn so_is_a_state_until_it_has_another_value() {
    let mut queue = queue(100);
    (0..30).for_each(|n| queue.push(Message::state(format!("s{n}"), "0")));
    let mut given_up = Vec::new();
    for _ in 0..20 {
        queue.connected();
        // This broker reads all that has come before it acknowledges, and hangs up on the seventh.
        loop {
            let batch: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
            if batch.is_empty() || batch.iter().any(|o| o.message.topic == "s7") {
                break;
            }
            batch.iter().for_each(|o| queue.acked(o.token));
        }
        given_up.extend(queue.disconnected(0).given_up);
    }
    assert_eq!(given_up, ["s7"]);
    queue.push(Message::state("s7", "1"));
    queue.connected();
    assert_eq!(std::iter::from_fn(|| queue.next()).filter(|o| o.message.topic == "s7").count(), 1);
}

#[test]
fn a_broker_that_comes_and_goes_costs_nothing() {
    let mut queue = queue(100);
    queue.push(Message::state("status", "online"));
    queue.push(event(0));
    for n in 0..50 {
        queue.connected();
        if n % 3 != 0 {
            queue.next();
        }
        queue.disconnected(0);
    }
    queue.connected();
    assert_eq!(queue.dropped().total(), 0);
    let status = queue.next().unwrap();
    queue.acked(status.token);
    assert_eq!(payloads(&mut queue), ["0"]);
}

#[test]
fn after_the_last_word_there_is_silence() {
    let mut queue = queue(100);
    queue.push(Message::state("status", "online"));
    queue.connected();
    queue.push(event(0));
    assert_eq!(queue.close(Message::state("status", "offline")), 1);
    queue.push(Message::state("status", "online"));
    assert_eq!(payloads(&mut queue), ["offline"]);
    assert_eq!(queue.dropped().closing, 2);
}

proptest::proptest! {
    /// Whatever happens, the bounds hold and the count of bytes is right.
    #[test]
    fn the_bounds_hold(steps in proptest::collection::vec((0u8..8, 0usize..60), 0..300)) {
        let mut queue = Queue::new(8, 300, 50);
        let mut out = VecDeque::new();
        for (step, size) in steps {
            match step {
                0 => queue.push(Message::state(["a", "b", "c"][size % 3], vec![0; size])),
                1 | 2 => queue.push(Message::event("e", vec![0; size])),
                3 => queue.push(Message::sample("s", vec![0; size])),
                4 => queue.connected(),
                5 => { queue.disconnected(0); out.clear(); }
                6 => out.extend(queue.next()),
                _ => if let Some(o) = out.pop_front() { queue.acked(o.token) },
            }
            let held = queue.states.iter().map(|s| s.message.len()).sum::<usize>()
                + queue.events.iter().map(|e| e.message.len()).sum::<usize>()
                + queue.samples.iter().map(Message::len).sum::<usize>();
            proptest::prop_assert_eq!(held, queue.bytes());
            proptest::prop_assert!(queue.bytes() <= 300 && queue.events.len() + queue.samples.len() <= 8);
            proptest::prop_assert!(queue.sent <= queue.events.len() && queue.flight.len() <= WINDOW);
        }
    }
}
