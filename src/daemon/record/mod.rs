//! Clips of what happens: the inference thread hands over copies of the frames that it looks at, and what becomes of objects;
//! a thread of its own masks and compresses them, holds the latest in memory, and writes those around an object to a file.
//!
//! The copies come from a small pool: a disk that is slow loses frames, which are counted, and holds nobody up.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::figures::RecordFigures;
use super::pool::Pool;
use super::store::Kind;
use crate::clock::{Clock, Moment};
use crate::config;
use crate::frame::Frame;
use crate::geometry::{Polygon, Size};
use crate::mqtt::Site;
use crate::scene::Fact;
use crate::turn::Turn;

pub mod about;
mod director;
mod operator;
mod ring;
mod tape;

pub use about::About;
pub use tape::Clip;

use director::{Member, Told};
use operator::Operator;

/// So many frames of one camera may be on their way at once.
const POOL: usize = 8;
/// And so much of what happened.
const TOLD: usize = 256;
/// The longest that the thread sleeps: a clip is to end without frames too.
const NAP: Duration = Duration::from_millis(500);

/// Files of clips.
const CLIPS: Kind = Kind { what: "clip", ending: "avi", beside: Some("json") };

/// Hears of each clip that is whole, and of each that could not be written; on the thread that writes.
pub type OnClip = Arc<dyn Fn(Result<&Clip, &io::Error>) + Send + Sync>;

/// What a recorder is made of.
pub struct Parts {
    /// The site, for what is known of a clip.
    pub site: Arc<Site>,
    /// The camera's name.
    pub camera: String,
    /// Looks a second at most.
    pub max_fps: f32,
    /// How it is recorded.
    pub options: config::Record,
    /// By class, whether it begins a clip; empty: each does.
    pub classes: Vec<bool>,
    /// Everything is recorded, whatever happens.
    pub everything: bool,
    /// What nobody shall see.
    pub masks: Vec<Polygon>,
    /// What is counted.
    pub figures: Arc<RecordFigures>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who wants to hear of clips.
    pub on_clip: Option<OnClip>,
}

/// A camera's way to its clips.
pub struct Recorder {
    /// `None` when it stops.
    jobs: Option<SyncSender<Job>>,
    pool: Pool,
    /// Where not every frame that is looked at is recorded.
    turn: Option<Turn>,
    /// Whether something that happened could not be told.
    missed: bool,
    figures: Arc<RecordFigures>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread has to do.
enum Job {
    /// A frame, and how far what a pixel shows may have spread in it.
    Frame(Frame, Size),
    /// Something happened to an object.
    Told(Told),
    /// Something happened by then that there was no room to tell of.
    Missed(Duration),
}

impl Recorder {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn start(parts: Parts) -> io::Result<Recorder> {
        let (jobs, waiting) = sync_channel::<Job>(POOL + TOLD);
        let (pool, give_back) = Pool::new(POOL);
        let turn = parts.options.fps.filter(|&fps| fps < parts.max_fps).map(Turn::new);
        let (figures, clock) = (Arc::clone(&parts.figures), Arc::clone(&parts.clock));
        let name = format!("record-{}", parts.camera);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let mut operator = Operator::new(parts);
            operator.take_up();
            loop {
                match waiting.recv_timeout(NAP) {
                    Ok(Job::Frame(frame, spread)) => {
                        operator.frame(&frame, spread);
                        let _ = give_back.try_send(frame);
                    }
                    Ok(Job::Told(told)) => operator.told(told),
                    Ok(Job::Missed(at)) => operator.missed(at),
                    Err(RecvTimeoutError::Timeout) => operator.settle(clock.now().monotonic),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            operator.end();
        })?;
        Ok(Recorder { jobs: Some(jobs), pool, turn, missed: false, figures, thread: Some(thread) })
    }

    /// Takes a copy of a frame that can be decoded, if there is room for one.
    pub fn frame(&mut self, frame: &Frame, spread: Size) {
        if self.turn.as_mut().is_some_and(|turn| !turn.take(frame.captured.monotonic)) {
            return;
        }
        let copy = self.pool.copy(frame);
        // As many as there are fit; what doesn't is a thread that died, and was said.
        if !copy.is_some_and(|copy| self.give(Job::Frame(copy, spread))) {
            self.figures.dropped();
        }
    }

    /// Takes what happened, as far as it happened to an object.
    pub fn fact(&mut self, fact: &Fact, now: Moment) {
        let Fact::Object { happened, object } = fact else { return };
        let at = now.monotonic;
        if std::mem::take(&mut self.missed) {
            self.missed = !self.give(Job::Missed(at));
        }
        let member = Member::from(&**object);
        self.missed |= !self.give(Job::Told(Told { happened: *happened, at, member }));
    }

    /// Whether the thread will do it.
    fn give(&self, job: Job) -> bool {
        let Some(jobs) = &self.jobs else { return false };
        match jobs.try_send(job) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

impl Drop for Recorder {
    /// Waits until the clip that is being written is whole.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that records had panicked");
        }
    }
}

#[cfg(test)]
mod tests;
