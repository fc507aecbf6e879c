//! How a camera fares: its state, why, and what was lost on the way, each loss under its reason.

use super::{ErrorKind, Negotiated};
use crate::clock::Moment;

/// Whether frames come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Frames come.
    Online,
    /// The device is there, but gives no frames, or none that can be used.
    Stalled,
    /// It can't be opened, or has not been yet.
    Offline,
}

impl State {
    /// The state as it is published: `online`, `stalled`, `offline`.
    pub const fn name(self) -> &'static str {
        match self {
            State::Online => "online",
            State::Stalled => "stalled",
            State::Offline => "offline",
        }
    }
}

/// What came, and what was lost, by reason; since the camera was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that were handed on.
    pub frames: u64,
    /// Good frames that nobody looked at because a newer one was there.
    pub dropped: u64,
    /// Frames that the driver lost: holes in its numbering.
    pub gaps: u64,
    /// Frames that the driver itself marked as broken.
    pub error_flagged: u64,
    /// Frames that ended too early: a JPEG without its end, too few bytes for the picture.
    pub truncated: u64,
    /// What came whole and is no picture that can be used: a file of another kind, a JPEG whose markers make no sense or
    /// whose size is not the one agreed on.
    pub unreadable: u64,
    /// How often the source was opened again.
    pub reopened: u64,
}

impl std::ops::Add for Counters {
    type Output = Counters;

    fn add(self, other: Counters) -> Counters {
        Counters {
            frames: self.frames + other.frames,
            dropped: self.dropped + other.dropped,
            gaps: self.gaps + other.gaps,
            error_flagged: self.error_flagged + other.error_flagged,
            truncated: self.truncated + other.truncated,
            unreadable: self.unreadable + other.unreadable,
            reopened: self.reopened + other.reopened,
        }
    }
}

impl Counters {
    /// What was counted since they stood at `before`.
    pub(super) fn since(self, before: Counters) -> Counters {
        Counters {
            frames: self.frames.saturating_sub(before.frames),
            dropped: self.dropped.saturating_sub(before.dropped),
            gaps: self.gaps.saturating_sub(before.gaps),
            error_flagged: self.error_flagged.saturating_sub(before.error_flagged),
            truncated: self.truncated.saturating_sub(before.truncated),
            unreadable: self.unreadable.saturating_sub(before.unreadable),
            reopened: self.reopened.saturating_sub(before.reopened),
        }
    }

    /// The frames that came and were broken, in words; `None`: there was none.
    pub(super) fn broken(&self) -> Option<String> {
        let reasons = [
            (self.truncated, "ended too early"),
            (self.error_flagged, "flagged by the driver"),
            (self.unreadable, "unreadable"),
        ];
        let total: u64 = reasons.iter().map(|(count, _)| count).sum();
        let parts =
            reasons.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let parts: Vec<String> = parts.collect();
        (total > 0).then(|| format!("{total} came broken: {}", parts.join(", ")))
    }
}

/// How a camera fares.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// Whether frames come.
    pub state: State,
    /// Since when it is so.
    pub since: Moment,
    /// Why it is not online, in words.
    pub reason: Option<String>,
    /// What to do about it, if that is known.
    pub hint: Option<String>,
    /// Why it is not online, as a kind.
    pub kind: Option<ErrorKind>,
    /// What the source agreed to give when it was last opened.
    pub negotiated: Option<Negotiated>,
    /// When the newest frame was captured.
    pub last_frame: Option<Moment>,
    /// What came and what was lost.
    pub counters: Counters,
}

impl Health {
    /// The health of a camera that has not been opened yet.
    pub(super) fn unopened(now: Moment) -> Health {
        Health {
            state: State::Offline,
            since: now,
            reason: Some("not opened yet".to_owned()),
            hint: None,
            kind: None,
            negotiated: None,
            last_frame: None,
            counters: Counters::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_frames_are_told_with_their_reasons() {
        let before = Counters { truncated: 7, gaps: 3, ..Counters::default() };
        assert_eq!(before.since(before).broken(), None);
        let now = Counters { truncated: 155, error_flagged: 2, gaps: 9, ..before };
        let words = "150 came broken: 148 ended too early, 2 flagged by the driver";
        assert_eq!(now.since(before).broken().as_deref(), Some(words));
        let size = Counters { unreadable: 1, ..Counters::default() };
        assert_eq!(size.broken().as_deref(), Some("1 came broken: 1 unreadable"));
    }
}
