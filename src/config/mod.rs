//! The TOML file becomes a validated [`Config`]; after that nothing fails because of configuration.
//!
//! The way: the text is read with its places (`read`) into tables as they are written (`read::raw`); those are checked
//! against each other and against the machine (`validate`) and become the rooms' own option types. Nothing stops at the
//! first problem: each is written down (`report`), and all are told at once in an [`Error`].

pub mod defaults;
mod effective;
mod read;
mod report;
mod validate;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::geometry::Polygon;
use crate::hours::Hours;
use crate::mqtt::homeassistant;
use crate::scene::objects::Filter;
use crate::timezone::Timezone;
use crate::{capture, detector, mqtt, tracker};

pub use read::{MAX_BYTES, schema};
pub use report::{Error, Kind, Problem};
pub use validate::{MODEL_DIR, MODEL_DIR_VARIABLE, MODEL_FILE, shipped_model, unknown_labels};

use read::{Read as _, raw};
use report::Problems;
use validate::Surroundings;

/// Where the configuration is if nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/vigie/vigie.toml";

/// Everything the daemon wants to know, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The device's name: second level of every topic.
    pub device: String,
    /// Where the device is, by the clock: `hours` are of that time zone.
    pub timezone: Timezone,
    /// Whether `hours` go by the clock although nobody says that it is right.
    pub trust_clock: bool,
    /// The broker; `None`: JSON lines on standard output.
    pub mqtt: Option<mqtt::Options>,
    /// What Home Assistant is told; `None`: nothing.
    pub homeassistant: Option<homeassistant::Options>,
    /// The prefix of Frigate's topics, if they are spoken.
    pub frigate: Option<String>,
    /// The model.
    pub model: detector::Options,
    /// How objects are followed.
    pub tracking: tracker::Options,
    /// An object is told of again no sooner than this.
    pub update_every: Duration,
    /// How pictures of what is seen are made; `None`: none are.
    pub snapshot: Option<Snapshot>,
    /// How what happens is recorded; `None`: it is not.
    pub record: Option<Record>,
    /// How often the stats message goes out.
    pub stats_interval: Duration,
    /// What is logged.
    pub log: Log,
    /// The cameras, in the order of the file; at least one.
    pub cameras: Vec<Camera>,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is written.
    pub level: LevelFilter,
    /// Modules with a level of their own.
    pub modules: Vec<(String, LevelFilter)>,
}

/// One camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Camera {
    /// Its name: third level of its topics; unique.
    pub name: String,
    /// Where its frames come from.
    pub source: capture::SourceSpec,
    /// What is asked of a device.
    pub request: capture::Request,
    /// How many frames a second are looked at, at most.
    pub max_fps: f32,
    /// Score thresholds.
    pub thresholds: detector::Thresholds,
    /// Detections messages a second, at most; 0: never, and never more than there are looks.
    pub detections_rate: f32,
    /// A count falls only when fewer were seen for so long; and of a label nothing is said before the camera was looked
    /// at for so long.
    pub hold: Duration,
    /// What an object must be like.
    pub filters: Filters,
    /// Which frames are worth a look; `None`: all are.
    pub motion: Option<MotionGate>,
    /// When it is looked at; `None`: always.
    pub hours: Option<Hours>,
    /// Whether pictures of what is seen are made, where [`Config::snapshot`] says how.
    pub snapshots: bool,
    /// Whether what happens is recorded, where [`Config::record`] says how.
    pub record: bool,
    /// Parts of the picture that have a name; their names are unique.
    pub zones: Vec<Zone>,
    /// Parts of the picture where nothing begins.
    pub ignore_zones: Vec<IgnoreZone>,
    /// Lines that objects cross; their names are unique.
    pub lines: Vec<Line>,
    /// Parts of the picture that nobody shall see; they are blackened before anything looks.
    pub privacy_masks: Vec<Polygon>,
}

