//! The scribe: keeps the spool's journal in step with the queue, and goes on without one where it can't be written.
//!
//! All of it happens under the queue's lock, on whatever thread changed the queue: a publisher's call returns when what it
//! handed over is in the journal. That is a write(2) of a few hundred bytes to a tmpfs, some microseconds.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::queue::Events;
use super::spool::Stamp;
use super::spool::journal::{Fault, Found, Journal, Left};

/// How soon a journal that another process holds is tried again: it may be about to end.
const LOCKED_PAUSE: Duration = Duration::from_millis(100);
/// How long the beginning waits for it: a program that was just started by somebody who had it open has it for an instant.
const LOCKED_WITHIN: Duration = Duration::from_millis(500);

/// See the module's words. By default there is nothing to keep.
#[derive(Default)]
pub(super) struct Scribe {
    desk: Option<Desk>,
    /// What is to be said when the lock is released.
    words: Vec<(log::Level, String)>,
}

/// Where a journal is to be kept.
struct Desk {
    path: PathBuf,
    spool: PathBuf,
    retry: Duration,
    journal: Option<Journal>,
    /// When it is tried again.
    retry_at: Option<Instant>,
    /// The last journal of our own: what it says is known.
    own: Option<u128>,
    /// What the spool has of which journal.
    stamp: Option<Stamp>,
    /// What was last said of trouble, so that it is not said again.
    said: String,
}

impl Scribe {
    /// Begins at that file, for that spool, with what a process before this one left in it.
    pub fn begin(&mut self, path: PathBuf, spool: PathBuf, retry: Duration, events: &mut Events) {
        let (journal, retry_at, own, stamp, said) = (None, None, None, None, String::new());
        let mut desk = Desk { path, spool, retry, journal, retry_at, own, stamp, said };
        desk.open(LOCKED_WITHIN, events, &mut self.words);
        self.desk = Some(desk);
    }

    /// Writes down what changed. What is noted with nobody to write it down is forgotten.
    pub fn keep_up(&mut self, events: &mut Events) {
        let Some(desk) = &mut self.desk else { return };
        let Some(journal) = &mut desk.journal else {
            if desk.retry_at.is_some_and(|at| at <= Instant::now()) {
                desk.open(Duration::ZERO, events, &mut self.words);
            }
            return;
        };
        let anew = events.is_renumbered() || journal.is_grown();
        if !anew && events.notes().is_empty() {
            return;
        }
        let appended = !anew && journal.append(events.notes().drain(..)).is_ok();
        // What could not be appended may fit when what is of no use any more is gone.
        if !appended {
            desk.write_anew(events, &mut self.words);
        }
    }

    /// The spool is open, and has so much of a journal.
    pub fn spool_opened(&mut self, stamp: Option<Stamp>, events: &mut Events) {
        let Some(desk) = &mut self.desk else { return };
        desk.stamp = stamp;
        match &desk.journal {
            Some(journal) => {
                if let Some(stamp) = stamp.filter(|stamp| stamp.journal == journal.id) {
                    events.spool_has(stamp.number);
                }
            }
            // Whoever had the spool has let the journal go as well.
            None => desk.open(Duration::ZERO, events, &mut self.words),
        }
    }

    /// The spool is closed, and nothing more will be handed over: a journal in which there is nothing is taken away.
    pub fn end(&mut self, events: &mut Events) {
        let Some(desk) = self.desk.take() else { return };
        let is_empty = events.alone().next().is_none();
        events.written_down(None);
        if let Some(Err(error)) = desk.journal.filter(|_| is_empty).map(Journal::remove) {
            self.words
                .push((log::Level::Warn, format!("{}: can't be removed: {error}", desk.path.display())));
        }
    }

    /// What is to be said.
    pub fn words(&mut self) -> Vec<(log::Level, String)> {
        std::mem::take(&mut self.words)
    }
}

impl Desk {
    fn open(&mut self, within: Duration, events: &mut Events, words: &mut Vec<(log::Level, String)>) {
        let begin = Instant::now();
        let (mut journal, found) = loop {
            match Journal::open(&self.path, &self.spool) {
                Ok(opened) => break opened,
                Err(Fault::Locked) if begin.elapsed() < within => thread::sleep(within / 50),
                Err(fault) => return self.trouble(&fault, events, words),
            }
        };
        let path = self.path.display();
        match found {
            Found::Nothing => {}
            Found::Left(_) if self.own == Some(journal.id) => journal.id = fastrand::u128(..),
            Found::Left(left) => self.take_over(left, journal.id, events, words),
            Found::Unreadable(why) => {
                words.push((log::Level::Warn, format!("journal {path}: {why}; another is begun")));
            }
        }
        self.own = Some(journal.id);
        self.journal = Some(journal);
        self.write_anew(events, words);
        if self.journal.is_some() && !self.said.is_empty() {
            words.push((log::Level::Info, format!("journal {}: can be written again", self.path.display())));
            self.said.clear();
        }
    }

    /// What a process left that did not end well.
    fn take_over(&self, left: Left, id: u128, events: &mut Events, words: &mut Vec<(log::Level, String)>) {
        let Left { kept, next, torn } = left;
        let path = self.path.display();
        if torn > 0 {
            let text = format!("journal {path}: its last {torn} bytes are no whole record and are left out");
            words.push((log::Level::Warn, text));
        }
        if !kept.is_empty() {
            let text = format!("journal {path}: {} events of a process that did not end well", kept.len());
            words.push((log::Level::Info, text));
        }
        events.recovered(kept, next);
        if let Some(stamp) = self.stamp.filter(|stamp| stamp.journal == id) {
            events.spool_has(stamp.number);
        }
    }

    fn write_anew(&mut self, events: &mut Events, words: &mut Vec<(log::Level, String)>) {
        let Some(journal) = &mut self.journal else { return };
        match journal.rewrite(events.next_number(), events.alone()) {
            Ok(()) => events.written_down(Some(journal.id)),
            Err(fault) => self.trouble(&fault, events, words),
        }
    }

    /// There is no journal for a while; that is said once, not at each attempt.
    fn trouble(&mut self, fault: &Fault, events: &mut Events, words: &mut Vec<(log::Level, String)>) {
        events.written_down(None);
        // One that is not kept up would tell the next process of what is long gone.
        if let Some(journal) = self.journal.take() {
            let _ = journal.remove();
        }
        let pause = if matches!(fault, Fault::Locked) { LOCKED_PAUSE.min(self.retry) } else { self.retry };
        self.retry_at = Some(Instant::now() + pause);
        let text = fault.to_string();
        if self.said != text {
            words.push((
                log::Level::Warn,
                format!(
                    "journal {}: can't be written: {text}; until it can, a kill loses what is not on disk, and it is tried \
                     again every {:?}",
                    self.path.display(),
                    self.retry
                ),
            ));
            self.said = text;
        }
    }
}
