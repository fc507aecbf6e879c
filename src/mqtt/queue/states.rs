//! The retained values: one a topic, the newest; those that changed go first, and on a new connection all go again.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::Message;

/// Topics with a retained value; far above what any configuration makes, it bounds a runaway.
const MAX_STATES: usize = 8192;

/// Which value of which state was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct StateToken {
    id: u64,
    version: u64,
}

struct State {
    message: Message,
    /// Counts the values that this topic has had.
    version: u64,
    due: Due,
    /// When the broker last acknowledged a value, counted in acknowledgements: who waits longest is refreshed first.
    acked: u64,
    /// The broker does not take this value: it is not sent again.
    refused: bool,
}

/// Why a state has to go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    No,
    /// The broker does not have this value.
    Changed,
    /// It had it, but this is another connection, perhaps to a broker that has forgotten.
    Again,
}

/// See the module's words.
#[derive(Default)]
pub(super) struct States {
    all: BTreeMap<u64, State>,
    by_topic: HashMap<String, u64>,
    changed: VecDeque<u64>,
    again: VecDeque<u64>,
    next_id: u64,
    acks: u64,
    bytes: usize,
}

impl States {
    /// How many bytes more this value would take than the one that it replaces; `None`: there are too many topics.
    pub fn growth(&self, message: &Message) -> Option<usize> {
        match self.by_topic.get(&message.topic).and_then(|id| self.all.get(id)) {
            Some(state) => Some(message.len().saturating_sub(state.message.len())),
            None => (self.all.len() < MAX_STATES).then_some(message.len()),
        }
    }

    /// Takes a value in; an earlier one of its topic is forgotten.
    pub fn push(&mut self, message: Message) {
        self.bytes += message.len();
        if let Some(&id) = self.by_topic.get(&message.topic)
            && let Some(state) = self.all.get_mut(&id)
        {
            self.bytes -= state.message.len();
            state.message = message;
            state.version += 1;
            state.refused = false;
            if state.due != Due::Changed {
                state.due = Due::Changed;
                self.changed.push_back(id);
            }
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.by_topic.insert(message.topic.clone(), id);
        self.all.insert(id, State { message, version: 0, due: Due::Changed, acked: 0, refused: false });
        self.changed.push_back(id);
    }

    /// The next value that the broker does not have.
    pub fn next_changed(&mut self) -> Option<(StateToken, Message)> {
        while let Some(id) = self.changed.pop_front() {
            if let Some(out) = self.hand_out(id, Due::Changed) {
                return Some(out);
            }
        }
        None
    }

    /// The next value that is only said again.
    pub fn next_again(&mut self) -> Option<(StateToken, Message)> {
        while let Some(id) = self.again.pop_front() {
            if let Some(out) = self.hand_out(id, Due::Again) {
                return Some(out);
            }
        }
        None
    }

    /// A state that was retired, or is due for another reason by now, is passed over.
    fn hand_out(&mut self, id: u64, due: Due) -> Option<(StateToken, Message)> {
        let state = self.all.get_mut(&id).filter(|state| state.due == due)?;
        state.due = Due::No;
        Some((StateToken { id, version: state.version }, state.message.clone()))
    }

    /// The broker has it; one that was retired is forgotten for good.
    pub fn acked(&mut self, token: StateToken) {
        let Some(state) = self.all.get_mut(&token.id) else { return };
        self.acks += 1;
        state.acked = self.acks;
        if state.version == token.version && state.message.is_retired() {
            self.bytes -= state.message.len();
            self.by_topic.remove(&state.message.topic);
            self.all.remove(&token.id);
        }
    }

    /// It was handed out and never acknowledged, and the connection is gone.
    pub fn unacked(&mut self, token: StateToken) {
        if let Some(state) = self.all.get_mut(&token.id)
            && state.version == token.version
            && !state.refused
        {
            state.due = Due::Changed;
            self.changed.push_front(token.id);
        }
    }

    /// A new connection: every value is due again, the one that was confirmed longest ago first, so that a connection
    /// that never lasts gets through all of them in turn.
    pub fn connected(&mut self) {
        let mut again: Vec<(u64, u64)> = Vec::new();
        for (&id, state) in self.all.iter_mut().filter(|(_, state)| !state.refused) {
            if state.due != Due::Changed {
                state.due = Due::Again;
                again.push((state.acked, id));
            }
        }
        again.sort_unstable();
        self.again = again.into_iter().map(|(_, id)| id).collect();
    }

    /// The broker hangs up on this value: it is not sent again until the topic has another one. Returns the topic.
    pub fn refuse(&mut self, token: StateToken) -> Option<String> {
        let state = self.all.get_mut(&token.id)?;
        state.refused = true;
        state.due = Due::No;
        Some(state.message.topic.clone())
    }

    /// Nothing goes out any more.
    pub fn close(&mut self) {
        self.changed.clear();
        self.again.clear();
    }

    /// How many wait to go out.
    pub fn waiting(&self) -> usize {
        self.changed.len() + self.again.len()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.all.values().map(|state| state.message.len()).sum()
    }
}
