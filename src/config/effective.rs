//! A validated configuration written as TOML, with every default filled in.

use std::net::Ipv6Addr;
use std::path::Path;
use std::time::Duration;

use super::read::{
    Bytes, Coordinate, Count, FilePath, Fraction, Located, Map, OneOf, Pair, Rate, RateOrNever, Ratio, Text,
};
use super::read::{DialectName, Time, TopicPart, TopicPrefix, Unit, UsbId, raw};
use super::read::{HeightWidth, WidthHeight};
use super::read::{OneOrMany, TimeOfDay};
use super::{Camera, Config, Filters, Record, Snapshot};
use crate::capture::{DeviceMatcher, SourceSpec};
use crate::detector::Thresholds;
use crate::geometry::Polygon;
use crate::hours::{Days, Hours};
use crate::mqtt::{Options, Secret, homeassistant};
use crate::scene::objects::Filter;

/// A key that is there.
fn key<T>(value: T) -> Option<Located<T>> {
    Some(Located::nowhere(value))
}

fn text(value: &str) -> Option<Located<Text>> {
    key(Text(value.to_owned()))
}

fn path(value: &Path) -> Option<Located<FilePath>> {
    key(FilePath(value.to_owned()))
}

fn time<const MIN: u64, const MAX: u64>(value: Duration) -> Option<Located<Time<MIN, MAX>>> {
    key(Time(value))
}

/// A list that is there only if it has entries.
fn list<T>(values: impl Iterator<Item = T>) -> Option<Located<Vec<Located<T>>>> {
    let values: Vec<_> = values.map(Located::nowhere).collect();
    if values.is_empty() { None } else { key(values) }
}

/// The file that would give this configuration on any machine. [`Secret`]s are places, so there is none in it.
pub(super) fn file(config: &Config) -> raw::File {
    let model = &config.model;
    let modules =
        config.log.modules.iter().map(|(name, level)| (name.clone(), Located::nowhere(OneOf(*level))));
    let modules = Map(modules.collect());
    raw::File {
        device: key(raw::Device {
            name: key(TopicPart(config.device.clone())),
            timezone: config.timezone.name().and_then(text),
            trust_clock: key(config.trust_clock),
        }),
        mqtt: config.mqtt.as_ref().and_then(|options| key(mqtt(options, dialects(config)))),
        frigate: config
            .frigate
            .as_ref()
            .and_then(|prefix| key(raw::Frigate { prefix: key(TopicPrefix(prefix.clone())) })),
        homeassistant: config.homeassistant.as_ref().and_then(|options| key(told(options))),
        model: key(raw::Model {
            path: path(&model.path),
            threads: key(Count(model.threads as u64)),
            cores: (!model.cores.is_empty())
                .then(|| list(model.cores.iter().map(|core| Count(*core as u64))))
                .flatten(),
            names: model.contract.names.as_ref().and_then(|names| list(names.iter().cloned().map(Text))),
            imgsz: model.contract.imgsz.and_then(|[h, w]| key(HeightWidth(Count(h.into()), Count(w.into())))),
            nms_iou: key(Fraction(model.nms_iou)),
            nms_iou_across_classes: key(Fraction(model.nms_iou_across_classes)),
            max_detections: key(Count(model.max_detections as u64)),
        }),
        // Every camera says it all, so there is nothing left to say for all of them.
        detect: None,
        track: key(raw::Track {
            min_hits: key(Count(config.tracking.min_hits.into())),
            lost_after: time(config.tracking.lost_after),
            resting_lost_after: time(config.tracking.resting_lost_after),
            stationary_after: time(config.tracking.stationary_after),
            update_every: time(config.update_every),
        }),
        snapshot: config.snapshot.as_ref().and_then(|options| key(snapshot(options))),
        record: config.record.as_ref().and_then(|options| key(record(options))),
        stats: key(raw::Stats { interval: time(config.stats_interval) }),
        log: key(raw::Log {
            level: key(OneOf(config.log.level)),
            modules: key(modules).filter(|modules| !modules.value.0.is_empty()),
        }),
        camera: list(config.cameras.iter().map(camera)),
    }
}

/// The dialects that a configuration speaks.
fn dialects(config: &Config) -> impl Iterator<Item = DialectName> {
    let homeassistant = config.homeassistant.is_some().then_some(DialectName::HomeAssistant);
    let frigate = config.frigate.is_some().then_some(DialectName::Frigate);
    std::iter::once(DialectName::Native).chain(homeassistant).chain(frigate)
}

