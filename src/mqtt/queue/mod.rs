//! The bounded queue in front of the client: what waits, what is in flight, what is given up. Pure; the client drives it.
//!
//! rumqttc forgets its own queue when a session is new, so it is only ever handed what this queue still holds.
//! The device's status comes first and is subject to no bound. States keep one value a topic and are all sent again on
//! a new connection; events stay until acknowledged; pictures keep the newest of a topic within a budget of their own;
//! samples live only while there is a connection. When the bounds are reached the oldest goes, samples before events.

use std::collections::VecDeque;

use super::message::{Class, Message};
use super::spool::{Options, Pace, Reason};
use super::stats::{Dropped, Spool};
use crate::clock::{Clock as _, Moment, SystemClock};

mod disk;
mod events;
mod markers;
mod notes;
mod pictures;
mod states;

use disk::Disk;
pub(super) use events::Events;
use markers::Markers;
use pictures::Pictures;
use states::{StateToken, States};

/// How many QoS 1 messages are in flight at once; mosquitto takes 20 unless told otherwise.
const WINDOW: usize = 20;
/// Connections that broke in a row with something in flight, after which messages go one by one…
const CAREFUL_AFTER: u32 = 2;
/// …and how often one may then break the connection, alone in flight, until it is given up.
const GIVE_UP_AFTER: u32 = 3;

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Events and samples.
    pub messages: usize,
    /// Bytes of states, events and samples.
    pub bytes: usize,
    /// Bytes of pictures.
    pub picture_bytes: usize,
    /// Bytes of one payload.
    pub payload: usize,
}

/// What has been handed to the client, so that its acknowledgement finds its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The device's status.
    Status,
    /// A value of a state.
    State(StateToken),
    /// An event's number.
    Event(u64),
    /// A picture: sent once.
    Picture,
    /// A sample; nobody waits for it.
    Sample,
}

/// Something to hand to the client now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Handout {
    pub token: Token,
    pub message: Message,
}

/// How a session ended for the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// Something was in flight, now and the times before.
    pub stuck: bool,
    /// The topic of a message that was given up because the connection broke on it again and again.
    pub given_up: Option<String>,
}

/// See the module's words.
pub(super) struct Queue {
    bounds: Bounds,
    /// What the device says of itself: birth first, the last word in the end.
    status: Message,
    status_due: bool,
    states: States,
    events: Events,
    pictures: Pictures,
    samples: VecDeque<Message>,
    sample_bytes: usize,
    /// QoS 1 messages handed out and not acknowledged, in that order.
    flight: VecDeque<Token>,
    /// Events and states that are said again take turns, so that neither starves on a connection that never lasts.
    event_turn: bool,
    connected: bool,
    closed: bool,
    /// Connections that broke in a row with something in flight.
    losses: u32,
    /// What was alone in flight when the last of them broke, and how often in a row.
    suspect: Option<(Token, u32)>,
    dropped: Dropped,
}

impl Queue {
    /// A queue that says `birth`, the device's status, first on every connection.
    pub fn new(bounds: Bounds, birth: Message) -> Queue {
        Queue {
            bounds: Bounds { messages: bounds.messages.max(1), ..bounds },
            status: birth,
            status_due: true,
            states: States::default(),
            events: Events::default(),
            pictures: Pictures::default(),
            samples: VecDeque::new(),
            sample_bytes: 0,
            flight: VecDeque::new(),
            event_turn: true,
            connected: false,
            closed: false,
            losses: 0,
            suspect: None,
            dropped: Dropped::default(),
        }
    }

    /// Events that are given up are told of on the device's topics, and a spool keeps them, if there is one.
    pub fn with_spool(mut self, status_topic: &str, spool: Option<&Options>, pace: Pace) -> Queue {
        let memory = (self.bounds.messages, self.bounds.bytes);
        let disk = spool.map(|options| Disk::new(options, pace, memory));
        self.events = Events::new(Markers::of_device(status_topic), disk);
        self
    }

    /// The events, for the spool's thread.
    pub fn events(&mut self) -> &mut Events {
        &mut self.events
    }

