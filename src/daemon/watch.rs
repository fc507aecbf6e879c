//! A [`Watch`]: what becomes of one camera's frames, from the pixels to the facts. It knows no camera, no clock and no
//! thread: a lane of the daemon feeds it what a camera delivers, `vigie replay` what a file holds.

use std::time::Duration;

use super::Error;
use super::gate::Gate;
use super::timetable::Timetable;
use crate::clock::Moment;
use crate::config::{self, Config};
use crate::detector::{self, ClassThresholds, Contract, Detection, Detector, UnknownLabel};
use crate::frame::Frame;
use crate::geometry::{BBox, Size};
use crate::mqtt::dialect::Occasion;
use crate::mqtt::payload::Stages;
use crate::mqtt::{SiteCamera, SitePart};
use crate::scene::objects::{self, Filter};
use crate::scene::zones::{Line, Zone};
use crate::scene::{Fact, Place, Scene};
use crate::tracker::Tracker;
use crate::vision::{self, Mask, Prepared, Preprocessor, Tensor};

/// What looks, lent to one camera after the other.
pub struct Eye {
    /// The model.
    pub detector: Detector,
    tensor: Tensor,
    detections: Vec<Detection>,
    /// With [`Watch::see_everything`], all that there was.
    everything: Vec<Detection>,
}

impl Eye {
    /// With a loaded model.
    pub fn new(detector: Detector) -> Eye {
        let tensor = Tensor::new(detector.contract().size);
        Eye { detector, tensor, detections: Vec::new(), everything: Vec::new() }
    }

    /// All that the latest look saw, however faint; only with [`Watch::see_everything`].
    pub fn everything(&self) -> &[Detection] {
        &self.everything
    }

    /// What the latest look saw, the surest first; boxes in pixels of the frame.
    pub fn detections(&self) -> &[Detection] {
        &self.detections
    }
}

/// See the module's words.
pub struct Watch {
    preprocessor: Preprocessor,
    mask: Mask,
    thresholds: ClassThresholds,
    /// What the tracker is shown besides: where an object was, a weak box is that object.
    weak: ClassThresholds,
    /// What is not even shown to it, and only explained.
    faint: Option<ClassThresholds>,
    tracker: Tracker,
    scene: Scene,
    gate: Option<Gate>,
    /// Whether the gate keeps anything out.
    gating: bool,
    timetable: Timetable,
    facts: Vec<Fact>,
    /// The latest frame that was looked at.
    occasion: Occasion,
}

impl Watch {
    /// For a camera of a configuration, towards a model. Nothing was looked at yet; it is `now`, and `timetable` knows the
    /// camera's hours.
    ///
    /// # Errors
    /// When the camera's configuration names a label that the model lacks.
    pub fn new(
        config: &Config,
        camera: &config::Camera,
        contract: &Contract,
        timetable: Timetable,
        now: Moment,
    ) -> Result<Watch, Error> {
        let names = &contract.names;
        let unknown = |source| Error::Label { camera: camera.name.clone(), source };
        let thresholds = camera.thresholds.resolve(contract).map_err(unknown)?;
        let objects = objects(config, camera, names).map_err(unknown)?;
        let scene = Scene::new(names.len(), camera.hold, objects, &config.tracking);
        Ok(Watch {
            preprocessor: Preprocessor::new(contract.size),
            mask: Mask::new(camera.privacy_masks.clone()),
            facts: Vec::with_capacity(3 * names.len()),
            weak: all_weak(&thresholds),
            faint: None,
            thresholds,
            tracker: Tracker::new(config.tracking.clone()),
            scene,
            gate: camera.motion.as_ref().map(Gate::new),
            gating: true,
            timetable,
            occasion: Occasion { seq: 0, captured: now, size: Size::default(), stages: Stages::default() },
        })
    }

    /// From now on the eye keeps what is too faint for anything, so that it can be explained. What is made of the rest is
    /// the same.
    pub fn see_everything(&mut self) {
        let faint = self.weak.scores().iter().map(|&weak| weak.min(FAINT)).collect();
        self.faint = Some(ClassThresholds::new(faint));
    }

    /// What counts as seen.
    pub fn thresholds(&self) -> &ClassThresholds {
        &self.thresholds
    }