fn told(options: &homeassistant::Options) -> raw::HomeAssistant {
    raw::HomeAssistant {
        discovery_prefix: key(TopicPrefix(options.discovery_prefix.clone())),
        birth_topic: key(TopicPrefix(options.birth_topic.clone())),
        birth_payload: text(&options.birth_payload),
        labels: labels(&options.labels),
    }
}

fn mqtt(options: &Options, dialects: impl Iterator<Item = DialectName>) -> raw::Mqtt {
    let scheme = if options.tls.is_some() { "mqtts" } else { "mqtt" };
    let (host, port) = (&options.host, options.port);
    let url = match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("{scheme}://[{address}]:{port}"),
        Err(_) => format!("{scheme}://{host}:{port}"),
    };
    let client = options.tls.as_ref().and_then(|tls| tls.client.as_ref());
    raw::Mqtt {
        url: text(&url),
        protocol: key(OneOf(options.protocol)),
        username: options.username.as_deref().and_then(text),
        password_file: match &options.password {
            Some(Secret::File(file)) => path(file),
            _ => None,
        },
        credential: match &options.password {
            Some(Secret::Credential(name)) => text(name),
            _ => None,
        },
        prefix: key(TopicPrefix(options.prefix.clone())),
        ca_file: options.tls.as_ref().and_then(|tls| tls.ca_file.as_ref()).and_then(|file| path(file)),
        client_cert: client.and_then(|(certificate, _)| path(certificate)),
        client_key: client.and_then(|(_, key)| path(key)),
        client_id: text(&options.client_id),
        keep_alive: time(options.keep_alive),
        queue_messages: key(Count(options.queue_messages as u64)),
        queue_bytes: key(Bytes(options.queue_bytes as u64)),
        spool: options.spool.as_ref().and_then(|spool| {
            key(raw::Spool {
                path: path(&spool.path),
                max_bytes: key(Bytes(spool.max_bytes)),
                max_age: time(spool.max_age),
            })
        }),
        dialects: list(dialects.map(OneOf)),
        commands: key(options.commands),
    }
}

fn snapshot(options: &Snapshot) -> raw::Snapshot {
    let (shot, store) = (&options.shot, options.store.as_ref());
    raw::Snapshot {
        crop: key(shot.crop),
        boxes: key(shot.boxes),
        max_size: key(Count(shot.longest.into())),
        quality: key(Count(shot.quality.into())),
        max_bytes: key(Bytes(shot.bytes as u64)),
        retain: key(shot.retain),
        directory: store.and_then(|store| path(&store.directory)),
        keep_bytes: store.and_then(|store| key(Bytes(store.bytes))),
        keep_age: store.and_then(|store| time(store.age)),
    }
}

fn record(options: &Record) -> raw::Record {
    raw::Record {
        directory: path(&options.store.directory),
        before: time(options.before),
        after: time(options.after),
        longest: time(options.longest),
        fps: options.fps.and_then(|fps| key(Rate(fps))),
        labels: labels(&options.labels),
        quality: key(Count(options.quality.into())),
        keep_bytes: key(Bytes(options.store.bytes)),
        keep_age: time(options.store.age),
    }
}

fn camera(camera: &Camera) -> raw::Camera {
    let request = &camera.request;
    let zone = |zone: &super::Zone| raw::Zone {
        name: key(TopicPart(zone.name.clone())),
        points: points(zone.polygon.points()),
        unit: key(OneOf(Unit::Fraction)),
        labels: labels(&zone.labels),
        inertia: key(Count(zone.inertia.into())),
        loitering: time(zone.loitering),
        hours: zone.hours.as_ref().and_then(hours),
    };
    let ignored = |zone: &super::IgnoreZone| raw::IgnoreZone {
        points: points(zone.polygon.points()),
        unit: key(OneOf(Unit::Fraction)),
        labels: labels(&zone.labels),
    };
    let line = |line: &super::Line| raw::Line {
        name: key(TopicPart(line.name.clone())),
        points: points(&line.ends),
        unit: key(OneOf(Unit::Fraction)),
        labels: labels(&line.labels),
    };
    let mask =
        |mask: &Polygon| raw::PrivacyMask { points: points(mask.points()), unit: key(OneOf(Unit::Fraction)) };
    raw::Camera {
        name: key(TopicPart(camera.name.clone())),
        source: key(source(&camera.source)),
        size: request
            .size
            .and_then(|size| key(WidthHeight(Count(size.width.into()), Count(size.height.into())))),
        fps: request.fps.and_then(|fps| key(Rate(fps))),
        format: request.format.and_then(|format| key(OneOf(format))),
        stall_after: time(request.stall_after),
        max_fps: key(Rate(camera.max_fps)),
        thresholds: thresholds(&camera.thresholds),
        detections_rate: key(RateOrNever(camera.detections_rate)),
        hold: time(camera.hold),
        filters: key(filters(&camera.filters)),
        motion: camera.motion.and_then(|gate| {
            key(raw::Motion {
                gate: key(true),
                min_area: key(Fraction(gate.min_area)),
                contrast: key(Count(gate.contrast as u64)),
                recheck: time(gate.recheck),
            })
        }),
        hours: camera.hours.as_ref().and_then(hours),
        snapshots: key(camera.snapshots),
        record: key(camera.record),
        zone: list(camera.zones.iter().map(zone)),
        ignore_zone: list(camera.ignore_zones.iter().map(ignored)),
        line: list(camera.lines.iter().map(line)),
        privacy_mask: list(camera.privacy_masks.iter().map(mask)),
    }
}

