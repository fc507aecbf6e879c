//! A camera: a source with its own thread, which opens it, opens it again when it is lost or stalls, keeps the newest
//! frame, and knows how it fares.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::backoff::Backoff;
use super::mailbox::{Mailbox, Take};
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
    /// No frame from before a loss is given after it.
    pub fn take(&self, frame: &mut Frame) -> Take {
        self.shared.mailbox.take(frame)
    }

    /// Takes a loss that was not told yet, and no frame: for whoever is not due to look but wants to know.
    pub fn take_loss(&self) -> Option<State> {
        self.shared.mailbox.take_loss()
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

    /// Stops the thread and waits until the device is closed, which takes about a tenth of a second.
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

/// Keeps [`capture`] running: a panic, which would be a bug, must not leave a camera dead that looks alive.
fn supervise(
    name: &str,
    shared: &Shared,
    frame: Frame,
    mut open: impl FnMut() -> Result<Box<dyn Source>, Error>,
) {
    loop {
        let backoff = Backoff::new(fastrand::Rng::new());
        // What the panic may have left half done is dropped with it; the mailbox and the health are whole values.
        let run = AssertUnwindSafe(|| capture(name, shared, frame.clone(), backoff, &mut open));
        if catch_unwind(run).is_ok() {
            return;
        }
        let e = Error::new(ErrorKind::Io, "the capture thread panicked, which is a bug in Vigie");
        log::error!("camera {name}: {e}; it starts anew in {} s", AFTER_PANIC.as_secs());
        shared.down(State::Offline, &e);
        shared.pause(AFTER_PANIC);
        shared.health().counters.reopened += 1;
    }
}

/// The thread's work: opens, captures, waits, opens again.
fn capture(
    name: &str,
    shared: &Shared,
    mut frame: Frame,
    mut backoff: Backoff,
    mut open: impl FnMut() -> Result<Box<dyn Source>, Error>,
) {
    let mut numbers = Numbers::default();
    let mut complaint = Complaint::default();
    let mut opened_before = false;
    while !shared.stopping() {
        let failure = match open() {
            Err(e) => e,
            Ok(mut source) => {
                {
                    let mut health = shared.health();
                    health.negotiated = Some(source.negotiated().clone());
                    health.counters.reopened += u64::from(std::mem::replace(&mut opened_before, true));
                }
                log::info!("camera {name}: opened {}", Describe(source.as_ref()));
                let began = shared.clock.now().monotonic;
                let base = shared.health().counters;
                numbers.restart();
                let Err(e) = deliver(source.as_mut(), shared, &mut frame, &mut numbers, base) else { return };
                // A device that works for a moment after each open is still a failing one.
                if shared.clock.now().monotonic - began > e.kind().retry().longest {
                    backoff.reset();
                    complaint = Complaint::default();
                }
                e
            }
        };
        let state = if failure.kind() == ErrorKind::Stalled { State::Stalled } else { State::Offline };
        shared.down(state, &failure);
        let delay = backoff.delay(failure.kind().retry());
        complaint.log(name, &failure, delay);
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
    while !shared.stopping() {
        let fresh = source.poll(frame, SLICE.min(stall_after));
        let now = shared.clock.now();
        let Ok(true) = fresh else {
            shared.health().counters = base + own + source.counters();
            fresh?;
            if now.monotonic.saturating_sub(last) >= stall_after {
                return Err(stalled(&source.negotiated().name, source.why_silent(), stall_after));
            }
            continue;
        };
        last = now.monotonic;
        frame.sequence = numbers.next(frame.sequence);
        let captured = frame.captured;
        own.frames += 1;
        own.dropped += u64::from(shared.mailbox.put(frame));
        let mut health = shared.health();
        health.counters = base + own + source.counters();
        health.last_frame = Some(captured);
        if health.state != State::Online {
            (health.state, health.since) = (State::Online, now);
            (health.reason, health.hint, health.kind) = (None, None, None);
        }
        drop(health);
        (shared.wake)();
    }
    Ok(())
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

/// Says a failure once, and then only when it becomes another one: an unplugged camera must not fill a log.
#[derive(Debug, Default)]
struct Complaint {
    last: Option<String>,
}

impl Complaint {
    fn log(&mut self, name: &str, e: &Error, delay: Duration) {
        let text = e.to_string();
        let again = format!("next try in {:.1} s", delay.as_secs_f32());
        if self.last.as_deref() == Some(text.as_str()) {
            log::debug!("camera {name}: still: {text}; {again}");
            return;
        }
        match e.hint() {
            Some(hint) => log::warn!("camera {name}: {text} ({hint}); {again}"),
            None => log::warn!("camera {name}: {text}; {again}"),
        }
        self.last = Some(text);
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
