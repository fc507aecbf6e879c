//! The thread that alone touches the disk: does the queue's jobs, and goes on in memory while the disk can't be used.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::file::{Failure, set_aside};
use super::job::Done;
use super::store::Store;
use super::{Options, Pace};
use crate::mqtt::outbox::{Order, Outbox};

/// How long a wait for a file that another process holds lasts until it is tried again.
const LOCKED_PAUSE: Duration = Duration::from_millis(100);

/// The running thread.
pub(in crate::mqtt) struct Keeper {
    outbox: Arc<Outbox>,
    /// Ends when the thread does.
    ended: oneshot::Receiver<()>,
}

impl Keeper {
    /// Lets it write what is left and close the file. False: it did not within the time.
    pub async fn stop(&mut self, until: tokio::time::Instant) -> bool {
        self.outbox.stop_keeping();
        timeout_at(until, &mut self.ended).await.is_ok()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.outbox.stop_keeping();
    }
}

/// Starts the thread. Nothing is waited for: what can't be used is said, and tried again. The `journal` is begun before this
/// returns, so that nothing is handed over that it does not get.
pub(in crate::mqtt) fn start(
    options: Options,
    pace: Pace,
    journal: Option<PathBuf>,
    outbox: Arc<Outbox>,
) -> Keeper {
    if let Some(path) = journal {
        outbox.begin_journal(path, options.path.clone(), pace.retry);
    }
    let (end, ended) = oneshot::channel();
    let theirs = Arc::clone(&outbox);
    let spawned = thread::Builder::new().name("spool".to_owned()).spawn(move || {
        let mut disk = Disk { options, pace, outbox: theirs, file: None, said: String::new() };
        disk.run();
        drop(end);
    });
    if let Err(error) = spawned {
        outbox.spool_failed(Vec::new(), format!("can't start its thread: {error}"));
        log::warn!("spool: can't start its thread: {error}; events are kept in memory");
    }
    Keeper { outbox, ended }
}

/// What the thread knows.
struct Disk {
    options: Options,
    pace: Pace,
    outbox: Arc<Outbox>,
    /// The file that was open last.
    file: Option<u128>,
    /// What was last said of trouble, so that it is not said again.
    said: String,
}

/// How the work on an open file ended.
enum End {
    /// The client is closing, and all is written.
    Stopped,
    /// The file was broken and is set aside: another is begun at once.
    Anew,
    /// The disk can't be used.
    Failed,
}

impl Disk {
    fn run(&mut self) {
        loop {
            let end = match self.attach() {
                Ok(store) => self.keep(store),
                Err(failure) => {
                    self.trouble(&failure, Vec::new());
                    End::Failed
                }
            };
            match end {
                End::Stopped => return,
                End::Anew => {}
                End::Failed if self.outbox.stopped_within(self.pace.retry) => return,
                End::Failed => {}
            }
        }
    }

    /// Opens the file and brings queue and disk together; a broken file is set aside, and another is begun.
    fn attach(&mut self) -> Result<Store, Failure> {
        match self.try_attach() {
            Err(Failure::Broken(what)) => {
                self.set_aside(&what)?;
                self.try_attach()
            }
            attached => attached,
        }
    }

    fn try_attach(&mut self) -> Result<Store, Failure> {
        let mut store = self.open()?;
        let path = self.options.path.display();
        let (end, before) = (store.last(), store.records);
        let job = self.outbox.spool_opened(self.file == Some(store.id), store.stamp);
        self.file = Some(store.id);
        let attached = guarded(|| {
            let done = store.work(&job, |topic| self.outbox.marks(topic))?;
            Ok((done, store.count(end)?))
        });
        let (done, count) = match attached {
            Ok(attached) => attached,
            Err(failure) => {
                self.outbox.spool_failed(job.remove, failure.to_string());
                return Err(failure);
            }
        };
        if !self.said.is_empty() {
            log::info!("spool {path}: can be used again");
            self.said.clear();
        } else if before > 0 {
            log::info!("spool {path}: {before} events from before wait for the broker");
        }
        self.outbox.spool_attached(done, end, count);
        Ok(store)
    }

    /// Opens the file; another process may be about to let it go.
    fn open(&self) -> Result<Store, Failure> {
        let begin = Instant::now();
        loop {
            match guarded(|| Store::open(&self.options.path)) {
                Err(Failure::Locked) if begin.elapsed() < self.pace.lock => {
                    if self.outbox.stopped_within(LOCKED_PAUSE) {
                        return Err(Failure::Locked);
                    }
                }
                opened => return opened,
            }
        }
    }

    fn set_aside(&self, what: &str) -> Result<(), Failure> {
        let aside = set_aside(&self.options.path)?;
        let (path, aside) = (self.options.path.display(), aside.display());
        log::warn!("spool {path}: it is broken ({what}); it is kept as {aside}, and a new one is begun");
        Ok(())
    }

    /// Does job after job.
    fn keep(&mut self, mut store: Store) -> End {
        loop {
            let Order { job, last } = self.outbox.next_job();
            let outcome: Result<Done, Failure> =
                guarded(|| store.work(&job, |topic| self.outbox.marks(topic)));
            let failure = match outcome {
                Ok(done) => {
                    self.outbox.spool_done(done);
                    if !last {
                        continue;
                    }
                    self.outbox.end_journal();
                    if let Err(error) = guarded(|| store.close()) {
                        log::warn!("spool {}: can't be closed: {error}", self.options.path.display());
                    }
                    return End::Stopped;
                }
                Err(failure) => failure,
            };
            // What has failed once may fail again at its end, which nobody wants to hear of.
            let _ = guarded(|| store.close());
            let aside = match &failure {
                Failure::Broken(what) => self.set_aside(what),
                _ => Err(failure),
            };
            return match aside {
                Ok(()) => {
                    self.outbox.spool_failed(Vec::new(), "it is broken".to_owned());
                    End::Anew
                }
                Err(failure) => {
                    self.trouble(&failure, job.remove);
                    if last { End::Stopped } else { End::Failed }
                }
            };
        }
    }

    /// The disk can't be used; that is said once, not at each attempt.
    fn trouble(&mut self, failure: &Failure, unwanted: Vec<u64>) {
        let words = failure.to_string();
        let out_of_reach = self.outbox.spool_failed(unwanted, words.clone());
        if self.said == words {
            return;
        }
        let (path, retry) = (self.options.path.display(), self.pace.retry);
        log::warn!(
            "spool {path}: can't be used: {words}; events are kept in memory, and it is tried again every {retry:?}"
        );
        if out_of_reach > 0 {
            log::warn!("spool {path}: {out_of_reach} events in it go out when it can be used again");
        }
        self.said = words;
    }
}

/// A panic on a file that was tampered with is a broken file, and no end of the thread.
fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let broken = |_| Failure::Broken("reading it panicked".to_owned());
    catch_unwind(AssertUnwindSafe(work)).map_err(broken)?
}

#[cfg(test)]
mod tests;