/// Which frames are worth a look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MotionGate {
    /// The least part of the picture that must look other than it usually does.
    pub min_area: f32,
    /// How different it must look, of 255.
    pub contrast: f32,
    /// A still scene is looked at so often all the same.
    pub recheck: Duration,
}

/// How pictures of what is seen are made, and where they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What they are like.
    pub shot: Shot,
    /// Where they are kept as files; `None`: nowhere.
    pub store: Option<Store>,
}

/// What a picture of an object is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shot {
    /// Only the object and a little around it.
    pub crop: bool,
    /// With a box around it.
    pub boxes: bool,
    /// The longer side in pixels, at most.
    pub longest: u32,
    /// JPEG quality.
    pub quality: u8,
    /// Bytes at most.
    pub bytes: usize,
    /// Whether the broker keeps it.
    pub retain: bool,
}

/// How what happens is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Where the clips are kept.
    pub store: Store,
    /// How much of what was before an object is in its clip.
    pub before: Duration,
    /// How long a clip goes on when the last object has gone.
    pub after: Duration,
    /// How long a clip is, at most.
    pub longest: Duration,
    /// Frames a second, at most; `None`: every frame that is looked at.
    pub fps: Option<f32>,
    /// The labels that begin a clip; `None`: all.
    pub labels: Option<Vec<String>>,
    /// JPEG quality, where frames are compressed.
    pub quality: u8,
}

impl Record {
    /// Into a store, and as usual otherwise.
    pub fn into(store: Store) -> Record {
        Record {
            store,
            before: defaults::RECORD_BEFORE,
            after: defaults::RECORD_AFTER,
            longest: defaults::RECORD_LONGEST,
            fps: None,
            labels: None,
            quality: defaults::RECORD_QUALITY,
        }
    }
}

/// Files of pictures or clips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The folder.
    pub directory: PathBuf,
    /// Bytes of those of one camera, at most.
    pub bytes: u64,
    /// How old one may be.
    pub age: Duration,
}

/// A part of a camera's picture that has a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub polygon: Polygon,
    /// The labels that count there; `None`: all.
    pub labels: Option<Vec<String>>,
    /// So many looks in a row must agree that an object has come in or gone out.
    pub inertia: u32,
    /// An object counts when it has been there for so long.
    pub loitering: Duration,
    /// When it is there; `None`: always.
    pub hours: Option<Hours>,
}

/// A part of a camera's picture where nothing begins.
#[derive(Clone, Debug, PartialEq)]
pub struct IgnoreZone {
    /// Where it is.
    pub polygon: Polygon,
    /// The labels that are ignored; `None`: all.
    pub labels: Option<Vec<String>>,
}

/// A line that objects cross.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its two ends, in fractions of the picture; they differ.
    pub ends: [[f32; 2]; 2],
    /// The labels that count; `None`: all.
    pub labels: Option<Vec<String>>,
}

/// What an object must be like, by label.
#[derive(Clone, Debug, PartialEq)]
pub struct Filters {
    /// For every label that is not named.
    pub default: Filter,
    /// For these.
    pub labels: Vec<(String, Filter)>,
}

impl Camera {
    /// Whether it or one of its zones has hours.
    pub fn has_hours(&self) -> bool {
        self.hours.is_some() || self.zones.iter().any(|zone| zone.hours.is_some())
    }

    /// Every label that the configuration of zones, lines and filters names; only the model can tell whether it is one.
    pub fn labels(&self) -> impl Iterator<Item = &String> {
        let zones = self.zones.iter().flat_map(|zone| &zone.labels);
        let ignored = self.ignore_zones.iter().flat_map(|zone| &zone.labels);
        let lines = self.lines.iter().flat_map(|line| &line.labels);
        let filters = self.filters.labels.iter().map(|(label, _)| label);
        zones.chain(ignored).chain(lines).flatten().chain(filters)
    }
}