    /// From now on a class, or every one, counts as seen from this score on.
    pub fn set_threshold(&mut self, class_id: Option<u16>, score: f32) {
        let chosen = |id: usize| class_id.is_none_or(|class_id| usize::from(class_id) == id);
        let scores = self.thresholds.scores().iter().enumerate();
        let scores = scores.map(|(id, &old)| if chosen(id) { score } else { old });
        self.thresholds = ClassThresholds::new(scores.collect());
        self.weak = all_weak(&self.thresholds);
    }

    /// The score from which on a class counts as seen.
    pub fn threshold(&self, class_id: u16) -> f32 {
        self.thresholds.scores().get(usize::from(class_id)).copied().unwrap_or(f32::INFINITY)
    }

    /// Makes a frame the eye's tensor, masked.
    ///
    /// # Errors
    /// When it can't be decoded.
    pub fn prepare(&mut self, frame: &Frame, eye: &mut Eye) -> Result<Prepared, vision::Error> {
        let prepared = self.preprocessor.prepare(frame, &mut eye.tensor)?;
        self.mask.apply(&mut eye.tensor, &prepared);
        Ok(prepared)
    }

    /// Whether a frame that was prepared is worth a look; it is where no motion gate says otherwise.
    pub fn is_worth_it(&mut self, at: Duration, prepared: &Prepared, eye: &Eye) -> bool {
        let Some(gate) = &mut self.gate else { return true };
        // A tentative track may become an object with the next look.
        let waiting =
            self.scene.is_waiting() || self.tracker.tracks().iter().any(|track| !track.is_confirmed());
        let opens = gate.opens(at, &eye.tensor, &prepared.letterbox, waiting);
        self.facts.extend(gate.news(at).map(|moving| Fact::Motion { moving }));
        opens || !self.gating
    }

    /// Whether there is a motion gate.
    pub fn has_gate(&self) -> bool {
        self.gate.is_some()
    }

    /// Whether the motion gate keeps anything out from now on; motion is told all the same.
    pub fn set_gating(&mut self, on: bool) {
        self.gating = on;
    }

    /// Looks at a frame that was prepared; what changed by it waits among the facts. `keeps`: a picture can be kept of it.
    ///
    /// # Errors
    /// When the model itself fails.
    pub fn look(
        &mut self,
        frame: &Frame,
        prepared: &Prepared,
        eye: &mut Eye,
        keeps: bool,
    ) -> Result<(), detector::Error> {
        let letterbox = &prepared.letterbox;
        let floor = self.faint.as_ref().unwrap_or(&self.weak);
        let timing = eye.detector.detect(&eye.tensor, letterbox, floor, &mut eye.detections)?;
        if self.faint.is_some() {
            eye.everything.clone_from(&eye.detections);
            keep(&mut eye.detections, &self.weak);
        }
        let stages = Stages {
            decode: prepared.decode,
            prepare: prepared.prepare,
            infer: timing.infer,
            post: timing.post,
        };
        let (captured, size) = (frame.captured, letterbox.picture);
        self.occasion = Occasion { seq: frame.sequence, captured, size, stages };
        self.tracker.look(captured.monotonic, size, &eye.detections, self.thresholds.scores());
        keep(&mut eye.detections, &self.thresholds);
        let sharpness = |bbox: &BBox| keeps.then(|| vision::sharpness(&eye.tensor, letterbox, bbox));
        self.scene.look(captured, size, &self.tracker, &sharpness, &mut self.facts);
        Ok(())
    }

    /// Time has passed; hours may have begun or be over.
    pub fn tick(&mut self, now: Moment) {
        let mut is_over = false;
        self.timetable.news(now.wall, |place, within| {
            self.facts.push(Fact::Hours { place, within });
            match place {
                Place::Camera => is_over = !within,
                Place::Zone(zone) => self.scene.set_open(zone, within, &mut self.facts),
            }
        });
        if is_over {
            self.pause();
        }
        self.tracker.tick(now.monotonic);
        self.scene.tick(now.monotonic, &self.tracker, &mut self.facts);
    }

    /// Whether the camera is within its hours, as of the latest tick; one that has none always is.
    pub fn is_within_hours(&self) -> bool {
        self.timetable.is_within()
    }

