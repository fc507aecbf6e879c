//! The spool: events that the broker has not acknowledged, on disk, so that they survive a restart and a power cut.
//!
//! A thread of its own ([`keeper`]) does all that touches the disk, in batches. The queue is a window over what lies there:
//! it says what is to be written, removed and read ([`job`]). Only `store` names redb. What is not on disk yet lies in the
//! [`journal`], which a process that is killed leaves behind.

mod file;
mod job;
pub(super) mod journal;
mod keeper;
mod place;
mod record;
mod store;

use std::path::PathBuf;
use std::time::Duration;

pub(super) use job::{Append, Done, Job, Refill, Stamp, Trim};
pub(super) use keeper::{Keeper, start};
pub(super) use place::place;
pub(super) use record::{Body, Born, Missing, Reason, microseconds};
#[cfg(test)]
pub(super) use store::Store;

/// Where events are kept on disk, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The file; its folder must be there.
    pub path: PathBuf,
    /// The most bytes that events take in it; then the oldest go.
    pub max_bytes: u64,
    /// Events older than this go.
    pub max_age: Duration,
}

/// When the disk is written to; [`Pace::default`] spares an SD card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// An event that is not acknowledged for so long is written; without a connection at once, but no oftener than that…
    pub commit: Duration,
    /// …unless there are so many…
    pub batch: usize,
    /// …or so many bytes of them.
    pub batch_bytes: usize,
    /// What was acknowledged is removed so long after the removal before…
    pub remove: Duration,
    /// …or when there is so much of it.
    pub removals: usize,
    /// How often a disk that can't be used is tried again.
    pub retry: Duration,
    /// How long a file may be held by another process, which may be about to end, before that is a failure.
    pub lock: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            commit: Duration::from_secs(1),
            batch: 256,
            batch_bytes: 512 << 10,
            remove: Duration::from_secs(5),
            removals: 1024,
            retry: Duration::from_secs(60),
            lock: Duration::from_secs(5),
        }
    }
}
