//! The [`Outbox`]: the queue and its figures behind a lock, shared between every publisher, the client's task and the
//! spool's thread.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::message::Message;
use super::publisher::Sink;
use super::queue::{Handout, Lost, Queue, Token};
use super::scribe::Scribe;
use super::spool::{Done, Job, Stamp, microseconds};
use super::stats::{Spool, Stats};
use super::trouble::Trouble;
use crate::clock::{Clock as _, SystemClock};

/// How long new events wait for those that lie on disk, which go first. A disk that hangs must not silence the device.
const OPEN_WITHIN: Duration = Duration::from_secs(10);

pub(super) struct Outbox {
    inner: Mutex<Inner>,
    wake: Notify,
    /// Wakes the spool's thread.
    keeper: Condvar,
}

/// What the spool's thread has to do; after the `last` it ends.
pub(super) struct Order {
    pub job: Job,
    pub last: bool,
}

struct Inner {
    queue: Queue,
    /// Writes down what the queue has in memory alone.
    scribe: Scribe,
    sessions: u64,
    published: u64,
    connected: bool,
    trouble: Option<Trouble>,
    /// Until when a disk may take to open.
    open_by: Option<Instant>,
    /// When the spool's thread wakes up by itself, on the monotonic clock.
    alarm_us: i64,
    spool_trouble: Option<String>,
    stop_keeping: bool,
}

impl Outbox {
    pub fn new(queue: Queue) -> Outbox {
        let inner = Inner {
            queue,
            scribe: Scribe::default(),
            sessions: 0,
            published: 0,
            connected: false,
            trouble: None,
            open_by: Some(Instant::now() + OPEN_WITHIN),
            alarm_us: i64::MIN,
            spool_trouble: None,
            stop_keeping: false,
        };
        Outbox { inner: Mutex::new(inner), wake: Notify::new(), keeper: Condvar::new() }
    }

    /// The lock is held for a few instructions only, at most for a write to memory, and nothing under it panics half-way.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something was published.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    pub fn next(&self) -> Option<Handout> {
        let mut inner = self.inner();
        if inner.open_by.is_some_and(|by| by <= Instant::now()) {
            inner.open_by = None;
            inner.queue.events().wait_no_longer();
        }
        let next = inner.queue.next();
        self.settle(inner);
        next
    }

    pub fn acked(&self, token: Token) {
        let mut inner = self.inner();
        inner.queue.acked(token);
        inner.published += 1;
        self.settle(inner);
    }

    /// Writes down what changed, and wakes the spool's thread if there is work before it would wake up by itself.
    fn settle(&self, mut inner: MutexGuard<'_, Inner>) {
        let Inner { queue, scribe, .. } = &mut *inner;
        scribe.keep_up(queue.events());
        let words = scribe.words();
        if queue.events().due().is_some_and(|due| due < inner.alarm_us) {
            inner.alarm_us = i64::MIN;
            self.keeper.notify_one();
        }
        drop(inner);
        say(words);
    }

    /// What is in memory alone is written down from now on, in that file; first it tells what a process before this one left.
    pub fn begin_journal(&self, path: PathBuf, spool: PathBuf, retry: Duration) {
        let mut inner = self.inner();
        let Inner { queue, scribe, .. } = &mut *inner;
        scribe.begin(path, spool, retry, queue.events());
        self.settle(inner);
    }

    /// The spool's thread has done its last job.
    pub fn end_journal(&self) {
        let mut inner = self.inner();
        let Inner { queue, scribe, .. } = &mut *inner;
        scribe.end(queue.events());
        self.settle(inner);
    }

    /// The broker will not have it.
    pub fn refused(&self, token: Token) {
        let mut inner = self.inner();
        inner.queue.refused(token);
        self.settle(inner);
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
        let lost = inner.queue.disconnected(unwritten);
        self.settle(inner);
        lost
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

    /// Waits for the next job of the spool's thread.
    pub fn next_job(&self) -> Order {
        let mut inner = self.inner();
        loop {
            let now = SystemClock.now();
            let (now_us, stop) = (microseconds(now.monotonic), inner.stop_keeping);
            let due = inner.queue.events().due();
            if stop || due.is_some_and(|due| due <= now_us) {
                inner.alarm_us = i64::MIN;
                let job = inner.queue.events().job(now, stop);
                self.settle(inner);
                return Order { job, last: stop };
            }
            inner.alarm_us = due.unwrap_or(i64::MAX);
            let left = due.map_or(u64::MAX >> 24, |due| due.saturating_sub(now_us).unsigned_abs());
            let waited = self.keeper.wait_timeout(inner, Duration::from_micros(left));
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for so long; true: the spool's thread has to end.
    pub fn stopped_within(&self, time: Duration) -> bool {
        let go_on = |inner: &mut Inner| !inner.stop_keeping;
        let waited = self.keeper.wait_timeout_while(self.inner(), time, go_on);
        waited.unwrap_or_else(PoisonError::into_inner).0.stop_keeping
    }

    /// The spool's thread is to do a last job and end.
    pub fn stop_keeping(&self) {
        self.inner().stop_keeping = true;
        self.keeper.notify_one();
    }

    /// The disk is open, and the `same` as before or not, and has so much of a journal: this is what it needs of memory.
    pub fn spool_opened(&self, same: bool, stamp: Option<Stamp>) -> Job {
        let mut inner = self.inner();
        let Inner { queue, scribe, .. } = &mut *inner;
        scribe.spool_opened(stamp, queue.events());
        let job = queue.events().opened(same, SystemClock.now());
        self.settle(inner);
        job
    }

    /// That was done; `count` records up to `end` lie on disk from before.
    pub fn spool_attached(&self, done: Done, end: u64, count: u64) {
        let mut inner = self.inner();
        inner.queue.events().attached(done, end, count);
        inner.spool_trouble = None;
        self.settle(inner);
        self.wake.notify_one();
    }

    /// A job was done.
    pub fn spool_done(&self, done: Done) {
        let mut inner = self.inner();
        inner.queue.events().done(done);
        self.settle(inner);
        self.wake.notify_one();
    }

    /// The disk can't be used; returns how many events are out of reach.
    pub fn spool_failed(&self, unwanted: Vec<u64>, why: String) -> u64 {
        let mut inner = self.inner();
        inner.spool_trouble = Some(why);
        let out_of_reach = inner.queue.events().failed(unwanted);
        self.settle(inner);
        self.wake.notify_one();
        out_of_reach
    }

    /// Whether a gap on that topic is told there.
    pub fn marks(&self, topic: &str) -> bool {
        self.inner().queue.events().marks(topic)
    }
}

/// Says what came up under the lock.
fn say(words: Vec<(log::Level, String)>) {
    for (level, words) in words {
        log::log!(level, "{words}");
    }
}

impl Sink for Outbox {
    fn publish(&self, message: Message) {
        let mut inner = self.inner();
        inner.queue.push(message);
        self.settle(inner);
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
            spool: Spool { trouble: inner.spool_trouble.clone(), ..inner.queue.spool() },
        }
    }
}