    /// There are no frames any more.
    pub fn lost(&mut self) {
        self.tracker.stop();
        if let Some(gate) = &mut self.gate {
            gate.lost();
        }
        self.scene.lost(&mut self.facts);
    }

    /// Nobody is to look for now: objects end, values stay.
    pub fn pause(&mut self) {
        self.tracker.stop();
        if let Some(gate) = &mut self.gate {
            gate.lost();
        }
        self.scene.pause(&mut self.facts);
    }

    /// Nobody will look any more: objects end.
    pub fn stop(&mut self) {
        self.scene.stop(&mut self.facts);
    }

    /// The facts since the last call, in their order, each with the frame that was looked at last.
    pub fn facts(&mut self) -> impl Iterator<Item = (Fact, Occasion)> {
        let occasion = self.occasion;
        self.facts.drain(..).map(move |fact| (fact, occasion))
    }

    /// The frame that was looked at last.
    pub fn occasion(&self) -> &Occasion {
        &self.occasion
    }

    /// What is followed.
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// What is known of it.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }
}

/// What subscribers may know of a camera, towards a model with these labels.
pub fn site_camera(config: &Config, camera: &config::Camera, names: &[String]) -> SiteCamera {
    let snapshots = config.snapshot.is_some() && camera.snapshots;
    let part = |name: &String, labels, hours| SitePart {
        name: name.clone(),
        classes: classes(labels, names),
        hours,
    };
    SiteCamera {
        name: camera.name.clone(),
        zones: camera.zones.iter().map(|zone| part(&zone.name, &zone.labels, zone.hours.is_some())).collect(),
        lines: camera.lines.iter().map(|line| part(&line.name, &line.labels, false)).collect(),
        snapshots,
        motion: camera.motion.is_some(),
        hours: camera.hours.is_some(),
    }
}

/// How a camera's objects are told of.
fn objects(
    config: &Config,
    camera: &config::Camera,
    names: &[String],
) -> Result<objects::Options, UnknownLabel> {
    detector::known_labels(camera.labels(), names)?;
    let zone = |zone: &config::Zone| Zone {
        polygon: zone.polygon.clone(),
        classes: classes(&zone.labels, names),
        inertia: zone.inertia,
        loitering: zone.loitering,
        open: true,
    };
    let ignored = |zone: &config::IgnoreZone| Zone {
        polygon: zone.polygon.clone(),
        classes: classes(&zone.labels, names),
        inertia: 1,
        loitering: Duration::ZERO,
        open: true,
    };
    let line = |line: &config::Line| {
        let [from, to] = line.ends;
        Line { from, to, classes: classes(&line.labels, names) }
    };
    let filter = |name: &String| -> Filter {
        let own = camera.filters.labels.iter().find(|(label, _)| label == name).map(|(_, filter)| filter);
        own.unwrap_or(&camera.filters.default).clone()
    };
    Ok(objects::Options {
        filters: names.iter().map(filter).collect(),
        zones: camera.zones.iter().map(zone).collect(),
        lines: camera.lines.iter().map(line).collect(),
        ignored: camera.ignore_zones.iter().map(ignored).collect(),
        update_every: config.update_every,
        stationary_after: config.tracking.stationary_after,
    })
}

/// By class, whether it is one of the labels; none are named: empty, which is all.
pub fn classes(labels: &Option<Vec<String>>, names: &[String]) -> Vec<bool> {
    labels.as_ref().map_or(Vec::new(), |labels| names.iter().map(|name| labels.contains(name)).collect())
}

/// What is fainter than this isn't even explained.
const FAINT: f32 = 0.1;

/// Keeps what is sure enough.
fn keep(detections: &mut Vec<Detection>, thresholds: &ClassThresholds) {
    let scores = thresholds.scores();
    detections
        .retain(|seen| scores.get(usize::from(seen.class_id)).is_some_and(|&least| seen.score >= least));
}

fn all_weak(thresholds: &ClassThresholds) -> ClassThresholds {
    ClassThresholds::new(thresholds.scores().iter().map(|&score| weak(score)).collect())
}

/// From which score on a box that is too weak to be an object may be one that was there before.
fn weak(good: f32) -> f32 {
    const LEAST: f32 = 0.1;
    // Above 1 a class is switched off.
    if good > 1.0 { good } else { (0.5 * good).max(LEAST).min(good) }
}
