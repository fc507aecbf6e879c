//! A camera: a source with its own thread, which opens it, opens it again when it is lost or stalls, keeps the newest
//! frame, and knows how it fares.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::backoff::Backoff;
use super::complaint::Complaint;
use super::mailbox::{Mailbox, Take};
use super::verdicts::Verdicts;
use super::{Counters, Error, ErrorKind, Health, Request, Source, SourceSpec, State, open, stalled};
use crate::clock::Clock;
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;

/// Called by the capture thread when there is a fresh frame or another [`State`]; it must not block.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How long the thread waits at most before it looks whether it should stop.
const SLICE: Duration = Duration::from_millis(100);

/// How long to wait before a thread that panicked is started anew.
const AFTER_PANIC: Duration = Duration::from_secs(10);

/// A capture thread and what it has to tell. Dropping it stops the thread.
pub struct Camera {
    name: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    mailbox: Mailbox,
    health: Mutex<Health>,
    verdicts: Mutex<Verdicts>,
    stop: AtomicBool,
    clock: Arc<dyn Clock>,
    wake: Wake,
}

impl Camera {
    /// Starts the thread. It opens the source, whether or not that works at once; see [`Camera::health`].
    pub fn spawn(
        name: impl Into<String>,
        spec: SourceSpec,
        request: Request,
        model: Size,
        clock: Arc<dyn Clock>,
        wake: Wake,
    ) -> Camera {
        let opening = Arc::clone(&clock);
        Camera::spawn_with(name.into(), clock, wake, move || {
            open(&spec, &request, model, Arc::clone(&opening))
        })
    }

    fn spawn_with(
        name: String,
        clock: Arc<dyn Clock>,
        wake: Wake,
        open: impl FnMut() -> Result<Box<dyn Source>, Error> + Send + 'static,
    ) -> Camera {
        let now = clock.now();
        let empty = Frame::packed(PixelFormat::Grey, Size::default(), now);
        let shared = Arc::new(Shared {
            mailbox: Mailbox::new(empty.clone()),
            health: Mutex::new(Health::unopened(now)),
            verdicts: Mutex::default(),
            stop: AtomicBool::new(false),
            clock,
            wake,
        });
        let its = Arc::clone(&shared);
        let label = name.clone();
        // The kernel cuts a thread's name after 15 bytes.
        let spawned = std::thread::Builder::new()
            .name(format!("cam {name}"))
            .spawn(move || supervise(&label, &its, empty, open));
        let thread = match spawned {
            Ok(thread) => Some(thread),
            Err(e) => {
                let e = Error::io(format!("cannot start the capture thread of camera {name}"), e);
                log::error!("{e}");
                shared.down(State::Offline, &e);
                None
            }
        };
        Camera { name, shared, thread }
    }

    /// The camera's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes what there is: a loss that was not told yet, or the newest frame, for which the old buffer is used again.
    /// No frame from before a loss is given after it. A frame that came before `since`, on the monotonic clock, is left
    /// for later; [`Duration::ZERO`] takes any.
    pub fn take(&self, frame: &mut Frame, since: Duration) -> Take {
        self.shared.mailbox.take(frame, since)
    }

    /// Takes a loss that was not told yet, and no frame: for whoever is not due to look but wants to know.
    pub fn take_loss(&self) -> Option<State> {
        self.shared.mailbox.take_loss()
    }

    /// The picture of a frame that was taken has been decoded.
    pub fn readable(&self) {
        self.shared.verdicts().readable();
    }

    /// The picture of a frame that was taken could not be decoded, and why.
    ///
    /// When most of the last pictures could not be, the source is opened anew, and the camera counts as
    /// [`State::Stalled`] until one can be.
    pub fn unreadable(&self, why: &dyn Display) {
        self.shared.verdicts().unreadable(why);
    }

    /// How it fares.
    pub fn health(&self) -> Health {
        self.shared.health().clone()
    }

    /// A way to see how it fares for those who don't own it.
    pub fn vitals(&self) -> Vitals {
        Vitals(Arc::clone(&self.shared))
    }

