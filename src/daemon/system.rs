//! The running [`System`]: the model, the lanes on the inference thread, the way to the broker.

use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};

use super::broker::{Broker, Instead};
use super::bucket::Bucket;
use super::commands::Desk;
use super::figures::{CommandFigures, Figures, RecordFigures, Snapshot};
use super::inference::Inference;
use super::lane::{Lane, Parts};
use super::record::{self, Recorder};
use super::snapshots::{self, Studio};
use super::store::Files;
use super::timetable::Timetable;
use super::wake::Wake;
use super::watch::{Eye, Watch, classes, site_camera};
use super::{Error, host, timesync};
use crate::capture::Camera;
use crate::clock::{Clock, Moment, Trust};
use crate::config::{self, Config, defaults};
use crate::detector::{self, Detector};
use crate::mqtt::commands::{Commands, Received};
use crate::mqtt::dialect::{Heard, VoiceOptions};
use crate::mqtt::filter;
use crate::mqtt::inbox::{self, Letters};
use crate::mqtt::{Dialect, Frigate, Herald, HomeAssistant, Native, Publisher, Site, Topics, topics};

/// How long the look in progress may take at a stop, until it is left to itself.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
/// How long a clean stop may take to tell the broker.
const TELL_WITHIN: Duration = Duration::from_secs(5);
/// How long the cameras may take to close.
const CAMERAS_WITHIN: Duration = Duration::from_secs(3);
/// So many messages of others come to a dialect at once, those of a house with a hundred cameras, and so many a second in the
/// long run.
const HEARD_AT_ONCE: u32 = 200;
const HEARD_A_SECOND: f64 = 10.0;
/// A look that takes longer than this will never end.
const HUNG_AFTER: Duration = Duration::from_secs(60);

/// Everything that runs. Dropping it instead of [`System::stop`]ping it leaves the last will to the broker.
pub struct System {
    config: Config,
    site: Arc<Site>,
    dialects: Vec<Box<dyn Dialect>>,
    broker: Broker,
    desk: Desk,
    letters: Option<Letters>,
    /// How often the dialects may be told of what others have said.
    heard: Bucket,
    inference: Inference,
    figures: Figures,
    clock: Arc<dyn Clock>,
    /// What the latest stats message was made of, and its number.
    reported: (Snapshot, u64),
    _timesync: timesync::Watch,
}

/// Why a configuration was not taken over; everything goes on as before.
#[derive(Debug, thiserror::Error)]
#[error("not taken over while running: what changed in {}; restart vigie for it", .parts.join(", "))]
pub struct Refused {
    /// Which parts of the configuration differ from what runs.
    pub parts: Vec<&'static str>,
}

