//! Vigie's own dialect, the topics of `docs/mqtt.md`. It always speaks.

use std::sync::Arc;

use super::{Dialect, Leftovers, Look, Occasion, Say, Site, SiteCamera, Snapshot, Voice, VoiceOptions};
use crate::capture::State;
use crate::clock::Moment;
use crate::mqtt::commands::{Received, Refusal, Setting};
use crate::mqtt::payload::{self, Detections, DeviceStats, Event, EventFacts, FrameFacts, Origin, Refused};
use crate::mqtt::topics::{CameraTopics, LabelLevels, LabelTopics, Topics};
use crate::mqtt::{Error, Message};
use crate::scene::{Fact, Place};
use crate::turn::Turn;

mod leftovers;

/// See the module's words.
#[derive(Clone, Debug)]
pub struct Native {
    site: Arc<Site>,
    topics: Topics,
    levels: Arc<LabelLevels>,
}

impl Native {
    /// For a site.
    ///
    /// # Errors
    /// When the prefix, the device or a camera has a name that can't be a topic level.
    pub fn new(site: Arc<Site>) -> Result<Native, Error> {
        let topics = Topics::new(&site.prefix, &site.device)?;
        site.cameras.iter().try_for_each(|camera| topics.camera(&camera.name).map(drop))?;
        let levels = Arc::new(LabelLevels::new(&site.labels));
        Ok(Native { site, topics, levels })
    }

    fn origin(&self) -> Origin<'_> {
        origin(&self.site)
    }

    fn all_offline(&self, say: Say<'_>) {
        for camera in self.site.cameras.iter().filter_map(|camera| self.topics.camera(&camera.name).ok()) {
            say(Message::state(camera.status(), State::Offline.name()));
        }
    }
}

impl Dialect for Native {
    /// Each camera is offline until it has been opened, whatever an earlier run left at the broker.
    fn introduce(&self, say: Say<'_>) {
        self.all_offline(say);
    }

    fn take_leave(&self, say: Say<'_>) {
        self.all_offline(say);
    }

    fn voice(&self, options: &VoiceOptions<'_>) -> Box<dyn Voice> {
        Box::new(NativeVoice {
            site: Arc::clone(&self.site),
            levels: Arc::clone(&self.levels),
            camera: options.camera.clone(),
            topics: self.topics.camera_checked(&options.camera.name),
            detections: Rate::new(options.detections_max_fps, options.max_fps),
        })
    }

    fn leftovers(&self) -> Option<Box<dyn Leftovers>> {
        Some(Box::new(self.clone()))
    }

    fn refused(&self, message: &Received, refusal: &Refusal, now: Moment, say: Say<'_>) {
        let topic = match &refusal.camera {
            Some(camera) => self.topics.camera_checked(camera).error(),
            None => self.topics.error(),
        };
        let answer = Refused::new(self.origin(), message, refusal, now);
        say(Message::sample(topic, payload::to_json(&answer)));
    }

    fn stats(&self, stats: &DeviceStats<'_>, say: Say<'_>) {
        say(Message::sample(self.topics.stats(), payload::to_json(stats)));
    }
}

fn origin(site: &Site) -> Origin<'_> {
    Origin { device: &site.device, boot_id: &site.boot_id, clock_synced: site.trust.is_synced() }
}

/// One camera's voice.
struct NativeVoice {
    site: Arc<Site>,
    levels: Arc<LabelLevels>,
    camera: SiteCamera,
    topics: CameraTopics,
    detections: Rate,
}

impl NativeVoice {
    fn origin(&self) -> Origin<'_> {
        origin(&self.site)
    }

    fn frame(&self, of: &Occasion) -> FrameFacts<'_> {
        let Occasion { seq, captured, size, stages } = *of;
        FrameFacts { camera: &self.camera.name, seq, captured, size, stages, model: &self.site.model }
    }

    fn zone(&self, zone: usize) -> &str {
        self.camera.zones.get(zone).map_or("_", |zone| &zone.name)
    }

    fn hours(&self, place: Place) -> String {
        match place {
            Place::Camera => self.topics.hours(),
            Place::Zone(zone) => self.topics.zone_hours(self.zone(zone)),
        }
    }

    fn label(&self, place: Place, class_id: u16) -> LabelTopics {
        let level = self.levels.of(class_id);
        match place {
            Place::Camera => self.topics.label(level),
            Place::Zone(zone) => self.topics.zone_label(self.zone(zone), level),
        }
    }
}

