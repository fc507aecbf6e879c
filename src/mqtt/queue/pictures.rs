//! Pictures that wait: the newest of each topic, within a budget of their own.

use std::collections::VecDeque;

use super::Message;

/// See the module's words.
#[derive(Default)]
pub(super) struct Pictures {
    /// In the order in which they came; at most one a topic.
    waiting: VecDeque<Message>,
    bytes: usize,
    /// One is with the client: large things go one by one.
    handed: bool,
}

impl Pictures {
    /// Takes a picture in; an earlier one of its topic is overtaken, which is no loss. Returns how many gave way to
    /// the budget: the oldest first, and itself if it is larger than all of it.
    pub fn push(&mut self, picture: Message, budget: usize) -> u64 {
        if let Some(i) = self.waiting.iter().position(|waiting| waiting.topic == picture.topic) {
            self.bytes -= self.waiting.remove(i).map_or(0, |old| old.len());
        }
        if picture.len() > budget {
            return 1;
        }
        self.bytes += picture.len();
        self.waiting.push_back(picture);
        let mut gave_way = 0;
        while self.bytes > budget {
            self.bytes -= self.waiting.pop_front().map_or(0, |old| old.len());
            gave_way += 1;
        }
        gave_way
    }

    /// The next one, unless the one before it is still on its way.
    pub fn next(&mut self) -> Option<Message> {
        if self.handed {
            return None;
        }
        let picture = self.waiting.pop_front()?;
        self.bytes -= picture.len();
        self.handed = true;
        Some(picture)
    }

    /// The one that was handed out has left, or the connection has.
    pub fn gone(&mut self) {
        self.handed = false;
    }

    /// Forgets all that wait; returns how many.
    pub fn close(&mut self) -> usize {
        self.bytes = 0;
        std::mem::take(&mut self.waiting).len()
    }

    /// How many wait or are on their way.
    pub fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.handed)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.waiting.iter().map(Message::len).sum()
    }
}
