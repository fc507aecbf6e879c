//! Queue and spool together, the file a real one, without a thread: what waits survives whatever happens.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::mqtt::Message;
use crate::mqtt::payload::Gap;
use crate::mqtt::queue::{Bounds, Queue, Token};
use crate::mqtt::scribe::Scribe;
use crate::mqtt::spool::Store;

mod course;
mod journal;

use course::Course;

const TOPIC: &str = "vigie/porch/front/events";

/// What docs/mqtt.md says of a file whose events take a MiB.
const FILE_MOST: u64 = (22 << 20) / 10;

fn options(path: &std::path::Path) -> Options {
    Options { path: path.to_owned(), max_bytes: 1 << 20, max_age: Duration::from_secs(3600) }
}

/// A queue before its spool.
struct World {
    options: Options,
    queue: Queue,
    store: Option<Store>,
    /// Has nothing to do unless [`World::with_journal`] was called.
    scribe: Scribe,
    journal: Option<PathBuf>,
    now: Moment,
    _folder: Option<tempfile::TempDir>,
}

impl World {
    fn new() -> World {
        World::sized(1 << 20)
    }

    fn sized(max_bytes: u64) -> World {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { max_bytes, ..options(&folder.path().join("spool.redb")) };
        World { _folder: Some(folder), ..World::of(options) }
    }

    fn of(options: Options) -> World {
        let bounds = Bounds { messages: 8000, bytes: 8 << 20, picture_bytes: 0, payload: 1 << 20 };
        let queue = Queue::new(bounds, Message::state("vigie/porch/status", "online"));
        let queue = queue.with_spool("vigie/porch/status", Some(&options), Pace::default());
        let (scribe, now) = (Scribe::default(), SystemClock.now());
        World { options, queue, store: None, scribe, journal: None, now, _folder: None }
    }

    /// Opens the file.
    fn attach(&mut self) -> &mut World {
        self.attach_to(false)
    }

    /// Opens it, the same as before or not.
    fn attach_to(&mut self, same: bool) -> &mut World {
        let mut store = Store::open(&self.options.path).unwrap();
        let end = store.last();
        self.scribe.spool_opened(store.stamp, self.queue.events());
        let job = self.queue.events().opened(same, self.now);
        let done = store.work(&job, |_| true).unwrap();
        let count = store.count(end).unwrap();
        self.queue.events().attached(done, end, count);
        self.scribe.keep_up(self.queue.events());
        self.store = Some(store);
        self
    }

    /// Does what the disk has to do, and whatever comes of it.
    fn commit(&mut self) {
        self.work(true);
        for _ in 0..1000 {
            match self.queue.events().due() {
                Some(due) if due <= microseconds(self.now.monotonic) => self.work(false),
                _ => return,
            }
        }
        panic!("it never ends");
    }

    /// Reads what is to be sent next.
    fn read(&mut self) {
        self.work(false);
    }

    fn work(&mut self, all: bool) {
        let Some(store) = &mut self.store else { return };
        let job = self.queue.events().job(self.now, all);
        self.scribe.keep_up(self.queue.events());
        let done = store.work(&job, |_| true).unwrap();
        self.queue.events().done(done);
        self.scribe.keep_up(self.queue.events());
    }

    fn connect(&mut self) {
        self.queue.connected();
        let birth = self.queue.next().unwrap();
        assert_eq!(birth.token, Token::Status);
        self.acked(birth.token);
    }

    fn disconnected(&mut self) {
        self.queue.disconnected(0);
        self.scribe.keep_up(self.queue.events());
    }

    fn acked(&mut self, token: Token) {
        self.queue.acked(token);
        self.scribe.keep_up(self.queue.events());
    }

    fn push(&mut self, n: usize) {
        let message = Message::event(TOPIC, format!("{n} {}", "x".repeat(200)));
        self.queue.push_at(message, self.now);
        self.scribe.keep_up(self.queue.events());
    }

    /// All that comes out, to the end, from a broker that answers.
    fn drain(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        loop {
            self.read();
            let batch: Vec<_> = std::iter::from_fn(|| self.queue.next()).collect();
            if batch.is_empty() {
                return out;
            }
            for handout in &batch {
                out.push(text(&handout.message));
                self.acked(handout.token);
            }
        }
    }

