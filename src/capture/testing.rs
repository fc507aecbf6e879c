//! What this room's tests share: a clock that only moves when somebody sleeps, and what was said in the log.

use std::cell::RefCell;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use crate::clock::{Clock, Moment};

/// A clock whose time passes by being slept, so that a test of minutes takes no time.
pub(crate) struct FakeClock(Mutex<Duration>);

impl FakeClock {
    pub(crate) fn new() -> FakeClock {
        FakeClock(Mutex::new(Duration::from_secs(1000)))
    }

    /// How long it has been running.
    pub(crate) fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap() - Duration::from_secs(1000)
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Moment {
        let monotonic = *self.0.lock().unwrap();
        Moment { monotonic, wall: SystemTime::UNIX_EPOCH + monotonic }
    }

    fn sleep(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }
}

/// Keeps what the thread that asks says in the log.
struct Listener;

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

impl log::Log for Listener {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            LINES.with_borrow_mut(|lines| lines.push(format!("{} {}", record.level(), record.args())));
        }
    }

    fn flush(&self) {}
}

/// What this thread says in the log while it works, from the level of information up, each line with its level.
pub(crate) fn logged(work: impl FnOnce()) -> Vec<String> {
    // Another test may have come first; the listener is the same.
    if log::set_logger(&Listener).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
    LINES.take();
    work();
    LINES.take()
}
