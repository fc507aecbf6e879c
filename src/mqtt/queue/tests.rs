//! The queue against brokers that hang up, forget, and refuse.

use super::*;

const BOUNDS: Bounds = Bounds { messages: 100, bytes: 1 << 20, picture_bytes: 1000, payload: 1 << 16 };

/// A queue whose birth message is out of the way.
fn queue(messages: usize) -> Queue {
    with(Bounds { messages, ..BOUNDS })
}

fn with(bounds: Bounds) -> Queue {
    let mut queue = Queue::new(bounds, Message::state("status", "online"));
    let birth = queue.next().unwrap();
    queue.acked(birth.token);
    queue
}

/// A new connection, on which the birth message was acknowledged.
fn connect(queue: &mut Queue) {
    queue.connected();
    let birth = queue.next().unwrap();
    assert_eq!(birth.token, Token::Status, "the birth comes first");
    queue.acked(birth.token);
}

/// What the status alone takes.
const STATUS: usize = "statusonline".len();

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
    connect(&mut queue);
    let first = queue.next().unwrap();
    assert_eq!(payloads(&mut queue), ["1", "2"]);
    queue.acked(first.token);
    queue.disconnected(0);
    queue.push(event(3));
    connect(&mut queue);
    assert_eq!(payloads(&mut queue), ["1", "2", "3"]);
    assert_eq!(queue.dropped().total(), 0);
}

#[test]
fn an_acknowledgement_out_of_order_is_honoured() {
    let mut queue = queue(100);
    connect(&mut queue);
    (0..3).for_each(|n| queue.push(event(n)));
    let out: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
    queue.acked(out[1].token);
    queue.disconnected(0);
    connect(&mut queue);
    assert_eq!(payloads(&mut queue), ["0", "2"]);
}

#[test]
fn no_more_are_in_flight_than_the_window() {
    let mut queue = queue(1000);
    connect(&mut queue);
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
    connect(&mut queue);
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
    connect(&mut queue);
    assert_eq!(payloads(&mut queue), ["0", "2", "3", "4"]);
}

#[test]
fn bytes_are_bounded_too() {
    let mut queue = with(Bounds { messages: 1000, bytes: 1000, payload: 400, ..BOUNDS });
    queue.push(Message::state("state", vec![b'x'; 195]));
    for _ in 0..10 {
        queue.push(Message::event("e", vec![b'x'; 199]));
    }
    assert_eq!((queue.bytes() - STATUS, queue.dropped().overflow), (1000, 6));
    queue.push(Message::event("e", vec![b'x'; 401]));
    assert_eq!(queue.dropped().too_large, 1);
    queue.push(Message::state("state", vec![b'x'; 395]));
    assert_eq!(
        (queue.bytes() - STATUS, queue.dropped().overflow),
        (1000, 7),
        "a state is worth more than an event"
    );
}

#[test]
fn states_coalesce_and_come_again_with_every_connection() {
    let mut queue = queue(10);
    for n in 0..50 {
        queue.push(Message::state("count", n.to_string()));
    }
    connect(&mut queue);
    assert_eq!(payloads(&mut queue), ["49"]);
    queue.push(Message::state("count", "50"));
    assert_eq!(payloads(&mut queue), ["50"]);
    queue.disconnected(0);
    connect(&mut queue);
    assert_eq!(payloads(&mut queue), ["50"]);
    assert_eq!(queue.dropped().total(), 0, "an overtaken value is no loss");
}

#[test]
fn samples_live_only_while_connected() {
    let mut queue = queue(10);
    queue.push(Message::sample("s", "1"));
    connect(&mut queue);
    queue.push(Message::sample("s", "2"));
    queue.disconnected(1);
    connect(&mut queue);
    assert_eq!(payloads(&mut queue), Vec::<String>::new());
    assert_eq!(queue.dropped().disconnected, 3);
    assert_eq!(queue.bytes(), STATUS);
}

