//! The configuration file as it is written: every table and every key, with its type, its bounds and its meaning.
//!
//! The comments are the descriptions in the JSON Schema, so they speak to the user.

use log::LevelFilter;

use super::section::section;
use super::{
    Bytes, Coordinate, Count, FilePath, Fraction, Located, Map, OneOf, Pair, Rate, RateOrNever, Ratio, Text,
    Time,
};
use super::{DialectName, TopicPart, TopicPrefix, Unit, UsbId};
use super::{HeightWidth, WidthHeight};
use super::{OneOrMany, TimeOfDay};
use crate::config::defaults;
use crate::frame::PixelFormat;
use crate::hours::{Day, Minute};
use crate::mqtt::Protocol;
use crate::tracker::Options as Tracking;

const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const GIB: u64 = 1 << 30;

section! {
    /// Configuration of Vigie.
    File {
        /// This device.
        device: Device,
        /// The broker. Without this table events go to standard output as JSON lines.
        mqtt: Mqtt,
        /// Home Assistant, where `dialects` has it.
        homeassistant: HomeAssistant,
        /// What is said in Frigate's way.
        frigate: Frigate,
        /// The model that looks at the pictures.
        model: Model,
        /// How cameras are looked at; each camera may say otherwise.
        detect: Detect,
        /// How objects are followed.
        track: Track,
        /// Pictures of what is seen. Without this table none are made.
        snapshot: Snapshot,
        /// Clips of what happens. Without this table none are recorded.
        record: Record,
        /// The stats message.
        stats: Stats,
        /// The log.
        log: Log,
        /// The cameras, at least one.
        camera: Vec<Located<Camera>>,
    }
}

section! {
    /// This device.
    Device {
        /// Its name, the second level of every topic. Default: the host's name up to the first dot.
        name: TopicPart,
        /// The time zone that `hours` are of, such as `Europe/Paris`. Default: the host's.
        timezone: Text,
        /// Whether `hours` go by the clock although nobody says that it is right: it has a battery, or a program sets it that Vigie does not know.
        trust_clock: bool = defaults::TRUST_CLOCK,
    }
}

section! {
    /// The broker.
    Mqtt {
        /// `mqtt://HOST[:PORT]` (port 1883) or, with TLS, `mqtts://HOST[:PORT]` (port 8883).
        url: Text [required],
        /// Version of MQTT: `3.1.1`, which every broker understands, or `5`, with expiry of messages and reasons where something fails.
        protocol: OneOf<Protocol> = OneOf(defaults::PROTOCOL),
        /// User name.
        username: Text,
        /// File that holds the password; a newline at its end is not part of it.
        password_file: FilePath,
        /// Name of the systemd credential that holds the password (`LoadCredential=`), instead of `password_file`.
        credential: Text,
        /// First level or levels of every topic.
        prefix: TopicPrefix = defaults::PREFIX,
        /// PEM file of the authorities to trust. Default: the system's.
        ca_file: FilePath,
        /// PEM file of this device's certificate chain, for mutual TLS.
        client_cert: FilePath,
        /// PEM file of the private key of `client_cert`.
        client_key: FilePath,
        /// Client identifier, unique at the broker. Default: `vigie-` and the device's name.
        client_id: Text,
        /// How often the connection is proved alive.
        keep_alive: Time<SECOND, { 18 * HOUR }> = humantime::format_duration(defaults::KEEP_ALIVE).to_string(),
        /// How many messages wait at most while the broker is away; then the oldest go.
        queue_messages: Count<1, 1_000_000> = defaults::QUEUE_MESSAGES,
        /// How much memory they take at most.
        queue_bytes: Bytes<{ 64 << 10 }, GIB> = Bytes::<0, 0>(defaults::QUEUE_BYTES),
        /// Keeps events that the broker has not got on disk, so that they survive a restart and a power cut. Default: in memory.
        spool: Spool,
        /// The ways in which everything is said; `native`, the topics of `docs/mqtt.md`, always is among them.
        dialects: Vec<Located<OneOf<DialectName>>> = serde_json::json!(["native"]),
        /// Whether commands are heard: everybody who may publish to a camera's `…/set` topics can switch its detection off.
        commands: bool = defaults::COMMANDS,
    }
}

section! {
    /// Events that the broker has not got, on disk.
    Spool {
        /// The file. Its folder must be there; the systemd unit makes `/var/lib/vigie`.
        path: FilePath [required],
        /// The most bytes that events take in it; then the oldest go.
        max_bytes: Bytes<{ 1 << 20 }, { 16 * GIB }> = Bytes::<0, 0>(defaults::SPOOL_BYTES),
        /// Events older than this go.
        max_age: Time<{ 60 * SECOND }, { 366 * 24 * HOUR }> = humantime::format_duration(defaults::SPOOL_AGE).to_string(),
    }
}