impl Config {
    /// Reads and checks a configuration file.
    pub fn load(path: &Path) -> Result<Config, Error> {
        let name = path.display().to_string();
        match read::text(path) {
            Ok(text) => Config::parse(&name, &text),
            Err(error) => {
                let problem = Problem::new(Kind::File, "", format!("{name} {error}")).hint(error.hint());
                Err(Error::of_file(&name, problem.at(error.position(), false)))
            }
        }
    }

    /// Checks the text of a configuration; `name` stands for the file in messages.
    pub fn parse(name: &str, text: &str) -> Result<Config, Error> {
        parse_in(&Surroundings::of_this_process(), text)
            .map_err(|problems| Error::of_text(name, text, problems))
    }

    /// The configuration as TOML with every default filled in: a file that gives the same configuration. Passwords are
    /// not in it, only where they are to be found.
    pub fn to_toml(&self) -> String {
        toml::to_string(&effective::file(self))
            .unwrap_or_else(|error| format!("# not to be written: {error}\n"))
    }

    /// Whether anything has hours.
    pub fn has_hours(&self) -> bool {
        self.cameras.iter().any(Camera::has_hours)
    }

    /// Why hours may be of another time zone than was meant.
    pub fn doubt_of_hours(&self) -> Option<String> {
        let doubt = self.timezone.doubt().filter(|_| self.has_hours())?;
        Some(format!("hours are those of UTC, for {doubt}; name the time zone with `timezone` in [device]"))
    }

    /// What stands in the table of that name.
    fn device(&self) -> (&str, &Timezone, bool) {
        (&self.device, &self.timezone, self.trust_clock)
    }

    /// The parts in which another configuration differs, by the names of their tables.
    pub fn differences(&self, other: &Config) -> Vec<&'static str> {
        let parts = [
            ("[device]", self.device() != other.device()),
            ("[mqtt]", self.mqtt != other.mqtt),
            ("[homeassistant]", self.homeassistant != other.homeassistant),
            ("[frigate]", self.frigate != other.frigate),
            ("[model]", self.model != other.model),
            ("[track]", self.tracking != other.tracking || self.update_every != other.update_every),
            ("[snapshot]", self.snapshot != other.snapshot),
            ("[record]", self.record != other.record),
            ("[stats]", self.stats_interval != other.stats_interval),
            ("[log]", self.log != other.log),
            ("[[camera]]", self.cameras != other.cameras),
        ];
        parts.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
    }
}

/// The whole way from the text to the configuration, with all that it depends on in its arguments.
fn parse_in(around: &Surroundings, text: &str) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let (document, errors) = DeTable::parse_recoverable(text);
    let (has_camera, span) = (document.get_ref().contains_key("camera"), document.span());
    let file = raw::File::read(&Spanned::new(span, DeValue::Table(document.into_inner())), "", &mut problems);
    if !errors.is_empty() {
        return Err(syntax_problems(text, &errors, problems));
    }
    if !has_camera {
        problems.add(validate::no_camera());
    }
    let config = file.and_then(|file| validate::config(&file, around, &mut problems));
    config.filter(|_| problems.is_empty()).ok_or(problems)
}

/// The syntax errors, and of the other problems those that are not likely to follow from them: what stands on a broken
/// line was not read, and what is missing may have been lost.
fn syntax_problems(text: &str, errors: &[toml::de::Error], others: Problems) -> Problems {
    let newlines: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line = |byte: usize| newlines.partition_point(|newline| *newline < byte);
    let span = |error: &toml::de::Error| error.span().unwrap_or(0..0);
    let broken: HashSet<usize> = errors.iter().map(|error| line(span(error).start)).collect();
    let mut problems = Problems::default();
    for error in errors {
        problems.add(Problem::new(Kind::Syntax, "", error.message()).label(span(error), "here"));
    }
    let stands_alone = |problem: &Problem| {
        problem.kind() != Kind::MissingKey
            && problem.start().is_some_and(|start| !broken.contains(&line(start)))
    };
    others.into_parts().0.into_iter().filter(stands_alone).for_each(|problem| problems.add(problem));
    problems
}

#[cfg(test)]
mod tests;
