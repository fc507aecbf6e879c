//! Wires the rooms into a running [`System`], supervises it, and takes it down in order.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::clock::SystemClock;
use crate::config::Config;
use crate::detector::{self, ErrorKind, UnknownLabel};
use crate::mqtt;
use crate::mqtt::commands::Received;
use crate::mqtt::inbox::Letters;

mod background;
mod broker;
mod bucket;
mod commands;
pub mod figures;
mod gate;
pub mod histogram;
pub mod host;
mod inference;
mod lane;
pub mod logging;
mod notify;
mod pool;
pub mod record;
mod snapshots;
mod store;
mod system;
mod timesync;
pub mod timetable;
mod wake;
pub mod watch;

pub use background::{Background, runtime};
pub use broker::Instead;
pub use system::{Refused, System, load_model};

/// How often it is looked whether everything lives, where no service manager says how often it wants to hear of it.
const PULSE_EVERY: Duration = Duration::from_secs(10);

/// Why the daemon could not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model can't be used.
    #[error(transparent)]
    Model(#[from] detector::Error),
    /// A threshold is for a label that the model does not have.
    #[error("camera '{camera}': {source}")]
    Label {
        /// The camera's name.
        camera: String,
        /// Which label, and what was perhaps meant.
        source: UnknownLabel,
    },
    /// A label that is named for all cameras is one that the model does not have.
    #[error("{key}: {source}")]
    TableLabel {
        /// The key that names it.
        key: &'static str,
        /// Which label, and what was perhaps meant.
        source: UnknownLabel,
    },
    /// The model has a class with the name of a topic level that is Vigie's own.
    #[error(
        "model {} has a class '{label}', but '{label}' under a camera's topics is Vigie's own; give the classes other \
         names with `names` under [model]",
        model.display()
    )]
    ReservedLabel {
        /// The model's file.
        model: PathBuf,
        /// The class.
        label: String,
    },
    /// The broker's client can't be set up.
    #[error(transparent)]
    Mqtt(#[from] mqtt::Error),
    /// A thread or a signal handler could not be set up.
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
    /// The inference thread ended by itself, or hangs.
    #[error("the inference stopped: {0}")]
    Inference(String),
}

impl Error {
    /// Whether the user must mend something: the configuration, a model, a secret, a certificate. Anything else may heal by
    /// itself.
    pub fn is_for_the_user(&self) -> bool {
        match self {
            Error::Model(error) => !matches!(error.kind(), ErrorKind::Run | ErrorKind::Input),
            Error::Label { .. } | Error::TableLabel { .. } | Error::ReservedLabel { .. } | Error::Mqtt(_) => {
                true
            }
            Error::Start(_) | Error::Inference(_) => false,
        }
    }

    /// The labels that there are, where one was asked for that there isn't; otherwise none.
    pub fn known_labels(&self) -> &[String] {
        match self {
            Error::Label { source, .. } | Error::TableLabel { source, .. } => &source.known,
            _ => &[],
        }
    }
}

/// Runs until `shutdown` completes, then stops cleanly: no more looks, `offline` published, cameras closed. Each of the
/// `configurations` that comes meanwhile is taken over or refused. Somebody may listen `instead` of a broker.
///
/// # Errors
/// When the model can't be loaded or a label is unknown to it, when the client's options can't be used (a password
/// file that can't be read, say), or when inference fails. A camera or a broker that is away is no error: it is retried.
pub async fn run(
    config: Config,
    instead: Option<Instead>,
    mut configurations: mpsc::Receiver<Config>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let mut shutdown = pin!(shutdown);
    let (mut stats, cameras) = (every(config.stats_interval), config.cameras.len());
    let mut system = tokio::select! {
        system = System::start(config, instead, Arc::new(SystemClock)) => system?,
        () = &mut shutdown => return Ok(()),
    };
    let ready = format!("watching {cameras} camera(s)");
    info!("{ready}");
    notify::ready(&ready);
    let mut letters = system.letters();
    let patience = notify::watchdog_interval();
    let mut pulse = every(patience.map_or(PULSE_EVERY, |patience| patience / 3));
    stats.reset();
    let result = loop {
        tokio::select! {
            () = &mut shutdown => break Ok(()),
            failure = system.failed() => break Err(failure),
            Some(config) = configurations.recv() => apply(&mut system, &config),
            Some(message) = next(&mut letters) => system.hear(&message),
            _ = stats.tick() => notify::status(&system.report()),
            _ = pulse.tick() => match system.is_alive(patience.unwrap_or(PULSE_EVERY)) {
                Ok(true) => notify::alive(),
                Ok(false) => warn!("inference has not come round for a while"),
                Err(failure) => break Err(failure),
            },
        }
    };
    notify::stopping();
    system.stop().await;
    result
}

/// The next command; none where none are heard.
async fn next(letters: &mut Option<Letters>) -> Option<Received> {
    letters.as_mut()?.next().await
}

fn apply(system: &mut System, config: &Config) {
    match system.apply(config) {
        Ok(()) => info!("the configuration was read again: nothing changed"),
        Err(refused) => warn!("the configuration was {refused}"),
    }
}

/// Ticks that are not made up for when one was late.
fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