    /// Takes a message in; what has to give way is counted.
    pub fn push(&mut self, message: Message) {
        self.push_at(message, SystemClock.now());
    }

    fn push_at(&mut self, message: Message, now: Moment) {
        if self.closed {
            self.dropped.closing += 1;
            return;
        }
        if message.payload.len() > self.bounds.payload {
            self.dropped.too_large += 1;
            return;
        }
        let taken = match message.class {
            Class::State => self.push_state(message),
            Class::Event => self.push_event(message, now),
            Class::Sample if !self.connected => {
                self.dropped.disconnected += 1;
                true
            }
            Class::Sample => self.push_sample(message),
            Class::Picture => {
                self.dropped.overflow += self.pictures.push(message, self.bounds.picture_bytes);
                true
            }
        };
        self.dropped.overflow += u64::from(!taken);
    }

    fn push_state(&mut self, message: Message) -> bool {
        let fits = match self.states.growth(&message) {
            Some(growth) => self.make_room(growth, 0, Class::State),
            None => false,
        };
        if fits {
            self.states.push(message);
        }
        fits
    }

    fn push_event(&mut self, message: Message, now: Moment) -> bool {
        let fits = self.make_room(message.len(), 1, Class::Event);
        if fits {
            self.events.push(message, now);
        } else {
            self.events.refuse(message, now);
        }
        // What was refused is counted there.
        true
    }

    fn push_sample(&mut self, message: Message) -> bool {
        let fits = self.make_room(message.len(), 1, Class::Sample);
        if fits {
            self.sample_bytes += message.len();
            self.samples.push_back(message);
        }
        fits
    }

    /// Drops the oldest samples, then (for an event or a state) the oldest events that are not in flight, until
    /// `bytes` and `messages` more fit. False: they can't.
    fn make_room(&mut self, bytes: usize, messages: usize, class: Class) -> bool {
        while self.events.in_memory() + self.samples.len() + messages > self.bounds.messages
            || self.states.bytes() + self.events.bytes() + self.sample_bytes + bytes > self.bounds.bytes
        {
            if self.pop_sample().is_some() {
                self.dropped.overflow += 1;
            } else if class == Class::Sample || !self.events.give_way(Reason::Overflow) {
                return false;
            }
        }
        true
    }

    /// The next message that may go out: the status, states that changed, events and states that are said again in
    /// turns, samples, pictures.
    pub fn next(&mut self) -> Option<Handout> {
        let window = if self.is_careful() { 1 } else { WINDOW };
        if self.flight.len() < window
            && let Some(out) = self.next_acknowledged()
        {
            self.flight.push_back(out.token);
            return Some(out);
        }
        if let Some(message) = self.pop_sample() {
            return Some(Handout { token: Token::Sample, message });
        }
        if self.connected {
            return self.pictures.next().map(|message| Handout { token: Token::Picture, message });
        }
        None
    }

    /// The next message of those that the broker acknowledges.
    fn next_acknowledged(&mut self) -> Option<Handout> {
        if std::mem::take(&mut self.status_due) {
            return Some(Handout { token: Token::Status, message: self.status.clone() });
        }
        let state = |(token, message)| Handout { token: Token::State(token), message };
        if let Some(changed) = self.states.next_changed() {
            return Some(state(changed));
        }
        self.event_turn = !self.event_turn;
        if self.event_turn {
            self.states.next_again().map(state).or_else(|| self.next_event())
        } else {
            self.next_event().or_else(|| self.states.next_again().map(state))
        }
    }

    fn next_event(&mut self) -> Option<Handout> {
        self.events.next().map(|(id, message)| Handout { token: Token::Event(id), message })
    }

    fn pop_sample(&mut self) -> Option<Message> {
        let sample = self.samples.pop_front()?;
        self.sample_bytes -= sample.len();
        Some(sample)
    }

