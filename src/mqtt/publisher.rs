//! The [`Publisher`] that every other thread holds, and the [`Sink`] behind it.

use std::sync::Arc;

use super::message::Message;
use super::stats::Stats;

/// Where messages go: a broker, or standard output.
pub trait Sink: Send + Sync {
    /// Takes a message; never waits for the network, a disk or a terminal.
    fn publish(&self, message: Message);
    /// How it fares.
    fn stats(&self) -> Stats;
}

/// A handle to a [`Sink`], cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Publisher {
    sink: Arc<dyn Sink>,
}

impl Publisher {
    /// A handle to `sink`.
    pub fn new(sink: Arc<dyn Sink>) -> Publisher {
        Publisher { sink }
    }

    /// Takes a message to be published; never blocks. What can't be kept is counted in [`Stats::dropped`].
    pub fn publish(&self, message: Message) {
        self.sink.publish(message);
    }

    /// How it fares.
    pub fn stats(&self) -> Stats {
        self.sink.stats()
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("stats", &self.stats()).finish()
    }
}
