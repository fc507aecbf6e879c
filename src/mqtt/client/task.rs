//! The client's task: connects, feeds the connection from the queue, hands on what comes, and comes back after every loss.
//!
//! Each session is a fresh one with a clean start: what is unacknowledged lives in our own queue and is sent again from
//! there, in order. The future of the next event is never cancelled within a session (rumqttc could lose a packet
//! between its channel and its buffer), and publishing never waits, with room in the channel known before.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;

use tokio::select;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::Tuning;
use super::subscription::Subscription;
use super::survey::Survey;
use super::wire::{self, CHANNEL, Happening, Sender, Session, Unfit};
use crate::mqtt::Options;
use crate::mqtt::backoff::Backoff;
use crate::mqtt::dialect::Leftovers;
use crate::mqtt::inbox::Inbox;
use crate::mqtt::message::Message;
use crate::mqtt::outbox::Outbox;
use crate::mqtt::publisher::Sink as _;
use crate::mqtt::queue::Token;
use crate::mqtt::trouble::{Kind, Reporter, Trouble};

/// Sessions shorter than `stable_after` that the broker ends, one after the other, mean that someone else uses our id.
const TAKEOVERS: u32 = 3;

/// See the module's words.
pub(super) struct Task {
    pub options: Options,
    pub status_topic: String,
    pub tuning: Tuning,
    pub broker: String,
    pub outbox: Arc<Outbox>,
    pub inbox: Option<Inbox>,
    pub leftovers: Vec<Box<dyn Leftovers>>,
    pub stop: Stop,
}

/// What outlives a session.
struct Run {
    stop: Stop,
    backoff: Backoff,
    reporter: Reporter,
    subscription: Subscription,
    survey: Survey,
}

/// What the connection holds of ours in one session.
struct Flight {
    /// Handed over, not yet on the wire, in order.
    handed: VecDeque<Handed>,
    /// On the wire, waiting for the acknowledgement, by packet id.
    unacked: HashMap<u16, Handed>,
    /// When the broker last acknowledged something, or the first of `unacked` went out.
    progress: Instant,
    /// When something last went out or was acknowledged, or the first of `handed` was handed over.
    moved: Instant,
}

/// A message that was handed over.
struct Handed {
    token: Token,
    topic: String,
}

/// Where a clean stop stands.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Open,
    /// Sending what waits.
    Draining,
    /// `offline` is on its way.
    Offline,
    /// So is DISCONNECT.
    Bye,
}

pub(super) type Stop = watch::Receiver<Option<Instant>>;

/// How a session ended, and what the queue says to it.
enum Held {
    Stopped(bool),
    Lost { trouble: Trouble, stuck: bool },
}

/// How a session ended.
enum End {
    Closed,
    TooLate,
    Lost(Trouble),
}

impl Run {
    /// When something is to be asked of the broker; not while it owes an answer, for answers don't say to what.
    fn ask_at(&self) -> Option<Instant> {
        let is_asked = self.subscription.is_asked() || self.survey.is_asked();
        let times = [self.subscription.due(), self.survey.due()];
        times.into_iter().flatten().min().filter(|_| !is_asked)
    }
}

impl Task {
    pub async fn run(self: Arc<Task>) -> bool {
        let mut run = Run {
            stop: self.stop.clone(),
            backoff: Backoff::new(self.tuning.first_pause, self.tuning.longest_pause),
            reporter: Reporter::default(),
            subscription: Subscription::new(self.inbox.is_some(), self.tuning.after_bad_command),
            survey: Survey::new(&self.leftovers, &self.tuning),
        };
        let mut short_sessions = 0;
        loop {
            let attempt = select! {
                attempt = wire::connect(&self.options, &self.status_topic, &self.tuning) => attempt,
                () = stopping(&mut run.stop) => return false,
            };
            let trouble = match attempt {
                Err(trouble) => {
                    short_sessions = 0;
                    trouble
                }
                Ok(session) => {
                    let start = Instant::now();
                    match self.hold(session, &mut run).await {
                        Held::Stopped(clean) => return clean,
                        Held::Lost { trouble, stuck } => {
                            let ended_by_broker = trouble.kind == Kind::Lost && !stuck;
                            let short = ended_by_broker && start.elapsed() < self.tuning.stable_after;
                            short_sessions = if short { short_sessions + 1 } else { 0 };
                            match trouble.kind {
                                Kind::TakenOver => self.taken_over("the broker says so"),
                                Kind::Lost if short_sessions >= TAKEOVERS => self.taken_over(&format!(
                                    "{short_sessions} connections in a row were ended by the broker"
                                )),
                                _ => trouble,
                            }
                        }
                    }
                }
            };
            run.reporter.trouble(&self.broker, &trouble);
            self.outbox.trouble(trouble);
            select! {
                () = sleep(run.backoff.pause()) => {}
                () = stopping(&mut run.stop) => return false,
            }
        }
    }

