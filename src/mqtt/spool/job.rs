//! What the queue asks of the disk, and what comes back.

use std::collections::HashMap;

use super::record::{Body, Born, Record};

/// One round of work: one transaction, then one read.
#[derive(Debug, Default)]
pub(in crate::mqtt) struct Job {
    /// Numbers that are not wanted any more; they go first.
    pub remove: Vec<u64>,
    /// What is to be written.
    pub append: Vec<Append>,
    /// What the spool has of the journal when that is done.
    pub stamp: Option<Stamp>,
    /// What may have to give way.
    pub trim: Option<Trim>,
    /// What is to be read.
    pub refill: Option<Refill>,
}

impl Job {
    /// Whether there is anything to write.
    pub fn writes(&self) -> bool {
        !self.remove.is_empty() || !self.append.is_empty() || self.trim.is_some()
    }
}

/// The spool has all of that journal up to that number; what it has not is not wanted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct Stamp {
    /// Which journal.
    pub journal: u128,
    pub number: u64,
}

/// Something to write.
#[derive(Debug)]
pub(in crate::mqtt) struct Append {
    /// The queue's name for it.
    pub id: u64,
    /// The number that it shall have; `None`: the next one.
    pub place: Option<u64>,
    pub born: Born,
    pub body: Body,
}

/// Which of the records after `after` and up to `end` give way, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct Trim {
    pub after: u64,
    pub end: u64,
    /// Until so many bytes are left in all.
    pub max_bytes: u64,
    /// Those handed over before that.
    pub expired_before_us: i64,
}

/// Which records are read: after `after` and up to `end`, so many at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct Refill {
    pub after: u64,
    pub end: u64,
    pub messages: usize,
    pub bytes: usize,
}

/// What was done.
#[derive(Debug, Default)]
pub(in crate::mqtt) struct Done {
    /// The number of each thing that was written, by the queue's name.
    pub keys: HashMap<u64, u64>,
    /// What the spool now has of the journal, if something was written.
    pub stamp: Option<Stamp>,
    pub trimmed: Trimmed,
    /// What was read, in order.
    pub refill: Vec<Record>,
    /// The number of the last of these.
    pub read_up_to: u64,
    /// Nothing more is there of what was to be read.
    pub exhausted: bool,
    /// Bytes of all records now.
    pub bytes: u64,
}

/// What gave way on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::mqtt) struct Trimmed {
    /// Events for which there was no room.
    pub overflow: u64,
    /// Events that were too old.
    pub age: u64,
    /// By how many records there are fewer; markers took the place of some.
    pub fewer: u64,
}
