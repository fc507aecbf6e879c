//! What the spool keeps of one event, in memory and as bytes on disk; and what is left of events that were given up.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::clock::Moment;
use crate::mqtt::Message;

/// First byte of every record.
const FORMAT: u8 = 1;
/// Format, kind, wall clock, monotonic clock, boot, length of the topic.
const HEADER: usize = 1 + 1 + 8 + 8 + 16 + 2;
/// What a marker of a gap has behind its topic: how many, from when, to when.
const MISSING: usize = 3 * 8;

/// When something was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct Born {
    /// On the wall clock, for people.
    pub wall: SystemTime,
    /// On this boot's monotonic clock in microseconds; what comes from an earlier boot may lie below zero.
    pub monotonic_us: i64,
}

impl Born {
    /// Now.
    pub fn at(now: Moment) -> Born {
        Born { wall: now.wall, monotonic_us: microseconds(now.monotonic) }
    }
}

/// Why events were given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mqtt) enum Reason {
    /// There was no room.
    Overflow,
    /// They were too old.
    Age,
}

/// Events of one topic that were given up one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct Missing {
    /// The topic that they would have gone to.
    pub topic: String,
    /// Why they were given up.
    pub reason: Reason,
    /// How many.
    pub count: u64,
    /// When the first of them was handed over.
    pub from: SystemTime,
    /// When the last of them was.
    pub to: SystemTime,
}

impl Missing {
    /// Of one event.
    pub fn of(topic: &str, reason: Reason, at: SystemTime) -> Missing {
        Missing { topic: topic.to_owned(), reason, count: 1, from: at, to: at }
    }

    /// Whether another gap is one with this one.
    pub fn joins(&self, other: &Missing) -> bool {
        self.topic == other.topic && self.reason == other.reason
    }

    /// Takes another one in.
    pub fn add(&mut self, other: &Missing) {
        self.count += other.count;
        self.from = self.from.min(other.from);
        self.to = self.to.max(other.to);
    }
}

/// What waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mqtt) enum Body {
    /// An event as it was handed over.
    Event(Arc<Message>),
    /// A marker in the place of events that were given up.
    Missing(Missing),
}

impl Body {
    /// The bytes that its record takes.
    pub fn record_len(&self) -> usize {
        HEADER
            + match self {
                Body::Event(message) => message.len(),
                Body::Missing(missing) => missing.topic.len() + MISSING,
            }
    }
}

/// One record, read from disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct Record {
    /// Its number, which only grows.
    pub key: u64,
    pub born: Born,
    pub body: Body,
}

/// The boot that records are made in, or read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Boot(pub [u8; 16]);

impl Boot {
    /// This one. Where the kernel does not tell, no two boots are the same.
    pub fn this() -> Boot {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let id = u128::from_str_radix(&digits, 16).unwrap_or_else(|_| fastrand::u128(..));
        Boot(id.to_be_bytes())
    }
}

/// The bytes of a record.
pub(super) fn encode(born: Born, body: &Body, boot: Boot) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.record_len());
    encode_into(&mut bytes, born, body, boot);
    bytes
}

/// The same behind other bytes.
pub(super) fn encode_into(bytes: &mut Vec<u8>, born: Born, body: &Body, boot: Boot) {
    let (kind, topic) = match body {
        Body::Event(message) => (0, &message.topic),
        Body::Missing(missing) => (if missing.reason == Reason::Age { 2 } else { 1 }, &missing.topic),
    };
    bytes.extend([FORMAT, kind]);
    bytes.extend(since_epoch_us(born.wall).to_le_bytes());
    bytes.extend(born.monotonic_us.to_le_bytes());
    bytes.extend(boot.0);
    // MQTT allows no longer topic.
    let topic = &topic.as_bytes()[..topic.len().min(usize::from(u16::MAX))];
    bytes.extend((topic.len() as u16).to_le_bytes());
    bytes.extend(topic);
    match body {
        Body::Event(message) => bytes.extend(&message.payload),
        Body::Missing(Missing { count, from, to, .. }) => {
            bytes.extend(count.to_le_bytes());
            bytes.extend(since_epoch_us(*from).to_le_bytes());
            bytes.extend(since_epoch_us(*to).to_le_bytes());
        }
    }
}

