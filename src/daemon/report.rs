//! What the daemon tells the world: detections and counts of every look, the cameras' status, the device's figures.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::{info, warn};

use super::host;
use super::inference::{Look, Seen};
use super::schedule::Turn;
use super::tally::Tally;
use crate::capture::{Camera, Health, State};
use crate::clock::{Clock, Moment};
use crate::config::Config;
use crate::detector::Contract;
use crate::mqtt::messages::stats::DeviceStats;
use crate::mqtt::messages::{self, Detections, FrameFacts, Origin, Stages};
use crate::mqtt::{self, CameraTopics, Message, Publisher, Topics};
use crate::scene::{Change, Counts};

/// A count falls only when fewer were seen for so long: one missed frame must not switch a light off.
const HOLD: Duration = Duration::from_secs(2);

/// Publishes what is seen and how things are.
pub struct Reporter {
    device: String,
    boot_id: String,
    model: String,
    names: Vec<String>,
    stats_topic: String,
    started: Moment,
    publisher: Publisher,
    cameras: Vec<Watched>,
    stats_sent: Mutex<u64>,
}

/// One camera and what is remembered of it.
struct Watched {
    camera: Arc<Camera>,
    topics: CameraTopics,
    memory: Mutex<Memory>,
}

struct Memory {
    counts: Counts,
    /// What was published last.
    state: Option<State>,
    detections: Rate,
    tally: Tally,
    /// Whether the last frame could not be decoded: such trouble is logged when it begins, not with every frame.
    broken: bool,
}

/// How often detections messages go out.
enum Rate {
    Never,
    EveryFrame,
    AtMost(Turn),
}

impl Rate {
    /// `fps` messages a second of the up to `max_fps` frames a second that are looked at.
    fn new(fps: f32, max_fps: f32) -> Rate {
        if fps <= 0.0 {
            Rate::Never
        } else if fps >= max_fps {
            Rate::EveryFrame
        } else {
            Rate::AtMost(Turn::new(fps))
        }
    }

    /// Whether the frame captured at `at` is told of.
    fn tells(&mut self, at: Duration) -> bool {
        match self {
            Rate::Never => false,
            Rate::EveryFrame => true,
            Rate::AtMost(turn) => {
                let due = turn.due() <= at;
                if due {
                    turn.taken(at);
                }
                due
            }
        }
    }
}

impl Reporter {
    /// For the cameras in the order of the configuration; publishes that nothing is seen yet, so that no count of an
    /// earlier run stays retained.
    ///
    /// # Errors
    /// When a name can't be a topic level.
    pub fn new(
        config: &Config,
        topics: &Topics,
        publisher: Publisher,
        contract: &Contract,
        cameras: Vec<Arc<Camera>>,
        now: Moment,
    ) -> Result<Reporter, mqtt::Error> {
        let watched = config.cameras.iter().zip(cameras).map(|(settings, camera)| {
            Ok(Watched {
                camera,
                topics: topics.camera(&settings.name)?,
                memory: Mutex::new(Memory {
                    counts: Counts::new(contract.names.len(), HOLD),
                    state: None,
                    detections: Rate::new(settings.detections_max_fps, settings.max_fps),
                    tally: Tally::new(now),
                    broken: false,
                }),
            })
        });
        let file = config.model.path.file_stem().unwrap_or_default();
        let reporter = Reporter {
            device: config.device.clone(),
            boot_id: host::boot_id(),
            model: file.to_string_lossy().into_owned(),
            names: contract.names.clone(),
            stats_topic: topics.stats(),
            started: now,
            publisher,
            cameras: watched.collect::<Result<_, mqtt::Error>>()?,
            stats_sent: Mutex::new(0),
        };
        for watched in &reporter.cameras {
            for class_id in 0..reporter.names.len() {
                let class_id = u16::try_from(class_id).unwrap_or(u16::MAX);
                reporter.change(&watched.topics, &Change { class_id, count: 0, before: 1 });
            }
        }
        Ok(reporter)
    }

