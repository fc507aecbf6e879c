//! Where received messages wait: a short channel from the client to whoever carries commands out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::commands::Received;
use super::filter;

/// So many messages wait at most.
const WAITING: usize = 64;

/// What the client subscribes to, and where it puts what comes.
#[derive(Clone, Debug)]
pub struct Inbox {
    filters: Vec<String>,
    sender: mpsc::Sender<Received>,
    ignored: Arc<AtomicU64>,
}

/// The other end of an [`Inbox`].
#[derive(Debug)]
pub struct Letters(mpsc::Receiver<Received>);

/// An inbox for what is published under these filters, and its other end; what does not fit is counted in `ignored`.
pub fn inbox(filters: Vec<String>, ignored: Arc<AtomicU64>) -> (Inbox, Letters) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Inbox { filters, sender, ignored }, Letters(receiver))
}

impl Inbox {
    /// What is subscribed to.
    pub(super) fn filters(&self) -> &[String] {
        &self.filters
    }

    /// Whether a message on that topic is for it.
    pub(super) fn wants(&self, topic: &str) -> bool {
        self.filters.iter().any(|filter| filter::matches(filter, topic))
    }

    /// Takes a message, or counts it if too many wait; never waits.
    pub(super) fn put(&self, message: Received) {
        if self.sender.try_send(message).is_err() {
            self.ignored.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Letters {
    /// The next message; `None`: the client is gone.
    pub async fn next(&mut self) -> Option<Received> {
        self.0.recv().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_is_counted_and_nobody_waits() {
        let ignored = Arc::new(AtomicU64::new(0));
        let (inbox, mut letters) = inbox(vec!["a/+".into()], Arc::clone(&ignored));
        for n in 0..WAITING + 10 {
            inbox.put(Received::new("a/b", n.to_string().as_bytes(), false));
        }
        assert_eq!(ignored.load(Ordering::Relaxed), 10);
        assert_eq!(letters.next().await.unwrap().payload, b"0", "the first ones are heard");
        drop(inbox);
        while letters.next().await.is_some() {}
    }
}
