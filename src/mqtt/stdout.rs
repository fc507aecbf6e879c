//! The sink without a broker: each message becomes one line of JSON, `{"topic": …, "retain": …, "payload": …}`.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;

use super::message::Message;
use super::publisher::Sink;
use super::stats::{Dropped, Stats};

/// A line: a payload that is JSON stands as it is, other text as a string, bytes as their number.
#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    retain: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_bytes: Option<usize>,
}

/// Writes messages to a stream from a thread of its own, so that a reader that hangs holds up no camera.
pub struct Lines {
    sender: Mutex<Option<SyncSender<Message>>>,
    writer: Mutex<Option<Writer>>,
    counters: Arc<Counters>,
}

/// The thread that writes, and its word that all is written.
struct Writer {
    thread: JoinHandle<()>,
    done: Receiver<()>,
}

#[derive(Default)]
struct Counters {
    queued: AtomicUsize,
    published: AtomicU64,
    overflow: AtomicU64,
    closing: AtomicU64,
}

impl Lines {
    /// To standard output; at most `queue_messages` wait for its reader.
    pub fn to_stdout(queue_messages: usize) -> Lines {
        Lines::to(io::stdout(), queue_messages)
    }

    /// To any stream.
    pub fn to(stream: impl Write + Send + 'static, queue_messages: usize) -> Lines {
        let (sender, receiver) = sync_channel(queue_messages.max(1));
        let counters = Arc::new(Counters::default());
        let theirs = Arc::clone(&counters);
        let (say_done, done) = sync_channel(1);
        let spawned = thread::Builder::new().name("stdout".into()).spawn(move || {
            write_all(stream, &receiver, &theirs);
            // Nobody has to wait for it.
            let _ = say_done.send(());
        });
        let writer = spawned
            .map(|thread| Writer { thread, done })
            .map_err(|e| log::error!("can't start the thread that writes to standard output: {e}"))
            .ok();
        Lines { sender: Mutex::new(Some(sender)), writer: Mutex::new(writer), counters }
    }

    /// Writes what waits and ends the thread; later messages are counted as dropped. A reader that hangs is waited for
    /// `within` that time; `false`: something was left unwritten.
    pub fn close(&self, within: Duration) -> bool {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return true;
        };
        if writer.done.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
            log::warn!("standard output takes no more lines; what waits for it is lost");
            return false;
        }
        let panicked = writer.thread.join().is_err();
        if panicked {
            log::error!("the thread that writes to standard output panicked");
        }
        !panicked
    }
}

impl Sink for Lines {
    fn publish(&self, message: Message) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else {
            self.counters.closing.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.counters.queued.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = sender.try_send(message) {
            self.counters.queued.fetch_sub(1, Ordering::Relaxed);
            let counter = match error {
                TrySendError::Full(_) => &self.counters.overflow,
                TrySendError::Disconnected(_) => &self.counters.closing,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn stats(&self) -> Stats {
        let dropped = Dropped {
            overflow: self.counters.overflow.load(Ordering::Relaxed),
            closing: self.counters.closing.load(Ordering::Relaxed),
            ..Dropped::default()
        };
        Stats {
            connected: true,
            queued: self.counters.queued.load(Ordering::Relaxed),
            published: self.counters.published.load(Ordering::Relaxed),
            dropped,
            ..Stats::default()
        }
    }
}

fn write_all(mut stream: impl Write, messages: &Receiver<Message>, counters: &Counters) {
    for message in messages {
        counters.queued.fetch_sub(1, Ordering::Relaxed);
        let mut line = to_line(&message);
        line.push(b'\n');
        if let Err(error) = stream.write_all(&line).and_then(|()| stream.flush()) {
            counters.closing.fetch_add(1, Ordering::Relaxed);
            // The reader is gone (`vigie run | head`); the daemon's work may still matter to others.
            log::warn!("can't write to standard output any more: {error}");
            return;
        }
        counters.published.fetch_add(1, Ordering::Relaxed);
    }
}

/// A message as a line of JSON, without its end.
pub fn to_line(message: &Message) -> Vec<u8> {
    let text = std::str::from_utf8(&message.payload).ok();
    let payload = text.map(|t| serde_json::from_str(t).unwrap_or_else(|_| t.into()));
    let payload_bytes = payload.is_none().then_some(message.payload.len());
    super::payload::to_json(&Line { topic: &message.topic, retain: message.retain, payload, payload_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_message_is_a_line_of_json() {
        let written = Shared::default();
        let lines = Lines::to(written.clone(), 10);
        lines.publish(Message::state("v/d/status", "online"));
        lines.publish(Message::sample("v/d/c/detections", r#"{"seq":1}"#));
        lines.publish(Message::picture("v/d/c/snapshot", vec![0xff, 0xd8], false));
        assert!(lines.close(PATIENCE));
        lines.publish(Message::state("v/d/status", "late"));
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "{\"topic\":\"v/d/status\",\"retain\":true,\"payload\":\"online\"}\n\
             {\"topic\":\"v/d/c/detections\",\"retain\":false,\"payload\":{\"seq\":1}}\n\
             {\"topic\":\"v/d/c/snapshot\",\"retain\":false,\"payload_bytes\":2}\n"
        );
        assert_eq!((lines.stats().published, lines.stats().dropped.closing), (3, 1));
    }

    #[test]
    fn a_reader_that_hangs_costs_messages_and_no_time() {
        struct Stuck(Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (release, stuck) = sync_channel::<()>(0);
        let lines = Lines::to(Stuck(stuck), 4);
        for _ in 0..100 {
            lines.publish(Message::event("v", "1"));
        }
        assert!(lines.stats().dropped.overflow >= 95, "{:?}", lines.stats());
        let start = std::time::Instant::now();
        assert!(!lines.close(Duration::from_millis(50)), "what waits was not written");
        assert!(start.elapsed() < PATIENCE, "and nobody waited for ever");
        drop(release);
    }

    #[test]
    fn a_reader_that_is_gone_is_no_panic() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::to(Gone, 4);
        lines.publish(Message::event("v", "1"));
        assert!(lines.close(PATIENCE));
        assert_eq!(lines.stats().dropped.closing, 1);
    }
}