impl System {
    /// Loads the model and starts everything, with a broker or somebody `instead`; must be called on a tokio runtime. A
    /// camera or a broker that is away is no error: it is retried.
    ///
    /// # Errors
    /// When the model can't be loaded, a label is unknown to it, or the client's options can't be used.
    pub async fn start(
        config: Config,
        instead: Option<Instead>,
        clock: Arc<dyn Clock>,
    ) -> Result<System, Error> {
        let detector = {
            let config = config.clone();
            // It takes seconds on a small board, in which signals must be heard.
            let loaded = tokio::task::spawn_blocking(move || load_model(&config)).await;
            loaded.map_err(|_| {
                Error::Inference("loading the model panicked, which is a bug in Vigie".into())
            })??
        };
        info!("model {}: {}", config.model.path.display(), describe(&detector));
        let site = Arc::new(site(&config, &detector, clock.now()));
        let timesync = timesync::Watch::start(site.trust.clone()).await;
        tell_of_hours(&config, &site.trust);
        let dialects = dialects(&config, &site)?;
        let commands = Commands::new(&site)?;
        let counted = Arc::new(CommandFigures::default());
        let mut filters = if site.commands { commands.filters() } else { Vec::new() };
        filters.extend(dialects.iter().flat_map(|dialect| dialect.filters()));
        let is_wanted = !filters.is_empty();
        let (inbox, letters) = is_wanted.then(|| inbox::inbox(filters, Arc::clone(&counted.ignored))).unzip();
        let status = Topics::new(&site.prefix, &site.device)?.status();
        let listens = dialects.iter().filter(|_| site.commands);
        let leftovers = listens.filter_map(|dialect| dialect.leftovers()).collect();
        let broker = match &instead {
            Some(instead) => Broker::Instead(Arc::clone(&instead.publisher)),
            None => Broker::open(config.mqtt.clone(), status, inbox, leftovers)?,
        };
        let publisher = broker.publisher();
        for dialect in &dialects {
            dialect.introduce(&mut |message| publisher.publish(message));
        }
        let wake = Arc::new(Wake::default());
        let mut figures = Figures::new(clock.now(), Arc::clone(&publisher), Arc::clone(&counted));
        let mut lanes = Vec::with_capacity(config.cameras.len());
        for camera in &config.cameras {
            let house = House {
                config: &config,
                site: &site,
                instead: instead.as_ref(),
                detector: &detector,
                dialects: &dialects,
                publisher: &publisher,
                clock: &clock,
            };
            lanes.push(lane(camera, &house, &mut figures, &wake)?);
        }
        let inference = Inference::start(lanes, Eye::new(detector), Arc::clone(&clock), wake)?;
        let reported = (figures.snapshot(clock.now()), 0);
        let desk = Desk::new(commands, counted);
        Ok(System {
            config,
            site,
            dialects,
            broker,
            desk,
            letters,
            heard: Bucket::new(HEARD_AT_ONCE, HEARD_A_SECOND),
            inference,
            figures,
            clock,
            reported,
            _timesync: timesync,
        })
    }

    /// Takes another configuration over, or refuses all of it and goes on as before.
    ///
    /// # Errors
    /// Which parts differ, as nothing can be changed while it runs.
    pub fn apply(&mut self, config: &Config) -> Result<(), Refused> {
        let parts = self.config.differences(config);
        if parts.is_empty() { Ok(()) } else { Err(Refused { parts }) }
    }

    /// What is published to the command topics, once; `None`: no commands are heard.
    pub fn letters(&mut self) -> Option<Letters> {
        self.letters.take()
    }

    /// Hears what a dialect has asked for; carries a command out, or answers why not.
    pub fn hear(&mut self, message: &Received) {
        let now = self.clock.now();
        if self.dialects_hear(message, now) {
            return;
        }
        let inference = &self.inference;
        let heard = self.desk.hear(message, now.monotonic, |command| inference.order(command));
        let Some(refusal) = heard else { return };
        let publisher = self.broker.publisher();
        for dialect in &self.dialects {
            dialect.refused(message, &refusal, now, &mut |message| publisher.publish(message));
        }
    }

    /// Whether the message was for a dialect.
    fn dialects_hear(&mut self, message: &Received, now: Moment) -> bool {
        let publisher = self.broker.publisher();
        let heard = Heard { topic: &message.topic, payload: &message.payload, retained: message.retained };
        let mut is_theirs = false;
        for dialect in &self.dialects {
            if dialect.filters().iter().any(|filter| filter::matches(filter, &message.topic)) {
                is_theirs = true;
                // Of what was cut off nothing can be made; and the answer to a flood would be a larger one.
                if message.bytes == message.payload.len() && self.heard.take(now.monotonic) {
                    dialect.heard(&heard, &mut |message| publisher.publish(message));
                }
            }
        }
        is_theirs
    }

    /// Waits until something fails that can't heal by itself, and says what.
    pub async fn failed(&mut self) -> Error {
        self.inference.failed().await
    }

    /// Whether it does its work: inference comes round. The error says why it never will again.
    pub fn is_alive(&self, patience: Duration) -> Result<bool, Error> {
        is_alive(self.inference.silent_for(), patience)
    }

    /// Publishes the device's figures; returns a line about them for people.
    pub fn report(&mut self) -> String {
        let now = self.figures.snapshot(self.clock.now());
        let (before, seq) = &self.reported;
        let (stats, publisher) = (now.stats(&self.site, *seq, before), self.broker.publisher());
        for dialect in &self.dialects {
            dialect.stats(&stats, &mut |message| publisher.publish(message));
        }
        let line = now.line(before);
        drop(stats);
        self.reported = (now, seq + 1);
        line
    }

