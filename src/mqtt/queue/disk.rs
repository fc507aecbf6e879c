//! The queue's events and the spool on disk: what is to be written, removed and read, and what came of it. Pure; the
//! spool's thread drives it.
//!
//! An event goes out as soon as its turn comes, written or not. What is acknowledged within the time between two commits
//! is never written: with a broker that answers, the disk is left alone. Without a connection nothing is waited for, but
//! that time between two commits.

use std::collections::HashSet;

use super::events::{Entry, Events, Given};
use crate::clock::Moment;
use crate::mqtt::spool::{Append, Body, Done, Job, Options, Pace, Reason, Refill, Trim, microseconds};
use crate::mqtt::stats::SpoolKind;

/// Events and markers in memory that are on disk too, at most; those beyond are read again when their turn comes.
const KEEP: usize = 256;
/// How many bytes these may have.
const KEEP_BYTES: usize = 1 << 20;

/// Whether the disk can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// It is not known yet what lies there, which goes before all else.
    Opening,
    /// It can.
    Open,
    /// It can't: events are kept in memory.
    Failed,
}

/// What lies on disk only: the records after `after` and up to `end`. In the queue it is before `entries[at]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hole {
    pub at: usize,
    pub after: u64,
    pub end: u64,
    pub count: u64,
}

/// See the module's words.
#[derive(Debug)]
pub(super) struct Disk {
    mode: Mode,
    pub(super) hole: Option<Hole>,
    max_bytes: u64,
    max_age_us: i64,
    pace: Pace,
    /// How many messages and bytes that are on disk too are kept in memory.
    keep: (usize, usize),
    /// Records that are not wanted any more, and the bytes that they take.
    unwanted: Vec<u64>,
    unwanted_bytes: u64,
    unwanted_since_us: Option<i64>,
    /// What came since the last job was made, and the first of it.
    unwritten: usize,
    unwritten_bytes: usize,
    unwritten_since_us: Option<i64>,
    /// When something was last written.
    written_at_us: i64,
    /// There is a connection, on which an acknowledgement may come before anything has to be written.
    connected: bool,
    /// Bytes of all records after the last commit.
    bytes: u64,
}

impl Disk {
    /// A disk that is not open yet, for a queue that may have so many messages and bytes in memory.
    pub fn new(options: &Options, pace: Pace, (messages, bytes): (usize, usize)) -> Disk {
        Disk {
            mode: Mode::Opening,
            hole: None,
            max_bytes: options.max_bytes,
            max_age_us: microseconds(options.max_age),
            pace,
            keep: (KEEP.min(messages / 2).max(1), KEEP_BYTES.min(bytes / 2)),
            unwanted: Vec::new(),
            unwanted_bytes: 0,
            unwanted_since_us: None,
            unwritten: 0,
            unwritten_bytes: 0,
            unwritten_since_us: None,
            written_at_us: i64::MIN,
            connected: false,
            bytes: 0,
        }
    }

    /// Nobody knows yet what it holds.
    pub fn is_opening(&self) -> bool {
        self.mode == Mode::Opening
    }

    /// It can be written to.
    pub fn is_open(&self) -> bool {
        self.mode == Mode::Open
    }

    /// As the stats call it.
    pub fn kind(&self) -> SpoolKind {
        match self.mode {
            Mode::Opening => SpoolKind::Memory,
            Mode::Open => SpoolKind::Disk,
            Mode::Failed => SpoolKind::Failed,
        }
    }

    /// Bytes of all records.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Events {
    /// Whether there is a connection.
    pub(super) fn connection(&mut self, is_there: bool) {
        if let Some(disk) = &mut self.disk {
            disk.connected = is_there;
        }
    }

    /// A record is not wanted any more.
    pub(super) fn unwanted(&mut self, key: Option<u64>, body: &Body) {
        if let (Some(disk), Some(key)) = (&mut self.disk, key) {
            disk.unwanted.push(key);
            disk.unwanted_bytes += body.record_len() as u64;
        }
    }

    /// An entry is to be written.
    pub(super) fn written_later(&mut self, at: usize) {
        let Some(entry) = self.entries.get(at) else { return };
        if let Some(disk) = &mut self.disk {
            disk.unwritten += 1;
            disk.unwritten_bytes += entry.body.record_len();
            let since = disk.unwritten_since_us.unwrap_or(i64::MAX);
            disk.unwritten_since_us = Some(since.min(entry.born.monotonic_us));
        }
    }

    /// When there is work for the disk, on the monotonic clock; `None`: not before something happens.
    pub fn due(&self) -> Option<i64> {
        let disk = self.disk.as_ref().filter(|disk| disk.is_open())?;
        if self.wants_refill() || (disk.bytes > disk.max_bytes && self.can_give_way()) {
            return Some(i64::MIN);
        }
        let oldest = self.first_waiting(self.head()).and_then(|at| self.entries.get(at));
        let expire = oldest.map(|entry| entry.born.monotonic_us.saturating_add(disk.max_age_us + 1));
        [self.writes_at(), expire].into_iter().flatten().min()
    }

    fn can_give_way(&self) -> bool {
        self.first_waiting(self.head()).is_some() || self.has_hole()
    }