impl Voice for NativeVoice {
    fn status(&mut self, state: State, say: Say<'_>) {
        say(Message::state(self.topics.status(), state.name()));
    }

    fn fact(&mut self, fact: &Fact, of: &Occasion, now: Moment, say: Say<'_>) {
        match fact {
            Fact::Count { place, class_id, count } => {
                say(Message::state(self.label(*place, *class_id).count(), count.to_string()));
            }
            Fact::Active { place, class_id, count } => {
                say(Message::state(self.label(*place, *class_id).active(), count.to_string()));
            }
            Fact::Occupancy { place, class_id, occupied } => {
                let topic = self.label(*place, *class_id).occupancy();
                say(Message::state(topic, on_or_off(*occupied)));
            }
            Fact::Crossings { line, class_id, direction, total } => {
                let line = self.camera.lines.get(*line).map_or("_", |line| &line.name);
                let topic = self.topics.line(line, self.levels.of(*class_id), payload::way(*direction));
                say(Message::state(topic, total.to_string()));
            }
            Fact::Hours { place, within } => say(Message::state(self.hours(*place), on_or_off(*within))),
            Fact::Motion { moving } => say(Message::state(self.topics.motion(), on_or_off(*moving))),
            Fact::Object { happened, object } => {
                let id = payload::object_id(&self.site.run_id, &self.camera.name, object.id);
                let snapshots =
                    self.camera.snapshots.then(|| self.topics.snapshot(self.levels.of(object.class_id)));
                let names =
                    EventFacts { id: &id, labels: &self.site.labels, camera: &self.camera, snapshots };
                let event = Event::new(self.origin(), self.frame(of), names, *happened, object, now);
                say(Message::event(self.topics.events(), payload::to_json(&event)));
            }
        }
    }

    fn snapshot(&mut self, snapshot: &Snapshot<'_>, say: Say<'_>) {
        let topic = self.topics.snapshot(self.levels.of(snapshot.class_id));
        say(Message::picture(topic, snapshot.jpeg, snapshot.retain));
    }

    fn setting(&mut self, setting: &Setting, say: Say<'_>) {
        say(match *setting {
            Setting::Detect(on) => Message::state(self.topics.detect_state(), on_or_off(on)),
            Setting::Motion(on) => Message::state(self.topics.motion_state(), on_or_off(on)),
            Setting::Snapshot(on) => Message::state(self.topics.snapshot_state(), on_or_off(on)),
            Setting::Threshold { class_id, score } => {
                Message::state(self.topics.threshold_state(self.levels.of(class_id)), score.to_string())
            }
        });
    }

    fn look(&mut self, look: &Look<'_>, say: Say<'_>) {
        if !self.detections.tells(look) {
            return;
        }
        let (origin, frame) = (self.origin(), self.frame(&look.frame));
        let message = Detections::new(origin, frame, &self.site.labels, look.detections, look.done);
        say(Message::sample(self.topics.detections(), payload::to_json(&message)));
    }
}