    /// The events that are in memory alone.
    fn unwritten(&mut self) -> Vec<usize> {
        let entries = self.queue.events().entries.iter().filter(|entry| entry.key.is_none());
        let events = entries.filter_map(|entry| match &entry.body {
            Body::Event(message) => text(message).parse().ok(),
            Body::Missing(_) => None,
        });
        events.collect()
    }

    /// `kill -9`: what is on disk, and in the journal, is all there is.
    fn crash(&mut self) {
        self.store = None;
        let World { queue, .. } = World::of(self.options.clone());
        (self.queue, self.scribe) = (queue, Scribe::default());
        if let Some(path) = self.journal.clone() {
            self.with_journal(path);
        }
    }

    /// Begins a journal, with what it has from before.
    fn with_journal(&mut self, path: PathBuf) {
        let (spool, events) = (self.options.path.clone(), self.queue.events());
        self.scribe.begin(path.clone(), spool, Duration::from_secs(60), events);
        self.journal = Some(path);
    }
}

/// The number of an event, or what a marker says.
fn text(message: &Message) -> String {
    let text = String::from_utf8(message.payload.clone()).unwrap();
    if text.starts_with('{') { text } else { text.split(' ').next().unwrap().to_owned() }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[test]
fn what_was_committed_comes_first_after_a_crash() {
    let mut world = World::new();
    world.attach();
    (0..5).for_each(|n| world.push(n));
    assert_eq!(world.queue.spool().at_risk, 5);
    world.commit();
    assert_eq!(world.queue.spool().at_risk, 0);
    world.push(5);
    assert_eq!(world.queue.spool().at_risk, 1, "this one would be lost");
    world.crash();
    world.push(6);
    world.connect();
    assert!(world.queue.next().is_none(), "what is new waits for what is old");
    world.attach();
    assert_eq!(world.drain(), ["0", "1", "2", "3", "4", "6"]);
    assert!(world.queue.is_idle());
}

#[test]
fn what_is_acknowledged_in_time_is_never_written() {
    let mut world = World::new();
    world.attach().connect();
    (0..50).for_each(|n| world.push(n));
    assert_eq!(world.drain(), numbers(0..50));
    let job = world.queue.events().job(world.now, true);
    assert!(!job.writes(), "{job:?}");
}

#[test]
fn without_a_connection_nothing_is_waited_for_but_the_pace_of_commits() {
    let mut world = World::new();
    let us = |now: Moment| microseconds(now.monotonic);
    world.attach();
    world.push(0);
    assert_eq!(world.queue.events().due(), Some(us(world.now)), "nobody will acknowledge it");
    world.work(false);
    assert_eq!(world.queue.spool().at_risk, 0);
    world.push(1);
    assert_eq!(world.queue.events().due(), Some(us(world.now) + 1_000_000), "a second later");
    world.now = world.now.at(world.now.monotonic + Duration::from_secs(5));
    world.connect();
    world.push(2);
    assert!(world.queue.events().due() <= Some(us(world.now)), "the one before it is due");
    world.work(false);
    world.push(3);
    assert_eq!(world.queue.events().due(), Some(us(world.now) + 1_000_000), "time for the broker to answer");
    world.queue.disconnected(0);
    assert_eq!(world.queue.events().due(), Some(us(world.now) + 1_000_000), "the pace is kept");
}

#[test]
fn a_window_of_a_long_queue_is_in_memory_and_the_rest_on_disk() {
    let mut world = World::new();
    world.attach();
    for n in 0..3000 {
        world.push(n);
        if n % 100 == 99 {
            world.commit();
        }
    }
    assert_eq!((world.queue.events().in_memory(), world.queue.spool().waiting), (KEEP, 3000));
    (3000..3010).for_each(|n| world.push(n));
    world.connect();
    assert_eq!(world.drain(), numbers(0..3010));
    world.commit();
    assert_eq!((world.queue.spool().waiting, world.queue.spool().bytes), (0, 0), "nothing is left behind");
}

#[test]
fn acknowledged_out_of_order_and_cut_off_none_is_lost() {
    let mut world = World::new();
    world.attach();
    (0..600).for_each(|n| world.push(n));
    world.commit();
    world.connect();
    let out: Vec<_> = std::iter::from_fn(|| world.queue.next()).collect();
    world.queue.acked(out[1].token);
    world.queue.acked(out[0].token);
    world.queue.acked(out[3].token);
    world.commit();
    world.queue.disconnected(0);
    world.commit();
    world.connect();
    let mut left = numbers(0..600);
    left.retain(|n| !["0", "1", "3"].contains(&n.as_str()));
    assert_eq!(world.drain(), left);
}

#[test]
fn a_full_disk_drops_the_oldest_and_says_so_in_their_place() {
    let mut world = World::new();
    world.attach().connect();
    // Two are on their way when the broker falls silent.
    (0..2).for_each(|n| world.push(n));
    let flying: Vec<_> = std::iter::from_fn(|| world.queue.next()).collect();
    for n in 2..6000 {
        world.push(n);
        if n % 50 == 0 {
            world.commit();
        }
    }
    world.commit();
    let spool = world.queue.spool();
    assert!(spool.bytes <= 1 << 20, "{spool:?}");
    let file = std::fs::metadata(&world.options.path).unwrap().len();
    assert!(file <= FILE_MOST, "the file has {file} bytes");
    assert!(spool.waiting > 3000 && spool.overflow > 1000, "{spool:?}");
    assert_eq!(spool.waiting + spool.overflow, 6000 + 1, "each is there or counted, and there is a marker");
    flying.iter().for_each(|out| world.queue.acked(out.token));
    let all = world.drain();
    let gap: Gap<'_> = serde_json::from_str(&all[0]).unwrap();
    assert_eq!((&*gap.camera, gap.dropped), ("front", spool.overflow));
    let first = 2 + usize::try_from(spool.overflow).unwrap();
    assert_eq!(all[1..], numbers(first..6000));
}

#[test]
fn a_gap_outlives_a_crash_and_grows() {
    let mut world = World::new();
    world.attach();
    for n in 0..6000 {
        world.push(n);
        if n % 50 == 49 {
            world.commit();
        }
    }
    let before = world.queue.spool().overflow;
    assert!(before > 0);
    world.crash();
    world.attach();
    for n in 6000..6500 {
        world.push(n);
        if n % 50 == 49 {
            world.commit();
        }
    }
    let dropped = before + world.queue.spool().overflow;
    world.connect();
    let all = world.drain();
    let gap: Gap<'_> = serde_json::from_str(&all[0]).unwrap();
    assert_eq!(gap.dropped, dropped, "one gap, of both runs");
    assert_eq!(all[1..], numbers(usize::try_from(dropped).unwrap()..6500));
}

#[test]
fn what_is_too_old_goes_and_is_told_of() {
    let mut world = World::new();
    world.attach();
    (0..1000).for_each(|n| world.push(n));
    world.commit();
    world.crash();
    world.now = world.now.at(world.now.monotonic + Duration::from_secs(3000));
    world.attach();
    world.commit();
    assert_eq!(world.queue.spool().aged, 0, "not yet");
    world.now = world.now.at(world.now.monotonic + Duration::from_secs(601));
    world.read();
    world.commit();
    assert_eq!(world.queue.spool().aged, 1000);
    world.push(1000);
    world.connect();
    let all = world.drain();
    let gap: Gap<'_> = serde_json::from_str(&all[0]).unwrap();
    assert_eq!((gap.dropped, gap.reason), (1000, crate::mqtt::payload::GapReason::Age));
    assert_eq!(all[1..], ["1000"]);
}

#[test]
fn a_disk_that_fails_and_heals_costs_nothing_that_is_in_memory() {
    let mut world = World::new();
    world.attach();
    (0..10).for_each(|n| world.push(n));
    world.commit();
    (10..15).for_each(|n| world.push(n));
    assert_eq!(world.queue.events().failed(Vec::new()), 0, "all of it is in memory");
    world.connect();
    let first = world.queue.next().unwrap();
    world.queue.acked(first.token);
    world.store = None;
    // The same file again: what it has of these is replaced.
    world.attach_to(true);
    assert_eq!((world.queue.spool().at_risk, world.queue.spool().waiting), (0, 14));
    assert_eq!(world.drain(), numbers(1..15));
}

/// A disk that hangs: the device is not mute for it, and what lies on disk comes when it comes, in order.
#[test]
fn a_disk_that_opens_late_holds_nothing_up_for_long() {
    let mut world = World::new();
    world.attach();
    (0..300).for_each(|n| world.push(n));
    world.commit();
    world.crash();
    world.connect();
    (300..310).for_each(|n| world.push(n));
    assert!(world.queue.next().is_none());
    world.queue.events().wait_no_longer();
    let first: Vec<_> = std::iter::from_fn(|| world.queue.next()).take(5).collect();
    world.queue.acked(first[0].token);
    world.attach();
    world.queue.disconnected(0);
    world.connect();
    let late = [numbers(301..305), numbers(0..300), numbers(305..310)].concat();
    assert_eq!(world.drain(), late, "what was on its way stays before it");
    world.commit();
    assert_eq!((world.queue.spool().waiting, world.queue.spool().bytes), (0, 0));
}

#[test]
fn the_last_word_leaves_the_events_for_the_next_run() {
    let mut world = World::new();
    world.attach().connect();
    (0..30).for_each(|n| world.push(n));
    let flying: Vec<_> = std::iter::from_fn(|| world.queue.next()).collect();
    assert_eq!(world.queue.close(Message::state("vigie/porch/status", "offline")), 0, "none is lost");
    flying.iter().for_each(|out| world.queue.acked(out.token));
    let last = world.queue.next().unwrap();
    world.queue.acked(last.token);
    assert!(world.queue.is_idle(), "nothing holds the stop up");
    world.commit();
    world.crash();
    world.attach().connect();
    assert_eq!(world.drain(), numbers(flying.len()..30));
}

proptest::proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..Default::default() })]

    /// Whatever happens, in whatever order: each event that was on disk or acknowledged arrives, the order of first
    /// arrivals is that of the events, and the window is bounded.
    #[test]
    fn nothing_that_was_on_disk_is_lost(steps in proptest::collection::vec((0u8..9, 1usize..120), 1..60)) {
        live(&steps, true)?;
    }

    /// If the disk fails and heals in between, the order is not kept, and all the rest is.
    #[test]
    fn nor_is_it_if_the_disk_fails(steps in proptest::collection::vec((0u8..12, 1usize..120), 1..60)) {
        live(&steps, false)?;
    }
}

