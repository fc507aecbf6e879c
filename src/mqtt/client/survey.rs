//! A [`Survey`] looks, once a run, at what the broker has kept of an earlier configuration, and has retired what nobody says
//! any more. It goes filter by filter, each a subscription that ends when nothing more comes, so that no broker has to send
//! all of it at once, and nothing of it is ever kept here.

use std::time::Duration;

use tokio::time::Instant;

use super::Tuning;
use super::subscription::Subscription;
use super::wire::Sender;
use crate::mqtt::commands::Received;
use crate::mqtt::dialect::Leftovers;
use crate::mqtt::filter;
use crate::mqtt::message::Message;
use crate::mqtt::trouble::Kind;

/// So many times the usual quiet a broker is listened to at most, if it never becomes quiet.
const LONGEST: u32 = 60;

/// See the module's words.
#[derive(Debug)]
pub(super) struct Survey {
    filters: Vec<String>,
    /// The filter whose turn it is.
    at: usize,
    subscription: Subscription,
    quiet: Duration,
    /// While something is listened to: until when unless more comes, and until when at most.
    until: Option<(Instant, Instant)>,
    retired: usize,
}

impl Survey {
    /// One that has not begun.
    pub fn new(leftovers: &[Box<dyn Leftovers>], tuning: &Tuning) -> Survey {
        let filters: Vec<String> = leftovers.iter().flat_map(|leftovers| leftovers.filters()).collect();
        let subscription = Subscription::new(!filters.is_empty(), tuning.after_bad_command);
        Survey { filters, at: 0, subscription, quiet: tuning.survey_quiet, until: None, retired: 0 }
    }

    /// A session begins.
    pub fn connected(&mut self, now: Instant) {
        self.subscription.connected(now);
    }

    /// Whether the broker owes an answer.
    pub fn is_asked(&self) -> bool {
        self.subscription.is_asked()
    }

    /// When it should go on.
    pub fn due(&self) -> Option<Instant> {
        self.subscription.due().or(self.until.map(|(until, _)| until))
    }

    /// Goes on, if it is time: ends a subscription, or asks for the next one.
    pub fn go_on(&mut self, sender: &Sender, now: Instant) {
        if self.until.is_some_and(|(until, _)| until <= now) {
            // One that is left open does no harm: what comes is not retained then, and nobody looks at it.
            sender.unsubscribe(&self.filters[self.at]);
            self.next(now);
        }
        if self.subscription.is_due(now) && sender.look_up(&self.filters[self.at]) {
            self.subscription.asked();
        }
    }

    /// The broker's answer.
    pub fn answered(&mut self, result: Result<(), String>, now: Instant) {
        if let Some(refused) = self.subscription.answered(result, now) {
            log::warn!(
                target: "vigie::mqtt",
                "what an earlier configuration may have left at the broker stays there: {refused}"
            );
            self.subscription.over();
        }
        self.until = self.subscription.is_heard().then_some((now + self.quiet, now + LONGEST * self.quiet));
    }

    /// The broker had kept that; says what is to be retired for it.
    pub fn found(
        &mut self,
        leftovers: &[Box<dyn Leftovers>],
        message: &Received,
        now: Instant,
        mut retire: impl FnMut(Message),
    ) {
        if !self.filters.iter().any(|filter| filter::matches(filter, &message.topic)) {
            return;
        }
        if let Some((until, last)) = &mut self.until {
            *until = (now + self.quiet).min(*last);
        }
        let mut gone =
            leftovers.iter().flat_map(|dialect| dialect.of(&message.topic, &message.payload)).peekable();
        if gone.peek().is_some() {
            self.retired += 1;
            log::debug!(target: "vigie::mqtt", "{} is said no more", message.topic);
        }
        gone.for_each(|topic| retire(Message::retired(topic)));
    }

