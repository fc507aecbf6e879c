//! What the service manager is told (`sd_notify(3)`); without one, nothing happens.

use std::time::Duration;

use log::debug;
use sd_notify::NotifyState;

/// The daemon is up: model loaded, broker known, cameras being opened.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Everything lives; the service manager starts the daemon anew when it does not hear this for too long.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// For how long the service manager bears silence (`WatchdogSec=`), if it listens.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// One line for `systemctl status`.
pub fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// The daemon is on its way out.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!("the service manager could not be told {state:?}: {error}");
    }
}
