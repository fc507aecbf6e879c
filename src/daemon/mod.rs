//! Wires the rooms into a running system: loads the model, starts cameras, inference and the broker's client, reports,
//! and takes everything down in order.

use std::future::Future;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use log::{info, warn};
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use crate::capture::Camera;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::detector::{self, ClassThresholds, Detector, UnknownLabel};
use crate::mqtt::stdout::Lines;
use crate::mqtt::{self, Client, Message, Publisher, Sink, Topics};
use crate::vision::Mask;

mod background;
pub mod host;
pub mod inference;
pub mod logging;
mod notify;
mod report;
pub mod schedule;
mod tally;
mod wake;
pub mod window;

pub use background::{Background, runtime};

use inference::Lane;
use report::Reporter;
use wake::Wake;

/// How often the cameras' health is looked at.
const HEALTH_EVERY: Duration = Duration::from_millis(250);
/// How long a clean stop may take to tell the broker.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// How many lines wait for a slow reader of standard output.
const QUEUED_LINES: usize = 1024;

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
    /// The broker's client can't be set up.
    #[error(transparent)]
    Mqtt(#[from] mqtt::Error),
    /// A thread or a signal handler could not be set up.
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
    /// The inference thread ended by itself.
    #[error("the inference stopped: {0}")]
    Inference(String),
}

impl Error {
    /// Whether the user can mend it in the configuration.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Error::Label { .. } | Error::Mqtt(_))
    }

    /// The labels that there are, where one was asked for that there isn't; otherwise none.
    pub fn known_labels(&self) -> &[String] {
        match self {
            Error::Label { source, .. } => &source.known,
            _ => &[],
        }
    }
}

/// Where messages go.
enum Broker {
    Client(Client),
    Stdout(Arc<Lines>),
}

impl Broker {
    fn publisher(&self) -> Publisher {
        match self {
            Broker::Client(client) => client.publisher(),
            Broker::Stdout(lines) => Publisher::new(Arc::clone(lines) as Arc<dyn Sink>),
        }
    }

    /// Says `offline` and disconnects; whether the broker was told in time.
    async fn close(self, status_topic: String) -> bool {
        match self {
            Broker::Client(client) => client.close(CLOSE_WITHIN).await,
            Broker::Stdout(lines) => {
                lines.publish(Message::state(status_topic, "offline"));
                lines.close();
                true
            }
        }
    }
}

/// The model, and every camera's thresholds resolved for it: what only the model's file can tell of a configuration.
///
/// # Errors
/// When the model can't be loaded, or a camera has a threshold for a label that it lacks.
pub fn model(config: &Config) -> Result<(Detector, Vec<ClassThresholds>), Error> {
    let detector = Detector::load(&config.model)?;
    let thresholds = config.cameras.iter().map(|camera| {
        let resolved = camera.thresholds.resolve(&detector.contract().names);
        resolved.map_err(|source| Error::Label { camera: camera.name.clone(), source })
    });
    let thresholds = thresholds.collect::<Result<_, _>>()?;
    Ok((detector, thresholds))
}

/// Runs until `shutdown` completes, then stops cleanly: cameras closed, `offline` published, disconnected.
///
/// # Errors
/// When the model can't be loaded or a label is unknown to it, when the client's options can't be used (a password
/// file that can't be read, say), or when inference fails. A camera or a broker that is away is no error: it is retried.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (mut detector, thresholds) = model(&config)?;
    info!("model {}: {}", config.model.path.display(), describe(&detector));

    let prefix = config.mqtt.as_ref().map_or("vigie", |options| options.prefix.as_str());
    let topics = Topics::new(prefix, &config.device)?;
    let broker = match config.mqtt.clone() {
        Some(options) => {
            info!("broker {}:{}", options.host, options.port);
            Broker::Client(Client::spawn(options, topics.status())?)
        }
        None => {
            let lines = Lines::to_stdout(QUEUED_LINES);
            lines.publish(Message::state(topics.status(), "online"));
            Broker::Stdout(Arc::new(lines))
        }
    };

    let wake = Arc::new(Wake::default());
    let size = detector.contract().size;
    let lanes = config.cameras.iter().zip(thresholds).map(|(camera, thresholds)| {
        let ring = Arc::clone(&wake);
        let thread = Camera::spawn(
            &camera.name,
            camera.source.clone(),
            camera.request.clone(),
            size,
            Arc::clone(&clock),
            Arc::new(move || ring.ring()),
        );
        Lane {
            camera: Arc::new(thread),
            thresholds,
            mask: Mask::new(camera.privacy_masks.clone()),
            max_fps: camera.max_fps,
        }
    });
    let mut lanes: Vec<Lane> = lanes.collect();
    let cameras: Vec<Arc<Camera>> = lanes.iter().map(|lane| Arc::clone(&lane.camera)).collect();
    let reporter = Arc::new(Reporter::new(
        &config,
        &topics,
        broker.publisher(),
        detector.contract(),
        cameras,
        clock.now(),
    )?);

    let (ended, mut inference_ended) = oneshot::channel();
    let inference: JoinHandle<()> = {
        let (wake, reporter, clock) = (Arc::clone(&wake), Arc::clone(&reporter), Arc::clone(&clock));
        std::thread::Builder::new().name("inference".to_owned()).spawn(move || {
            let result = inference::run(&mut lanes, &mut detector, clock.as_ref(), &wake, |look| {
                reporter.look(look, clock.as_ref());
            });
            // The daemon may have gone already; then nobody has to be told.
            let _ = ended.send(result);
        })?
    };

    notify::ready(&format!("watching {} camera(s)", config.cameras.len()));
    let mut health = tokio::time::interval(HEALTH_EVERY);
    let mut stats = tokio::time::interval(config.stats_interval);
    health.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stats.reset();
    let mut shutdown = std::pin::pin!(shutdown);
    let result = loop {
        tokio::select! {
            () = &mut shutdown => break Ok(()),
            ended = &mut inference_ended => break Err(match ended {
                Ok(Err(error)) => Error::Inference(error.to_string()),
                Ok(Ok(())) | Err(_) => Error::Inference("its thread ended unexpectedly".to_owned()),
            }),
            _ = health.tick() => reporter.health(),
            _ = stats.tick() => notify::status(&reporter.stats(clock.now())),
        }
    };

    notify::stopping();
    info!("stopping");
    wake.stop();
    // Joining waits for the look in progress; that blocks, so not on the runtime's thread.
    let joined = tokio::task::spawn_blocking(move || inference.join()).await;
    if !matches!(joined, Ok(Ok(()))) {
        warn!("the inference thread had panicked");
    }
    reporter.offline();
    drop(reporter);
    if !broker.close(topics.status()).await {
        warn!("the broker could not be told in time; it will publish the last will");
    }
    info!("stopped");
    result
}

fn describe(detector: &Detector) -> String {
    let contract = detector.contract();
    format!(
        "{} classes, {}, {} thread(s), {}",
        contract.names.len(),
        contract.size,
        detector.threads(),
        detector.kernels()
    )
}
