//! Where a subscription stands, over many sessions: that to the commands, or one of a [`super::survey`].
//!
//! A retained message that can't be read (far too large, say) comes with every subscription and ends the session, and some
//! brokers hang up on whoever subscribes to what is not allowed. Neither may keep the device from being heard: after such an
//! end it goes on without the subscription for a while, longer each time.

use std::time::Duration;

use tokio::time::Instant;

use crate::mqtt::trouble::Kind;

/// The pause doubles up to so many times the first.
const LONGEST: u32 = 60;
/// So many sessions in a row that end between the question and its answer are no chance.
const UNANSWERED: u32 = 2;

/// See the module's words.
#[derive(Debug)]
pub(super) struct Subscription {
    state: State,
    first_pause: Duration,
    pause: Duration,
    unanswered: u32,
    /// Whether it was said that the broker refuses.
    refused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// There is nobody to hear anything.
    Never,
    /// Not before then.
    Due(Instant),
    /// Sent, and not answered.
    Asked,
    /// Answered then.
    Heard(Instant),
    /// The broker refuses it, in this session.
    Refused,
}

impl Subscription {
    /// One that is `wanted` or not; not for `pause` when it first ends a session.
    pub fn new(wanted: bool, pause: Duration) -> Subscription {
        let state = if wanted { State::Refused } else { State::Never };
        Subscription { state, first_pause: pause, pause, unanswered: 0, refused: false }
    }

    /// A session begins.
    pub fn connected(&mut self, now: Instant) {
        if matches!(self.state, State::Asked | State::Heard(_) | State::Refused) {
            self.state = State::Due(now);
        }
    }

    /// When it should be asked for.
    pub fn due(&self) -> Option<Instant> {
        if let State::Due(at) = self.state { Some(at) } else { None }
    }

    /// Whether it should be asked for now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due().is_some_and(|at| at <= now)
    }

    /// Whether the broker owes an answer.
    pub fn is_asked(&self) -> bool {
        self.state == State::Asked
    }

    /// Whether the broker has accepted it, in this session.
    pub fn is_heard(&self) -> bool {
        matches!(self.state, State::Heard(_))
    }

    /// It should be asked for another time, now.
    pub fn again(&mut self, now: Instant) {
        self.state = State::Due(now);
    }

    /// It is not wanted any more.
    pub fn over(&mut self) {
        self.state = State::Never;
    }

    /// It was asked for.
    pub fn asked(&mut self) {
        self.state = State::Asked;
    }

    /// The broker's answer; returns its refusal if that is news.
    pub fn answered(&mut self, result: Result<(), String>, now: Instant) -> Option<String> {
        self.unanswered = 0;
        self.state = if result.is_ok() { State::Heard(now) } else { State::Refused };
        let was_refused = std::mem::replace(&mut self.refused, result.is_err());
        result.err().filter(|_| !was_refused)
    }

    /// The session has ended, and how; returns for how long it goes on without, if this was to blame.
    pub fn lost(&mut self, kind: Kind, now: Instant) -> Option<Duration> {
        let is_ours = match (self.state, kind) {
            (State::Heard(since), Kind::Incoming) => {
                if now - since > LONGEST * self.first_pause {
                    self.pause = self.first_pause;
                }
                true
            }
            (State::Asked, Kind::Incoming) => true,
            (State::Asked, _) => {
                self.unanswered += 1;
                self.unanswered >= UNANSWERED
            }
            _ => false,
        };
        is_ours.then(|| {
            let pause = self.pause;
            self.state = State::Due(now + pause);
            self.pause = (2 * pause).min(LONGEST * self.first_pause);
            pause
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(60);

    #[test]
    fn it_is_asked_for_in_every_session() {
        let now = Instant::now();
        let mut subscription = Subscription::new(true, PAUSE);
        for _ in 0..3 {
            assert!(!subscription.is_due(now), "not without a session");
            subscription.connected(now);
            assert!(subscription.is_due(now));
            subscription.asked();
            assert!(!subscription.is_due(now), "once a session");
            assert_eq!(subscription.answered(Ok(()), now), None);
            subscription.lost(Kind::Lost, now);
        }
        let mut never = Subscription::new(false, PAUSE);
        never.connected(now);
        assert_eq!(never.due(), None);
    }

    #[test]
    fn what_can_not_be_read_silences_the_commands_and_not_the_device() {
        let mut now = Instant::now();
        let mut subscription = Subscription::new(true, PAUSE);
        subscription.connected(now);
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(subscription.is_due(now));
            subscription.asked();
            subscription.answered(Ok(()), now);
            subscription.lost(Kind::Incoming, now);
            subscription.connected(now);
            assert_eq!(subscription.due(), Some(now + minutes * PAUSE));
            now += minutes * PAUSE;
        }
        subscription.asked();
        subscription.answered(Ok(()), now);
        now += Duration::from_secs(7200);
        subscription.lost(Kind::Incoming, now);
        assert_eq!(subscription.due(), Some(now + PAUSE), "it had been good for long");
    }

    #[test]
    fn a_broker_that_hangs_up_on_the_question_is_not_asked_again_and_again() {
        let now = Instant::now();
        let mut subscription = Subscription::new(true, PAUSE);
        for _ in 0..2 {
            subscription.connected(now);
            assert!(subscription.is_due(now), "one may be chance");
            subscription.asked();
            subscription.lost(Kind::Lost, now);
        }
        subscription.connected(now);
        assert_eq!(subscription.due(), Some(now + PAUSE));
    }

    #[test]
    fn a_refusal_is_told_once() {
        let now = Instant::now();
        let mut subscription = Subscription::new(true, PAUSE);
        let mut answer = |result: Result<(), String>| {
            subscription.connected(now);
            subscription.asked();
            subscription.answered(result, now)
        };
        assert_eq!(answer(Err("no".into())), Some("no".into()));
        assert_eq!(answer(Err("no".into())), None);
        assert_eq!(answer(Ok(())), None);
        assert_eq!(answer(Err("no".into())), Some("no".into()), "news again");
    }
}
