//! What holds where the file says nothing. Each value stands here and nowhere else.

use std::time::Duration;

use log::LevelFilter;

use super::{MotionGate, Shot};
use crate::detector::Options;
use crate::mqtt::Protocol;

/// `device.trust_clock`
pub const TRUST_CLOCK: bool = false;
/// `mqtt.prefix`
pub const PREFIX: &str = "vigie";
/// `mqtt.protocol`
pub const PROTOCOL: Protocol = Protocol::V311;
/// `mqtt.keep_alive`
pub const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// `mqtt.queue_messages`
pub const QUEUE_MESSAGES: u64 = 1000;
/// `mqtt.queue_bytes`
pub const QUEUE_BYTES: u64 = 8 << 20;
/// `mqtt.spool.max_bytes`
pub const SPOOL_BYTES: u64 = 64 << 20;
/// `mqtt.spool.max_age`
pub const SPOOL_AGE: Duration = Duration::from_secs(24 * 3600);
/// `homeassistant.discovery_prefix`, Home Assistant's own.
pub const DISCOVERY_PREFIX: &str = "homeassistant";
/// `homeassistant.birth_topic`, Home Assistant's own, whatever the discovery's prefix is.
pub const BIRTH_TOPIC: &str = "homeassistant/status";
/// `homeassistant.birth_payload`
pub const BIRTH_PAYLOAD: &str = "online";
/// `frigate.prefix`, Frigate's own.
pub const FRIGATE_PREFIX: &str = "frigate";
/// `mqtt.commands`
pub const COMMANDS: bool = true;
/// `model.threads`: chosen from the cores.
pub const THREADS: u64 = 0;
/// `model.nms_iou`
pub const NMS_IOU: f32 = Options::NMS_IOU;
/// `model.nms_iou_across_classes`
pub const NMS_IOU_ACROSS_CLASSES: f32 = Options::NMS_IOU_ACROSS_CLASSES;
/// `model.max_detections`
pub const MAX_DETECTIONS: u64 = Options::MAX_DETECTIONS as u64;
/// `detect.max_fps`
pub const MAX_FPS: f32 = 5.0;
/// `detect.detections_rate`: detections messages are asked for, never sent unasked.
pub const DETECTIONS_RATE: f32 = 0.0;
/// `detect.hold`: one missed frame must not switch a light off.
pub const HOLD: Duration = Duration::from_secs(2);
/// `zone.inertia`: a foot that shakes on the edge of a zone does not come and go.
pub const INERTIA: u32 = 2;
/// `track.update_every`
pub const UPDATE_EVERY: Duration = Duration::from_secs(1);
/// `detect.motion`, where it is on.
pub const MOTION: MotionGate =
    MotionGate { min_area: 0.002, contrast: 12.0, recheck: Duration::from_secs(10) };
/// `snapshot`: pictures that a phone shows well.
pub const SNAPSHOT: Shot =
    Shot { crop: true, boxes: false, longest: 800, quality: 85, bytes: 256 << 10, retain: true };
/// `snapshot.keep_bytes`
pub const KEEP_BYTES: u64 = 256 << 20;
/// `snapshot.keep_age`, `record.keep_age`
pub const KEEP_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// `record.before`: how somebody came.
pub const RECORD_BEFORE: Duration = Duration::from_secs(5);
/// `record.after`
pub const RECORD_AFTER: Duration = Duration::from_secs(5);
/// `record.longest`
pub const RECORD_LONGEST: Duration = Duration::from_secs(60);
/// `record.quality`: what is looked at again is to look the same.
pub const RECORD_QUALITY: u8 = 90;
/// `record.keep_bytes`
pub const RECORD_BYTES: u64 = 1 << 30;
/// `camera.stall_after`; a source that is slower than that gets three of its frame periods instead.
pub const STALL_AFTER: Duration = Duration::from_secs(5);
/// `camera.source.fps` of pictures.
pub const PICTURES_FPS: f32 = 1.0;
/// `camera.source.fps` of the test card.
pub const TESTCARD_FPS: f32 = 15.0;
/// `stats.interval`
pub const STATS_INTERVAL: Duration = Duration::from_secs(60);
/// `log.level`
pub const LOG_LEVEL: LevelFilter = LevelFilter::Info;