/// Lives through the steps; what was safe must have arrived in the end, and nothing be left behind.
fn live(steps: &[(u8, usize)], in_order: bool) -> Result<(), TestCaseError> {
    let mut world = World::sized(64 << 20);
    world.attach().connect();
    let (mut course, mut lost) = (Course::default(), BTreeSet::new());
    for &(step, size) in steps {
        match step {
            0..=7 => course.step(&mut world, step, size),
            8 => {
                if in_order {
                    let at_risk = usize::try_from(world.queue.spool().at_risk).unwrap();
                    lost.extend(course.pushed - at_risk..course.pushed);
                } else {
                    lost.extend(world.unwritten());
                }
                world.crash();
                world.attach();
                course.connect(&mut world);
            }
            9 => {
                world.store = None;
                world.queue.events().failed(Vec::new());
            }
            _ if world.store.is_none() => drop(world.attach_to(true)),
            _ => {}
        }
        prop_assert!(world.queue.len() <= course.pushed + 1);
    }
    if world.store.is_none() {
        world.attach_to(true);
    }
    world.disconnected();
    world.connect();
    let first = course.first_arrivals(&mut world);
    prop_assert!(!in_order || first.is_sorted(), "{:?}", first);
    let seen: BTreeSet<usize> = first.into_iter().collect();
    let missing: Vec<usize> = (0..course.pushed).filter(|n| !seen.contains(n) && !lost.contains(n)).collect();
    prop_assert_eq!(missing, Vec::<usize>::new());
    world.commit();
    prop_assert_eq!((world.queue.spool().waiting, world.queue.spool().bytes), (0, 0));
    Ok(())
}
