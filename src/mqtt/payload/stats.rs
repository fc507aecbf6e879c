//! The device's figures, published every minute or so on `…/stats`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{Origin, SCHEMA, milliseconds, nanoseconds, rfc3339};
use crate::clock::Moment;
use crate::mqtt;

/// Figures of a device. Published on `…/stats`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceStats<'a> {
    /// Version of this payload.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Name of the device.
    pub device: Cow<'a, str>,
    /// Sequence number of these figures since the start of the program.
    pub seq: u64,
    /// The kernel's id of this boot.
    pub boot_id: Cow<'a, str>,
    /// When these figures were taken (RFC 3339, UTC).
    #[schemars(extend("format" = "date-time"))]
    pub captured: String,
    /// The same instant on CLOCK_MONOTONIC, in nanoseconds.
    pub captured_monotonic_ns: u64,
    /// Whether the wall clock was known to be right.
    pub clock_synced: bool,
    /// Version of the program.
    pub version: Cow<'a, str>,
    /// Name of the model.
    pub model: Cow<'a, str>,
    /// Seconds since the program started.
    pub uptime_s: u64,
    /// Resident memory in MiB.
    #[serde(serialize_with = "tenths")]
    pub rss_mib: f64,
    /// Temperature of the processor in degrees Celsius, where the board tells it.
    #[serde(serialize_with = "optional_tenths")]
    pub temperature_c: Option<f64>,
    /// The cameras, by name.
    pub cameras: BTreeMap<Cow<'a, str>, CameraStats<'a>>,
    /// The way to the broker.
    pub mqtt: MqttStats,
    /// The events that wait for the broker.
    pub spool: SpoolStats,
    /// What came of the commands.
    pub commands: CommandStats,
}

/// Figures of one camera; counters count since the program started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CameraStats<'a> {
    /// `online`, `offline` or `stalled`.
    pub status: Cow<'a, str>,
    /// Why it is not online.
    pub reason: Option<Cow<'a, str>>,
    /// Frames a second that the camera gave, lately.
    pub capture_fps: f64,
    /// Frames a second that went through the model, lately.
    pub process_fps: f64,
    /// Frames that the camera gave.
    pub frames_captured: u64,
    /// Frames that went through the model.
    pub frames_processed: u64,
    /// Frames that did not, by reason.
    pub frames_dropped: BTreeMap<Cow<'a, str>, u64>,
    /// How often the camera was opened again.
    pub reopened: u64,
    /// What was recorded; `null` where nothing is.
    pub recording: Option<RecordStats>,
    /// Milliseconds of each stage over the latest frames.
    pub latency_ms: StageLatencies,
}

/// What was recorded, counted since the program started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordStats {
    /// Clips that are whole.
    pub clips: u64,
    /// Frames that were written.
    pub frames: u64,
    /// Bytes of the clips that are whole.
    pub bytes: u64,
    /// Frames that could not be kept, because the disk or the processor is too slow, or the disk is full.
    pub dropped: u64,
    /// How often a file could not be written.
    pub failures: u64,
}

/// Milliseconds of each stage over the latest frames; `null` where there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageLatencies {
    /// Decompressing the picture.
    pub decode: Option<Quantiles>,
    /// Scaling and converting into the model's input.
    pub prepare: Option<Quantiles>,
    /// Running the model.
    pub infer: Option<Quantiles>,
    /// Turning the model's output into boxes.
    pub post: Option<Quantiles>,
    /// From a frame's capture to the making of its message.
    pub capture_to_publish: Option<Quantiles>,
}

/// The middle and the slow end of a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// Half of them were faster.
    pub median: f64,
    /// 95 of 100 were faster.
    pub p95: f64,
}

impl Quantiles {
    /// Of some durations in milliseconds (nearest rank; they are sorted in place); `None` of none.
    pub fn of(durations: &mut [Duration]) -> Option<Quantiles> {
        durations.sort_unstable();
        let rank = |percent: usize| {
            let nearest = (durations.len() * percent).div_ceil(100).max(1);
            durations.get(nearest - 1).copied().map(milliseconds)
        };
        Some(Quantiles { median: rank(50)?, p95: rank(95)? })
    }
}

/// Figures of the way to the broker; counters count since the program started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MqttStats {
    /// Messages that wait or are not acknowledged yet.
    pub queued: u64,
    /// Bytes held, retained values included.
    pub queued_bytes: u64,
    /// Messages published.
    pub published: u64,
    /// Connections after the first.
    pub reconnects: u64,
    /// Messages given up, by reason.
    pub dropped: BTreeMap<String, u64>,
}

/// Figures of the events that wait for the broker; counters count since the program started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpoolStats {
    /// Where they are kept: `memory`, `disk`, or `failed`: in memory, because the disk can't be used.
    pub kind: SpoolKind,
    /// Why the disk can't be used.
    pub reason: Option<String>,
    /// Events that wait or are not acknowledged yet.
    pub waiting: u64,
    /// The bytes that they take on disk, or in memory.
    pub bytes: u64,
    /// How long the oldest of them has waited, in seconds.
    pub oldest_s: Option<u64>,
    /// How many of them a power cut would lose now.
    pub at_risk: u64,
    /// How many of them the death of the process would lose now: with a spool none, unless its journal can't be written.
    pub at_risk_if_killed: u64,
    /// Events given up, by reason: `overflow`, `age`.
    pub dropped: BTreeMap<String, u64>,
}