    /// The session has ended, and how. A filter under which lies what can't be read is passed over; a broker that hangs up on
    /// the question is not asked again. `true`: this was to blame.
    pub fn lost(&mut self, kind: Kind, now: Instant) -> bool {
        self.until = None;
        let Some(pause) = self.subscription.lost(kind, now) else { return false };
        if kind == Kind::Incoming {
            let filter = &self.filters[self.at];
            log::warn!(target: "vigie::mqtt", "what the broker has kept on {filter} can't be read; it stays there");
            self.next(now + pause);
        } else {
            log::warn!(
                target: "vigie::mqtt",
                "the broker hangs up when it is asked what it has kept; what an earlier configuration has left stays there"
            );
            self.subscription.over();
        }
        true
    }

    /// The next filter's turn is then, if there is one.
    fn next(&mut self, then: Instant) {
        self.until = None;
        self.at += 1;
        if self.at < self.filters.len() {
            return self.subscription.again(then);
        }
        self.subscription.over();
        if self.retired > 0 {
            let retired = self.retired;
            log::info!(target: "vigie::mqtt", "retired {retired} values that an earlier configuration had");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is under `gone/` is said no more.
    struct Gone;

    impl Leftovers for Gone {
        fn filters(&self) -> Vec<String> {
            vec!["+/a".to_owned(), "+/b".to_owned()]
        }

        fn of(&self, topic: &str, _: &[u8]) -> Vec<String> {
            if topic.starts_with("gone/") { vec![topic.to_owned()] } else { Vec::new() }
        }
    }

    fn survey() -> (Survey, Vec<Box<dyn Leftovers>>, Instant) {
        let leftovers: Vec<Box<dyn Leftovers>> = vec![Box::new(Gone)];
        let tuning = Tuning::default();
        let mut survey = Survey::new(&leftovers, &tuning);
        let now = Instant::now();
        assert_eq!(survey.due(), None, "not without a session");
        survey.connected(now);
        assert_eq!(survey.due(), Some(now));
        survey.subscription.asked();
        (survey, leftovers, now)
    }

    #[test]
    fn what_is_found_is_retired_and_prolongs_the_listening() {
        let (mut survey, leftovers, now) = survey();
        survey.answered(Ok(()), now);
        assert_eq!(survey.due(), Some(now + survey.quiet));
        let later = now + survey.quiet / 2;
        let mut retired = Vec::new();
        for topic in ["gone/a", "here/a", "gone/c"] {
            let message = Received::new(topic, b"1", true);
            survey.found(&leftovers, &message, later, |message| retired.push(message));
        }
        assert_eq!(retired, [Message::retired("gone/a")]);
        assert_eq!(survey.due(), Some(later + survey.quiet));
        let never_quiet = now + 2 * LONGEST * survey.quiet;
        survey.found(&leftovers, &Received::new("gone/b", b"1", true), never_quiet, |_| {});
        assert_eq!(survey.due(), Some(now + LONGEST * survey.quiet));
    }

    #[test]
    fn a_session_that_ends_by_chance_is_followed_by_another_try() {
        let (mut survey, _, now) = survey();
        survey.answered(Ok(()), now);
        assert!(!survey.lost(Kind::Lost, now));
        assert_eq!(survey.due(), None);
        survey.connected(now);
        assert_eq!((survey.due(), survey.at), (Some(now), 0));
    }

    #[test]
    fn a_filter_that_ends_sessions_is_passed_over_and_a_refusal_ends_it_all() {
        let (mut survey, _, now) = survey();
        survey.answered(Ok(()), now);
        assert!(survey.lost(Kind::Incoming, now));
        survey.connected(now);
        assert_eq!(survey.at, 1);
        assert!(survey.due().unwrap() > now);
        survey.subscription.asked();
        survey.answered(Err("no".into()), now);
        assert_eq!(survey.due(), None);
        survey.lost(Kind::Lost, now);
        survey.connected(now);
        assert_eq!(survey.due(), None, "for this run");
    }

    #[test]
    fn a_broker_that_hangs_up_on_the_question_is_asked_twice() {
        let (mut survey, _, now) = survey();
        survey.lost(Kind::Lost, now);
        survey.connected(now);
        assert_eq!((survey.due(), survey.at), (Some(now), 0), "one may be chance");
        survey.subscription.asked();
        survey.lost(Kind::Lost, now);
        survey.connected(now + Duration::from_secs(7200));
        assert_eq!(survey.due(), None);
    }
}