    /// Takes in one look of the inference thread, and publishes what it changes.
    pub fn look(&self, look: &Look<'_>, clock: &dyn Clock) {
        let watched = &self.cameras[look.lane];
        let mut memory = watched.memory();
        match &look.outcome {
            Ok(seen) => {
                if std::mem::take(&mut memory.broken) {
                    info!("camera {}: pictures can be read again", watched.camera.name());
                }
                self.seen(watched, &mut memory, look, seen, clock.now());
            }
            Err(error) => {
                memory.tally.unreadable += 1;
                if !std::mem::replace(&mut memory.broken, true) {
                    warn!("camera {}: frame {}: {error}", watched.camera.name(), look.frame.sequence);
                }
            }
        }
    }

    fn seen(&self, watched: &Watched, memory: &mut Memory, look: &Look<'_>, seen: &Seen<'_>, now: Moment) {
        let captured = look.frame.captured.monotonic;
        for change in memory.counts.update(captured, seen.detections) {
            self.change(&watched.topics, change);
        }
        let stages = Stages {
            decode: seen.prepared.decode,
            prepare: seen.prepared.prepare,
            infer: seen.timing.infer,
            post: seen.timing.post,
        };
        memory.tally.processed(&stages, now.monotonic.saturating_sub(captured));
        if !memory.detections.tells(captured) {
            return;
        }
        let facts = FrameFacts {
            camera: watched.camera.name(),
            seq: look.frame.sequence,
            captured: look.frame.captured,
            size: seen.prepared.letterbox.picture,
            stages,
            model: &self.model,
        };
        let message = Detections::new(self.origin(), facts, &self.names, seen.detections, now);
        self.publisher.publish(Message::sample(watched.topics.detections(), messages::to_json(&message)));
    }

    /// Publishes the status of cameras that changed; one that gives no frames sees nothing any more.
    pub fn health(&self) {
        for watched in &self.cameras {
            let health = watched.camera.health();
            let mut memory = watched.memory();
            if memory.state == Some(health.state) {
                continue;
            }
            memory.state = Some(health.state);
            self.status(watched, health.state);
            if health.state != State::Online {
                for change in memory.counts.clear() {
                    self.change(&watched.topics, change);
                }
            }
        }
    }

    /// Says that every camera is offline: the daemon is on its way out.
    pub fn offline(&self) {
        for watched in &self.cameras {
            self.status(watched, State::Offline);
            for change in watched.memory().counts.clear() {
                self.change(&watched.topics, change);
            }
        }
    }

    /// Publishes the device's figures; returns a line about them for people.
    pub fn stats(&self, now: Moment) -> String {
        let seq = {
            let mut sent = self.stats_sent.lock().unwrap_or_else(PoisonError::into_inner);
            *sent += 1;
            *sent - 1
        };
        let mqtt = self.publisher.stats();
        let uptime = now.monotonic.saturating_sub(self.started.monotonic);
        let mut message = DeviceStats::new(self.origin(), seq, now, uptime, &mqtt);
        message.model = self.model.as_str().into();
        message.rss_mib = host::memory_mib().map_or(0.0, |(now, _)| f64::from(now));
        message.temperature_c = host::temperature().map(f64::from);
        let (mut online, mut fps) = (0, 0.0);
        for watched in &self.cameras {
            let health: Health = watched.camera.health();
            online += u32::from(health.state == State::Online);
            let stats = watched.memory().tally.stats(&health, now);
            fps += stats.process_fps;
            message.cameras.insert(watched.camera.name().into(), stats);
        }
        self.publisher.publish(Message::sample(self.stats_topic.clone(), messages::to_json(&message)));
        let broker = if mqtt.connected { "connected" } else { "broker away" };
        format!("{online} of {} camera(s) online, {fps:.1} frames/s looked at, {broker}", self.cameras.len())
    }

    fn status(&self, watched: &Watched, state: State) {
        self.publisher.publish(Message::state(watched.topics.status(), state.name()));
    }

    fn change(&self, topics: &CameraTopics, change: &Change) {
        let Some(label) = self.names.get(usize::from(change.class_id)) else { return };
        self.publisher.publish(Message::state(topics.count(label), change.count.to_string()));
        if let Some(occupied) = change.occupancy() {
            let word = if occupied { "ON" } else { "OFF" };
            self.publisher.publish(Message::state(topics.occupancy(label), word));
        }
    }

    fn origin(&self) -> Origin<'_> {
        Origin { device: &self.device, boot_id: &self.boot_id, clock_synced: host::clock_synced() }
    }
}

impl Watched {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Whatever panicked while holding it, counters and counts are whole values.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
