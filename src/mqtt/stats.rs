//! Figures of a [`super::Publisher`]: what waits, what went out, what was given up and why.

use std::time::Duration;

/// Messages given up, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The queue was full, and the oldest made room.
    pub overflow: u64,
    /// A sample (QoS 0) while there was no connection.
    pub disconnected: u64,
    /// Larger than the largest packet.
    pub too_large: u64,
    /// The broker closed the connection on it again and again, or said that it will not have it.
    pub rejected: u64,
    /// Came, or still waited, when the client was closing.
    pub closing: u64,
    /// Waited for longer than the spool keeps events.
    pub aged: u64,
}

impl Dropped {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.overflow + self.disconnected + self.too_large + self.rejected + self.closing + self.aged
    }

    /// Reason and number, in a fixed order.
    pub fn by_reason(&self) -> [(&'static str, u64); 6] {
        [
            ("overflow", self.overflow),
            ("disconnected", self.disconnected),
            ("too_large", self.too_large),
            ("rejected", self.rejected),
            ("closing", self.closing),
            ("aged", self.aged),
        ]
    }
}

/// Where the events that wait are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpoolKind {
    /// In memory, as configured, or while the disk is being opened.
    #[default]
    Memory,
    /// On disk.
    Disk,
    /// In memory, because the disk can't be used.
    Failed,
}

/// How the events that wait fare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spool {
    /// Where they are kept.
    pub kind: SpoolKind,
    /// Events, and markers of gaps, that wait or are in flight.
    pub waiting: u64,
    /// The bytes that they take on disk, or in memory.
    pub bytes: u64,
    /// How long the oldest of them has waited.
    pub oldest: Option<Duration>,
    /// The newest of them, and so many, that are not on disk yet: what would be lost if the power were cut now.
    pub at_risk: u64,
    /// As many that would be lost if the process were killed now: with a spool none, as long as its journal can be written.
    pub at_risk_if_killed: u64,
    /// Events given up because there was no room.
    pub overflow: u64,
    /// Events given up because they were too old.
    pub aged: u64,
    /// Why the disk can't be used, in words.
    pub trouble: Option<String>,
}

/// How a publisher fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Whether there is a session with the broker now.
    pub connected: bool,
    /// Messages that wait or are in flight.
    pub queued: usize,
    /// Bytes held, retained values included.
    pub queued_bytes: usize,
    /// Messages acknowledged (QoS 1) or sent (QoS 0).
    pub published: u64,
    /// Sessions after the first.
    pub reconnects: u64,
    /// Messages given up.
    pub dropped: Dropped,
    /// Why there is no connection, in words.
    pub trouble: Option<String>,
    /// The events that wait.
    pub spool: Spool,
}