fn hours(hours: &Hours) -> Option<Located<OneOrMany<raw::Hours>>> {
    let days = |days: Days| list(days.named().map(OneOf)).filter(|_| days != Days::ALL);
    let spans = hours.0.iter().map(|span| raw::Hours {
        from: key(TimeOfDay(span.from)),
        to: key(TimeOfDay(span.to)),
        days: days(span.days),
    });
    key(OneOrMany(spans.map(Located::nowhere).collect()))
}

fn source(source: &SourceSpec) -> raw::Source {
    let empty = raw::Source::default();
    match source {
        SourceSpec::Device(DeviceMatcher::Path(device)) => raw::Source { device: path(device), ..empty },
        SourceSpec::Device(DeviceMatcher::Match { usb, serial, card, bus }) => raw::Source {
            usb: usb.and_then(|(vendor, product)| key(UsbId(vendor, product))),
            serial: serial.as_deref().and_then(text),
            card: card.as_deref().and_then(text),
            bus: bus.as_deref().and_then(text),
            ..empty
        },
        SourceSpec::Pictures { path: pictures, fps } => {
            raw::Source { pictures: path(pictures), fps: key(Rate(*fps)), ..empty }
        }
        SourceSpec::Clip { path: clip, fps } => {
            raw::Source { clip: path(clip), fps: fps.and_then(|fps| key(Rate(fps))), ..empty }
        }
        SourceSpec::TestCard { fps } => raw::Source { testcard: key(true), fps: key(Rate(*fps)), ..empty },
    }
}

/// Those of the configuration: the model's are to be written out before (`Thresholds::written_out`).
fn thresholds(thresholds: &Thresholds) -> Option<Located<Map<Fraction>>> {
    let default = thresholds.default.map(|score| ("*".to_owned(), score));
    let all = thresholds.labels.iter().cloned().chain(default);
    let map: std::collections::BTreeMap<_, _> =
        all.map(|(label, score)| (label, Located::nowhere(Fraction(score)))).collect();
    if map.is_empty() { None } else { key(Map(map)) }
}

fn filters(filters: &Filters) -> Map<raw::Filter> {
    let default = ("*".to_owned(), filters.default.clone());
    let raw = |filter: Filter| raw::Filter {
        min_area: key(Fraction(filter.area[0])),
        max_area: key(Fraction(filter.area[1])),
        min_aspect: key(Ratio(filter.aspect[0])),
        max_aspect: filter.aspect[1].is_finite().then_some(Ratio(filter.aspect[1])).and_then(key),
        min_score: key(Fraction(filter.score)),
        min_displacement: key(Fraction(filter.displacement)),
    };
    let all = filters.labels.iter().cloned().chain([default]);
    Map(all.map(|(label, filter)| (label, Located::nowhere(raw(filter)))).collect())
}

fn labels(labels: &Option<Vec<String>>) -> Option<Located<Vec<Located<Text>>>> {
    labels.as_ref().and_then(|labels| list(labels.iter().cloned().map(Text)))
}

fn points(points: &[[f32; 2]]) -> Option<Located<Vec<Located<Pair<Coordinate>>>>> {
    list(points.iter().map(|[x, y]| Pair(Coordinate(*x), Coordinate(*y))))
}
