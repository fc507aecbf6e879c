//! The bounded queue in front of the client: what waits, what is in flight, what is given up. Pure; the client drives it.
//!
//! rumqttc forgets its own queue when a session is new, so it is only ever handed what this queue still holds.
//! States keep one value a topic and are all sent again on a new connection; events stay until acknowledged;
//! samples live only while there is a connection. When the bounds are reached the oldest goes, samples before events.

use std::collections::{HashMap, VecDeque};

use super::message::{Class, Message, Qos};
use super::stats::Dropped;

/// How many QoS 1 messages are in flight at once; mosquitto takes 20 unless told otherwise.
const WINDOW: usize = 20;
/// Topics with a retained value; far above what any configuration makes, it bounds a runaway.
const MAX_STATES: usize = 8192;
/// Connections that broke in a row with something in flight, after which messages go one by one…
const CAREFUL_AFTER: u32 = 2;
/// …and how often one may then break the connection, alone in flight, until it is given up.
const GIVE_UP_AFTER: u32 = 3;

/// What has been handed to the client, so that its acknowledgement finds its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A state: its index and the version of its value.
    State(usize, u64),
    /// An event's number.
    Event(u64),
    /// A sample; nobody waits for it.
    Sample,
}

/// Something to hand to the client now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
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

struct State {
    message: Message,
    version: u64,
    dirty: bool,
    /// The broker does not take this value: it is not sent again.
    refused: bool,
}

struct Event {
    id: u64,
    message: Message,
    acked: bool,
}

/// See the module's words.
pub(super) struct Queue {
    max_messages: usize,
    max_bytes: usize,
    max_payload: usize,
    states: Vec<State>,
    index: HashMap<String, usize>,
    dirty: VecDeque<usize>,
    events: VecDeque<Event>,
    /// How many of `events`, from the front, are in flight.
    sent: usize,
    samples: VecDeque<Message>,
    /// QoS 1 messages handed out and not acknowledged, in that order.
    flight: VecDeque<Token>,
    bytes: usize,
    next_id: u64,
    connected: bool,
    closed: bool,
    /// Connections that broke in a row with something in flight.
    losses: u32,
    /// What was alone in flight when the last of them broke, and how often in a row.
    suspect: Option<(Token, u32)>,
    dropped: Dropped,
}

impl Queue {
    pub fn new(max_messages: usize, max_bytes: usize, max_payload: usize) -> Queue {
        Queue {
            max_messages: max_messages.max(1),
            max_bytes,
            max_payload,
            states: Vec::new(),
            index: HashMap::new(),
            dirty: VecDeque::new(),
            events: VecDeque::new(),
            sent: 0,
            samples: VecDeque::new(),
            flight: VecDeque::new(),
            bytes: 0,
            next_id: 0,
            connected: false,
            closed: false,
            losses: 0,
            suspect: None,
            dropped: Dropped::default(),
        }
    }

    /// Takes a message in; what has to give way is counted.
    pub fn push(&mut self, message: Message) {
        if self.closed {
            self.dropped.closing += 1;
            return;
        }
        if message.payload.len() > self.max_payload {
            self.dropped.too_large += 1;
            return;
        }
        match message.class() {
            Class::State => self.push_state(message),
            Class::Event => self.push_event(message),
            Class::Sample => self.push_sample(message),
        }
    }

    fn push_state(&mut self, message: Message) {
        if let Some(&i) = self.index.get(&message.topic) {
            let old = self.states[i].message.len();
            if !self.make_room((message.len()).saturating_sub(old), 0, Class::State) {
                self.dropped.overflow += 1;
                return;
            }
            let state = &mut self.states[i];
            self.bytes = self.bytes - old + message.len();
            state.message = message;
            state.version += 1;
            state.refused = false;
            if !std::mem::replace(&mut state.dirty, true) {
                self.dirty.push_back(i);
            }
            return;
        }
        if self.states.len() >= MAX_STATES || !self.make_room(message.len(), 0, Class::State) {
            self.dropped.overflow += 1;
            return;
        }
        let i = self.states.len();
        self.bytes += message.len();
        self.index.insert(message.topic.clone(), i);
        self.states.push(State { message, version: 0, dirty: true, refused: false });
        self.dirty.push_back(i);
    }

    fn push_event(&mut self, message: Message) {
        if !self.make_room(message.len(), 1, Class::Event) {
            self.dropped.overflow += 1;
            return;
        }
        self.bytes += message.len();
        self.events.push_back(Event { id: self.next_id, message, acked: false });
        self.next_id += 1;
    }

    fn push_sample(&mut self, message: Message) {
        if !self.connected {
            self.dropped.disconnected += 1;
            return;
        }
        if !self.make_room(message.len(), 1, Class::Sample) {
            self.dropped.overflow += 1;
            return;
        }
        self.bytes += message.len();
        self.samples.push_back(message);
    }