#[test]
fn a_message_that_always_breaks_the_connection_is_found_and_given_up() {
    let mut queue = queue(100);
    (0..30).for_each(|n| queue.push(event(n)));
    let mut arrived = Vec::new();
    let mut given_up = 0;
    for _ in 0..100 {
        connect(&mut queue);
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
    assert!(queue.is_idle() && queue.bytes() == STATUS);
}

#[test]
fn so_is_a_state_until_it_has_another_value() {
    let mut queue = queue(100);
    (0..30).for_each(|n| queue.push(Message::state(format!("s{n}"), "0")));
    let mut given_up = Vec::new();
    for _ in 0..20 {
        connect(&mut queue);
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
    connect(&mut queue);
    assert_eq!(std::iter::from_fn(|| queue.next()).filter(|o| o.message.topic == "s7").count(), 1);
}

#[test]
fn a_broker_that_comes_and_goes_costs_nothing() {
    let mut queue = queue(100);
    queue.push(event(0));
    for n in 0..50 {
        queue.connected();
        if n % 3 != 0 {
            queue.next();
        }
        queue.disconnected(0);
    }
    connect(&mut queue);
    assert_eq!(queue.dropped().total(), 0);
    assert_eq!(payloads(&mut queue), ["0"]);
}

#[test]
fn after_the_last_word_there_is_silence() {
    let mut queue = queue(100);
    connect(&mut queue);
    queue.push(event(0));
    queue.push(Message::picture("p", "x", true));
    assert_eq!(queue.close(Message::state("status", "offline")), 2);
    queue.push(Message::state("status", "online"));
    assert_eq!(payloads(&mut queue), ["offline"]);
    assert_eq!(queue.dropped().closing, 3);
}

#[test]
fn the_last_word_needs_no_room() {
    let mut queue = with(Bounds { messages: 1, bytes: 30, ..BOUNDS });
    queue.push(Message::event("e", vec![b'x'; 29]));
    queue.connected();
    while queue.next().is_some() {}
    assert_eq!(queue.close(Message::state("status", "offline")), 0);
    assert_eq!(
        payloads(&mut queue),
        ["offline"],
        "the queue is full to its last byte, and all of it is in flight"
    );
    assert_eq!(queue.dropped().total(), 0);
}

#[test]
fn a_retired_state_is_forgotten_when_the_broker_has_heard_of_it() {
    let mut queue = queue(10);
    queue.push(Message::state("count", "1"));
    connect(&mut queue);
    assert_eq!(payloads(&mut queue), ["1"]);
    queue.push(Message::retired("count"));
    queue.disconnected(0);
    connect(&mut queue);
    let retired = queue.next().unwrap();
    assert_eq!(retired.message, Message::retired("count"));
    queue.disconnected(0);
    connect(&mut queue);
    let retired = queue.next().unwrap();
    assert_eq!(retired.message, Message::retired("count"), "nobody had acknowledged it");
    queue.acked(retired.token);
    queue.disconnected(0);
    connect(&mut queue);
    assert!(queue.next().is_none() && queue.bytes() == STATUS);
    queue.push(Message::state("count", "2"));
    assert_eq!(payloads(&mut queue), ["2"], "and may come again");
}

#[test]
fn a_state_that_is_retired_and_comes_again_at_once_stays() {
    let mut queue = queue(10);
    connect(&mut queue);
    queue.push(Message::retired("count"));
    let retired = queue.next().unwrap();
    queue.push(Message::state("count", "1"));
    queue.acked(retired.token);
    assert_eq!(payloads(&mut queue), ["1"]);
    queue.disconnected(0);
    connect(&mut queue);
    assert_eq!(payloads(&mut queue), ["1"]);
}

#[test]
fn of_a_picture_the_newest_is_kept_and_no_event_gives_way_to_it() {
    let mut queue = with(Bounds { messages: 4, bytes: 40, ..BOUNDS });
    for n in 0..4 {
        queue.push(event(n));
    }
    for n in 0..5u8 {
        queue.push(Message::picture("front", vec![n; 600], true));
    }
    queue.push(Message::picture("back", vec![9; 300], true));
    assert_eq!(queue.dropped().total(), 0, "overtaken pictures are no loss, and both fit the budget");
    assert!(
        queue.next().is_some_and(|out| out.message == event(0)),
        "before there is a connection, no picture"
    );
    connect(&mut queue);
    let out: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
    assert_eq!(out.len(), 4, "large things go one by one: {out:?}");
    assert_eq!(out[3].message, Message::picture("front", vec![4; 600], true));
    queue.acked(out[3].token);
    assert_eq!(queue.next().unwrap().message.topic, "back");
    queue.disconnected(1);
    connect(&mut queue);
    assert!(!std::iter::from_fn(|| queue.next()).any(|o| o.message.class == Class::Picture), "not again");
    assert_eq!(queue.dropped().disconnected, 1);
}

#[test]
fn pictures_keep_to_their_budget() {
    let mut queue = queue(10);
    queue.push(Message::picture("a", vec![0; 500], false));
    queue.push(Message::picture("b", vec![0; 400], false));
    queue.push(Message::picture("c", vec![0; 400], false));
    assert_eq!((queue.dropped().overflow, queue.len()), (1, 2), "the oldest gave way");
    queue.push(Message::picture("b", vec![0; 1000], false));
    assert_eq!(
        (queue.dropped().overflow, queue.len()),
        (2, 1),
        "one that never fits, and the view it overtook"
    );
}

/// A link that holds for three messages a time: whatever waits gets its turn in the end.
#[test]
fn a_connection_that_never_lasts_starves_neither_events_nor_states() {
    let mut queue = queue(100);
    (0..40).for_each(|n| queue.push(Message::state(format!("s{n}"), "0")));
    connect(&mut queue);
    while let Some(out) = queue.next() {
        queue.acked(out.token);
    }
    (0..20).for_each(|n| queue.push(event(n)));
    let (mut events, mut states) = (Vec::new(), std::collections::HashSet::new());
    for _ in 0..80 {
        connect(&mut queue);
        for _ in 0..2 {
            let Some(out) = queue.next() else { break };
            queue.acked(out.token);
            match out.message.class {
                Class::Event => events.push(out.message),
                _ => {
                    states.insert(out.message.topic);
                }
            }
        }
        // One more is out when the link breaks, so that the queue has reason to be careful.
        queue.next();
        queue.disconnected(0);
    }
    assert_eq!(events, (0..20).map(event).collect::<Vec<_>>());
    assert_eq!(states.len(), 40, "each was said again");
}

/// A queue of a device whose cameras' events have markers.
fn marking(messages: usize) -> Queue {
    let queue = queue(messages).with_spool("v/porch/status", None, Pace::default());
    Queue { status_due: false, ..queue }
}

fn seen(camera: &str, n: usize) -> Message {
    Message::event(format!("v/porch/{camera}/events"), n.to_string())
}

/// What a marker says: camera, number and reason. An event's number is another thing.
fn gap(text: &str) -> Option<(String, u64)> {
    let gap: crate::mqtt::payload::Gap<'_> = serde_json::from_str(text).ok()?;
    assert_eq!(gap.reason, crate::mqtt::payload::GapReason::Overflow);
    Some((gap.camera.into_owned(), gap.dropped))
}

#[test]
fn events_that_gave_way_are_told_of_in_their_place() {
    let mut queue = marking(4);
    connect(&mut queue);
    queue.push(seen("front", 0));
    assert_eq!(payloads(&mut queue), ["0"], "in flight");
    for n in 1..10 {
        queue.push(seen(if n % 3 == 0 { "back" } else { "front" }, n));
    }
    assert_eq!(queue.dropped().overflow, 6);
    queue.disconnected(0);
    connect(&mut queue);
    let all = payloads(&mut queue);
    let front = ("front".to_owned(), 4);
    assert_eq!(
        (all[0].as_str(), gap(&all[1]), gap(&all[2])),
        ("0", Some(front), Some(("back".to_owned(), 2)))
    );
    assert_eq!(all[3..], ["7", "8", "9"]);
}

#[test]
fn a_marker_that_was_sent_stays_as_it_is_until_it_is_acknowledged() {
    let mut queue = marking(2);
    connect(&mut queue);
    (0..5).for_each(|n| queue.push(seen("front", n)));
    let marker = queue.next().unwrap();
    queue.disconnected(0);
    (5..7).for_each(|n| queue.push(seen("front", n)));
    connect(&mut queue);
    let all: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
    let text = |at: usize| String::from_utf8(all[at].message.payload.clone()).unwrap();
    assert_eq!(all[0], marker, "word for word: a duplicate can be told");
    assert_eq!(gap(&text(1)), Some(("front".to_owned(), 2)), "what was dropped since");
    assert_eq!((text(2).as_str(), text(3).as_str()), ("5", "6"));
    all.iter().for_each(|out| queue.acked(out.token));
    assert!(queue.is_idle() && queue.bytes() == STATUS);
}

#[test]
fn an_event_that_finds_no_room_at_all_is_told_of_too() {
    let mut queue = marking(2);
    connect(&mut queue);
    (0..2).for_each(|n| queue.push(seen("front", n)));
    let flying: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
    (2..4).for_each(|n| queue.push(seen("front", n)));
    flying.iter().for_each(|out| queue.acked(out.token));
    queue.push(seen("front", 4));
    let all = payloads(&mut queue);
    assert_eq!((gap(&all[0]), all[1].as_str()), (Some(("front".to_owned(), 2)), "4"));
    assert_eq!(queue.dropped().overflow, 2);
}

#[test]
fn markers_are_bounded() {
    let mut queue = marking(10);
    (0..2000).for_each(|n| queue.push(seen(&format!("camera{n}"), n)));
    assert!(queue.len() <= 10 + 256, "{}", queue.len());
    assert_eq!(queue.dropped().overflow, 1990);
}

proptest::proptest! {
    /// Whatever happens, the bounds hold and the count of bytes is right.
    #[test]
    fn the_bounds_hold(steps in proptest::collection::vec((0u8..10, 0usize..60), 0..300)) {
        let mut queue = with(Bounds { messages: 8, bytes: 300, picture_bytes: 100, payload: 50 });
        let mut out = VecDeque::new();
        for (step, size) in steps {
            match step {
                0 => queue.push(Message::state(["a", "b", "c"][size % 3], vec![0; size])),
                1 | 2 => queue.push(Message::event("e", vec![0; size])),
                3 => queue.push(Message::sample("s", vec![0; size])),
                4 => queue.connected(),
                5 => { queue.disconnected(0); out.clear(); }
                6 => out.extend(queue.next()),
                7 => queue.push(Message::picture(["p", "q", "r"][size % 3], vec![0; size], true)),
                8 => queue.push(Message::retired(["a", "b", "c"][size % 3])),
                _ => if let Some(o) = out.pop_front() { queue.acked(o.token) },
            }
            let bounded = queue.states.held()
                + queue.events.held()
                + queue.samples.iter().map(Message::len).sum::<usize>();
            proptest::prop_assert_eq!(bounded + queue.pictures.held() + STATUS, queue.bytes());
            proptest::prop_assert!(bounded <= 300 && queue.events.in_memory() + queue.samples.len() <= 8);
            proptest::prop_assert!(queue.pictures.held() <= 100);
            proptest::prop_assert!(queue.events.sent <= queue.events.len() && queue.flight.len() <= WINDOW);
        }
    }
}
