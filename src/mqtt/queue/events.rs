//! The events that wait, in their order, until the broker has acknowledged them. Pure.
//!
//! In memory there is all of them; or, if there is a spool on disk ([`super::disk`]), the oldest, which go out next, and the
//! newest, which are not written yet, with a hole between the two that is filled from disk. What gives way is the oldest
//! that is not in flight, and a marker takes its place.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::disk::Disk;
use super::markers::{self, Markers};
use super::notes::Notes;
use crate::clock::Moment;
use crate::mqtt::Message;
use crate::mqtt::spool::{Body, Born, Missing, Reason, microseconds};
use crate::mqtt::stats::{Spool, SpoolKind};

/// The most markers of gaps; each topic needs one a reason, and one more for each that broke off in flight.
const MAX_MARKERS: usize = 256;

/// One of the events, or a marker in the place of some.
#[derive(Debug)]
pub(super) struct Entry {
    pub id: u64,
    pub body: Body,
    pub born: Born,
    /// The number under which it lies on disk as it is.
    pub key: Option<u64>,
    /// The number that it is to have there, in the place of what it stands for.
    pub place: Option<u64>,
    pub acked: bool,
    /// It was handed out: a marker that may have arrived takes nothing more in.
    pub handed: bool,
    /// Its number in the journal, as long as the spool does not have it ([`super::notes`]).
    pub number: Option<u64>,
}

impl Entry {
    pub fn is_event(&self) -> bool {
        matches!(self.body, Body::Event(_))
    }

    /// The number that its record, or that of what it stands for, has on disk.
    pub fn any_key(&self) -> Option<u64> {
        self.key.or(self.place)
    }
}

/// Events given up, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub overflow: u64,
    pub age: u64,
}

/// See the module's words.
#[derive(Debug, Default)]
pub(in crate::mqtt) struct Events {
    pub(super) entries: VecDeque<Entry>,
    /// How many of `entries`, from the front, are in flight.
    pub(super) sent: usize,
    /// How many of `entries` are events.
    events: usize,
    /// Bytes of those events.
    bytes: usize,
    next_id: u64,
    markers: Markers,
    /// The spool on disk, if there is one.
    pub(super) disk: Option<Disk>,
    pub(super) given_up: Given,
    pub(super) notes: Notes,
    closed: bool,
}

impl Events {
    /// Nothing waits; gaps are told as the markers say, and there may be a disk.
    pub(super) fn new(markers: Markers, disk: Option<Disk>) -> Events {
        Events { markers, disk, ..Events::default() }
    }