fn on_or_off(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

/// How often detections messages go out.
#[derive(Debug)]
enum Rate {
    Never,
    EveryLook,
    AtMost(Turn),
}

impl Rate {
    /// `fps` messages a second of the up to `max_fps` frames a second that are looked at.
    fn new(fps: f32, max_fps: f32) -> Rate {
        if fps <= 0.0 {
            Rate::Never
        } else if fps >= max_fps {
            Rate::EveryLook
        } else {
            Rate::AtMost(Turn::new(fps))
        }
    }

    /// Whether this look is told of.
    fn tells(&mut self, look: &Look<'_>) -> bool {
        match self {
            Rate::Never => false,
            Rate::EveryLook => true,
            Rate::AtMost(turn) => turn.take(look.frame.captured.monotonic),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::clock::{Clock, SystemClock, Trust};
    use crate::geometry::{BBox, Size};
    use crate::mqtt::Class;
    use crate::mqtt::dialect::SitePart;
    use crate::mqtt::payload::Stages;
    use crate::scene::objects::{Crossed, Happened, Object, Reason};
    use crate::scene::path::Path;
    use crate::scene::view::View;
    use crate::scene::zones::Direction;

    fn site() -> Arc<Site> {
        Arc::new(Site {
            prefix: "vigie".into(),
            device: "porch".into(),
            boot_id: "b00t".into(),
            run_id: "b00t-1".into(),
            model: "m".into(),
            labels: vec!["person".into(), "traffic light".into(), "traffic_light".into()],
            cameras: vec![front_camera(), SiteCamera { name: "back".into(), ..SiteCamera::default() }],
            trust: Trust::default(),
            commands: true,
        })
    }

    fn front_camera() -> SiteCamera {
        let part = |name: &str| SitePart { name: name.into(), ..SitePart::default() };
        SiteCamera {
            name: "front".into(),
            zones: vec![part("street"), part("steps")],
            lines: vec![part("gate"), part("kerb")],
            snapshots: true,
            motion: false,
            hours: true,
        }
    }

    fn front(camera: &SiteCamera, detections_max_fps: f32) -> VoiceOptions<'_> {
        VoiceOptions { camera, max_fps: 5.0, detections_max_fps }
    }

    fn at(ms: u64) -> Moment {
        let monotonic = Duration::from_millis(ms);
        Moment { monotonic, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + monotonic }
    }

    fn occasion() -> Occasion {
        let size = Size::new(640, 480);
        Occasion { seq: 7, captured: at(5_000), size, stages: Stages::default() }
    }

    fn said(work: impl FnOnce(Say<'_>)) -> Vec<(String, String)> {
        let mut said = Vec::new();
        work(&mut |message: Message| {
            assert!(message.retain == (message.class == Class::State), "{message:?}");
            said.push((message.topic, String::from_utf8(message.payload).unwrap()));
        });
        said
    }

    #[test]
    fn facts_are_retained_values_under_their_label() {
        let mut voice = Native::new(site()).unwrap().voice(&front(&front_camera(), 0.0));
        let fact =
            |voice: &mut dyn Voice, fact| said(|say| voice.fact(&fact, &occasion(), at(0), say)).remove(0);
        let (camera, steps) = (Place::Camera, Place::Zone(1));
        for (said, topic, payload) in [
            (Fact::Count { place: camera, class_id: 0, count: 2 }, "person/count", "2"),
            (Fact::Active { place: camera, class_id: 0, count: 1 }, "person/active", "1"),
            (Fact::Occupancy { place: camera, class_id: 1, occupied: true }, "traffic_light/occupancy", "ON"),
            (
                Fact::Occupancy { place: camera, class_id: 2, occupied: false },
                "traffic_light_2/occupancy",
                "OFF",
            ),
            (Fact::Count { place: steps, class_id: 0, count: 3 }, "zone/steps/person/count", "3"),
            (
                Fact::Occupancy { place: steps, class_id: 1, occupied: true },
                "zone/steps/traffic_light/occupancy",
                "ON",
            ),
            (
                Fact::Crossings { line: 0, class_id: 0, direction: Direction::Out, total: 7 },
                "line/gate/person/out",
                "7",
            ),
            (Fact::Hours { place: camera, within: false }, "hours", "OFF"),
            (Fact::Hours { place: steps, within: true }, "zone/steps/hours", "ON"),
        ] {
            let message = fact(voice.as_mut(), said);
            assert_eq!(message, (format!("vigie/porch/front/{topic}"), payload.to_owned()));
        }
    }

    /// The golden event: what is here is what subscribers get, in every field.
    #[test]
    fn what_happens_to_an_object_reads_as_documented() {
        let mut path = Path::new([0.1, 0.9]);
        path.push([0.25, 0.875]);
        let object = Object {
            id: 12,
            class_id: 0,
            score: 0.612_345,
            top_score: 0.8,
            bbox: BBox::new(100.0, 200.0, 140.04, 300.0),
            top_bbox: BBox::new(60.0, 200.0, 100.0, 300.0),
            zones: vec![1],
            entered: vec![0, 1],
            lines: vec![Crossed { line: 0, direction: Direction::In }],
            first_seen: at(1_000),
            last_seen: at(5_000),
            stationary: false,
            path,
            speed: 1.254,
            view: Some(View {
                captured: at(3_000),
                bbox: BBox::new(80.0, 200.0, 120.0, 300.0),
                score: 0.75,
                worth: 0.2,
            }),
        };
        let mut voice = Native::new(site()).unwrap().voice(&front(&front_camera(), 0.0));
        let mut event = |happened| {
            let fact = Fact::Object { happened, object: Box::new(object.clone()) };
            let mut messages = Vec::new();
            voice.fact(&fact, &occasion(), at(5_050), &mut |message: Message| messages.push(message));
            let message = messages.remove(0);
            assert_eq!((message.topic.as_str(), message.class), ("vigie/porch/front/events", Class::Event));
            assert!(messages.is_empty() && !message.retain);
            serde_json::from_slice::<serde_json::Value>(&message.payload).unwrap()
        };
        let golden: serde_json::Value = include_str!("../../../tests/data/event.json").parse().unwrap();
        assert_eq!(event(Happened::End(Reason::Left)), golden);
        let new = event(Happened::New);
        assert_eq!((&new["type"], new.get("reason")), (&"new".into(), None));
        assert_eq!(event(Happened::Update)["type"], "update");
        assert_eq!(event(Happened::End(Reason::CameraLost))["reason"], "camera_lost");
    }

    #[test]
    fn a_site_is_introduced_with_cameras_that_are_offline_and_nothing_else() {
        let native = Native::new(site()).unwrap();
        let offline = |camera: &str| (format!("vigie/porch/{camera}/status"), "offline".to_owned());
        assert_eq!(said(|say| native.introduce(say)), [offline("front"), offline("back")]);
        assert_eq!(said(|say| native.take_leave(say)), [offline("front"), offline("back")]);
        let mut voice = native.voice(&front(&front_camera(), 0.0));
        let online = ("vigie/porch/front/status".to_owned(), "online".to_owned());
        assert_eq!(said(|say| voice.status(State::Online, say)), [online]);
    }

    #[test]
    fn settings_are_retained_and_refusals_are_not() {
        use crate::mqtt::commands::Reason;

        let native = Native::new(site()).unwrap();
        let mut voice = native.voice(&front(&front_camera(), 0.0));
        let mut setting = |setting| said(|say| voice.setting(&setting, say)).remove(0);
        let detect = setting(Setting::Detect(false));
        assert_eq!(detect, ("vigie/porch/front/detect/state".into(), "OFF".into()));
        assert_eq!(setting(Setting::Motion(true)), ("vigie/porch/front/motion/state".into(), "ON".into()));
        assert_eq!(
            setting(Setting::Snapshot(true)),
            ("vigie/porch/front/snapshot/state".into(), "ON".into())
        );
        let threshold = setting(Setting::Threshold { class_id: 2, score: 0.35 });
        assert_eq!(threshold, ("vigie/porch/front/threshold/traffic_light_2/state".into(), "0.35".into()));
        let refused = |camera: Option<&str>| {
            let refusal = Refusal { camera: camera.map(Into::into), reason: Reason::UnknownSetting };
            let message = Received::new("t", b"ON", false);
            said(|say| native.refused(&message, &refusal, at(0), say)).remove(0)
        };
        assert_eq!(refused(Some("back")).0, "vigie/porch/back/error");
        let (topic, payload) = refused(None);
        assert!(topic == "vigie/porch/error" && payload.contains("no such setting"), "{topic} {payload}");
    }

    #[test]
    fn looks_are_told_at_the_rate_that_was_asked_for() {
        let native = Native::new(site()).unwrap();
        let now = SystemClock.now();
        for (rate, expected) in [(0.0, 0), (5.0, 50), (2.0, 20)] {
            let mut voice = native.voice(&front(&front_camera(), rate));
            let mut messages = 0;
            for n in 0..50u32 {
                let captured = now.at(now.monotonic + std::time::Duration::from_millis(200) * n);
                let frame = Occasion { seq: n.into(), captured, ..occasion() };
                let look = Look { frame, detections: &[], done: captured };
                messages += said(|say| voice.look(&look, say)).len();
            }
            assert_eq!(messages, expected, "at {rate} a second of 5 looks a second, in 10 s");
        }
    }

    #[test]
    fn a_camera_whose_name_is_no_level_is_refused() {
        let site = Site {
            cameras: vec![SiteCamera { name: "a/b".into(), ..SiteCamera::default() }],
            ..(*site()).clone()
        };
        assert!(Native::new(Arc::new(site)).unwrap_err().to_string().contains("separates"));
    }
}