    /// Drops the oldest samples, then (for an event or a state) the oldest events that are not in flight, until
    /// `bytes` and `messages` more fit. False: they can't.
    fn make_room(&mut self, bytes: usize, messages: usize, class: Class) -> bool {
        while self.events.len() + self.samples.len() + messages > self.max_messages
            || self.bytes + bytes > self.max_bytes
        {
            let victim = if let Some(sample) = self.samples.pop_front() {
                sample
            } else if class != Class::Sample && self.sent < self.events.len() {
                match self.events.remove(self.sent) {
                    Some(event) => event.message,
                    None => return false,
                }
            } else {
                return false;
            };
            self.bytes -= victim.len();
            self.dropped.overflow += 1;
        }
        true
    }

    /// The next message that may go out: states before events before samples.
    pub fn next(&mut self) -> Option<Outgoing> {
        let window = if self.is_careful() { 1 } else { WINDOW };
        if self.flight.len() < window {
            if let Some(i) = self.dirty.pop_front() {
                let state = &mut self.states[i];
                state.dirty = false;
                let token = Token::State(i, state.version);
                let message = state.message.clone();
                if message.qos == Qos::AtLeastOnce {
                    self.flight.push_back(token);
                }
                return Some(Outgoing { token, message });
            }
            if let Some(event) = self.events.get(self.sent) {
                let token = Token::Event(event.id);
                let message = event.message.clone();
                self.sent += 1;
                self.flight.push_back(token);
                return Some(Outgoing { token, message });
            }
        }
        let message = self.samples.pop_front()?;
        self.bytes -= message.len();
        Some(Outgoing { token: Token::Sample, message })
    }

    /// The broker has it.
    pub fn acked(&mut self, token: Token) {
        self.flight.retain(|&t| t != token);
        if let Token::Event(id) = token {
            if let Ok(i) = self.events.binary_search_by_key(&id, |e| e.id) {
                self.events[i].acked = true;
            }
            while self.events.front().is_some_and(|e| e.acked) {
                self.drop_front_event();
            }
        }
    }

    fn drop_front_event(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.bytes -= event.message.len();
            self.sent = self.sent.saturating_sub(1);
        }
    }

    /// A new session: every state is due again, and everything that was in flight.
    pub fn connected(&mut self) {
        self.connected = true;
        self.dirty.clear();
        for (i, state) in self.states.iter_mut().enumerate() {
            state.dirty = !state.refused;
            if state.dirty {
                self.dirty.push_back(i);
            }
        }
    }

    /// The session is over; `unwritten` samples were handed out and never reached the wire.
    pub fn disconnected(&mut self, unwritten: usize) -> Lost {
        self.connected = false;
        self.dropped.disconnected += (unwritten + self.samples.len()) as u64;
        for sample in std::mem::take(&mut self.samples) {
            self.bytes -= sample.len();
        }
        let head = self.flight.front().copied();
        self.flight.clear();
        // Acknowledged out of order behind one that was not: they must not go twice.
        let events = std::mem::take(&mut self.events);
        self.bytes -= events.iter().filter(|e| e.acked).map(|e| e.message.len()).sum::<usize>();
        self.events = events.into_iter().filter(|e| !e.acked).collect();
        self.sent = 0;
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
            Token::Event(_) => {
                let topic = self.events.front()?.message.topic.clone();
                self.drop_front_event();
                topic
            }
            // The first state is the birth message; without it nothing else would make sense.
            Token::State(0, _) | Token::Sample => return None,
            Token::State(i, _) => {
                self.states[i].refused = true;
                self.states[i].message.topic.clone()
            }
        };
        self.calm();
        self.dropped.rejected += 1;
        Some(topic)
    }

    /// Nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.dirty.is_empty() && self.events.is_empty() && self.samples.is_empty() && self.flight.is_empty()
    }

    /// Takes `last` as the last message and nothing after it; returns how many are left behind for it.
    pub fn close(&mut self, last: Message) -> usize {
        let waiting = self.events.len() - self.sent + self.samples.len();
        for event in self.events.drain(self.sent..) {
            self.bytes -= event.message.len();
        }
        for sample in self.samples.drain(..) {
            self.bytes -= sample.len();
        }
        self.dropped.closing += waiting as u64;
        for i in std::mem::take(&mut self.dirty) {
            self.states[i].dirty = false;
        }
        self.push(last);
        self.closed = true;
        waiting
    }

    /// Messages that wait or are in flight.
    pub fn len(&self) -> usize {
        let states = self.flight.iter().filter(|t| matches!(t, Token::State(..))).count();
        self.events.len() + self.samples.len() + self.dirty.len() + states
    }

    /// Bytes held, retained values included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was given up so far, by reason.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }
}

#[cfg(test)]
mod tests;
