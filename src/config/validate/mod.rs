//! What was read becomes what the rooms want: values that fit together, files that are there.

mod broker;
mod camera;
mod dialects;
mod files;
mod hours;
mod labels;
mod record;
mod scenery;
mod surroundings;

use std::collections::HashMap;

use super::read::{Located, raw, shorten};
use super::report::{Kind, Problem, Problems};
use super::{Camera, Config, Log, Shot, Snapshot, Store, defaults};
use crate::capture::{DeviceMatcher, SourceSpec};
use crate::mqtt::topics::{CAMERA_LEVELS, DEVICE_LEVELS, label_level};
use crate::{detector, tracker};

pub use labels::unknown_labels;
pub use surroundings::{MODEL_DIR, MODEL_DIR_VARIABLE, MODEL_FILE, shipped_model};

pub(super) use surroundings::Surroundings;

use files::check_file;

/// Checks the whole file. `None` only if a problem was written down.
pub(super) fn config(file: &raw::File, around: &Surroundings, problems: &mut Problems) -> Option<Config> {
    let name = file.device.as_ref().and_then(|device| device.value.name.as_ref());
    let device = name.map_or(&around.device, |name| &name.value.0).clone();
    let timezone = hours::timezone(file.device.as_ref(), around, problems);
    let trusted = file.device.as_ref().and_then(|device| device.value.trust_clock.as_ref());
    let mqtt = file.mqtt.as_ref().map(|mqtt| broker::options(&mqtt.value, &device, around, problems));
    let homeassistant = dialects::homeassistant(file, problems);
    let frigate = dialects::frigate(file, problems);
    let model = model(file.model.as_ref().map(|model| &model.value), around, problems);
    let stats = file.stats.as_ref().and_then(|stats| stats.value.interval.as_ref());
    let track = file.track.as_ref().map(|track| &track.value);
    let log = log(file.log.as_ref().map(|log| &log.value), problems);
    let cameras = cameras(file, problems);
    Some(Config {
        device,
        timezone,
        trust_clock: trusted.map_or(defaults::TRUST_CLOCK, |trusted| trusted.value),
        mqtt: match mqtt {
            Some(options) => Some(options?),
            None => None,
        },
        homeassistant,
        frigate,
        model: model?,
        tracking: tracking(track),
        update_every: track
            .and_then(|track| track.update_every.as_ref())
            .map_or(defaults::UPDATE_EVERY, |every| every.value.0),
        snapshot: file.snapshot.as_ref().map(|snapshot| snapshot_of(&snapshot.value)),
        record: match &file.record {
            Some(record) => Some(record::record(&record.value, problems)?),
            None => None,
        },
        stats_interval: stats.map_or(defaults::STATS_INTERVAL, |interval| interval.value.0),
        log,
        cameras: cameras?,
    })
}

fn snapshot_of(raw: &raw::Snapshot) -> Snapshot {
    let default = defaults::SNAPSHOT;
    let shot = Shot {
        crop: raw.crop.as_ref().map_or(default.crop, |crop| crop.value),
        boxes: raw.boxes.as_ref().map_or(default.boxes, |boxes| boxes.value),
        longest: raw.max_size.as_ref().map_or(default.longest, |size| size.value.0 as u32),
        quality: raw.quality.as_ref().map_or(default.quality, |quality| quality.value.0 as u8),
        bytes: raw.max_bytes.as_ref().map_or(default.bytes, |bytes| bytes.value.0 as usize),
        retain: raw.retain.as_ref().map_or(default.retain, |retain| retain.value),
    };
    let store = raw.directory.as_ref().map(|directory| Store {
        directory: directory.value.0.clone(),
        bytes: raw.keep_bytes.as_ref().map_or(defaults::KEEP_BYTES, |bytes| bytes.value.0),
        age: raw.keep_age.as_ref().map_or(defaults::KEEP_AGE, |age| age.value.0),
    });
    Snapshot { shot, store }
}

fn tracking(track: Option<&raw::Track>) -> tracker::Options {
    let mut options = tracker::Options::default();
    let Some(raw) = track else { return options };
    if let Some(hits) = &raw.min_hits {
        options.min_hits = hits.value.0 as u32;
    }
    if let Some(after) = &raw.lost_after {
        options.lost_after = after.value.0;
    }
    if let Some(after) = &raw.resting_lost_after {
        options.resting_lost_after = after.value.0;
    }
    if let Some(after) = &raw.stationary_after {
        options.stationary_after = after.value.0;
    }
    options
}

fn log(log: Option<&raw::Log>, problems: &mut Problems) -> Log {
    let level = log.and_then(|log| log.level.as_ref()).map_or(defaults::LOG_LEVEL, |level| level.value.0);
    let modules =
        || log.and_then(|log| log.modules.as_ref()).into_iter().flat_map(|modules| &modules.value.0);
    let is_module = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
    };
    for (name, level) in modules().filter(|(name, _)| !is_module(name)) {
        let message = format!("`{}` is no module", shorten(name));
        problems.add(Problem::with(Kind::BadValue, level, message).hint("a path such as `vigie::capture`"));
    }
    Log { level, modules: modules().map(|(module, level)| (module.clone(), level.value.0)).collect() }
}

