//! The daemon in a thread of its own, for those who do something else meanwhile: the demo and tests.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc as channel, oneshot};

use super::{Error, run};
use crate::config::Config;

/// A running daemon. Dropping it stops it too, but does not wait.
pub struct Background {
    thread: JoinHandle<()>,
    result: mpsc::Receiver<Result<(), Error>>,
    stop: oneshot::Sender<()>,
}

impl Background {
    /// Starts the daemon.
    ///
    /// # Errors
    /// When the runtime or the thread can't be made. What goes wrong later, [`Background::stop`] says.
    pub fn start(config: Config) -> Result<Background, Error> {
        let runtime = runtime()?;
        let (stop, stopped) = oneshot::channel();
        let (done, result) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("daemon".to_owned()).spawn(move || {
            let (_unused, configurations) = channel::channel(1);
            let outcome = runtime.block_on(run(config, None, configurations, async {
                // A dropped sender stops the daemon as well.
                let _ = stopped.await;
            }));
            let _ = done.send(outcome);
        })?;
        Ok(Background { thread, result, stop })
    }

    /// Whether it has ended by itself: it could not start, or something failed.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Stops it cleanly and waits.
    ///
    /// # Errors
    /// What [`run`] returned.
    pub fn stop(self) -> Result<(), Error> {
        let _ = self.stop.send(());
        let outcome = self.result.recv_timeout(Duration::from_secs(30));
        outcome.unwrap_or_else(|_| Err(Error::Inference("the daemon did not stop within 30 s".to_owned())))
    }
}

/// The runtime that the daemon wants: the network and timers, nothing heavy.
///
/// # Errors
/// When the system has no more threads or file descriptors.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("net").enable_all().build()
}
