//! The [`Outbox`]: the queue and its figures behind a lock, shared between every publisher and the client's task.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::message::Message;
use super::publisher::Sink;
use super::queue::{Handout, Lost, Queue, Token};
use super::stats::Stats;
use super::trouble::Trouble;

pub(super) struct Outbox {
    inner: Mutex<Inner>,
    wake: Notify,
}

struct Inner {
    queue: Queue,
    sessions: u64,
    published: u64,
    connected: bool,
    trouble: Option<Trouble>,
}

impl Outbox {
    pub fn new(queue: Queue) -> Outbox {
        let inner = Inner { queue, sessions: 0, published: 0, connected: false, trouble: None };
        Outbox { inner: Mutex::new(inner), wake: Notify::new() }
    }

    /// The lock is held for a few instructions only, and nothing under it panics half-way.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something was published.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    pub fn next(&self) -> Option<Handout> {
        self.inner().queue.next()
    }

    pub fn acked(&self, token: Token) {
        let mut inner = self.inner();
        inner.queue.acked(token);
        inner.published += 1;
    }

    /// The broker will not have it.
    pub fn refused(&self, token: Token) {
        self.inner().queue.refused(token);
    }

    pub fn connected(&self) {
        let mut inner = self.inner();
        inner.queue.connected();
        inner.sessions += 1;
        inner.connected = true;
        inner.trouble = None;
    }

    pub fn disconnected(&self, unwritten: usize) -> Lost {
        let mut inner = self.inner();
        inner.connected = false;
        inner.queue.disconnected(unwritten)
    }

    /// The connection holds.
    pub fn calm(&self) {
        self.inner().queue.calm();
    }

    pub fn trouble(&self, trouble: Trouble) {
        self.inner().trouble = Some(trouble);
    }

    pub fn is_idle(&self) -> bool {
        self.inner().queue.is_idle()
    }

    pub fn close(&self, last: Message) -> usize {
        self.inner().queue.close(last)
    }
}

impl Sink for Outbox {
    fn publish(&self, message: Message) {
        self.inner().queue.push(message);
        self.wake.notify_one();
    }

    fn stats(&self) -> Stats {
        let inner = self.inner();
        Stats {
            connected: inner.connected,
            queued: inner.queue.len(),
            queued_bytes: inner.queue.bytes(),
            published: inner.published,
            reconnects: inner.sessions.saturating_sub(1),
            dropped: inner.queue.dropped(),
            trouble: inner.trouble.as_ref().map(Trouble::to_string),
        }
    }
}
