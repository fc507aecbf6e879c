//! Queue, spool and journal together: a process that is killed, at whatever instant, loses nothing.

use super::*;

fn journaled() -> World {
    let mut world = World::sized(64 << 20);
    let path = world.options.path.with_extension("journal");
    world.with_journal(path);
    world
}

impl World {
    /// Killed when the disk has taken all there is, before the queue hears of it.
    fn crash_after_commit(&mut self) {
        let job = self.queue.events().job(self.now, true);
        self.scribe.keep_up(self.queue.events());
        self.store.as_mut().unwrap().work(&job, |_| true).unwrap();
        self.crash();
    }

    fn born(&mut self) -> Vec<i64> {
        self.queue.events().entries.iter().map(|entry| entry.born.monotonic_us).collect()
    }

    fn later(&mut self, seconds: u64) {
        self.now = self.now.at(self.now.monotonic + Duration::from_secs(seconds));
    }

    fn journal_len(&self) -> u64 {
        std::fs::metadata(self.journal.as_ref().unwrap()).unwrap().len()
    }
}

#[test]
fn what_was_in_memory_alone_comes_after_what_is_on_disk_with_its_own_times() {
    let mut world = journaled();
    world.attach();
    (0..3).for_each(|n| world.push(n));
    world.commit();
    world.later(5);
    (3..6).for_each(|n| world.push(n));
    assert_eq!((world.queue.spool().at_risk, world.queue.spool().at_risk_if_killed), (3, 0));
    let then = microseconds(world.now.monotonic);
    world.crash();
    world.later(60);
    assert_eq!(world.born(), [then; 3]);
    world.push(6);
    world.connect();
    assert!(world.queue.next().is_none(), "what is on disk is older");
    world.attach();
    assert_eq!(world.drain(), numbers(0..7));
    assert!(world.queue.is_idle());
}

/// Killed again and again before the disk could be opened: the journal carries what it took over.
#[test]
fn what_was_taken_over_survives_the_next_kill_too() {
    let mut world = journaled();
    for n in 0..5 {
        world.push(n);
        world.crash();
    }
    world.attach().connect();
    assert_eq!(world.drain(), numbers(0..5));
}

/// A journal in which there is nothing any more still knows which numbers were given: the spool has those.
#[test]
fn no_number_is_given_twice() {
    let mut world = journaled();
    world.attach();
    (0..10).for_each(|n| world.push(n));
    world.commit();
    (0..3).for_each(|_| world.crash());
    world.push(10);
    world.crash();
    world.attach().connect();
    assert_eq!(world.drain(), numbers(0..11));
}

/// A journal that another process held for a while: what is in it is older than what came meanwhile.
#[test]
fn what_is_taken_over_late_goes_first() {
    let mut world = journaled();
    (0..3).for_each(|n| world.push(n));
    let path = world.journal.take().unwrap();
    world.crash();
    (3..5).for_each(|n| world.push(n));
    world.with_journal(path);
    world.attach().connect();
    assert_eq!(world.drain(), numbers(0..5));
}

#[test]
fn killed_between_the_commit_and_the_word_of_it_nothing_comes_twice() {
    let mut world = journaled();
    world.attach();
    (0..10).for_each(|n| world.push(n));
    world.crash_after_commit();
    (10..12).for_each(|n| world.push(n));
    assert_eq!(world.queue.events().in_memory(), 12, "nobody knows yet that the disk has ten of them");
    world.attach().connect();
    assert_eq!(world.drain(), numbers(0..12));
}

#[test]
fn what_is_acknowledged_does_not_come_again() {
    let mut world = journaled();
    world.attach().connect();
    (0..10).for_each(|n| world.push(n));
    let out: Vec<_> = std::iter::from_fn(|| world.queue.next()).collect();
    out.iter().take(7).for_each(|out| world.acked(out.token));
    world.crash();
    world.attach().connect();
    assert_eq!(world.drain(), numbers(7..10));
}