    /// Tells the thread to stop, and does not wait for it: with many cameras, all are told before any is waited for.
    pub fn ask_to_stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Stops the thread and waits until the device is closed: about a tenth of a second, or for as long as the driver
    /// takes if it hangs in an open or a close.
    pub fn stop(&mut self) {
        self.ask_to_stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("camera {}: the capture thread had panicked", self.name);
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How a camera fares, seen from outside; outlives the camera.
#[derive(Clone)]
pub struct Vitals(Arc<Shared>);

impl Vitals {
    /// How it fares.
    pub fn health(&self) -> Health {
        self.0.health().clone()
    }
}

impl Shared {
    fn health(&self) -> MutexGuard<'_, Health> {
        // Whatever panicked, the health is a whole value.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verdicts(&self) -> MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits, but not for longer than it takes to be asked to stop.
    fn pause(&self, mut delay: Duration) {
        while !delay.is_zero() && !self.stopping() {
            let slice = delay.min(SLICE);
            self.clock.sleep(slice);
            delay -= slice;
        }
    }

    fn down(&self, state: State, e: &Error) {
        let now = self.clock.now();
        let thrown_away = self.mailbox.lose(state);
        let mut health = self.health();
        health.counters.dropped += u64::from(thrown_away);
        if health.state != state {
            health.since = now;
        }
        health.state = state;
        health.reason = Some(e.to_string());
        health.hint = e.hint().map(str::to_owned);
        health.kind = Some(e.kind());
        drop(health);
        (self.wake)();
    }
}

/// What outlives a source, and a panic too: it is whole at every moment.
struct Past {
    backoff: Backoff,
    complaint: Complaint,
    numbers: Numbers,
    opened: bool,
}

impl Past {
    fn new(random: fastrand::Rng) -> Past {
        Past {
            backoff: Backoff::new(random),
            complaint: Complaint::default(),
            numbers: Numbers::default(),
            opened: false,
        }
    }
}

/// Keeps [`capture`] running: a panic, which would be a bug, must not leave a camera dead that looks alive.
fn supervise(
    name: &str,
    shared: &Shared,
    frame: Frame,
    mut open: impl FnMut() -> Result<Box<dyn Source>, Error>,
) {
    let mut past = Past::new(fastrand::Rng::new());
    loop {
        // What the panic may have left half done is dropped with it; all else is whole.
        let run = AssertUnwindSafe(|| capture(name, shared, frame.clone(), &mut past, &mut open));
        if catch_unwind(run).is_ok() {
            return;
        }
        let e = Error::new(ErrorKind::Io, "the capture thread panicked, which is a bug in Vigie");
        log::error!("camera {name}: {e}; it starts anew in {} s", AFTER_PANIC.as_secs());
        shared.down(State::Offline, &e);
        shared.pause(AFTER_PANIC);
    }
}

/// The thread's work: opens, captures, waits, opens again.
fn capture(
    name: &str,
    shared: &Shared,
    mut frame: Frame,
    past: &mut Past,
    mut open: impl FnMut() -> Result<Box<dyn Source>, Error>,
) {
    while !shared.stopping() {
        let failure = match open() {
            Err(e) => e,
            Ok(mut source) => {
                {
                    let mut health = shared.health();
                    health.negotiated = Some(source.negotiated().clone());
                    health.counters.reopened += u64::from(std::mem::replace(&mut past.opened, true));
                }
                past.complaint.opened(name, Describe(source.as_ref()).to_string());
                let began = shared.clock.now().monotonic;
                let base = shared.health().counters;
                past.numbers.restart();
                shared.verdicts().begin();
                let delivered = deliver(source.as_mut(), shared, &mut frame, &mut past.numbers, base);
                let Err(e) = delivered else { return };
                // A device that works for a moment after each open is still a failing one, and so is one whose
                // pictures nobody can decode.
                let lasted = shared.clock.now().monotonic.saturating_sub(began) > e.kind().retry().longest;
                if lasted && !shared.verdicts().doubted() {
                    past.backoff.reset();
                    past.complaint.over();
                }
                e
            }
        };
        let broken = matches!(failure.kind(), ErrorKind::Stalled | ErrorKind::Unreadable);
        shared.down(if broken { State::Stalled } else { State::Offline }, &failure);
        let delay = past.backoff.delay(failure.kind());
        past.complaint.failed(name, &failure, delay);
        shared.pause(delay);
    }
}

/// Hands frames on until the source fails (`Err`) or the camera is stopped (`Ok`).
fn deliver(
    source: &mut dyn Source,
    shared: &Shared,
    frame: &mut Frame,
    numbers: &mut Numbers,
    base: Counters,
) -> Result<(), Error> {
    let stall_after = source.stall_after();
    let mut own = Counters::default();
    let mut last = shared.clock.now().monotonic;
    let mut lost_before = source.counters();
    while !shared.stopping() {
        if let Some(why) = shared.verdicts().give_up() {
            return Err(undecodable(&source.negotiated().name, &why));
        }
        let fresh = source.poll(frame, SLICE.min(stall_after));
        let now = shared.clock.now();
        let Ok(true) = fresh else {
            shared.health().counters = base + own + source.counters();
            fresh?;
            if now.monotonic.saturating_sub(last) >= stall_after {
                let lost = source.counters().since(lost_before);
                return Err(stalled(&source.negotiated().name, source.why_silent(), lost, stall_after));
            }
            continue;
        };
        last = now.monotonic;
        lost_before = source.counters();
        frame.sequence = numbers.next(frame.sequence);
        let captured = frame.captured;
        own.frames += 1;
        own.dropped += u64::from(shared.mailbox.put(frame, now.monotonic));
        let doubted = shared.verdicts().doubted();
        let mut health = shared.health();
        health.counters = base + own + source.counters();
        health.last_frame = Some(captured);
        if health.state != State::Online && !doubted {
            (health.state, health.since) = (State::Online, now);
            (health.reason, health.hint, health.kind) = (None, None, None);
        }
        drop(health);
        (shared.wake)();
    }
    Ok(())
}

/// The error of a source most of whose pictures can't be decoded; `why` is what was wrong with the last of them.
fn undecodable(name: &str, why: &str) -> Error {
    let what = format!("most of the last pictures of {name} could not be decoded; of the newest one, {why}");
    Error::new(ErrorKind::Unreadable, what).with_hint(
        "a poor cable, hub or power supply garbles pictures; another `format` or `size` may be better",
    )
}

/// Keeps frame numbers rising when a device that was opened again counts from zero.
#[derive(Debug, Default)]
struct Numbers {
    base: u64,
    following: u64,
}

impl Numbers {
    fn restart(&mut self) {
        self.base = self.following;
    }

    fn next(&mut self, of_source: u64) -> u64 {
        let number = self.base + of_source;
        self.following = number + 1;
        number
    }
}

/// What was opened, for the log.
struct Describe<'a>(&'a dyn Source);

impl std::fmt::Display for Describe<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let negotiated = self.0.negotiated();
        write!(f, "{}: {} {}", negotiated.name, negotiated.format, negotiated.size)?;
        negotiated.fps.map_or(Ok(()), |fps| write!(f, " at {} fps", (fps * 100.0).round() / 100.0))
    }
}

#[cfg(test)]
#[path = "camera_tests.rs"]
mod tests;
