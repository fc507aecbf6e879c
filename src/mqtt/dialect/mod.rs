//! The ways in which facts are said. A [`Dialect`] introduces a [`Site`] and gives each camera a [`Voice`], which turns
//! its facts into messages; several dialects may speak at once, and none knows of another.

use crate::capture::State;
use crate::clock::{Moment, Trust};
use crate::detector::Detection;
use crate::geometry::Size;
use crate::scene::Fact;

use super::Message;
use super::commands::{Received, Refusal, Setting};
use super::payload::{DeviceStats, Stages};

mod frigate;
pub mod homeassistant;
mod native;

pub use frigate::Frigate;
pub use homeassistant::HomeAssistant;
pub use native::Native;

/// Takes the messages that a dialect makes.
pub type Say<'a> = &'a mut dyn FnMut(Message);

/// Who speaks, and about what.
#[derive(Clone, Debug)]
pub struct Site {
    /// First level or levels of every topic.
    pub prefix: String,
    /// The device's name.
    pub device: String,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// The program's own id of this run, which never comes again.
    pub run_id: String,
    /// The model's name.
    pub model: String,
    /// The model's labels, by class.
    pub labels: Vec<String>,
    /// The cameras.
    pub cameras: Vec<SiteCamera>,
    /// Whether the wall clock is known to be right; read anew for each message that carries a time.
    pub trust: Trust,
    /// Whether commands are heard.
    pub commands: bool,
}

/// What subscribers may know of a camera.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SiteCamera {
    /// Its name.
    pub name: String,
    /// Its zones, in the order of their indices.
    pub zones: Vec<SitePart>,
    /// Its lines, in the order of their indices.
    pub lines: Vec<SitePart>,
    /// Whether pictures of what it sees are made.
    pub snapshots: bool,
    /// Whether a motion gate tells of motion.
    pub motion: bool,
    /// Whether it has hours.
    pub hours: bool,
}

impl From<&str> for SiteCamera {
    /// One with nothing drawn into its picture.
    fn from(name: &str) -> SiteCamera {
        SiteCamera { name: name.to_owned(), ..SiteCamera::default() }
    }
}

/// A zone or a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SitePart {
    /// Its name.
    pub name: String,
    /// By class, whether its objects count there; empty: all do.
    pub classes: Vec<bool>,
    /// Whether it has hours.
    pub hours: bool,
}

impl SitePart {
    /// Whether objects of a class count there.
    pub fn counts(&self, class_id: u16) -> bool {
        self.classes.is_empty() || self.classes.get(usize::from(class_id)).copied().unwrap_or(false)
    }
}

/// The frame that something came of.
#[derive(Clone, Copy, Debug)]
pub struct Occasion {
    /// Sequence number of the frame.
    pub seq: u64,
    /// When it was captured.
    pub captured: Moment,
    /// Its size.
    pub size: Size,
    /// How long its stages took.
    pub stages: Stages,
}

/// One processed frame.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The frame.
    pub frame: Occasion,
    /// What was seen, boxes in pixels of the frame, the surest first.
    pub detections: &'a [Detection],
    /// When it was done.
    pub done: Moment,
}

/// A picture of what a camera sees.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// What is seen in it, as an index into the model's names.
    pub class_id: u16,
    /// The picture.
    pub jpeg: &'a [u8],
    /// Whether it is to be kept for those who subscribe later.
    pub retain: bool,
}

/// What somebody else has published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard<'a> {
    /// Where.
    pub topic: &'a str,
    /// What, all of it.
    pub payload: &'a [u8],
    /// Whether the broker had kept it, so that it is older than the subscription.
    pub retained: bool,
}

/// Tells what an earlier configuration of the same device has left at the broker from what is still said.
pub trait Leftovers: Send + Sync {
    /// Filters of the retained topics that may be left. The broker is asked for one after the other, and nothing but topics and
    /// plain values should come of it.
    fn filters(&self) -> Vec<String>;

    /// The topics to be retired when a retained value is found that nobody says any more, that of the value last; none where
    /// somebody does, or the value is not of this dialect's making.
    fn of(&self, topic: &str, payload: &[u8]) -> Vec<String>;
}

/// A way of saying facts.
pub trait Dialect: Send {
    /// What subscribers are to know of the site before there is any fact.
    fn introduce(&self, say: Say<'_>);

    /// What they are to know when the daemon stops.
    fn take_leave(&self, say: Say<'_>);

    /// The voice for one of the site's cameras.
    fn voice(&self, camera: &VoiceOptions<'_>) -> Box<dyn Voice>;

    /// What it has to hear, as filters of topics to be subscribed to before anything is said on a new connection.
    fn filters(&self) -> Vec<String> {
        Vec::new()
    }

    /// Tells what an earlier configuration has left at the broker, if it has a memory for that nowhere else.
    fn leftovers(&self) -> Option<Box<dyn Leftovers>> {
        None
    }

    /// Somebody published what one of its filters fits.
    fn heard(&self, _heard: &Heard<'_>, _say: Say<'_>) {}

    /// A command was not carried out.
    fn refused(&self, _message: &Received, _refusal: &Refusal, _now: Moment, _say: Say<'_>) {}

    /// The device's figures.
    fn stats(&self, _stats: &DeviceStats<'_>, _say: Say<'_>) {}
}

/// What a voice has to know of its camera.
#[derive(Clone, Copy, Debug)]
pub struct VoiceOptions<'a> {
    /// The camera, one of the site's.
    pub camera: &'a SiteCamera,
    /// Looks a second at most.
    pub max_fps: f32,
    /// Messages about single looks a second, at most; 0: none.
    pub detections_max_fps: f32,
}

/// Says what is so with one camera.
pub trait Voice: Send {
    /// Whether it gives frames.
    fn status(&mut self, state: State, say: Say<'_>);

    /// A fact about what it sees, which came of a frame, or of the time since the last one; it is `now`.
    fn fact(&mut self, fact: &Fact, of: &Occasion, now: Moment, say: Say<'_>);

    /// A picture of what it sees. It may come from another thread, and so to another voice, than the facts.
    fn snapshot(&mut self, _snapshot: &Snapshot<'_>, _say: Say<'_>) {}

    /// What its configuration or a command has set; each setting is said at the start, and again when it was set.
    fn setting(&mut self, _setting: &Setting, _say: Say<'_>) {}

    /// A look at one of its frames, after the facts that came of it.
    fn look(&mut self, _look: &Look<'_>, _say: Say<'_>) {}
}