    /// Stops cleanly: no more looks, the broker is told, then the cameras are closed. Whatever hangs is left behind
    /// after a while, and said.
    pub async fn stop(mut self) {
        info!("stopping");
        if !self.inference.stop(LOOK_WITHIN).await {
            warn!("a look did not end within {} s; it is left to itself", LOOK_WITHIN.as_secs());
        }
        let publisher = self.broker.publisher();
        for dialect in &self.dialects {
            dialect.take_leave(&mut |message| publisher.publish(message));
        }
        if !self.broker.close(TELL_WITHIN).await {
            warn!("the broker could not be told in time; it will publish the last will");
        }
        if !self.inference.closed(CAMERAS_WITHIN).await {
            warn!("not every camera closed within {} s; the system will close it", CAMERAS_WITHIN.as_secs());
        }
        info!("stopped");
    }
}

/// Whether an inference thread that has been silent for so long is alive.
fn is_alive(silent: Duration, patience: Duration) -> Result<bool, Error> {
    if silent > HUNG_AFTER {
        return Err(Error::Inference(format!("one look has not ended for {} s", silent.as_secs())));
    }
    Ok(silent <= patience)
}

/// Loads the model, and checks what only its file can tell of a configuration: whether it has the labels, and none
/// that is a topic of ours.
///
/// # Errors
/// When the model can't be loaded, or a camera has a threshold a zone, a line or a filter for a label that it lacks.
pub fn load_model(config: &Config) -> Result<Detector, Error> {
    let detector = Detector::load(&config.model)?;
    if let Some(label) = detector.contract().names.iter().find(|label| topics::is_reserved(label)) {
        return Err(Error::ReservedLabel { model: config.model.path.clone(), label: label.clone() });
    }
    let entities = config.homeassistant.iter().flat_map(|options| &options.labels).flatten();
    let recorded = config.record.iter().flat_map(|options| &options.labels).flatten();
    detector::known_labels(entities, &detector.contract().names)
        .map_err(|source| Error::TableLabel { key: "homeassistant.labels", source })?;
    detector::known_labels(recorded, &detector.contract().names)
        .map_err(|source| Error::TableLabel { key: "record.labels", source })?;
    for camera in &config.cameras {
        let resolved = camera.thresholds.resolve(detector.contract());
        resolved.map_err(|source| Error::Label { camera: camera.name.clone(), source })?;
        detector::known_labels(camera.labels(), &detector.contract().names)
            .map_err(|source| Error::Label { camera: camera.name.clone(), source })?;
    }
    Ok(detector)
}

/// The ways in which everything is said.
fn dialects(config: &Config, site: &Arc<Site>) -> Result<Vec<Box<dyn Dialect>>, Error> {
    let mut dialects: Vec<Box<dyn Dialect>> = vec![Box::new(Native::new(Arc::clone(site))?)];
    if let Some(options) = &config.homeassistant {
        dialects.push(Box::new(HomeAssistant::new(Arc::clone(site), options.clone())?));
    }
    if let Some(prefix) = &config.frigate {
        dialects.push(Box::new(Frigate::new(Arc::clone(site), prefix)?));
    }
    Ok(dialects)
}

fn site(config: &Config, detector: &Detector, started: Moment) -> Site {
    let file = config.model.path.file_stem().unwrap_or_default();
    Site {
        prefix: config.mqtt.as_ref().map_or(defaults::PREFIX, |options| &options.prefix).to_owned(),
        device: config.device.clone(),
        boot_id: host::boot_id(),
        run_id: host::run_id(started),
        model: file.to_string_lossy().into_owned(),
        labels: detector.contract().names.clone(),
        cameras: config
            .cameras
            .iter()
            .map(|camera| site_camera(config, camera, &detector.contract().names))
            .collect(),
        trust: Trust::default(),
        commands: config.mqtt.as_ref().is_some_and(|options| options.commands),
    }
}

