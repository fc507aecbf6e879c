//! The client's task is started anew when it panics.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::mqtt::outbox::Outbox;
use crate::mqtt::trouble::{Kind, Trouble};

/// Keeps the task running: a panic, which would be a bug, must not leave a device mute that believes it is heard. What
/// waits in the queue is still there afterwards.
pub(super) async fn supervise(
    outbox: Arc<Outbox>,
    pause: Duration,
    mut run: impl FnMut() -> JoinHandle<bool>,
) -> bool {
    loop {
        // Dropped with this future: nobody is connected on behalf of a client that is gone.
        let mut task = AbortOnDrop(run());
        match (&mut task.0).await {
            Ok(clean) => return clean,
            Err(error) if error.is_cancelled() => return false,
            Err(_) => {}
        }
        log::error!("mqtt: the client panicked, which is a bug in Vigie; it starts anew in {pause:?}");
        // What was handed over and not written is gone with the session; more than that is not known.
        outbox.disconnected(0);
        outbox.trouble(Trouble::new(Kind::Bug, ""));
        sleep(pause).await;
    }
}

struct AbortOnDrop(JoinHandle<bool>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::message::Message;
    use crate::mqtt::publisher::Sink;
    use crate::mqtt::queue::{Bounds, Queue};

    const PAUSE: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn a_client_that_panics_is_known_to_be_away_and_starts_anew() {
        let bounds = Bounds { messages: 10, bytes: 1000, picture_bytes: 0, payload: 100 };
        let outbox = Arc::new(Outbox::new(Queue::new(bounds, Message::state("s", "online"))));
        outbox.publish(Message::event("e", "kept"));
        let (mut runs, theirs) = (0, Arc::clone(&outbox));
        let run = move || {
            runs += 1;
            let outbox = Arc::clone(&theirs);
            tokio::spawn(async move {
                outbox.connected();
                while outbox.next().is_some() {}
                assert!(runs > 1, "a bug, on purpose");
                sleep(2 * PAUSE).await;
                true
            })
        };
        let supervised = tokio::spawn(supervise(Arc::clone(&outbox), PAUSE, run));
        sleep(PAUSE / 2).await;
        let stats = outbox.stats();
        assert!(
            !stats.connected && stats.queued == 2,
            "birth and event wait for the next session: {stats:?}"
        );
        assert!(stats.trouble.is_some_and(|trouble| trouble.contains("panicked")));
        sleep(PAUSE).await;
        assert!(outbox.stats().connected && outbox.stats().reconnects == 1);
        assert!(supervised.await.expect("no panic gets out"), "the second one ended well");
    }
}
