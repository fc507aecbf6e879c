//! `vigie run`: the daemon, until a signal says stop.

use std::future::Future;
use std::path::PathBuf;

use log::{info, warn};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{Failure, Outcome};
use crate::config::{self, Config};
use crate::daemon;

/// Arguments of `vigie run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
}

/// Runs the daemon. SIGTERM and SIGINT stop it cleanly; a second one ends it at once.
pub fn run(args: Args) -> Outcome {
    let config = Config::load(&args.config).map_err(|error| Failure::Usage(error.into()))?;
    daemon::logging::init(&levels(&config.log));
    let runtime = daemon::runtime().map_err(Failure::runtime)?;
    let result = runtime.block_on(async {
        let stop = stop_signal().map_err(daemon::Error::Start)?;
        let configurations = reload_signal(args.config.clone()).map_err(daemon::Error::Start)?;
        info!("vigie {}, device '{}', {}", env!("CARGO_PKG_VERSION"), config.device, args.config.display());
        daemon::run(config, None, configurations, stop).await
    });
    // Whatever still waits for a name server or a disk must not hold the exit.
    runtime.shutdown_background();
    result.map_err(|error| match config::unknown_labels(&args.config, error.known_labels()) {
        // With the place in the file, and all of them at once.
        Some(labels) => Failure::Usage(labels.into()),
        None => error.into(),
    })
}

/// The configured levels as the logger wants them.
fn levels(log: &config::Log) -> String {
    let modules = log.modules.iter().map(|(module, level)| format!(",{module}={level}"));
    std::iter::once(log.level.to_string()).chain(modules).collect()
}

/// At each SIGHUP, the configuration as the file has it then; one that is wrong is said, and changes nothing.
fn reload_signal(path: PathBuf) -> std::io::Result<mpsc::Receiver<Config>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (sender, configurations) = mpsc::channel(1);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match Config::load(&path) {
                Err(error) => warn!("SIGHUP: {:?}", miette::Report::new(error)),
                Ok(config) => {
                    if sender.send(config).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    Ok(configurations)
}

/// Completes at the first SIGTERM or SIGINT; after that a second one kills, as if nobody listened.
pub(super) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        let name = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
        };
        info!("{name}: stopping; once more ends at once");
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = term.recv() => "SIGTERM",
                _ = int.recv() => "SIGINT",
            };
            warn!("{name} again: ending at once");
            std::process::exit(1);
        });
    })
}