/// What every lane shares.
struct House<'a> {
    config: &'a Config,
    site: &'a Arc<Site>,
    instead: Option<&'a Instead>,
    detector: &'a Detector,
    dialects: &'a [Box<dyn Dialect>],
    publisher: &'a Publisher,
    clock: &'a Arc<dyn Clock>,
}

/// Starts a camera, and makes its lane.
fn lane(
    camera: &config::Camera,
    house: &House<'_>,
    figures: &mut Figures,
    wake: &Arc<Wake>,
) -> Result<Lane, Error> {
    let contract = house.detector.contract();
    let timetable = Timetable::new(house.config, camera, house.site.trust.clone());
    let watch = Watch::new(house.config, camera, contract, timetable, house.clock.now())?;
    let ring = Arc::clone(wake);
    let capture = Camera::spawn(
        &camera.name,
        camera.source.clone(),
        camera.request.clone(),
        contract.size,
        Arc::clone(house.clock),
        Arc::new(move || ring.ring()),
    );
    let site = site_camera(house.config, camera, &contract.names);
    let options =
        VoiceOptions { camera: &site, max_fps: camera.max_fps, detections_max_fps: camera.detections_rate };
    let herald = || {
        let voices = house.dialects.iter().map(|dialect| dialect.voice(&options)).collect();
        Herald::new(voices, Arc::clone(house.publisher))
    };
    let studio = house.config.snapshot.as_ref().filter(|_| camera.snapshots);
    let studio = studio.map(|options| {
        let store = options.store.as_ref();
        Studio::start(snapshots::Parts {
            camera: camera.name.clone(),
            shot: options.shot,
            masks: camera.privacy_masks.clone(),
            names: contract.names.clone(),
            herald: herald(),
            files: store.map(|store| Files::open(store, &camera.name, snapshots::PICTURES)),
            run: house.site.run_id.clone(),
        })
    });
    let counted = Arc::new(RecordFigures::default());
    let recorder = recorder(camera, house, &counted)?;
    let counted = recorder.is_some().then_some(counted);
    let parts = Parts {
        figures: figures.camera(&camera.name, capture.vitals(), counted),
        camera: capture,
        max_fps: camera.max_fps,
        watch,
        herald: herald(),
        studio: studio.transpose()?,
        recorder,
    };
    Ok(Lane::new(parts, house.clock.now()))
}

/// What somebody who has set hours may wonder about.
fn tell_of_hours(config: &Config, trust: &Trust) {
    if !config.has_hours() {
        return;
    }
    info!("hours are those of {}", config.timezone.name().unwrap_or("the host"));
    if let Some(doubt) = config.doubt_of_hours() {
        warn!("{doubt}");
    }
    if !config.trust_clock && !trust.is_synced() {
        warn!(
            "the wall clock is not known to be right yet, and until it is, what has hours is active all the time \
             (`trust_clock` in [device] says that it is)"
        );
    }
}

/// What records a camera, if it is to be recorded.
fn recorder(
    camera: &config::Camera,
    house: &House<'_>,
    figures: &Arc<RecordFigures>,
) -> Result<Option<Recorder>, Error> {
    let Some(options) = house.config.record.as_ref().filter(|_| camera.record) else { return Ok(None) };
    let recorder = Recorder::start(record::Parts {
        site: Arc::clone(house.site),
        camera: camera.name.clone(),
        max_fps: camera.max_fps,
        options: options.clone(),
        classes: classes(&options.labels, &house.site.labels),
        everything: house.instead.is_some_and(|instead| instead.everything),
        masks: camera.privacy_masks.clone(),
        figures: Arc::clone(figures),
        clock: Arc::clone(house.clock),
        on_clip: house.instead.map(|instead| Arc::clone(&instead.on_clip)),
    })?;
    Ok(Some(recorder))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inference_that_does_not_come_round_is_told_first_and_given_up_then() {
        let patience = Duration::from_secs(10);
        assert!(is_alive(Duration::from_secs(9), patience).unwrap());
        assert!(!is_alive(Duration::from_secs(11), patience).unwrap(), "the service manager hears nothing");
        let error = is_alive(Duration::from_secs(61), patience).unwrap_err().to_string();
        assert!(error.contains("not ended for 61 s"), "{error}");
    }
}
