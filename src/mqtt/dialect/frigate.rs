//! Frigate's dialect: the topics and the events of Frigate NVR 0.16, for what was made to listen to it. What differs is
//! told in docs/frigate.md.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Dialect, Occasion, Say, Site, SiteCamera, Snapshot, Voice, VoiceOptions};
use crate::capture::State;
use crate::clock::Moment;
use crate::mqtt::commands::Setting;
use crate::mqtt::payload::{DeviceStats, to_json};
use crate::mqtt::topics::{LabelLevels, check_prefix};
use crate::mqtt::{Error, Message};
use crate::scene::objects::Happened;
use crate::scene::{Fact, Place};

mod event;
mod stats;

use event::{Event, Seen};

/// The number of objects in a zone, which may be in the pictures of several cameras: by zone and label, by camera.
type Zones = Arc<Mutex<HashMap<String, HashMap<String, u32>>>>;

/// See the module's words.
#[derive(Clone, Debug)]
pub struct Frigate {
    site: Arc<Site>,
    levels: Arc<LabelLevels>,
    prefix: String,
    zones: Zones,
}

impl Frigate {
    /// For a site, under a prefix of Frigate's own (`frigate`).
    ///
    /// # Errors
    /// When the prefix can't begin a topic.
    pub fn new(site: Arc<Site>, prefix: &str) -> Result<Frigate, Error> {
        check_prefix(prefix)?;
        let levels = Arc::new(LabelLevels::new(&site.labels));
        Ok(Frigate { site, levels, prefix: prefix.to_owned(), zones: Zones::default() })
    }

    fn available(&self, word: &str, say: Say<'_>) {
        say(Message::state(format!("{}/available", self.prefix), word));
    }

    fn detection(&self, camera: &str, state: State, say: Say<'_>) {
        say(Message::state(format!("{}/{camera}/status/detect", self.prefix), status(state)));
    }
}

/// Frigate knows no stall: a camera that gives nothing is offline.
fn status(state: State) -> &'static str {
    if state == State::Online { "online" } else { "offline" }
}

impl Dialect for Frigate {
    fn introduce(&self, say: Say<'_>) {
        self.available("online", say);
        for camera in &self.site.cameras {
            self.detection(&camera.name, State::Offline, say);
        }
    }

    fn take_leave(&self, say: Say<'_>) {
        for camera in &self.site.cameras {
            self.detection(&camera.name, State::Offline, say);
        }
        self.available("stopped", say);
    }

    fn voice(&self, options: &VoiceOptions<'_>) -> Box<dyn Voice> {
        Box::new(FrigateVoice {
            dialect: self.clone(),
            camera: options.camera.clone(),
            counts: HashMap::new(),
            told: HashMap::new(),
            detecting: true,
            within_hours: true,
        })
    }

    fn stats(&self, stats: &DeviceStats<'_>, say: Say<'_>) {
        say(Message::sample(format!("{}/stats", self.prefix), to_json(&stats::of(stats))));
    }
}

/// One camera's voice.
struct FrigateVoice {
    dialect: Frigate,
    camera: SiteCamera,
    /// Objects in all of the picture by class, and how many of them are active.
    counts: HashMap<u16, [u32; 2]>,
    /// What was last told of each object that has not ended.
    told: HashMap<u64, Seen>,
    /// Whether a command lets it be looked at…
    detecting: bool,
    /// …and whether its hours do.
    within_hours: bool,
}

impl FrigateVoice {
    /// Frigate knows no hours: outside of them detection is off, and this is where its users look for that.
    fn say_detecting(&self, say: Say<'_>) {
        let topic = format!("{}/{}/detect/state", self.dialect.prefix, self.camera.name);
        let on = self.detecting && self.within_hours;
        say(Message::state(topic, if on { "ON" } else { "OFF" }));
    }

    fn count(&mut self, place: Place, class_id: u16, count: u32, active: bool, say: Say<'_>) {
        let level = self.dialect.levels.of(class_id).to_owned();
        let prefix = &self.dialect.prefix;
        let end = if active { "/active" } else { "" };
        match place {
            Place::Camera => {
                let camera = &self.camera.name;
                self.counts.entry(class_id).or_default()[usize::from(active)] = count;
                let all: u32 = self.counts.values().map(|counts| counts[usize::from(active)]).sum();
                say(Message::state(format!("{prefix}/{camera}/{level}{end}"), count.to_string()));
                say(Message::state(format!("{prefix}/{camera}/all{end}"), all.to_string()));
            }
            Place::Zone(zone) => {
                let Some(zone) = self.camera.zones.get(zone) else { return };
                let topic = format!("{prefix}/{}/{level}{end}", zone.name);
                let mut zones = self.dialect.zones.lock().unwrap_or_else(PoisonError::into_inner);
                let cameras = zones.entry(topic.clone()).or_default();
                cameras.insert(self.camera.name.clone(), count);
                let all: u32 = cameras.values().sum();
                drop(zones);
                say(Message::state(topic, all.to_string()));
            }
        }
    }
}

impl Voice for FrigateVoice {
    fn status(&mut self, state: State, say: Say<'_>) {
        self.dialect.detection(&self.camera.name, state, say);
    }

    fn fact(&mut self, fact: &Fact, of: &Occasion, _now: Moment, say: Say<'_>) {
        match fact {
            Fact::Count { place, class_id, count } => self.count(*place, *class_id, *count, false, say),
            Fact::Active { place, class_id, count } => self.count(*place, *class_id, *count, true, say),
            Fact::Object { happened, object } => {
                let site = &self.dialect.site;
                let before = self.told.remove(&object.id);
                let after = Seen::of(object, of, site, &self.camera, *happened, before.as_ref());
                let event = Event::new(*happened, before.unwrap_or_else(|| after.clone()), after.clone());
                say(Message::event(format!("{}/events", self.dialect.prefix), to_json(&event)));
                if !matches!(happened, Happened::End(_)) {
                    self.told.insert(object.id, after);
                }
            }
            Fact::Motion { moving } => {
                let topic = format!("{}/{}/motion", self.dialect.prefix, self.camera.name);
                say(Message::state(topic, if *moving { "ON" } else { "OFF" }));
            }
            Fact::Hours { place: Place::Camera, within } => {
                self.within_hours = *within;
                self.say_detecting(say);
            }
            // What is so of a zone outside of its hours its counts say.
            Fact::Hours { place: Place::Zone(_), .. } => {}
            // Frigate has neither: an occupancy is what a count of more than none means, and there are no lines.
            Fact::Occupancy { .. } | Fact::Crossings { .. } => {}
        }
    }

    fn setting(&mut self, setting: &Setting, say: Say<'_>) {
        if let Setting::Detect(on) = *setting {
            self.detecting = on;
            self.say_detecting(say);
        }
    }

    fn snapshot(&mut self, snapshot: &Snapshot<'_>, say: Say<'_>) {
        let (prefix, camera) = (&self.dialect.prefix, &self.camera.name);
        let topic = format!("{prefix}/{camera}/{}/snapshot", self.dialect.levels.of(snapshot.class_id));
        say(Message::picture(topic, snapshot.jpeg, snapshot.retain));
    }
}

#[cfg(test)]
#[path = "frigate/tests.rs"]
mod tests;
