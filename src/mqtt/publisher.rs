//! Where messages go: a [`Sink`], and the [`Publisher`] that every other thread holds of it.

use std::sync::Arc;

use super::message::Message;
use super::stats::Stats;

/// Where messages go: a broker, or standard output.
pub trait Sink: Send + Sync {
    /// Takes a message to be published; never waits for the network, a disk or a terminal. What can't be kept is
    /// counted in [`Stats::dropped`].
    fn publish(&self, message: Message);
    /// How it fares.
    fn stats(&self) -> Stats;
}

/// A [`Sink`], usable from any thread.
pub type Publisher = Arc<dyn Sink>;
