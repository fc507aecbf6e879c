//! One slot between the capture thread and whoever looks at the frames; the newest frame wins, and a loss comes before
//! whatever was captured after it.
//!
//! Frames are swapped, never copied: three buffers (the one that is being filled, the one in the slot, the one that is
//! being looked at) go round for ever, and nothing is allocated once each has grown to a frame's size.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::State;
use crate::frame::Frame;

/// What a camera has for whoever looks at its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// A frame that nobody has seen yet; it was swapped in.
    Frame,
    /// Nothing that is new.
    Nothing,
    /// It gives no frames any more, for this reason; said once a loss, and before any frame that comes after it.
    Lost(State),
}

/// The slot.
#[derive(Debug)]
pub(super) struct Mailbox(Mutex<Slot>);

#[derive(Debug)]
struct Slot {
    frame: Frame,
    fresh: bool,
    /// When the frame came, on the monotonic clock; it was captured a little earlier.
    came: Duration,
    /// A loss that nobody has heard of yet.
    lost: Option<State>,
}

impl Mailbox {
    /// An empty slot; `spare` is the buffer that the first [`Mailbox::put`] gets in return.
    pub(super) fn new(spare: Frame) -> Mailbox {
        Mailbox(Mutex::new(Slot { frame: spare, fresh: false, came: Duration::ZERO, lost: None }))
    }

    /// Puts a frame that came at `now` into the slot and leaves an old buffer in its place; `true`: that one had never
    /// been taken.
    pub(super) fn put(&self, frame: &mut Frame, now: Duration) -> bool {
        let mut slot = self.slot();
        slot.came = now;
        std::mem::swap(&mut slot.frame, frame);
        std::mem::replace(&mut slot.fresh, true)
    }

    /// No frames come any more: what lies in the slot is old, and whoever looks shall hear of it. `true`: a frame was
    /// thrown away for it.
    pub(super) fn lose(&self, state: State) -> bool {
        let mut slot = self.slot();
        slot.lost = Some(state);
        std::mem::take(&mut slot.fresh)
    }

    /// Takes what there is: a loss first, then the frame, for which the caller's buffer is left in its place. A frame
    /// that came before `since` stays where it is.
    pub(super) fn take(&self, frame: &mut Frame, since: Duration) -> Take {
        let mut slot = self.slot();
        if let Some(state) = slot.lost.take() {
            return Take::Lost(state);
        }
        if !slot.fresh || slot.came < since {
            return Take::Nothing;
        }
        std::mem::swap(&mut slot.frame, frame);
        slot.fresh = false;
        Take::Frame
    }

    /// Takes a loss and leaves a frame where it is.
    pub(super) fn take_loss(&self) -> Option<State> {
        self.slot().lost.take()
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        // Nothing that panics runs under the lock; a poisoned slot holds a whole frame all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::testing::FakeClock;
    use crate::clock::Clock;
    use crate::frame::PixelFormat;
    use crate::geometry::Size;
    use std::collections::HashSet;

    fn frame(sequence: u64) -> Frame {
        let mut frame = Frame::packed(PixelFormat::Grey, Size::new(8, 8), FakeClock::new().now());
        frame.sequence = sequence;
        frame
    }

    #[test]
    fn the_newest_frame_wins_and_is_taken_once() {
        let mailbox = Mailbox::new(frame(0));
        let mut mine = frame(0);
        assert_eq!(mailbox.take(&mut mine, Duration::ZERO), Take::Nothing, "nothing was put");
        assert!(!mailbox.put(&mut frame(1), Duration::ZERO));
        assert!(mailbox.put(&mut frame(2), Duration::ZERO), "the first was never taken");
        assert_eq!(mailbox.take(&mut mine, Duration::ZERO), Take::Frame);
        assert_eq!(mine.sequence, 2);
        assert_eq!(mailbox.take(&mut mine, Duration::ZERO), Take::Nothing);
        assert!(!mailbox.put(&mut frame(3), Duration::ZERO), "the second was taken");
    }

    #[test]
    fn a_frame_that_came_too_early_stays_until_it_may_be_old_or_another_comes() {
        let mailbox = Mailbox::new(frame(0));
        let mut mine = frame(0);
        let seconds = Duration::from_secs;
        mailbox.put(&mut frame(1), seconds(4));
        assert_eq!(mailbox.take(&mut mine, seconds(5)), Take::Nothing);
        assert_eq!((mailbox.take(&mut mine, seconds(4)), mine.sequence), (Take::Frame, 1));
        mailbox.put(&mut frame(2), seconds(6));
        mailbox.lose(State::Offline);
        assert_eq!(
            mailbox.take(&mut mine, seconds(7)),
            Take::Lost(State::Offline),
            "a loss is never too old"
        );
    }

    #[test]
    fn no_frame_from_before_a_loss_is_taken_after_it() {
        let mailbox = Mailbox::new(frame(0));
        let mut mine = frame(0);
        mailbox.put(&mut frame(1), Duration::ZERO);
        assert!(mailbox.lose(State::Offline), "a frame was thrown away");
        assert_eq!(mailbox.take(&mut mine, Duration::ZERO), Take::Lost(State::Offline));
        assert_eq!(mailbox.take(&mut mine, Duration::ZERO), Take::Nothing, "the frame was old");
    }

    #[test]
    fn a_loss_is_heard_once_and_before_what_came_after_it() {
        let mailbox = Mailbox::new(frame(0));
        let mut mine = frame(0);
        mailbox.lose(State::Stalled);
        mailbox.put(&mut frame(1), Duration::ZERO);
        assert_eq!(mailbox.take(&mut mine, Duration::ZERO), Take::Lost(State::Stalled));
        assert_eq!((mailbox.take(&mut mine, Duration::ZERO), mine.sequence), (Take::Frame, 1));
        mailbox.lose(State::Offline);
        mailbox.put(&mut frame(2), Duration::ZERO);
        assert_eq!((mailbox.take_loss(), mailbox.take_loss()), (Some(State::Offline), None));
        assert_eq!(
            (mailbox.take(&mut mine, Duration::ZERO), mine.sequence),
            (Take::Frame, 2),
            "the frame stayed where it was"
        );
    }

    #[test]
    fn three_buffers_go_round_for_ever() {
        let (mut filling, mut looking) = (frame(0), frame(0));
        let mailbox = Mailbox::new(frame(0));
        let mut seen = HashSet::new();
        for i in 1..1000 {
            filling.sequence = i;
            filling.data.clear();
            filling.data.extend_from_slice(&[i as u8; 64]);
            mailbox.put(&mut filling, Duration::ZERO);
            if i % 3 != 0 {
                assert_eq!(mailbox.take(&mut looking, Duration::ZERO), Take::Frame);
                assert_eq!((looking.sequence, looking.data[63]), (i, i as u8));
            }
            seen.extend([filling.data.as_ptr(), looking.data.as_ptr()]);
        }
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn a_frame_is_never_torn_between_threads() {
        let mailbox = Mailbox::new(frame(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut filling = frame(0);
                for i in 1..=20_000 {
                    filling.sequence = i;
                    filling.data.fill(i as u8);
                    mailbox.put(&mut filling, Duration::ZERO);
                }
            });
            let (mut mine, mut last) = (frame(0), 0);
            while last < 20_000 {
                if mailbox.take(&mut mine, Duration::ZERO) == Take::Frame {
                    assert!(mine.sequence > last, "{} after {last}", mine.sequence);
                    assert!(mine.data.iter().all(|&b| b == mine.sequence as u8));
                    last = mine.sequence;
                }
            }
        });
    }
}