    /// The broker has it; or, with QoS 0, it is written, which is all there will ever be to know.
    pub fn acked(&mut self, token: Token) {
        self.flight.retain(|&t| t != token);
        match token {
            Token::Status | Token::Sample => {}
            Token::Picture => self.pictures.gone(),
            Token::State(token) => self.states.acked(token),
            Token::Event(id) => self.events.acked(id),
        }
    }

    /// The broker will not have it; that is as final as an acknowledgement.
    pub fn refused(&mut self, token: Token) {
        self.acked(token);
        self.dropped.rejected += 1;
    }

    /// A new session: the status and every state are due again, and everything that was in flight.
    pub fn connected(&mut self) {
        self.connected = true;
        self.events.connection(true);
        self.status_due = true;
        self.event_turn = true;
        if !self.closed {
            self.states.connected();
        }
    }

    /// The session is over; `unwritten` messages of QoS 0 were handed out and never reached the wire.
    pub fn disconnected(&mut self, unwritten: usize) -> Lost {
        self.connected = false;
        self.dropped.disconnected += (unwritten + self.samples.len()) as u64;
        self.samples.clear();
        self.sample_bytes = 0;
        self.pictures.gone();
        let head = self.flight.front().copied();
        // From the back, so that the first of them is the first again.
        for token in std::mem::take(&mut self.flight).into_iter().rev() {
            match token {
                Token::Status => self.status_due = true,
                Token::State(token) => self.states.unacked(token),
                Token::Event(_) | Token::Picture | Token::Sample => {}
            }
        }
        self.events.disconnected();
        let Some(head) = head else {
            self.calm();
            return Lost { stuck: false, given_up: None };
        };
        let stuck = self.is_careful();
        self.losses += 1;
        if !stuck {
            return Lost { stuck, given_up: None };
        }
        let times = self.suspect.filter(|(token, _)| *token == head).map_or(1, |(_, times)| times + 1);
        self.suspect = Some((head, times));
        let given_up = if times >= GIVE_UP_AFTER { self.give_up(head) } else { None };
        Lost { stuck, given_up }
    }

    /// The connection holds: whatever broke it before was no message.
    pub fn calm(&mut self) {
        self.losses = 0;
        self.suspect = None;
    }

    fn is_careful(&self) -> bool {
        self.losses >= CAREFUL_AFTER
    }

    fn give_up(&mut self, head: Token) -> Option<String> {
        let topic = match head {
            Token::Event(_) => self.events.drop_front()?,
            Token::State(token) => self.states.refuse(token)?,
            // Without its birth message nothing else that the device says would make sense.
            Token::Status | Token::Picture | Token::Sample => return None,
        };
        self.calm();
        self.dropped.rejected += 1;
        Some(topic)
    }

    /// Nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.len() == 0
    }

    /// Takes `last` as the device's status and lets nothing follow it; returns how many are lost for it.
    pub fn close(&mut self, last: Message) -> usize {
        let waiting = self.events.close() + self.samples.len() + self.pictures.close();
        self.samples.clear();
        self.sample_bytes = 0;
        self.dropped.closing += waiting as u64;
        self.states.close();
        self.status = last;
        self.status_due = true;
        self.closed = true;
        waiting
    }

    /// Messages that wait or are in flight.
    pub fn len(&self) -> usize {
        let in_flight = self.flight.iter().filter(|t| matches!(t, Token::Status | Token::State(..))).count();
        let waiting = self.events.len() + self.samples.len() + self.pictures.len() + self.states.waiting();
        waiting + usize::from(self.status_due) + in_flight
    }

    /// Bytes held, retained values included.
    pub fn bytes(&self) -> usize {
        let waiting = self.events.bytes() + self.sample_bytes + self.pictures.bytes();
        self.status.len() + self.states.bytes() + waiting
    }

    /// What was given up so far, by reason.
    pub fn dropped(&self) -> Dropped {
        let events = self.events.given_up;
        Dropped { overflow: self.dropped.overflow + events.overflow, aged: events.age, ..self.dropped }
    }

    /// How the events that wait fare.
    pub fn spool(&self) -> Spool {
        self.events.figures(SystemClock.now())
    }
}

#[cfg(test)]
mod tests;