    fn taken_over(&self, why: &str) -> Trouble {
        Trouble::new(Kind::TakenOver, format_args!("\"{}\", {why}", self.options.client_id))
    }

    /// One session from its beginning to its end, and what that means for the queue.
    async fn hold(&self, session: Session, run: &mut Run) -> Held {
        self.outbox.connected();
        run.reporter.connected(&self.broker);
        let now = Instant::now();
        run.subscription.connected(now);
        run.survey.connected(now);
        let mut flight =
            Flight { handed: VecDeque::new(), unacked: HashMap::new(), progress: now, moved: now };
        let end = self.serve(session, &mut flight, run).await;
        let unwritten = flight
            .handed
            .iter()
            .filter(|handed| matches!(handed.token, Token::Sample | Token::Picture))
            .count();
        let lost = self.outbox.disconnected(unwritten);
        if let Some(topic) = lost.given_up {
            let broker = &self.broker;
            log::warn!(
                "mqtt broker {broker}: gave up a message to {topic}: the broker hangs up on it (too large?)"
            );
        }
        match end {
            End::Closed => Held::Stopped(true),
            End::TooLate => Held::Stopped(false),
            End::Lost(trouble) => {
                let now = Instant::now();
                if !run.survey.lost(trouble.kind, now)
                    && let Some(pause) = run.subscription.lost(trouble.kind, now)
                {
                    log::warn!(target: "vigie::mqtt", "no commands are heard for {pause:?}");
                }
                Held::Lost { trouble, stuck: lost.stuck }
            }
        }
    }

    async fn serve(&self, session: Session, flight: &mut Flight, run: &mut Run) -> End {
        let Session { sender, mut events } = session;
        let ack_timeout = self.tuning.ack_timeout;
        let stable_at = Instant::now() + self.tuning.stable_after;
        let (mut stable, mut phase) = (false, Phase::Open);
        let (mut drain_until, mut deadline) = (stable_at, stable_at);
        loop {
            let mut next = pin!(events.next());
            let event = loop {
                // First, so that what the broker has kept is heard before it is replaced.
                if phase == Phase::Open {
                    self.ask(&sender, run);
                }
                self.feed(&sender, flight, &mut run.reporter);
                if phase == Phase::Draining && self.outbox.is_idle() {
                    phase = self.say_offline();
                    continue;
                }
                if phase == Phase::Offline && self.outbox.is_idle() && sender.disconnect() {
                    phase = Phase::Bye;
                }
                let ask_at = run.ask_at().filter(|_| phase == Phase::Open);
                select! {
                    event = &mut next => break event,
                    () = self.outbox.changed() => {}
                    () = sleep_until(ask_at.unwrap_or(stable_at)), if ask_at.is_some() => {}
                    () = sleep_until(stable_at), if !stable => {
                        stable = true;
                        run.backoff.reset();
                        self.outbox.calm();
                        run.reporter.stable(&self.broker);
                    }
                    () = stopping(&mut run.stop), if phase == Phase::Open => {
                        phase = Phase::Draining;
                        deadline = self.stop.borrow().unwrap_or(stable_at);
                        // A quarter of the time is kept for the word that matters most.
                        drain_until = deadline - (deadline - Instant::now()) / 4;
                    }
                    () = sleep_until(drain_until), if phase == Phase::Draining => {
                        phase = self.say_offline();
                    }
                    () = sleep_until(deadline), if phase != Phase::Open => return End::TooLate,
                    () = sleep_until(flight.progress + ack_timeout), if !flight.unacked.is_empty() => {
                        let detail = format_args!("no acknowledgement for {ack_timeout:?}");
                        return End::Lost(Trouble::new(Kind::Silent, detail));
                    }
                    () = sleep_until(flight.moved + ack_timeout), if !flight.handed.is_empty() => {
                        return End::Lost(Trouble::new(Kind::Silent, "the network takes no more data"));
                    }
                }
            };
            match event {
                Ok(Happening::Written(id)) => self.written(flight, id),
                Ok(Happening::Acknowledged(id, not_taken)) => {
                    flight.progress = Instant::now();
                    flight.moved = flight.progress;
                    match (flight.unacked.remove(&id), not_taken) {
                        (None, _) => {}
                        (Some(Handed { token, .. }), None) => self.outbox.acked(token),
                        (Some(Handed { token, topic }), Some(why)) => {
                            self.outbox.refused(token);
                            run.reporter.not_taken(&self.broker, &topic, &why);
                        }
                    }
                }
                Ok(Happening::Received(message)) => {
                    if let Some(inbox) = self.inbox.as_ref().filter(|inbox| inbox.wants(&message.topic)) {
                        inbox.put(message);
                    } else if message.retained {
                        run.survey.found(&self.leftovers, &message, Instant::now(), |retired| {
                            self.outbox.publish(retired);
                        });
                    }
                }
                Ok(Happening::Subscribed(result)) => {
                    if run.survey.is_asked() {
                        run.survey.answered(result, Instant::now());
                    } else if let Some(refused) = run.subscription.answered(result, Instant::now()) {
                        log::warn!(
                            target: "vigie::mqtt",
                            "broker {}: no commands are heard: {refused}", self.broker
                        );
                    }
                }
                Ok(Happening::Disconnected) => return End::Closed,
                Ok(Happening::Stuck(id)) => {
                    let detail = format_args!("packet id {id} was never acknowledged");
                    return End::Lost(Trouble::new(Kind::Protocol, detail));
                }
                Ok(Happening::Other) => {}
                Err(_) if phase == Phase::Bye => return End::Closed,
                Err(trouble) => return End::Lost(trouble),
            }
        }
    }