/// A spool's file that is another than the journal was kept beside does not have what the journal has.
#[test]
fn another_spool_file_gets_all_that_the_journal_has() {
    let mut world = journaled();
    world.attach();
    (0..5).for_each(|n| world.push(n));
    world.commit();
    (5..8).for_each(|n| world.push(n));
    world.crash();
    std::fs::remove_file(&world.options.path).unwrap();
    world.attach().connect();
    assert_eq!(world.drain(), numbers(5..8), "what was committed was in that file alone");
}

/// The disk is taken away: what is in memory and was on it is in the journal again.
#[test]
fn a_disk_that_failed_is_not_relied_upon() {
    let mut world = journaled();
    world.attach();
    (0..5).for_each(|n| world.push(n));
    world.commit();
    world.store = None;
    world.queue.events().failed(Vec::new());
    world.push(5);
    world.crash();
    std::fs::remove_file(&world.options.path).unwrap();
    world.attach().connect();
    assert_eq!(world.drain(), numbers(0..6));
}

/// Without a disk and without a broker: events are given up, and so they are in the journal.
#[test]
fn what_gave_way_is_told_of_after_a_kill_and_the_journal_stays_small() {
    let mut world = journaled();
    world.queue.events().failed(Vec::new());
    (0..20_000).for_each(|n| world.push(n));
    let held = world.queue.events().bytes() as u64;
    assert!(world.journal_len() < 4 * held + (1 << 20), "{} for {held}", world.journal_len());
    world.crash();
    world.attach().connect();
    let all = world.drain();
    let gap: Gap<'_> = serde_json::from_str(&all[0]).unwrap();
    assert_eq!(gap.dropped, 12_000, "8000 messages are kept");
    assert_eq!(all[1..], numbers(12_000..20_000));
}

#[test]
fn a_broker_that_answers_leaves_a_small_journal() {
    let mut world = journaled();
    world.attach().connect();
    for n in 0..5000 {
        world.push(n);
        let out = world.queue.next().unwrap();
        world.acked(out.token);
        assert!(world.journal_len() <= (256 << 10) + 1024);
    }
    world.crash();
    assert_eq!(world.queue.events().in_memory(), 0);
}

#[test]
fn after_a_clean_stop_there_is_none() {
    let mut world = journaled();
    world.attach();
    world.push(0);
    world.commit();
    world.scribe.end(world.queue.events());
    assert!(!world.journal.as_ref().unwrap().exists());
    assert!(world.scribe.words().is_empty());
}

/// A disk that could not be used to the end: the journal is all there is.
#[test]
fn a_stop_with_something_in_memory_alone_leaves_the_journal() {
    let mut world = journaled();
    world.push(0);
    world.scribe.end(world.queue.events());
    world.crash();
    world.attach().connect();
    assert_eq!(world.drain(), ["0"]);
}

proptest::proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..Default::default() })]

    /// Killed at any point, whatever was handed over arrives, and the order of first arrivals is that of the events.
    #[test]
    fn nothing_is_lost_at_a_kill(steps in proptest::collection::vec((0u8..11, 1usize..120), 1..60)) {
        live_and_die(&steps)?;
    }
}

fn live_and_die(steps: &[(u8, usize)]) -> Result<(), TestCaseError> {
    let mut world = journaled();
    world.attach().connect();
    let mut course = Course::default();
    for &(step, size) in steps {
        match step {
            0..=7 => {
                course.step(&mut world, step, size);
                continue;
            }
            8 => world.crash(),
            9 => world.crash_after_commit(),
            // Twice, with the disk away in between.
            _ => {
                world.crash();
                course.push(&mut world, size);
                world.crash();
            }
        }
        world.attach();
        course.connect(&mut world);
    }
    world.crash();
    world.attach().connect();
    prop_assert_eq!(course.first_arrivals(&mut world), (0..course.pushed).collect::<Vec<_>>());
    world.commit();
    prop_assert_eq!((world.queue.spool().waiting, world.queue.spool().bytes), (0, 0));
    Ok(())
}