fn model(
    model: Option<&raw::Model>,
    around: &Surroundings,
    problems: &mut Problems,
) -> Option<detector::Options> {
    let empty = raw::Model::default();
    let model = model.unwrap_or(&empty);
    let path = match &model.path {
        Some(path) => check_file(path, files::readable_file, problems),
        None if problems.touch("model.path") => None,
        None => around.model().or_else(|| {
            let dirs: Vec<String> = around.model_dirs.iter().map(|dir| dir.display().to_string()).collect();
            let message = format!("the shipped model {} is not in {}", MODEL_FILE, dirs.join(" or "));
            let hint = format!(
                "install it there, name another with `path` in [model], or name its folder in the environment variable {}",
                MODEL_DIR_VARIABLE
            );
            problems.add(Problem::new(Kind::File, "model.path", message).hint(hint));
            None
        }),
    };
    if let Some(names) = &model.names
        && names.value.is_empty()
        && !problems.touch(&names.path)
    {
        let problem = Problem::with(Kind::BadValue, names, "is empty");
        problems.add(problem.hint("name every class in the order of the model's outputs, or leave it out"));
    }
    for name in model.names.iter().flat_map(|names| &names.value) {
        refuse_reserved("label", &CAMERA_LEVELS, &label_level(&name.value.0), name, problems);
    }
    if let Some(cores) = &model.cores
        && cores.value.is_empty()
        && !problems.touch(&cores.path)
    {
        let problem = Problem::with(Kind::BadValue, cores, "is empty, so nothing could run");
        problems.add(problem.hint("name the cores, or leave it out for any"));
    }
    let names =
        model.names.as_ref().map(|names| names.value.iter().map(|name| name.value.0.clone()).collect());
    Some(detector::Options {
        path: path?,
        threads: model.threads.as_ref().map_or(defaults::THREADS, |threads| threads.value.0) as usize,
        cores: model.cores.iter().flat_map(|cores| &cores.value).map(|core| core.value.0 as usize).collect(),
        contract: detector::ContractOverride {
            names,
            imgsz: model.imgsz.as_ref().map(|imgsz| [imgsz.value.0.0 as u32, imgsz.value.1.0 as u32]),
        },
        nms_iou: model.nms_iou.as_ref().map_or(defaults::NMS_IOU, |iou| iou.value.0),
        nms_iou_across_classes: model
            .nms_iou_across_classes
            .as_ref()
            .map_or(defaults::NMS_IOU_ACROSS_CLASSES, |iou| iou.value.0),
        max_detections: model.max_detections.as_ref().map_or(defaults::MAX_DETECTIONS, |max| max.value.0)
            as usize,
    })
}

fn cameras(file: &raw::File, problems: &mut Problems) -> Option<Vec<Camera>> {
    let cameras = file.camera.as_ref()?;
    if cameras.value.is_empty() && !problems.touch("camera") {
        problems.add(no_camera().label(cameras.span.clone(), "empty"));
        return None;
    }
    let names = cameras.value.iter().filter_map(|camera| camera.value.name.as_ref());
    unique("camera", names.clone().map(|name| (name.value.0.as_str(), name)), problems);
    for name in names {
        refuse_reserved("camera", &DEVICE_LEVELS, &name.value.0, name, problems);
    }
    let detect = file.detect.as_ref().map(|detect| &detect.value);
    let checked: Vec<_> = cameras.value.iter().map(|raw| camera::camera(raw, detect, problems)).collect();
    let devices = cameras.value.iter().zip(&checked).filter_map(|(raw, camera)| {
        let SourceSpec::Device(device) = &camera.as_ref()?.source else { return None };
        Some((device, raw.value.source.as_ref()?))
    });
    unique_devices(devices, problems);
    checked.into_iter().collect()
}

/// The problem of a file without a camera.
pub(super) fn no_camera() -> Problem {
    let hint = "add one:\n\n[[camera]]\nname = \"front\"\nsource = { device = \"/dev/video0\" }\n\n\
                `vigie cameras` lists the devices that are there";
    Problem::new(Kind::MissingKey, "camera", "there is no camera").hint(hint)
}

/// Writes down every name that was given before.
fn unique<'a, T: 'a>(
    what: &str,
    names: impl Iterator<Item = (&'a str, &'a Located<T>)>,
    problems: &mut Problems,
) {
    let mut seen: HashMap<&str, &Located<T>> = HashMap::new();
    for (name, place) in names {
        if let Some(first) = seen.get(name) {
            let message = format!("there is another {what} of the name `{name}`");
            let problem =
                Problem::new(Kind::Conflict, &place.path, message).label(place.span.clone(), "again");
            problems.add(problem.label(first.span.clone(), "first here").hint("give each its own name"));
        } else {
            seen.insert(name, place);
        }
    }
}

/// Writes down a name whose topics would lie among Vigie's own.
fn refuse_reserved<T>(
    what: &str,
    reserved: &[&str],
    name: &str,
    place: &Located<T>,
    problems: &mut Problems,
) {
    if reserved.contains(&name) {
        let message = format!("`{name}` is a topic of Vigie's own, and no {what} can have its name");
        let hint = format!("choose another name; reserved are {}", reserved.join(", "));
        problems.add(Problem::with(Kind::BadValue, place, message).hint(hint));
    }
}

fn unique_devices<'a>(
    devices: impl Iterator<Item = (&'a DeviceMatcher, &'a Located<raw::Source>)>,
    problems: &mut Problems,
) {
    let mut seen: Vec<(&DeviceMatcher, &Located<raw::Source>)> = Vec::new();
    for (device, place) in devices {
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == device) {
            let message = "another camera has the same device, and a device can be opened once only";
            let problem =
                Problem::new(Kind::Conflict, &place.path, message).label(place.span.clone(), "again");
            problems.add(
                problem.label(first.span.clone(), "first here").hint("name another device, or drop a camera"),
            );
        } else {
            seen.push((device, place));
        }
    }
}
