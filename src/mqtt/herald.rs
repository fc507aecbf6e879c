//! The [`Herald`] of one camera: says what is so in every dialect, and hands the messages to the publisher.

use super::commands::Setting;
use super::dialect::{Look, Occasion, Snapshot, Voice};
use super::publisher::Publisher;
use crate::capture::State;
use crate::clock::Moment;
use crate::scene::Fact;

/// A camera's voices and where they are heard.
pub struct Herald {
    voices: Vec<Box<dyn Voice>>,
    publisher: Publisher,
}

impl Herald {
    /// One voice a dialect.
    pub fn new(voices: Vec<Box<dyn Voice>>, publisher: Publisher) -> Herald {
        Herald { voices, publisher }
    }

    /// Whether the camera gives frames.
    pub fn status(&mut self, state: State) {
        for voice in &mut self.voices {
            voice.status(state, &mut |message| self.publisher.publish(message));
        }
    }

    /// A fact about what the camera sees, which came of a frame, or of the time since the last one; it is `now`.
    pub fn fact(&mut self, fact: &Fact, of: &Occasion, now: Moment) {
        for voice in &mut self.voices {
            voice.fact(fact, of, now, &mut |message| self.publisher.publish(message));
        }
    }

    /// A picture of what the camera sees.
    pub fn snapshot(&mut self, snapshot: &Snapshot<'_>) {
        for voice in &mut self.voices {
            voice.snapshot(snapshot, &mut |message| self.publisher.publish(message));
        }
    }

    /// What the configuration or a command has set.
    pub fn setting(&mut self, setting: &Setting) {
        for voice in &mut self.voices {
            voice.setting(setting, &mut |message| self.publisher.publish(message));
        }
    }

    /// A look at one of the camera's frames.
    pub fn look(&mut self, look: &Look<'_>) {
        for voice in &mut self.voices {
            voice.look(look, &mut |message| self.publisher.publish(message));
        }
    }
}