    /// Hands over what fits; the channel has room for it, since only this task fills it.
    fn feed(&self, sender: &Sender, flight: &mut Flight, reporter: &mut Reporter) {
        while flight.handed.len() < CHANNEL {
            let Some(out) = self.outbox.next() else { return };
            let topic = out.message.topic.clone();
            if let Err(unfit) = sender.publish(out.message) {
                // Giving it up lets the rest go on.
                self.outbox.refused(out.token);
                match unfit {
                    Unfit::TooLarge { .. } => reporter.not_taken(&self.broker, &topic, &unfit.to_string()),
                    // A topic that rumqttc refuses can't come from the topics' builders.
                    Unfit::Refused(error) => log::error!("mqtt: a message to {topic} was refused: {error}"),
                }
                continue;
            }
            if flight.handed.is_empty() {
                flight.moved = Instant::now();
            }
            flight.handed.push_back(Handed { token: out.token, topic });
        }
    }

    /// Asks the broker for commands or, if it owes no answer to that, for what it has kept.
    fn ask(&self, sender: &Sender, run: &mut Run) {
        let now = Instant::now();
        if !run.survey.is_asked() && run.subscription.is_due(now) {
            self.subscribe(sender, &mut run.subscription);
        }
        if !run.subscription.is_asked() {
            run.survey.go_on(sender, now);
        }
    }

    fn subscribe(&self, sender: &Sender, subscription: &mut Subscription) {
        let filters = self.inbox.as_ref().map(Inbox::filters).unwrap_or_default();
        // The channel has a place for it, unless the last one is still in there; then that one will do.
        if !sender.subscribe(filters) {
            log::debug!(target: "vigie::mqtt", "broker {}: the subscription did not fit", self.broker);
        }
        subscription.asked();
    }

    /// The oldest of what was handed over is on the wire.
    fn written(&self, flight: &mut Flight, packet_id: u16) {
        let Some(handed) = flight.handed.pop_front() else { return };
        flight.moved = Instant::now();
        if packet_id == 0 {
            self.outbox.acked(handed.token);
            return;
        }
        if flight.unacked.is_empty() {
            flight.progress = flight.moved;
        }
        flight.unacked.insert(packet_id, handed);
    }

    fn say_offline(&self) -> Phase {
        let left = self.outbox.close(Message::state(self.status_topic.as_str(), "offline"));
        if left > 0 {
            log::warn!(target: "vigie::mqtt", "broker {}: stopping with {left} messages unsent", self.broker);
        }
        Phase::Offline
    }
}

/// Resolves when a stop was asked for; never when nobody can ask any more (then the task is aborted).
async fn stopping(stop: &mut Stop) {
    if stop.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
}
