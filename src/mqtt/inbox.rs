//! Where received messages wait: a short channel from the client to whoever carries commands out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::commands::Received;

/// So many messages wait at most.
const WAITING: usize = 64;

/// What the client subscribes to, and where it puts what comes.
#[derive(Clone, Debug)]
pub struct Inbox {
    filters: Vec<String>,
    sender: mpsc::Sender<Received>,
    missed: Arc<AtomicU64>,
}

/// The other end of an [`Inbox`].
#[derive(Debug)]
pub struct Letters {
    receiver: mpsc::Receiver<Received>,
    missed: Arc<AtomicU64>,
}

/// An inbox for what is published under these filters, and its other end.
pub fn inbox(filters: Vec<String>) -> (Inbox, Letters) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let missed = Arc::new(AtomicU64::new(0));
    (Inbox { filters, sender, missed: Arc::clone(&missed) }, Letters { receiver, missed })
}

impl Inbox {
    /// What is subscribed to.
    pub(super) fn filters(&self) -> &[String] {
        &self.filters
    }

    /// Takes a message, or counts it if too many wait; never waits.
    pub(super) fn put(&self, message: Received) {
        if self.sender.try_send(message).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Letters {
    /// The next message; `None`: the client is gone.
    pub async fn next(&mut self) -> Option<Received> {
        self.receiver.recv().await
    }

    /// How many did not fit since this was last asked.
    pub fn missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_is_counted_and_nobody_waits() {
        let (inbox, mut letters) = inbox(vec!["a/+".into()]);
        for n in 0..WAITING + 10 {
            inbox.put(Received::new("a/b", n.to_string().as_bytes(), false));
        }
        assert_eq!((letters.missed(), letters.missed()), (10, 0));
        assert_eq!(letters.next().await.unwrap().payload, b"0", "the first ones are heard");
        drop(inbox);
        while letters.next().await.is_some() {}
    }
}