    /// Takes an event in.
    pub fn push(&mut self, message: Message, now: Moment) {
        let (id, born) = (self.new_id(), Born::at(now));
        let at = self.entries.len();
        self.insert(at, Body::Event(Arc::new(message)), id, born, None);
        self.written_later(at);
        self.number(at);
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn insert(&mut self, at: usize, body: Body, id: u64, born: Born, key: Option<u64>) {
        if let Body::Event(message) = &body {
            self.events += 1;
            self.bytes += message.len();
        }
        let entry = Entry { id, body, born, key, place: None, acked: false, handed: false, number: None };
        self.entries.insert(at, entry);
    }

    /// Takes an entry out; whoever stands behind it moves up.
    pub(super) fn remove(&mut self, at: usize) -> Option<Entry> {
        let entry = self.entries.remove(at)?;
        self.forget_len(&entry);
        self.sent -= usize::from(at < self.sent);
        if let Some(hole) = self.disk.as_mut().and_then(|disk| disk.hole.as_mut()) {
            hole.at -= usize::from(at < hole.at);
        }
        Some(entry)
    }

    pub(super) fn forget_len(&mut self, entry: &Entry) {
        if let Body::Event(message) = &entry.body {
            self.events -= 1;
            self.bytes -= message.len();
        }
    }

    /// Up to where nothing is missing: there is the hole, or the end.
    pub(super) fn head(&self) -> usize {
        let hole = self.disk.as_ref().and_then(|disk| disk.hole.as_ref());
        hole.map_or(self.entries.len(), |hole| hole.at)
    }

    /// The next one to send, and its name.
    pub fn next(&mut self) -> Option<(u64, Message)> {
        let held = self.disk.as_ref().is_some_and(Disk::is_opening);
        if self.closed || held || self.sent >= self.head() {
            return None;
        }
        let entry = self.entries.get_mut(self.sent)?;
        self.sent += 1;
        entry.handed = true;
        let message = match &entry.body {
            Body::Event(message) => (**message).clone(),
            Body::Missing(missing) => markers::message(missing),
        };
        Some((entry.id, message))
    }

    /// The broker has it.
    pub fn acked(&mut self, id: u64) {
        if let Some(entry) = self.entries.iter_mut().take(self.sent).find(|entry| entry.id == id) {
            entry.acked = true;
        }
        while self.entries.front().is_some_and(|entry| entry.acked) {
            self.drop_front();
        }
    }

    /// Gives the oldest up without a word; returns its topic.
    pub fn drop_front(&mut self) -> Option<String> {
        let entry = self.remove(0)?;
        self.left(&entry);
        Some(match entry.body {
            Body::Event(message) => message.topic.clone(),
            Body::Missing(missing) => missing.topic,
        })
    }

    /// Nobody waits for it any more, in the spool or in the journal.
    fn left(&mut self, entry: &Entry) {
        self.unwanted(entry.any_key(), &entry.body);
        self.note_gone(entry.number);
    }

    /// The connection is gone: what was in flight and is not acknowledged has to go again.
    pub fn disconnected(&mut self) {
        self.connection(false);
        for at in (0..self.sent).rev() {
            // Acknowledged out of order behind one that was not: they must not go twice.
            if self.entries.get(at).is_some_and(|entry| entry.acked)
                && let Some(entry) = self.remove(at)
            {
                self.left(&entry);
            }
        }
        self.sent = 0;
    }

    /// The oldest event that is not in flight gives way. False: there is none in memory.
    pub fn give_way(&mut self, reason: Reason) -> bool {
        match self.first_waiting(self.entries.len()) {
            Some(at) => self.give_up(at, reason),
            None => return false,
        }
        true
    }

    /// An event for which there is no room gives way at once.
    pub fn refuse(&mut self, message: Message, now: Moment) {
        self.push(message, now);
        self.give_up(self.entries.len() - 1, Reason::Overflow);
    }

    /// The first event before `end` that is not in flight.
    pub(super) fn first_waiting(&self, end: usize) -> Option<usize> {
        (self.sent..end).find(|&at| self.entries.get(at).is_some_and(Entry::is_event))
    }

    /// An event gives way to a marker, or to the one before it.
    pub(super) fn give_up(&mut self, at: usize, reason: Reason) {
        match reason {
            Reason::Overflow => self.given_up.overflow += 1,
            Reason::Age => self.given_up.age += 1,
        }
        let Some(entry) = self.entries.get(at) else { return };
        let Entry { body: Body::Event(message), born, key, number, .. } = entry else { return };
        let (message, born, key, number) = (Arc::clone(message), *born, *key, *number);
        let missing = Missing::of(&message.topic, reason, born.wall);
        if self.join(at, &missing, key, number) {
            self.remove(at);
            return;
        }
        let markers = self.entries.len() - self.events;
        if !self.markers.mark(&message.topic) || markers >= MAX_MARKERS {
            self.remove(at);
            self.note_gone(number);
            return self.unwanted(key, &Body::Event(message));
        }
        let (id, body) = (self.new_id(), Body::Missing(missing));
        self.events -= 1;
        self.bytes -= message.len();
        // It lies where that lay for which it stands.
        self.entries[at] =
            Entry { id, body, born, key: None, place: key, acked: false, handed: false, number };
        self.written_later(at);
        self.note_put(at);
    }

    /// A gap at that place becomes one with a marker just before it, if there is one that is not on its way. It lies on
    /// disk where the last of that lies for which it stands: at `key`, if that is known; and so it does in the journal.
    pub(super) fn join(
        &mut self,
        at: usize,
        missing: &Missing,
        key: Option<u64>,
        number: Option<u64>,
    ) -> bool {
        let begin = if at <= self.head() { self.sent } else { self.head().max(self.sent) };
        let twin = (begin..at).rev().map_while(|i| match &self.entries.get(i)?.body {
            Body::Missing(other) => Some((i, other.joins(missing))),
            Body::Event(_) => None,
        });
        let mut twins = twin.filter(|&(i, joins)| joins && !self.entries[i].handed);
        let Some((i, _)) = twins.next() else { return false };
        let id = self.new_id();
        let twin = &mut self.entries[i];
        if let Body::Missing(other) = &mut twin.body {
            other.add(missing);
        }
        let left = twin.any_key();
        (twin.id, twin.key, twin.place) = (id, None, key.or(left));
        let before = if number.is_some() { std::mem::replace(&mut twin.number, number) } else { None };
        if key.is_some() {
            self.unwanted(left, &Body::Missing(missing.clone()));
        }
        self.written_later(i);
        if number.is_some() {
            self.note_put(i);
            self.note_gone(before);
        }
        true
    }

    /// Nothing more goes out. Returns how many are lost by that; on disk none is.
    pub fn close(&mut self) -> usize {
        self.closed = true;
        let waiting = self.entries.len() - self.sent;
        match &self.disk {
            Some(disk) if disk.is_open() => 0,
            Some(_) => waiting,
            None => {
                for entry in self.entries.split_off(self.sent) {
                    self.forget_len(&entry);
                }
                waiting
            }
        }
    }

    /// How many wait or are in flight, on disk too; after the last word those in flight alone, for the rest stays.
    pub fn len(&self) -> usize {
        if self.closed {
            return self.sent;
        }
        let hole = self.disk.as_ref().and_then(|disk| disk.hole.as_ref());
        self.entries.len() + hole.map_or(0, |hole| hole.count as usize)
    }

    /// How many are in memory, markers not counted.
    pub fn in_memory(&self) -> usize {
        self.events
    }

    /// The bytes that these take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a gap on that topic is told there.
    pub fn marks(&self, topic: &str) -> bool {
        self.markers.mark(topic)
    }

    /// How they fare.
    pub fn figures(&self, now: Moment) -> Spool {
        let age = |entry: &Entry| microseconds(now.monotonic).saturating_sub(entry.born.monotonic_us).max(0);
        Spool {
            kind: self.disk.as_ref().map_or(SpoolKind::Memory, Disk::kind),
            waiting: self.len() as u64,
            bytes: self.disk.as_ref().filter(|disk| disk.is_open()).map_or(self.bytes as u64, Disk::bytes),
            oldest: self.entries.front().map(|entry| Duration::from_micros(age(entry).unsigned_abs())),
            at_risk: self.at_risk() as u64,
            at_risk_if_killed: if self.notes.is_kept() { 0 } else { self.at_risk() as u64 },
            overflow: self.given_up.overflow,
            aged: self.given_up.age,
            trouble: None,
        }
    }

    #[cfg(test)]
    pub fn held(&self) -> usize {
        let len = |entry: &Entry| if let Body::Event(message) = &entry.body { message.len() } else { 0 };
        self.entries.iter().map(len).sum()
    }
}
