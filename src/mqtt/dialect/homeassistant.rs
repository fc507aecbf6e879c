//! The dialect `homeassistant`: introduces the device and its cameras to Home Assistant, so that everything has an entity
//! with a name, a meaning and an availability. The values are those of the native dialect; this one only says where they are.
//!
//! One retained message a device on `<discovery_prefix>/device/…/config` (device-based discovery, Home Assistant 2024.11
//! and later). The board is a device, and each camera is one too, reached via the board: an area, a dashboard's card or an
//! automation is about what a camera sees, seldom about the board, and `Front` + `Person count` reads as people speak.
//!
//! What an earlier configuration had is known from the earlier message itself, which the broker kept; see [`earlier`].

use std::sync::Arc;

use super::{Dialect, Heard, Say, Site, SiteCamera, Voice, VoiceOptions};
use crate::capture::State;
use crate::clock::Moment;
use crate::mqtt::dialect::Occasion;
use crate::mqtt::topics::{CameraTopics, LabelLevels, Topics};
use crate::mqtt::{Error, Message, payload};
use crate::scene::Fact;

mod board;
mod camera;
mod discovery;
mod earlier;
mod labels;
mod words;

use discovery::Discovery;

/// What Home Assistant is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// First level or levels of its discovery topics.
    pub discovery_prefix: String,
    /// Where it says that it has started…
    pub birth_topic: String,
    /// …and what it says then.
    pub birth_payload: String,
    /// The labels that get entities; `None`: by camera those of its zones and lines, or else common ones.
    pub labels: Option<Vec<String>>,
}

/// See the module's words.
#[derive(Clone, Debug)]
pub struct HomeAssistant {
    site: Arc<Site>,
    options: Options,
    topics: Topics,
    levels: LabelLevels,
}

/// A device's discovery message and its topic.
struct Introduction {
    topic: String,
    discovery: Discovery,
}

impl Introduction {
    fn message(&self) -> Message {
        Message::state(self.topic.as_str(), payload::to_json(&self.discovery))
    }
}

impl HomeAssistant {
    /// For a site.
    ///
    /// # Errors
    /// When the prefix, the device or a camera has a name that can't be a topic level.
    pub fn new(site: Arc<Site>, options: Options) -> Result<HomeAssistant, Error> {
        let topics = Topics::new(&site.prefix, &site.device)?;
        site.cameras.iter().try_for_each(|camera| topics.camera(&camera.name).map(drop))?;
        let levels = LabelLevels::new(&site.labels);
        Ok(HomeAssistant { site, options, topics, levels })
    }

    /// The board first, for the cameras refer to it.
    fn introductions(&self) -> impl Iterator<Item = Introduction> {
        let board = Introduction { topic: self.topic(""), discovery: board::discovery(self) };
        let cameras = self.site.cameras.iter().map(|camera| Introduction {
            topic: self.topic(&format!("/{}", words::id(&camera.name))),
            discovery: camera::discovery(self, camera),
        });
        std::iter::once(board).chain(cameras)
    }

    /// What identifies the board in Home Assistant's registry, and begins the unique ids of its entities: the topic under
    /// which all that it says stands. Who changes that changes what it is; nothing else does.
    fn board_base(&self) -> String {
        format!("{}/{}", self.site.prefix, self.site.device)
    }

    /// The same of a camera.
    fn camera_base(&self, camera: &SiteCamera) -> String {
        format!("{}/{}", self.board_base(), camera.name)
    }

    fn camera_topics(&self, camera: &SiteCamera) -> CameraTopics {
        self.topics.camera_checked(&camera.name)
    }

    /// The board's own topic, or that of a camera, which lies below the board's id.
    fn topic(&self, below: &str) -> String {
        format!("{}/device/{}{below}/config", self.options.discovery_prefix, words::id(&self.board_base()))
    }
}

impl Dialect for HomeAssistant {
    fn introduce(&self, say: Say<'_>) {
        for introduction in self.introductions() {
            say(introduction.message());
        }
    }

    /// The devices are still there when they are off: their status says so.
    fn take_leave(&self, _say: Say<'_>) {}

    fn voice(&self, _options: &VoiceOptions<'_>) -> Box<dyn Voice> {
        Box::new(Silent)
    }

    fn filters(&self) -> Vec<String> {
        vec![self.options.birth_topic.clone(), self.topic(""), self.topic("/+")]
    }

    /// Home Assistant's birth: everything is introduced again. Or what an earlier configuration has left at the broker.
    fn heard(&self, heard: &Heard<'_>, say: Say<'_>) {
        if heard.topic == self.options.birth_topic {
            if heard.payload == self.options.birth_payload.as_bytes() {
                self.introduce(say);
            }
        } else if heard.retained {
            self.compare(heard, say);
        }
    }
}

/// The values are said by the native dialect.
struct Silent;

impl Voice for Silent {
    fn status(&mut self, _state: State, _say: Say<'_>) {}

    fn fact(&mut self, _fact: &Fact, _of: &Occasion, _now: Moment, _say: Say<'_>) {}
}

#[cfg(test)]
mod tests;
