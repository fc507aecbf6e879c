//! What an earlier configuration has left at the broker. The retained discovery messages are the memory: they say which
//! devices and which entities there were, and no file has to.
//!
//! An entity that is no more is removed by a component with nothing but its platform, and Home Assistant forgets it, its
//! name and its place on dashboards. The message stays like that: at the next start it has nothing to remove. Removed
//! entities come first in it, for Home Assistant gives up on a message at the first entity that it is still busy with.

use serde::Deserialize;
use std::collections::BTreeMap;

use super::HomeAssistant;
use super::discovery::{Component, ORIGIN};
use crate::mqtt::Message;
use crate::mqtt::dialect::{Heard, Say};

/// As much of a discovery message as matters here; other programs' messages have other things in them.
#[derive(Deserialize)]
struct Earlier {
    origin: Origin,
    #[serde(default)]
    components: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
}

#[derive(Deserialize)]
struct Origin {
    name: String,
}

impl HomeAssistant {
    /// Compares a retained discovery message with what there is, and says what is no more.
    pub(super) fn compare(&self, heard: &Heard<'_>, say: Say<'_>) {
        let Ok(earlier) = serde_json::from_slice::<Earlier>(heard.payload) else { return };
        if earlier.origin.name != ORIGIN {
            return;
        }
        let Some(mut now) = self.introductions().find(|introduction| introduction.topic == heard.topic)
        else {
            return say(Message::retired(heard.topic));
        };
        let is_there = |id: &String| now.discovery.components.iter().any(|(known, _)| known == id);
        let mut gone = Vec::new();
        for (id, component) in earlier.components.into_iter().filter(|(id, _)| !is_there(id)) {
            // One that has only a platform was removed before.
            if let Some(platform) = component.get("platform").and_then(|platform| platform.as_str())
                && component.len() > 1
            {
                gone.push((id, Component::removed(platform)));
            }
        }
        if !gone.is_empty() {
            now.discovery.components.splice(0..0, gone);
            say(now.message());
        }
    }
}
