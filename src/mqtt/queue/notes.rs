//! The queue's events and the journal: what of them is in memory alone, and what changed about that since it was last written
//! down. Pure; [`crate::mqtt::scribe`] does the writing.
//!
//! An entry has a number as long as nobody but the queue and the journal has it: from when it is handed over until the spool
//! has committed it. Numbers grow from the front of the queue to its end. A marker takes the number of the event in whose
//! place it stands; of several that it stands for, the last one's.

use super::events::{Entry, Events};
use crate::mqtt::spool::Stamp;
use crate::mqtt::spool::journal::{Kept, Note};

/// What there is to be written down.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Which journal; `None`: nobody writes one.
    journal: Option<u128>,
    notes: Vec<Note>,
    /// The numbers are others than those in the journal: it has to be written anew.
    anew: bool,
    /// The last number that was given.
    last: u64,
}

impl Notes {
    /// Whether somebody writes them down.
    pub fn is_kept(&self) -> bool {
        self.journal.is_some()
    }

    fn push(&mut self, note: Note) {
        if self.is_kept() {
            self.notes.push(note);
        }
    }
}

impl Entry {
    fn kept(&self) -> Option<Kept> {
        let number = self.number.filter(|_| !self.acked)?;
        Some(Kept { number, born: self.born, body: self.body.clone() })
    }
}

impl Events {
    /// From now on that journal is written, or none.
    pub fn written_down(&mut self, journal: Option<u128>) {
        self.notes.journal = journal;
        self.notes.notes.clear();
        self.notes.anew = false;
    }

    /// What changed; whoever writes it down takes it out.
    pub fn notes(&mut self) -> &mut Vec<Note> {
        &mut self.notes.notes
    }

    /// Whether what changed is more than the notes say.
    pub fn is_renumbered(&self) -> bool {
        self.notes.anew
    }

    /// The number after the last that was given.
    pub fn next_number(&self) -> u64 {
        self.notes.last + 1
    }

    /// All that is in memory alone, in order.
    pub fn alone(&self) -> impl Iterator<Item = Kept> + '_ {
        self.entries.iter().filter_map(Entry::kept)
    }

    /// What a process before this one left comes before all that is not on its way yet; `next` is the number after its last.
    pub fn recovered(&mut self, kept: Vec<Kept>, next: u64) {
        self.notes.last = self.notes.last.max(next.saturating_sub(1));
        if !self.entries.is_empty() {
            self.renumber();
        }
        let (at, count) = (self.sent, kept.len());
        for (at, Kept { number, born, body }) in (at..).zip(kept) {
            let id = self.new_id();
            self.insert(at, body, id, born, None);
            if let Some(entry) = self.entries.get_mut(at) {
                entry.number = Some(number);
            }
            self.written_later(at);
        }
        if let Some(hole) = self.disk.as_mut().and_then(|disk| disk.hole.as_mut()) {
            hole.at += count;
        }
    }

    /// The spool turns out to have what is numbered up to there. What of it is not on its way leaves the memory.
    pub fn spool_has(&mut self, number: u64) {
        for at in (self.sent..self.entries.len()).rev() {
            let is_there = |entry: &Entry| entry.key.is_none() && entry.number.is_some_and(|n| n <= number);
            if self.entries.get(at).is_some_and(is_there) {
                self.remove(at);
            }
        }
        self.notes.last = self.notes.last.max(number);
        self.notes.push(Note::Stored(number));
    }

    /// All that is in memory gets new numbers.
    pub(super) fn renumber(&mut self) {
        for entry in &mut self.entries {
            self.notes.last += 1;
            entry.number = Some(self.notes.last);
        }
        self.notes.anew = true;
    }

    /// An entry is new. Where there is no disk there is no journal.
    pub(super) fn number(&mut self, at: usize) {
        if self.disk.is_some()
            && let Some(entry) = self.entries.get_mut(at)
        {
            self.notes.last += 1;
            entry.number = Some(self.notes.last);
            self.note_put(at);
        }
    }

    /// An entry is another than the journal says.
    pub(super) fn note_put(&mut self, at: usize) {
        if let Some(kept) = self.entries.get(at).and_then(Entry::kept) {
            self.notes.push(Note::Put(kept));
        }
    }

    /// Nobody waits for what has that number.
    pub(super) fn note_gone(&mut self, number: Option<u64>) {
        if let Some(number) = number {
            self.notes.push(Note::Gone(number));
        }
    }

    /// What the spool has of the journal when all that is to be written now is written.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        self.notes.journal.map(|journal| Stamp { journal, number: self.notes.last })
    }

    /// The spool has it.
    pub(super) fn note_stored(&mut self, stamp: Option<Stamp>) {
        if let Some(Stamp { journal, number }) = stamp
            && self.notes.journal == Some(journal)
        {
            self.notes.push(Note::Stored(number));
        }
    }
}
