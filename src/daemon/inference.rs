//! The inference thread: lets the lanes look in turns, the one that has waited longest first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Error;
use super::lane::Lane;
use super::wake::Wake;
use super::watch::Eye;
use crate::clock::Clock;
use crate::detector;
use crate::mqtt::commands::Command;

/// The longest that the thread sleeps: time is to pass for the lanes too.
const NAP: Duration = Duration::from_secs(1);
/// So many commands wait at most for the look in progress to end.
const COMMANDS: usize = 32;

/// The running thread.
pub struct Inference {
    wake: Arc<Wake>,
    clock: Arc<dyn Clock>,
    /// Commands for the lanes; the thread reads them between two looks.
    commands: SyncSender<Command>,
    /// When it last began another round, in milliseconds of the monotonic clock.
    pulse: Arc<AtomicU64>,
    /// What became of it, once.
    ended: oneshot::Receiver<Result<(), detector::Error>>,
    /// Resolves when the lanes, and with them the cameras, are closed.
    closed: oneshot::Receiver<()>,
}

impl Inference {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn start(
        lanes: Vec<Lane>,
        eye: Eye,
        clock: Arc<dyn Clock>,
        wake: Arc<Wake>,
    ) -> std::io::Result<Inference> {
        let (say_ended, ended) = oneshot::channel();
        let (say_closed, closed) = oneshot::channel();
        let (commands, orders) = sync_channel(COMMANDS);
        let pulse = Arc::new(AtomicU64::new(milliseconds(clock.now().monotonic)));
        let inference =
            Inference { wake: Arc::clone(&wake), clock: Arc::clone(&clock), commands, pulse, ended, closed };
        let pulse = Arc::clone(&inference.pulse);
        std::thread::Builder::new().name("inference".to_owned()).spawn(move || {
            let (mut lanes, mut eye) = (lanes, eye);
            let result = run(&mut lanes, &mut eye, &orders, clock.as_ref(), &wake, &pulse);
            // The daemon may have gone already; then nobody has to be told.
            let _ = say_ended.send(result);
            lanes.iter().for_each(Lane::ask_to_stop);
            drop(lanes);
            let _ = say_closed.send(());
        })?;
        Ok(inference)
    }

    /// Hands a command to the camera's lane, which carries it out when the look in progress has ended; `false`: too many
    /// wait already.
    pub fn order(&self, command: Command) -> bool {
        let taken = self.commands.try_send(command).is_ok();
        self.wake.ring();
        taken
    }

    /// Waits until the thread ends by itself, which it never should, and says why.
    pub async fn failed(&mut self) -> Error {
        match (&mut self.ended).await {
            Ok(Err(error)) => Error::Inference(error.to_string()),
            Ok(Ok(())) | Err(_) => Error::Inference("its thread ended unexpectedly".to_owned()),
        }
    }

    /// How long ago it began its latest round; a round is one look at most.
    pub fn silent_for(&self) -> Duration {
        let now = milliseconds(self.clock.now().monotonic);
        Duration::from_millis(now.saturating_sub(self.pulse.load(Ordering::Relaxed)))
    }

    /// Asks it to stop, and waits for the look in progress, at most `within`. True: no lane says anything any more.
    pub async fn stop(&mut self, within: Duration) -> bool {
        self.wake.stop();
        self.ended.is_terminated() || timeout(within, &mut self.ended).await.is_ok()
    }

    /// Waits until the cameras are closed, at most `within`.
    pub async fn closed(self, within: Duration) -> bool {
        timeout(within, self.closed).await.is_ok()
    }
}

/// Looks until `wake` says stop.
fn run(
    lanes: &mut [Lane],
    eye: &mut Eye,
    orders: &Receiver<Command>,
    clock: &dyn Clock,
    wake: &Wake,
    pulse: &AtomicU64,
) -> Result<(), detector::Error> {
    while !wake.stopping() {
        let moment = clock.now();
        let now = moment.monotonic;
        pulse.store(milliseconds(now), Ordering::Relaxed);
        for Command { camera, change } in orders.try_iter().take(COMMANDS) {
            lanes.iter_mut().filter(|lane| lane.name() == camera).for_each(|lane| lane.obey(change, moment));
        }
        lanes.iter_mut().for_each(|lane| lane.tick(moment));
        lanes.sort_unstable_by_key(Lane::due);
        if !look_once(lanes, eye, clock, now)? {
            wake.sleep(until_next(lanes, now));
        }
    }
    let now = clock.now();
    lanes.iter_mut().for_each(|lane| lane.stop(now));
    Ok(())
}

/// Lets the first of the lanes that are due, and has a frame, look at it; `false`: none had one.
fn look_once(
    lanes: &mut [Lane],
    eye: &mut Eye,
    clock: &dyn Clock,
    now: Duration,
) -> Result<bool, detector::Error> {
    for lane in lanes.iter_mut().take_while(|lane| lane.due() <= now) {
        if lane.look(eye, clock)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How long nothing can be due: until the next turn, or, where turns wait for frames, until somebody rings.
fn until_next(lanes: &[Lane], now: Duration) -> Duration {
    let next = lanes.iter().map(Lane::due).filter(|&due| due > now).min();
    next.map_or(NAP, |due| (due - now).min(NAP))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