/// Where the events that wait are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SpoolKind {
    /// In memory.
    #[default]
    Memory,
    /// On disk.
    Disk,
    /// In memory, because the disk can't be used.
    Failed,
}

impl From<&mqtt::Spool> for SpoolStats {
    fn from(spool: &mqtt::Spool) -> SpoolStats {
        SpoolStats {
            kind: match spool.kind {
                mqtt::SpoolKind::Memory => SpoolKind::Memory,
                mqtt::SpoolKind::Disk => SpoolKind::Disk,
                mqtt::SpoolKind::Failed => SpoolKind::Failed,
            },
            reason: spool.trouble.clone(),
            waiting: spool.waiting,
            bytes: spool.bytes,
            oldest_s: spool.oldest.map(|age| age.as_secs()),
            at_risk: spool.at_risk,
            at_risk_if_killed: spool.at_risk_if_killed,
            dropped: [("overflow", spool.overflow), ("age", spool.aged)]
                .map(|(reason, n)| (reason.to_owned(), n))
                .into(),
        }
    }
}

/// What came of the commands, counted since the program started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandStats {
    /// Carried out.
    pub carried_out: u64,
    /// Refused, with an answer on `…/error`.
    pub refused: u64,
    /// Ignored without an answer, because too many came at once.
    pub ignored: u64,
}

impl From<&mqtt::Stats> for MqttStats {
    fn from(stats: &mqtt::Stats) -> MqttStats {
        MqttStats {
            queued: stats.queued as u64,
            queued_bytes: stats.queued_bytes as u64,
            published: stats.published,
            reconnects: stats.reconnects,
            dropped: stats.dropped.by_reason().map(|(reason, n)| (reason.to_owned(), n)).into(),
        }
    }
}

impl<'a> DeviceStats<'a> {
    /// Figures taken at `now`, with no cameras yet.
    pub fn new(
        origin: Origin<'a>,
        seq: u64,
        now: Moment,
        uptime: Duration,
        mqtt: &mqtt::Stats,
    ) -> DeviceStats<'a> {
        DeviceStats {
            schema: SCHEMA,
            device: origin.device.into(),
            seq,
            boot_id: origin.boot_id.into(),
            captured: rfc3339(now.wall),
            captured_monotonic_ns: nanoseconds(now.monotonic),
            clock_synced: origin.clock_synced,
            version: env!("CARGO_PKG_VERSION").into(),
            model: "".into(),
            uptime_s: uptime.as_secs(),
            rss_mib: 0.0,
            temperature_c: None,
            cameras: BTreeMap::new(),
            mqtt: mqtt.into(),
            spool: (&mqtt.spool).into(),
            commands: CommandStats::default(),
        }
    }
}

/// No sensor is finer than a tenth, and an `f32` made an `f64` drags a tail of digits.
fn tenths<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 10.0).round() / 10.0)
}

fn optional_tenths<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(|v| (v * 10.0).round() / 10.0).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        let origin = Origin { device: "porch", boot_id: "b00t", clock_synced: false };
        let now = Moment { monotonic: Duration::from_secs(9), wall: std::time::SystemTime::UNIX_EPOCH };
        let mut stats =
            DeviceStats::new(origin, 3, now, Duration::from_millis(5900), &mqtt::Stats::default());
        stats.rss_mib = f64::from(62.34_f32);
        stats.temperature_c = Some(f64::from(45.3_f32));
        let text = String::from_utf8(crate::mqtt::payload::to_json(&stats)).unwrap();
        assert!(text.contains(r#""uptime_s":5,"rss_mib":62.3,"temperature_c":45.3,"#), "{text}");
        assert!(
            text.contains(r#""captured":"1970-01-01T00:00:00.000000Z","captured_monotonic_ns":9000000000"#)
        );
    }

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let mut ms: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(Quantiles::of(&mut ms), Some(Quantiles { median: 50.0, p95: 95.0 }));
        assert_eq!(Quantiles::of(&mut [Duration::from_millis(3)]), Some(Quantiles { median: 3.0, p95: 3.0 }));
        assert_eq!(Quantiles::of(&mut []), None);
    }

    #[test]
    fn the_queues_figures_are_taken_over() {
        let dropped = mqtt::Dropped { overflow: 3, ..Default::default() };
        let stats = mqtt::Stats { queued: 2, published: 9, dropped, ..Default::default() };
        let spool = mqtt::Spool {
            waiting: 2,
            oldest: Some(Duration::from_millis(1900)),
            aged: 4,
            ..Default::default()
        };
        let message = SpoolStats::from(&spool);
        assert_eq!((message.waiting, message.oldest_s, message.dropped["age"]), (2, Some(1), 4));
        let text = String::from_utf8(crate::mqtt::payload::to_json(&message)).unwrap();
        assert!(text.starts_with(r#"{"kind":"memory","reason":null,"waiting":2,"#), "{text}");
        let message = MqttStats::from(&stats);
        assert_eq!((message.queued, message.published, message.dropped["overflow"]), (2, 9, 3));
    }
}