section! {
    /// What is said in Frigate's way; only with `frigate` among the `dialects`.
    Frigate {
        /// First level or levels of its topics.
        prefix: TopicPrefix = defaults::FRIGATE_PREFIX,
    }
}

section! {
    /// What Home Assistant is told; only with `homeassistant` among the `dialects`.
    HomeAssistant {
        /// First level or levels of its discovery topics.
        discovery_prefix: TopicPrefix = defaults::DISCOVERY_PREFIX,
        /// Where it says that it has started.
        birth_topic: TopicPrefix = defaults::BIRTH_TOPIC,
        /// What it says there.
        birth_payload: Text = defaults::BIRTH_PAYLOAD,
        /// The labels that get entities. Default: by camera those of its zones and lines, or else the common ones that the model has.
        labels: Vec<Located<Text>>,
    }
}

section! {
    /// The model.
    Model {
        /// The ONNX file. Default: the shipped one.
        path: FilePath,
        /// Inference threads; 0: all cores up to two, otherwise all but one.
        threads: Count<0, 256> = defaults::THREADS,
        /// The cores that these threads may run on, by their numbers. Default: any; the fast ones of a board that has slow ones too.
        cores: Vec<Located<Count<0, 1023>>>,
        /// Class names in the order of the model's outputs, for a file whose metadata has none.
        names: Vec<Located<Text>>,
        /// Height, then width of the model's input in pixels (as in the file's metadata, the other way round than `size`), for a
        /// file whose metadata has none.
        imgsz: HeightWidth,
        /// Boxes of one class that overlap more than this (intersection over union) are one object.
        nms_iou: Fraction = defaults::NMS_IOU,
        /// Boxes of two classes that overlap more than this are one object, of which the surer name counts; 1: never.
        nms_iou_across_classes: Fraction = defaults::NMS_IOU_ACROSS_CLASSES,
        /// No more objects than this from one frame.
        max_detections: Count<1, 1000> = defaults::MAX_DETECTIONS,
    }
}

section! {
    /// How cameras are looked at.
    Detect {
        /// Frames a second that are looked at, at most.
        max_fps: Rate = defaults::MAX_FPS,
        /// Least score by label; `*` is for every label that is not named. Default: as the model suggests, else 0.4.
        thresholds: Map<Fraction>,
        /// Detections messages (all that was seen in a frame) a second, at most; 0: none are sent. Never more than `max_fps`.
        detections_rate: RateOrNever = defaults::DETECTIONS_RATE,
        /// A count falls, and an occupancy turns `OFF`, only when fewer were there for so long.
        hold: Time<0, HOUR> = humantime::format_duration(defaults::HOLD).to_string(),
        /// What an object must be like, by label; `*` is for every label that is not named.
        filters: Map<Filter>,
        /// Frames in which nothing moves are not looked at. Without this table every frame is.
        motion: Motion,
    }
}

section! {
    /// When a frame is worth a look.
    Motion {
        /// Whether frames in which nothing moves are left out.
        gate: bool = true,
        /// The least part of the picture that must look other than it usually does.
        min_area: Fraction = defaults::MOTION.min_area,
        /// How different it must look, of 255.
        contrast: Count<1, 255> = defaults::MOTION.contrast as u64,
        /// A still scene is looked at so often all the same: what rests may have gone.
        recheck: Time<SECOND, HOUR> = humantime::format_duration(defaults::MOTION.recheck).to_string(),
    }
}

section! {
    /// What an object must be like to be one; afterwards it stays one.
    Filter {
        /// Least part of the picture that its box takes.
        min_area: Fraction = 0.0,
        /// Largest part of the picture that its box takes.
        max_area: Fraction = 1.0,
        /// Least width of its box, in heights.
        min_aspect: Ratio = 0.0,
        /// Largest width of its box, in heights. Default: any.
        max_aspect: Ratio,
        /// Least median of its latest scores: what flares up for a look or two is a phantom.
        min_score: Fraction = 0.0,
        /// How far it must have come from where it was first seen, as a part of the picture.
        min_displacement: Fraction = 0.0,
    }
}

section! {
    /// How objects are followed.
    Track {
        /// In so many looks an object must be seen before it is believed.
        min_hits: Count<1, 100> = u64::from(Tracking::default().min_hits),
        /// An object that is not seen for so long is gone.
        lost_after: Time<100, HOUR> = humantime::format_duration(Tracking::default().lost_after).to_string(),
        /// The same for an object that rests: what is parked is overlooked for a while and still there.
        resting_lost_after: Time<100, HOUR> = humantime::format_duration(Tracking::default().resting_lost_after).to_string(),
        /// What has not moved for so long is stationary.
        stationary_after: Time<100, { 24 * HOUR }> = humantime::format_duration(Tracking::default().stationary_after).to_string(),
        /// What changes about an object is told no more often than this.
        update_every: Time<0, HOUR> = humantime::format_duration(defaults::UPDATE_EVERY).to_string(),
    }
}

