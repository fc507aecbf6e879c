//! Commands: what somebody published to a camera's `…/set` topics, turned into a typed [`Command`] or refused.
//!
//! Pure, and never more than a comparison: nothing that a command carries is executed, looked up in a file or put into a
//! text. The words of a [`Refusal`] are ours alone.

use std::borrow::Cow;

use super::Error;
use super::dialect::{Site, SiteCamera};
use super::topics::{LabelLevels, Topics};

/// So many bytes of a payload are kept; what is longer is no command.
pub const LONGEST: usize = 64;

/// So many bytes of a payload are kept. No command is that long by far; what Home Assistant is told may be.
pub const KEPT: usize = 64 << 10;

/// So many bytes of a topic are kept; none of ours is longer by far.
const LONGEST_TOPIC: usize = 1024;

/// A message on one of the topics that were subscribed to, cut to what can matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The topic, or the beginning of a very long one.
    pub topic: String,
    /// The payload, or its first [`KEPT`] bytes.
    pub payload: Vec<u8>,
    /// How long the payload was.
    pub bytes: usize,
    /// Whether the broker had kept it, or keeps it from now on.
    pub retained: bool,
}

impl Received {
    /// Keeps what can matter of a message.
    pub fn new(topic: &str, payload: &[u8], retained: bool) -> Received {
        let end = topic.floor_char_boundary(LONGEST_TOPIC);
        Received {
            topic: topic[..end].to_owned(),
            payload: payload[..payload.len().min(KEPT)].to_owned(),
            bytes: payload.len(),
            retained,
        }
    }
}

/// What shall be otherwise with one camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The camera's name.
    pub camera: String,
    /// What shall be so.
    pub change: Change,
}

/// What shall be so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Whether the camera's frames are looked at.
    Detect(bool),
    /// Whether the motion gate keeps anything out.
    Motion(bool),
    /// Whether pictures are made.
    Snapshot(bool),
    /// The least score of a class, or of every class.
    Threshold {
        /// Index into the model's names; `None`: all of them.
        class_id: Option<u16>,
        /// From 0 to 1.
        score: f32,
    },
}

/// What is so with one camera because its configuration says so, or a command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Setting {
    /// Whether its frames are looked at.
    Detect(bool),
    /// Whether its motion gate keeps anything out.
    Motion(bool),
    /// Whether pictures are made.
    Snapshot(bool),
    /// The least score of a class.
    Threshold {
        /// Index into the model's names.
        class_id: u16,
        /// From 0 to 1.
        score: f32,
    },
}

/// Why a command is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The camera that was meant, if there is one of that name.
    pub camera: Option<String>,
    /// Why.
    pub reason: Reason,
}

/// Why a command is not carried out, in words that hold nothing of the command itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// There is no such camera.
    #[error("this device has no camera of that name; it has: {known}")]
    UnknownCamera {
        /// Those that there are.
        known: String,
    },
    /// There is nothing of that name to be set.
    #[error("a camera has no such setting; it has: detect, motion, snapshot, threshold/LABEL, threshold/all")]
    UnknownSetting,
    /// The model has no such label.
    #[error("the model has no label of that name; as topic levels it has: {known}, and all")]
    UnknownLabel {
        /// Those that there are.
        known: String,
    },
    /// The camera has nothing of that kind.
    #[error("by its configuration this camera has no {what} to be switched")]
    NotHere {
        /// What was to be switched.
        what: &'static str,
    },
    /// The broker keeps it.
    #[error(
        "the command is retained, so it would come again at every connection; publish it without the retain flag, and \
         remove this one with an empty retained message"
    )]
    Retained,
    /// It says nothing.
    #[error("the payload is empty; {expected} is expected")]
    Empty {
        /// What would do.
        expected: &'static str,
    },
    /// It says far too much.
    #[error("the payload has {bytes} bytes; {expected} is expected")]
    TooLong {
        /// How much.
        bytes: usize,
        /// What would do.
        expected: &'static str,
    },
    /// It is no text.
    #[error("the payload is no UTF-8 text; {expected} is expected")]
    NoText {
        /// What would do.
        expected: &'static str,
    },
    /// It is something else.
    #[error("{expected} is expected")]
    NoValue {
        /// What would do.
        expected: &'static str,
    },
    /// Too many come at once.
    #[error("more than {rate} commands a second; those beyond are ignored")]
    TooMany {
        /// How many a second are heard in the long run.
        rate: u32,
    },
    /// The lanes don't take any more.
    #[error("the inference is busy, and the command was not carried out; try again")]
    Busy,
}

const SWITCH: &str = "ON or OFF";
const FRACTION: &str = "a number from 0 to 1 such as 0.4";

/// A message on [`Commands::filters`], read.
enum Wanted {
    Switch(fn(bool) -> Change),
    Threshold(Option<u16>),
}

/// Knows which commands a site takes.
#[derive(Clone, Debug)]
pub struct Commands {
    base: String,
    cameras: Vec<SiteCamera>,
    levels: LabelLevels,
}