    fn has_hole(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.hole.is_some())
    }

    /// With a quarter of what is kept left to send, the next are read.
    fn wants_refill(&self) -> bool {
        let low = self.disk.as_ref().map_or(0, |disk| (disk.keep.0 / 4).max(1));
        self.has_hole() && self.head() - self.sent < low
    }

    /// The work that there is `now`. What is only to be written, or to be removed, is left out until that is due, or
    /// `all` is to be done.
    pub fn job(&mut self, now: Moment, all: bool) -> Job {
        let now_us = microseconds(now.monotonic);
        let expired_before_us =
            self.disk.as_ref().map_or(i64::MIN, |disk| now_us.saturating_sub(disk.max_age_us));
        self.make_way(expired_before_us);
        let nobody_older = self.first_waiting(self.head()).is_none();
        let (wants_refill, is_due) =
            (self.wants_refill(), all || self.writes_at().is_some_and(|at| at <= now_us));
        let Some(disk) = &self.disk else { return Job::default() };
        let range = disk.hole.map(|hole| (hole.after, hole.end));
        let max_bytes = disk.max_bytes;
        let trim = range.filter(|_| nobody_older);
        let trim = trim.map(|(after, end)| Trim { after, end, max_bytes, expired_before_us });
        let (messages, bytes) = disk.keep;
        let refill = range.filter(|_| wants_refill && !all);
        let refill = refill.map(|(after, end)| Refill { after, end, messages, bytes });
        let mut job = Job { trim, refill, ..Job::default() };
        if is_due {
            (job.remove, job.append) = (self.take_unwanted(now_us), self.take_unwritten());
            job.stamp = self.stamp();
        }
        if let Some(disk) = self.disk.as_mut().filter(|_| !job.append.is_empty()) {
            disk.written_at_us = now_us;
        }
        job
    }

    /// When something has to be written or removed.
    fn writes_at(&self) -> Option<i64> {
        let disk = self.disk.as_ref()?;
        let full = disk.unwritten >= disk.pace.batch || disk.unwritten_bytes >= disk.pace.batch_bytes;
        if full || disk.unwanted.len() >= disk.pace.removals {
            return Some(i64::MIN);
        }
        // With a broker there is time for an acknowledgement; without one only the pace of commits matters.
        let write = disk.unwritten_since_us.map(|since| {
            let from = if disk.connected { since } else { disk.written_at_us };
            from.saturating_add(microseconds(disk.pace.commit)).max(since)
        });
        let since = disk.unwanted_since_us.unwrap_or(i64::MIN);
        let remove =
            (!disk.unwanted.is_empty()).then(|| since.saturating_add(microseconds(disk.pace.remove)));
        [write, remove].into_iter().flatten().min()
    }

    /// In memory, what is too old gives way, and the oldest until all fits on disk.
    fn make_way(&mut self, expired_before_us: i64) {
        let Some(disk) = &self.disk else { return };
        let unwritten: usize =
            self.entries.iter().filter(|e| e.key.is_none() && !e.acked).map(|e| e.body.record_len()).sum();
        let total = (disk.bytes + unwritten as u64).saturating_sub(disk.unwanted_bytes);
        let mut excess = total.saturating_sub(disk.max_bytes);
        while let Some(at) = self.first_waiting(self.head()) {
            let Some(entry) = self.entries.get(at) else { return };
            let len = entry.body.record_len() as u64;
            if entry.born.monotonic_us < expired_before_us {
                self.give_up(at, Reason::Age);
            } else if excess > 0 {
                self.give_up(at, Reason::Overflow);
            } else {
                return;
            }
            excess = excess.saturating_sub(len);
        }
    }

    fn take_unwanted(&mut self, now_us: i64) -> Vec<u64> {
        let Some(disk) = &mut self.disk else { return Vec::new() };
        disk.unwanted_bytes = 0;
        disk.unwanted_since_us = Some(now_us);
        std::mem::take(&mut disk.unwanted)
    }

    fn take_unwritten(&mut self) -> Vec<Append> {
        if let Some(disk) = &mut self.disk {
            (disk.unwritten, disk.unwritten_bytes, disk.unwritten_since_us) = (0, 0, None);
        }
        let waiting = self.entries.iter().filter(|entry| entry.key.is_none() && !entry.acked);
        let append = waiting.map(|e| Append { id: e.id, place: e.place, born: e.born, body: e.body.clone() });
        append.collect()
    }

    /// The disk is open, and `same` as before or not: all that is in memory is to be written to it, and what it has of
    /// that from before is not wanted any more.
    pub fn opened(&mut self, same: bool, now: Moment) -> Job {
        let remove = self.take_unwanted(microseconds(now.monotonic));
        Job {
            remove: if same { remove } else { Vec::new() },
            append: self.take_unwritten(),
            stamp: self.stamp(),
            ..Job::default()
        }
    }

    /// That was done, and `count` records up to `end` lie there from before. They go out first.
    pub fn attached(&mut self, done: Done, end: u64, count: u64) {
        let at = self.sent;
        if let Some(disk) = &mut self.disk {
            disk.mode = Mode::Open;
            disk.hole = (count > 0).then_some(Hole { at, after: 0, end, count });
        }
        self.done(done);
    }

    /// A job was done.
    pub fn done(&mut self, mut done: Done) {
        for entry in &mut self.entries {
            if let Some(key) = done.keys.remove(&entry.id) {
                (entry.key, entry.place, entry.number) = (Some(key), None, None);
            }
        }
        self.note_stored(done.stamp);
        let Given { overflow, age } = &mut self.given_up;
        *overflow += done.trimmed.overflow;
        *age += done.trimmed.age;
        let Some(disk) = &mut self.disk else { return };
        // What was acknowledged or gave way while it was being written.
        disk.unwanted.extend(done.keys.into_values());
        disk.bytes = done.bytes;
        if let Some(hole) = &mut disk.hole {
            hole.count = hole.count.saturating_sub(done.trimmed.fewer);
        }
        // After a disk was opened late, what was in flight then lies behind what is older and goes out later.
        let known: HashSet<u64> = if done.refill.is_empty() {
            HashSet::new()
        } else {
            disk.unwanted.iter().copied().chain(self.entries.iter().filter_map(Entry::any_key)).collect()
        };
        done.refill.retain(|record| !known.contains(&record.key));
        let read = done.refill.len() as u64;
        for record in done.refill {
            let Some(Hole { at, .. }) = self.disk.as_ref().and_then(|disk| disk.hole) else { break };
            let joined = matches!(&record.body, Body::Missing(missing) if self.join(at, missing, Some(record.key), None));
            if !joined {
                let id = self.new_id();
                self.insert(at, record.body, id, record.born, Some(record.key));
            }
            if let Some(hole) = self.disk.as_mut().and_then(|disk| disk.hole.as_mut()) {
                hole.at += usize::from(!joined);
                hole.after = record.key;
            }
        }
        if let Some(disk) = &mut self.disk
            && let Some(hole) = &mut disk.hole
        {
            hole.count = hole.count.saturating_sub(read);
            hole.after = hole.after.max(done.read_up_to);
            if done.exhausted || hole.after >= hole.end {
                disk.hole = None;
            }
        }
        self.spill();
    }

    /// What is on disk and not due soon leaves the memory.
    fn spill(&mut self) {
        let Some(disk) = &self.disk else { return };
        let begin = disk.hole.map_or_else(|| self.kept(), |hole| hole.at);
        let written = |at: &usize| self.entries.get(*at).is_some_and(|entry| entry.key.is_some());
        let end = (begin..self.entries.len()).take_while(written).last().map_or(begin, |at| at + 1);
        let spilled: Vec<_> = self.entries.drain(begin..end).collect();
        spilled.iter().for_each(|entry| self.forget_len(entry));
        let mut keys = spilled.iter().filter_map(|entry| entry.key);
        let (Some(first), Some(last)) = (keys.clone().next(), keys.next_back()) else { return };
        let Some(disk) = &mut self.disk else { return };
        let hole =
            disk.hole.get_or_insert(Hole { at: begin, after: first.saturating_sub(1), end: last, count: 0 });
        hole.end = last;
        hole.count += spilled.len() as u64;
    }

    /// How many of the first entries stay in memory; those in flight do in any case.
    fn kept(&self) -> usize {
        let (messages, most) = self.disk.as_ref().map_or((KEEP, KEEP_BYTES), |disk| disk.keep);
        let mut bytes = 0;
        let fits = |(at, entry): &(usize, &Entry)| {
            bytes += entry.body.record_len();
            *at < self.sent || (*at < messages && bytes <= most)
        };
        self.entries.iter().enumerate().take_while(fits).count()
    }

    /// The disk can't be used. What it has of the events in memory, and these `unwanted` ones, is to be removed if it
    /// can be used again; what only it has is out of reach until then. Returns how many those are.
    pub fn failed(&mut self, unwanted: Vec<u64>) -> u64 {
        let Some(disk) = &mut self.disk else { return 0 };
        disk.mode = Mode::Failed;
        disk.unwanted.extend(unwanted);
        let before = disk.unwanted.len();
        for entry in &mut self.entries {
            disk.unwanted.extend(entry.key.take());
            disk.unwanted.extend(entry.place.take());
        }
        let (out_of_reach, taken) =
            (disk.hole.take().map_or(0, |hole| hole.count), disk.unwanted.len() > before);
        if taken {
            // Who knows whether it can ever be read again: all of it is in memory alone.
            self.renumber();
        }
        out_of_reach
    }

    /// Opening takes too long: what is new goes out, and what is old comes when it comes.
    pub fn wait_no_longer(&mut self) {
        if let Some(disk) = self.disk.as_mut().filter(|disk| disk.is_opening()) {
            disk.mode = Mode::Failed;
        }
    }

    /// How many, from the first that is not on disk, a power cut would lose now. Without a disk: all.
    pub fn at_risk(&self) -> usize {
        let first = self.entries.iter().position(|entry| entry.key.is_none() && !entry.acked);
        first.map_or(0, |first| self.entries.len() - first)
    }
}

#[cfg(test)]
mod tests;