section! {
    /// Pictures of what is seen: the best view of each object, on `…/snapshot/LABEL`.
    Snapshot {
        /// Only the object and a little around it, instead of the whole picture.
        crop: bool = true,
        /// With a box around the object and what it is.
        boxes: bool = false,
        /// The longer side in pixels, at most.
        max_size: Count<16, 8192> = u64::from(defaults::SNAPSHOT.longest),
        /// JPEG quality.
        quality: Count<20, 100> = u64::from(defaults::SNAPSHOT.quality),
        /// Size of a picture, at most; the quality falls until it fits.
        max_bytes: Bytes<4096, { 4 << 20 }> = Bytes::<0, 0>(defaults::SNAPSHOT.bytes as u64),
        /// Whether the broker keeps the latest picture of each label.
        retain: bool = true,
        /// Folder in which pictures are kept as files, one for each object. Default: none are.
        directory: FilePath,
        /// How much these files of each camera take at most; then the oldest go.
        keep_bytes: Bytes<{ 64 << 10 }, { 1 << 40 }> = Bytes::<0, 0>(defaults::KEEP_BYTES),
        /// How old a file may be.
        keep_age: Time<{ 60 * SECOND }, { 3650 * 24 * HOUR }> = humantime::format_duration(defaults::KEEP_AGE).to_string(),
    }
}

section! {
    /// Clips of what happens, as files: an object, some seconds before it and some after it.
    Record {
        /// The folder in which the clips are kept, by camera and day. The systemd unit makes `/var/lib/vigie`.
        directory: FilePath [required],
        /// How much of what was before an object is kept.
        before: Time<0, { 60 * SECOND }> = humantime::format_duration(defaults::RECORD_BEFORE).to_string(),
        /// How long a clip goes on when the last object has gone.
        after: Time<0, { 600 * SECOND }> = humantime::format_duration(defaults::RECORD_AFTER).to_string(),
        /// How long a clip is, at most; what moves on goes on in another one, what rests does not.
        longest: Time<{ 5 * SECOND }, HOUR> = humantime::format_duration(defaults::RECORD_LONGEST).to_string(),
        /// Frames a second, at most; never more than are looked at. Default: all that are looked at, see `max_fps`.
        fps: Rate,
        /// The labels that begin a clip. Default: all.
        labels: Vec<Located<Text>>,
        /// JPEG quality of frames that the camera does not deliver as JPEG, or that have a privacy mask.
        quality: Count<20, 100> = u64::from(defaults::RECORD_QUALITY),
        /// How much the clips of each camera take at most; then the oldest go.
        keep_bytes: Bytes<{ 1 << 20 }, { 1 << 50 }> = Bytes::<0, 0>(defaults::RECORD_BYTES),
        /// How old a clip may be.
        keep_age: Time<{ 60 * SECOND }, { 3650 * 24 * HOUR }> = humantime::format_duration(defaults::KEEP_AGE).to_string(),
    }
}

section! {
    /// The stats message.
    Stats {
        /// How often it goes out.
        interval: Time<SECOND, { 24 * HOUR }> = humantime::format_duration(defaults::STATS_INTERVAL).to_string(),
    }
}

section! {
    /// The log.
    Log {
        /// The least important level that is written.
        level: OneOf<LevelFilter> = OneOf(defaults::LOG_LEVEL),
        /// Levels of single modules, for instance `{ "vigie::capture" = "debug" }`.
        modules: Map<OneOf<LevelFilter>>,
    }
}

