//! How things are: counters that only grow, filled where things happen, and the [`Snapshot`] of them that everybody
//! reads. The stats message is one view of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{Histogram, Reading};
use super::host;
use crate::capture::{Health, State, Vitals};
use crate::clock::Moment;
use crate::mqtt::payload::{
    CameraStats, CommandStats, DeviceStats, Origin, RecordStats, StageLatencies, Stages,
};
use crate::mqtt::{self, Publisher, Site};

/// What one camera's lane counts.
#[derive(Debug, Default)]
pub struct CameraFigures {
    unreadable: AtomicU64,
    still: AtomicU64,
    decode: Histogram,
    prepare: Histogram,
    infer: Histogram,
    post: Histogram,
    capture_to_publish: Histogram,
    /// Where it is recorded.
    recording: Option<Arc<RecordFigures>>,
}

impl CameraFigures {
    /// A frame went through the model.
    pub fn looked(&self, stages: &Stages, capture_to_publish: Duration) {
        self.decode.add(stages.decode);
        self.prepare.add(stages.prepare);
        self.infer.add(stages.infer);
        self.post.add(stages.post);
        self.capture_to_publish.add(capture_to_publish);
    }

    /// A frame could not be decoded.
    pub fn unreadable(&self) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    /// A frame in which nothing moved was not looked at.
    pub fn still(&self) {
        self.still.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a camera's recorder counts.
#[derive(Debug, Default)]
pub struct RecordFigures {
    clips: AtomicU64,
    frames: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
}

impl RecordFigures {
    /// A clip of so many bytes is whole.
    pub fn clip(&self, bytes: u64) {
        self.clips.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A frame was written.
    pub fn frame(&self) {
        self.frames.fetch_add(1, Ordering::Relaxed);
    }

    /// A frame could not be kept.
    pub fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// A file could not be written.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters.
    pub fn read(&self) -> RecordStats {
        let counters = [&self.clips, &self.frames, &self.bytes, &self.dropped, &self.failures];
        let [clips, frames, bytes, dropped, failures] =
            counters.map(|counter| counter.load(Ordering::Relaxed));
        RecordStats { clips, frames, bytes, dropped, failures }
    }
}

/// What is counted of commands.
#[derive(Debug, Default)]
pub struct CommandFigures {
    carried_out: AtomicU64,
    refused: AtomicU64,
    /// Shared with the inbox, which ignores what does not fit.
    pub ignored: Arc<AtomicU64>,
}

impl CommandFigures {
    /// One was carried out.
    pub fn carried_out(&self) {
        self.carried_out.fetch_add(1, Ordering::Relaxed);
    }

    /// One was refused, and its sender told.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// One was not even read.
    pub fn ignored(&self) {
        self.ignored.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters.
    pub fn read(&self) -> CommandStats {
        let [carried_out, refused, ignored] =
            [&self.carried_out, &self.refused, &*self.ignored].map(|counter| counter.load(Ordering::Relaxed));
        CommandStats { carried_out, refused, ignored }
    }
}

/// Where the figures of the whole device come from.
pub struct Figures {
    started: Moment,
    cameras: Vec<Source>,
    commands: Arc<CommandFigures>,
    publisher: Publisher,
}

/// One camera: how it fares, and what its lane counts.
struct Source {
    name: String,
    vitals: Vitals,
    counted: Arc<CameraFigures>,
}

impl Figures {
    /// Of a device that started then; no cameras yet.
    pub fn new(started: Moment, publisher: Publisher, commands: Arc<CommandFigures>) -> Figures {
        Figures { started, cameras: Vec::new(), commands, publisher }
    }

    /// Adds a camera; returns what its lane is to fill. Where it is recorded its recorder fills the other.
    pub fn camera(
        &mut self,
        name: &str,
        vitals: Vitals,
        recording: Option<Arc<RecordFigures>>,
    ) -> Arc<CameraFigures> {
        let counted = Arc::new(CameraFigures { recording, ..CameraFigures::default() });
        self.cameras.push(Source { name: name.to_owned(), vitals, counted: Arc::clone(&counted) });
        counted
    }

    /// All of them as they are at `now`.
    pub fn snapshot(&self, now: Moment) -> Snapshot {
        let camera = |source: &Source| {
            let counted = &source.counted;
            let figures = CameraSnapshot {
                health: source.vitals.health(),
                unreadable: counted.unreadable.load(Ordering::Relaxed),
                still: counted.still.load(Ordering::Relaxed),
                decode: counted.decode.read(),
                prepare: counted.prepare.read(),
                infer: counted.infer.read(),
                post: counted.post.read(),
                capture_to_publish: counted.capture_to_publish.read(),
                recording: counted.recording.as_ref().map(|recording| recording.read()),
            };
            (source.name.clone(), figures)
        };
        Snapshot {
            at: now,
            uptime: now.monotonic.saturating_sub(self.started.monotonic),
            rss_mib: host::memory_mib().map_or(0.0, |(now, _)| now),
            temperature_c: host::temperature(),
            mqtt: self.publisher.stats(),
            commands: self.commands.read(),
            cameras: self.cameras.iter().map(camera).collect(),
        }
    }
}

/// Everything that can be told in figures, at one moment. Counters count since the start.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Moment,
    /// How long the daemon had been running.
    pub uptime: Duration,
    /// Resident memory in MiB.
    pub rss_mib: f32,
    /// Temperature of the processor in degrees Celsius, where the board tells it.
    pub temperature_c: Option<f32>,
    /// The way to the broker.
    pub mqtt: mqtt::Stats,
    /// What came of the commands.
    pub commands: CommandStats,
    /// The cameras, by name.
    pub cameras: BTreeMap<String, CameraSnapshot>,
}

/// One camera's part of a [`Snapshot`].
#[derive(Clone, Debug)]
pub struct CameraSnapshot {
    /// How it fares, with what came of it and what was lost.
    pub health: Health,
    /// Frames that could not be decoded.
    pub unreadable: u64,
    /// Frames in which nothing moved.
    pub still: u64,
    /// Decompressing.
    pub decode: Reading,
    /// Scaling and converting.
    pub prepare: Reading,
    /// The model.
    pub infer: Reading,
    /// Boxes from its output.
    pub post: Reading,
    /// From a frame's capture until all that it meant was published.
    pub capture_to_publish: Reading,
    /// What its recorder counts, if it has one.
    pub recording: Option<RecordStats>,
}

impl CameraSnapshot {
    /// Frames that went through the model.
    pub fn processed(&self) -> u64 {
        self.infer.count()
    }
}

impl Snapshot {
    /// The stats message: counters since the start, rates and latencies since the snapshot `before`.
    pub fn stats<'a>(&'a self, site: &'a Site, seq: u64, before: &Snapshot) -> DeviceStats<'a> {
        let origin =
            Origin { device: &site.device, boot_id: &site.boot_id, clock_synced: site.trust.is_synced() };
        let mut stats = DeviceStats::new(origin, seq, self.at, self.uptime, &self.mqtt);
        stats.model = site.model.as_str().into();
        stats.rss_mib = f64::from(self.rss_mib);
        stats.temperature_c = self.temperature_c.map(f64::from);
        stats.commands = self.commands;
        let seconds = self.at.monotonic.saturating_sub(before.at.monotonic).as_secs_f64();
        let cameras = self
            .cameras
            .iter()
            .map(|(name, camera)| (name.as_str().into(), camera.stats(before.cameras.get(name), seconds)));
        stats.cameras = cameras.collect();
        stats
    }

    /// A line about them for people; rates since the snapshot `before`.
    pub fn line(&self, before: &Snapshot) -> String {
        let online = self.cameras.values().filter(|camera| camera.health.state == State::Online).count();
        let processed =
            |snapshot: &Snapshot| -> u64 { snapshot.cameras.values().map(CameraSnapshot::processed).sum() };
        let seconds = self.at.monotonic.saturating_sub(before.at.monotonic).as_secs_f64();
        let fps = rate(processed(self), processed(before), seconds);
        let broker = match (self.mqtt.connected, self.mqtt.spool.waiting) {
            (true, _) => "connected".to_owned(),
            (false, 0) => "broker away".to_owned(),
            (false, waiting) => format!("broker away, {waiting} events wait"),
        };
        format!("{online} of {} camera(s) online, {fps:.1} frames/s looked at, {broker}", self.cameras.len())
    }
}

impl CameraSnapshot {
    fn stats(&self, before: Option<&CameraSnapshot>, seconds: f64) -> CameraStats<'_> {
        let counters = &self.health.counters;
        let captured_before = before.map_or(0, |before| before.health.counters.frames);
        let lately = |stage: fn(&CameraSnapshot) -> &Reading| match before {
            Some(before) => stage(self).since(stage(before)).quantiles(),
            None => stage(self).quantiles(),
        };
        CameraStats {
            status: self.health.state.name().into(),
            reason: self.health.reason.as_deref().map(Into::into),
            capture_fps: rate(counters.frames, captured_before, seconds),
            process_fps: rate(self.processed(), before.map_or(0, CameraSnapshot::processed), seconds),
            frames_captured: counters.frames,
            frames_processed: self.processed(),
            frames_dropped: BTreeMap::from([
                ("superseded".into(), counters.dropped),
                ("driver_gap".into(), counters.gaps),
                ("error_flag".into(), counters.error_flagged),
                ("truncated".into(), counters.truncated),
                ("unreadable".into(), counters.unreadable + self.unreadable),
                ("still".into(), self.still),
            ]),
            reopened: counters.reopened,
            recording: self.recording,
            latency_ms: StageLatencies {
                decode: lately(|camera| &camera.decode),
                prepare: lately(|camera| &camera.prepare),
                infer: lately(|camera| &camera.infer),
                post: lately(|camera| &camera.post),
                capture_to_publish: lately(|camera| &camera.capture_to_publish),
            },
        }
    }
}

/// How many a second, to a hundredth.
fn rate(now: u64, before: u64, seconds: f64) -> f64 {
    if seconds <= 0.0 {
        return 0.0;
    }
    (now.saturating_sub(before) as f64 / seconds * 100.0).round() / 100.0
}