/// A record of these bytes, read `now`; `None`: another version wrote them.
pub(super) fn decode(key: u64, bytes: &[u8], boot: Boot, now: Moment) -> Option<Record> {
    let mut rest = bytes;
    let [FORMAT, kind] = take(&mut rest)? else { return None };
    let wall_us = i64::from_le_bytes(take(&mut rest)?);
    let then_us = i64::from_le_bytes(take(&mut rest)?);
    let same_boot = Boot(take(&mut rest)?) == boot;
    let length = usize::from(u16::from_le_bytes(take(&mut rest)?));
    let topic = std::str::from_utf8(rest.get(..length)?).ok()?.to_owned();
    let mut rest = &rest[length..];
    // The monotonic clock began anew with this boot; the wall clock is all that spans both.
    let age_us = since_epoch_us(now.wall).saturating_sub(wall_us).max(0);
    let monotonic_us = if same_boot { then_us } else { microseconds(now.monotonic).saturating_sub(age_us) };
    let body = match kind {
        0 => Body::Event(Arc::new(Message::event(topic, rest))),
        1 | 2 => {
            let reason = if kind == 2 { Reason::Age } else { Reason::Overflow };
            let count = u64::from_le_bytes(take(&mut rest)?);
            let from = from_epoch_us(i64::from_le_bytes(take(&mut rest)?));
            let to = from_epoch_us(i64::from_le_bytes(take(&mut rest)?));
            Body::Missing(Missing { topic, reason, count, from, to })
        }
        _ => return None,
    };
    Some(Record { key, born: Born { wall: from_epoch_us(wall_us), monotonic_us }, body })
}

pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// A length of time in microseconds.
pub(in crate::mqtt) fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn since_epoch_us(wall: SystemTime) -> i64 {
    match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => microseconds(since),
        Err(before) => -microseconds(before.duration()),
    }
}

fn from_epoch_us(us: i64) -> SystemTime {
    let length = Duration::from_micros(us.unsigned_abs());
    let wall = if us < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(length)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(length)
    };
    wall.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(monotonic_s: u64, wall_s: u64) -> Moment {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(wall_s);
        Moment { monotonic: Duration::from_secs(monotonic_s), wall }
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        let boot = Boot::this();
        let born = Born::at(moment(100, 1_700_000_000));
        let missing = Missing::of("p/d/c/events", Reason::Age, SystemTime::UNIX_EPOCH);
        for body in [
            Body::Event(Arc::new(Message::event("p/d/c/events", "{\"a\": \u{1}}"))),
            Body::Event(Arc::new(Message::event("t", ""))),
            Body::Missing(Missing { count: 7, to: born.wall, ..missing }),
        ] {
            let bytes = encode(born, &body, boot);
            assert_eq!(bytes.len(), body.record_len());
            let record = decode(3, &bytes, boot, moment(101, 5)).unwrap();
            assert_eq!(record, Record { key: 3, born, body });
        }
    }

    /// A board without a clock of its own starts in the past and jumps: within a boot that changes no age.
    #[test]
    fn an_age_is_the_monotonic_clocks_within_a_boot_and_the_walls_beyond() {
        let body = Body::Event(Arc::new(Message::event("t", "x")));
        let bytes = encode(Born::at(moment(100, 0)), &body, Boot([1; 16]));
        let record = decode(0, &bytes, Boot([1; 16]), moment(160, 1_700_000_000)).unwrap();
        assert_eq!(record.born.monotonic_us, 100_000_000, "a minute old, whatever the wall clock says");
        let bytes = encode(Born::at(moment(100, 1_700_000_000)), &body, Boot([1; 16]));
        let record = decode(0, &bytes, Boot([2; 16]), moment(30, 1_700_003_600)).unwrap();
        assert_eq!(record.born.monotonic_us, 30_000_000 - 3_600_000_000, "an hour old");
        let record = decode(0, &bytes, Boot([2; 16]), moment(30, 5)).unwrap();
        assert_eq!(record.born.monotonic_us, 30_000_000, "from the future: as good as new");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(0u8..4, 0..80)) {
            let _ = decode(0, &bytes, Boot([0; 16]), moment(0, 0));
        }
    }
}