section! {
    /// A camera.
    Camera {
        /// Its name, the third level of its topics; unique.
        name: TopicPart [required],
        /// Where its frames come from.
        source: Source [required],
        /// Width, then height to ask the device for. Default: the smallest that is at least as large as the model's input.
        size: WidthHeight,
        /// Frames a second to ask the device for. Default: the slowest on offer that is no less than `max_fps`.
        fps: Rate,
        /// Pixel format to insist on. Default: the one that is cheapest to turn into a tensor.
        format: OneOf<PixelFormat>,
        /// No frame for so long is a stall, and the device is opened anew.
        stall_after: Time<100, HOUR> = humantime::format_duration(defaults::STALL_AFTER).to_string(),
        /// Frames a second that are looked at, at most. Default: `detect.max_fps`.
        max_fps: Rate,
        /// Least score by label; labels that are not named here are as in `detect.thresholds`.
        thresholds: Map<Fraction>,
        /// Detections messages (all that was seen in a frame) a second, at most; 0: none are sent. Never more than `max_fps`. Default: `detect.detections_rate`.
        detections_rate: RateOrNever,
        /// A count falls, and an occupancy turns `OFF`, only when fewer were there for so long. Default: `detect.hold`.
        hold: Time<0, HOUR>,
        /// What an object must be like, by label; labels that are not named here are as in `detect.filters`.
        filters: Map<Filter>,
        /// Frames in which nothing moves are not looked at. Default: as in `detect.motion`.
        motion: Motion,
        /// When it is looked at, in the device's time zone. Default: always.
        hours: OneOrMany<Hours>,
        /// Whether pictures of what is seen are made. Default: where there is a table `snapshot`.
        snapshots: bool,
        /// Whether clips of what happens are recorded. Default: where there is a table `record`.
        record: bool,
        /// Parts of the picture that have a name: events say in which of them an object is, and it is counted there.
        zone: Vec<Located<Zone>>,
        /// Parts of the picture where nothing begins; an object that walks in from elsewhere stays one.
        ignore_zone: Vec<Located<IgnoreZone>>,
        /// Lines that objects cross.
        line: Vec<Located<Line>>,
        /// Parts of the picture that nobody shall see; they are blackened before anything looks.
        privacy_mask: Vec<Located<PrivacyMask>>,
    }
}

section! {
    /// Where a camera's frames come from: a device, found by its path or by what it is; or pictures, a clip, a test card.
    Source {
        /// The device's node, best by a link that keeps its name: `/dev/v4l/by-id/…`.
        device: FilePath,
        /// USB vendor and product id of the device.
        usb: UsbId,
        /// USB serial number of the device.
        serial: Text,
        /// The card's name as the driver gives it, or a part of it.
        card: Text,
        /// The bus info as the driver gives it, or a part of it.
        bus: Text,
        /// A picture, or a folder of pictures, over and over.
        pictures: FilePath,
        /// A clip (Motion-JPEG in AVI, bare Motion-JPEG, Y4M), over and over.
        clip: FilePath,
        /// A moving test card.
        testcard: bool,
        /// Frames a second that pictures, a clip or the test card deliver.
        fps: Rate,
    }
}

section! {
    /// A part of the picture that has a name.
    Zone {
        /// Its name; unique among the camera's zones.
        name: TopicPart [required],
        /// The corners of a polygon in their order.
        points: Vec<Located<Pair<Coordinate>>> [required],
        /// What the points are: fractions of width and height, or pixels of a picture of the camera's `size`.
        unit: OneOf<Unit> = OneOf(Unit::Fraction),
        /// Only objects with these labels count as in it. Default: all.
        labels: Vec<Located<Text>>,
        /// So many looks in a row must agree that an object has come in or gone out.
        inertia: Count<1, 100> = u64::from(defaults::INERTIA),
        /// An object counts when it has been there for so long.
        loitering: Time<0, HOUR> = "0s",
        /// When it is there, in the device's time zone. Default: always.
        hours: OneOrMany<Hours>,
    }
}

section! {
    /// A span of the day, on some days. One that goes over midnight is written as two.
    Hours {
        /// When it begins.
        from: TimeOfDay = TimeOfDay(Minute::FIRST),
        /// When it is over, at most `24:00`.
        to: TimeOfDay = TimeOfDay(Minute::END),
        /// The days. Default: every day.
        days: Vec<Located<OneOf<Day>>>,
    }
}

section! {
    /// A part of the picture where nothing begins: a road behind the hedge, a poster of a person.
    IgnoreZone {
        /// The corners of a polygon in their order.
        points: Vec<Located<Pair<Coordinate>>> [required],
        /// What the points are: fractions of width and height, or pixels of a picture of the camera's `size`.
        unit: OneOf<Unit> = OneOf(Unit::Fraction),
        /// Only objects with these labels are ignored. Default: all.
        labels: Vec<Located<Text>>,
    }
}

section! {
    /// A line that objects cross, one way or the other, for who stands at its first point and looks at its second.
    Line {
        /// Its name; unique among the camera's lines.
        name: TopicPart [required],
        /// Its two ends. `in` is from its left to its right, `out` the other way.
        points: Vec<Located<Pair<Coordinate>>> [required],
        /// What the points are: fractions of width and height, or pixels of a picture of the camera's `size`.
        unit: OneOf<Unit> = OneOf(Unit::Fraction),
        /// Only objects with these labels count. Default: all.
        labels: Vec<Located<Text>>,
    }
}

section! {
    /// A part of the picture that nobody shall see.
    PrivacyMask {
        /// The corners of a polygon in their order.
        points: Vec<Located<Pair<Coordinate>>> [required],
        /// What the points are: fractions of width and height, or pixels of a picture of the camera's `size`.
        unit: OneOf<Unit> = OneOf(Unit::Fraction),
    }
}