impl Commands {
    /// For a site.
    ///
    /// # Errors
    /// When the prefix or the device has a name that can't be a topic level.
    pub fn new(site: &Site) -> Result<Commands, Error> {
        Ok(Commands {
            base: Topics::new(&site.prefix, &site.device)?.base().to_owned(),
            cameras: site.cameras.clone(),
            levels: LabelLevels::new(&site.labels),
        })
    }

    /// What is to be subscribed to: everything that ends as a command does, so that a slip is answered too.
    pub fn filters(&self) -> Vec<String> {
        vec![format!("{}/+/+/set", self.base), format!("{}/+/+/+/set", self.base)]
    }

    /// What a message asks for.
    ///
    /// # Errors
    /// Why it is not carried out.
    pub fn read(&self, message: &Received) -> Result<Command, Refusal> {
        let levels = message.topic.strip_prefix(&self.base).and_then(|rest| rest.strip_prefix('/'));
        let levels: Vec<&str> = levels.unwrap_or_default().split('/').take(5).collect();
        let camera = levels.first().and_then(|name| self.cameras.iter().find(|camera| camera.name == **name));
        let refuse = |reason| Refusal { camera: camera.map(|camera| camera.name.clone()), reason };
        let Some(camera) = camera else {
            let names: Vec<String> = self.cameras.iter().map(|camera| camera.name.clone()).collect();
            return Err(refuse(Reason::UnknownCamera { known: listed(&names) }));
        };
        let wanted = self.wanted(camera, levels.get(1..).unwrap_or_default()).map_err(refuse)?;
        // An empty one removes what was retained.
        if message.retained && message.bytes > 0 {
            return Err(refuse(Reason::Retained));
        }
        let change = match wanted {
            Wanted::Switch(change) => change(value(message, SWITCH, switch).map_err(refuse)?),
            Wanted::Threshold(class_id) => {
                Change::Threshold { class_id, score: value(message, FRACTION, fraction).map_err(refuse)? }
            }
        };
        Ok(Command { camera: camera.name.clone(), change })
    }

    /// A change in a few words for the log.
    pub fn describe(&self, change: Change) -> String {
        match change {
            Change::Detect(on) => format!("detection {}", if on { "on" } else { "off" }),
            Change::Motion(on) => format!("motion gate {}", if on { "on" } else { "off" }),
            Change::Snapshot(on) => format!("snapshots {}", if on { "on" } else { "off" }),
            Change::Threshold { class_id: Some(class_id), score } => {
                format!("threshold of {} {score}", self.levels.of(class_id))
            }
            Change::Threshold { class_id: None, score } => format!("every threshold {score}"),
        }
    }

    /// What the levels after the camera's ask for.
    fn wanted(&self, camera: &SiteCamera, levels: &[&str]) -> Result<Wanted, Reason> {
        match levels {
            ["detect", "set"] => Ok(Wanted::Switch(Change::Detect)),
            ["motion", "set"] if camera.motion => Ok(Wanted::Switch(Change::Motion)),
            ["motion", "set"] => Err(Reason::NotHere { what: "motion gate" }),
            ["snapshot", "set"] if camera.snapshots => Ok(Wanted::Switch(Change::Snapshot)),
            ["snapshot", "set"] => Err(Reason::NotHere { what: "snapshots" }),
            ["threshold", label, "set"] => match self.levels.class(label) {
                Some(class_id) => Ok(Wanted::Threshold(Some(class_id))),
                None if *label == "all" => Ok(Wanted::Threshold(None)),
                None => Err(Reason::UnknownLabel { known: listed(self.levels.all()) }),
            },
            _ => Err(Reason::UnknownSetting),
        }
    }
}

/// The value of a payload: text without the space around it.
fn value<T>(message: &Received, expected: &'static str, read: fn(&str) -> Option<T>) -> Result<T, Reason> {
    if message.bytes > LONGEST {
        return Err(Reason::TooLong { bytes: message.bytes, expected });
    }
    let text = std::str::from_utf8(&message.payload).map_err(|_| Reason::NoText { expected })?;
    match text.trim_ascii() {
        "" => Err(Reason::Empty { expected }),
        text => read(text).ok_or(Reason::NoValue { expected }),
    }
}

/// `ON` and `OFF` are what Home Assistant and Frigate's users send; the others are what people write by hand.
fn switch(text: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(["ON", "true", "1"]) {
        Some(true)
    } else if is_one_of(["OFF", "false", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// Digits with or without a point: no sign, no exponent, nothing that a machine alone would call a number.
fn fraction(text: &str) -> Option<f32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|score| plain && (0.0..=1.0).contains(score))
}

/// The first of some names, so that no list of eighty fills a screen.
fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let mut text = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        text += &format!(" and {} more", names.len() - MOST);
    }
    text
}

/// The first `longest` characters of a text that a stranger wrote, with whatever is not plain ASCII written as an escape.
pub(super) fn quoted(text: &str, longest: usize) -> Cow<'_, str> {
    let plain = |c: char| c == ' ' || c.is_ascii_graphic();
    if text.len() <= longest && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::new();
    for c in text.chars().take(longest) {
        if plain(c) { quoted.push(c) } else { quoted.extend(c.escape_unicode()) }
    }
    if text.chars().nth(longest).is_some() {
        quoted.push_str("...");
    }
    Cow::Owned(quoted)
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
