//! A [`Lane`]: all that belongs to one camera between the capture thread and the publisher. The inference thread owns
//! it; adding or removing a camera is adding or removing a lane.

use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};

use super::figures::CameraFigures;
use crate::capture::{Camera, State, Take};
use crate::clock::{Clock, Moment};
use crate::detector::{self, ClassThresholds, Detection, Detector};
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;
use crate::mqtt::Herald;
use crate::mqtt::commands::{Change, Setting};
use crate::mqtt::dialect::{Look, Occasion};
use crate::mqtt::payload::Stages;
use crate::scene::{Fact, Scene};
use crate::tracker::Tracker;
use crate::turn::Turn;
use crate::vision::{self, Mask, Preprocessor, Tensor};

/// What looks, lent to one lane after the other.
pub struct Eye {
    detector: Detector,
    tensor: Tensor,
    detections: Vec<Detection>,
}

impl Eye {
    /// With a loaded model.
    pub fn new(detector: Detector) -> Eye {
        let tensor = Tensor::new(detector.contract().size);
        Eye { detector, tensor, detections: Vec::new() }
    }
}

/// What a lane is made of.
pub struct Parts {
    /// Delivers the frames.
    pub camera: Camera,
    /// Looks a second at most.
    pub max_fps: f32,
    /// What nobody shall see.
    pub mask: Mask,
    /// What counts as seen.
    pub thresholds: ClassThresholds,
    /// Knows what it saw before.
    pub tracker: Tracker,
    /// What is remembered of it.
    pub scene: Scene,
    /// Says what is so.
    pub herald: Herald,
    /// What is counted.
    pub figures: Arc<CameraFigures>,
}

/// See the module's words.
pub struct Lane {
    camera: Camera,
    turn: Turn,
    frame: Frame,
    preprocessor: Preprocessor,
    mask: Mask,
    thresholds: ClassThresholds,
    /// What the tracker is shown besides: where an object was, a weak box is that object.
    weak: ClassThresholds,
    tracker: Tracker,
    scene: Scene,
    facts: Vec<Fact>,
    /// The latest frame that was looked at.
    occasion: Occasion,
    herald: Herald,
    figures: Arc<CameraFigures>,
    /// Whether frames are looked at; if not, they are taken all the same, so that the camera's status stays true.
    detecting: bool,
    /// The status that was said last.
    state: State,
    /// Whether the last frame could not be decoded: such trouble is logged when it begins, not with every frame.
    broken: bool,
}

impl Lane {
    /// A lane towards a model with inputs of that `size`, for a camera that was introduced as offline.
    pub fn new(parts: Parts, size: Size, clock: &dyn Clock) -> Lane {
        let Parts { camera, max_fps, mask, thresholds, tracker, scene, herald, figures } = parts;
        let now = clock.now();
        let mut lane = Lane {
            camera,
            turn: Turn::new(max_fps),
            frame: Frame::packed(PixelFormat::Grey, Size::default(), now),
            preprocessor: Preprocessor::new(size),
            mask,
            facts: Vec::with_capacity(2 * thresholds.scores().len()),
            weak: all_weak(&thresholds),
            thresholds,
            tracker,
            scene,
            occasion: Occasion { seq: 0, captured: now, size: Size::default(), stages: Stages::default() },
            herald,
            figures,
            detecting: true,
            state: State::Offline,
            broken: false,
        };
        lane.herald.setting(&Setting::Detect(true));
        lane.say_thresholds(None);
        lane
    }

    /// The camera's name.
    pub fn name(&self) -> &str {
        self.camera.name()
    }

    /// Carries a command out, and says what is so then, even if it was so before.
    pub fn obey(&mut self, change: Change, now: Moment) {
        match change {
            Change::Detect(on) => {
                if self.detecting && !on {
                    self.tracker.stop();
                    self.scene.pause(&mut self.facts);
                    self.say_facts(now);
                }
                if !self.detecting && on {
                    self.turn.reset();
                }
                self.detecting = on;
                self.herald.setting(&Setting::Detect(on));
            }
            Change::Threshold { class_id, score } => {
                let chosen = |id: usize| class_id.is_none_or(|class_id| usize::from(class_id) == id);
                let scores = self.thresholds.scores().iter().enumerate();
                let scores = scores.map(|(id, &old)| if chosen(id) { score } else { old });
                self.thresholds = ClassThresholds::new(scores.collect());
                self.weak = all_weak(&self.thresholds);
                self.say_thresholds(class_id);
            }
        }
    }

    /// When its next look is due, on the monotonic clock.
    pub fn due(&self) -> Duration {
        self.turn.due()
    }

    /// Time has passed, and perhaps the camera is lost; neither waits for a turn.
    pub fn tick(&mut self, now: Moment) {
        if let Some(state) = self.camera.take_loss() {
            self.lost(state, now);
        }
        self.tracker.tick(now.monotonic);
        self.scene.tick(now.monotonic, &self.tracker, &mut self.facts);
        self.say_facts(now);
    }

    /// Nobody looks any more: objects end.
    pub fn stop(&mut self, now: Moment) {
        self.scene.stop(&mut self.facts);
        self.say_facts(now);
    }

    /// Looks at the newest frame, from the tensor to the last message; `false`: there was none.
    ///
    /// # Errors
    /// When the model itself fails: nothing that is published from then on could be trusted. A frame that can't be
    /// decoded is the camera's trouble: it is counted, and said once.
    pub fn look(&mut self, eye: &mut Eye, clock: &dyn Clock) -> Result<bool, detector::Error> {
        loop {
            match self.camera.take(&mut self.frame) {
                Take::Frame => break,
                Take::Nothing => return Ok(false),
                Take::Lost(state) => self.lost(state, clock.now()),
            }
        }
        self.turn.taken(clock.now().monotonic);
        // One that is not online has to prove with a picture that it is.
        if !self.detecting && self.state == State::Online {
            return Ok(true);
        }
        let prepared = match self.preprocessor.prepare(&self.frame, &mut eye.tensor) {
            Ok(prepared) => prepared,
            Err(error) => {
                self.unreadable(&error);
                return Ok(true);
            }
        };
        self.readable();
        // A camera none of whose pictures can be decoded is not online.
        self.say_status(State::Online);
        if !self.detecting {
            return Ok(true);
        }
        let letterbox = prepared.letterbox;
        self.mask.apply(&mut eye.tensor, &prepared);
        let timing = eye.detector.detect(&eye.tensor, &letterbox, &self.weak, &mut eye.detections)?;
        let stages = Stages {
            decode: prepared.decode,
            prepare: prepared.prepare,
            infer: timing.infer,
            post: timing.post,
        };
        let (captured, size, good) = (self.frame.captured, letterbox.picture, self.thresholds.scores());
        self.occasion = Occasion { seq: self.frame.sequence, captured, size, stages };
        self.tracker.look(captured.monotonic, size, &eye.detections, good);
        eye.detections
            .retain(|seen| good.get(usize::from(seen.class_id)).is_some_and(|&least| seen.score >= least));
        self.scene.look(captured, size, &eye.detections, &self.tracker, &mut self.facts);
        self.say_facts(clock.now());
        self.herald.look(&Look { frame: self.occasion, detections: &eye.detections, done: clock.now() });
        self.figures.looked(&stages, clock.now().monotonic.saturating_sub(captured.monotonic));
        Ok(true)
    }

    /// Tells the camera to stop, and does not wait for it.
    pub fn ask_to_stop(&self) {
        self.camera.ask_to_stop();
    }

    fn lost(&mut self, state: State, now: Moment) {
        self.say_status(state);
        self.tracker.stop();
        self.scene.lost(&mut self.facts);
        self.say_facts(now);
        // The first frame after it is looked at whenever it comes.
        self.turn.reset();
    }

    fn say_status(&mut self, state: State) {
        if self.state != state {
            self.state = state;
            self.herald.status(state);
        }
    }

    /// Says the threshold of one class, or of each.
    fn say_thresholds(&mut self, class_id: Option<u16>) {
        for (id, &score) in (0u16..).zip(self.thresholds.scores()) {
            if class_id.is_none_or(|class_id| class_id == id) {
                self.herald.setting(&Setting::Threshold { class_id: id, score });
            }
        }
    }

    fn say_facts(&mut self, now: Moment) {
        for fact in self.facts.drain(..) {
            self.herald.fact(&fact, &self.occasion, now);
        }
    }

    fn unreadable(&mut self, error: &vision::Error) {
        self.figures.unreadable();
        self.camera.unreadable(error);
        if !std::mem::replace(&mut self.broken, true) {
            warn!("camera {}: frame {}: {error}", self.camera.name(), self.frame.sequence);
        }
    }

    fn readable(&mut self) {
        self.camera.readable();
        if std::mem::take(&mut self.broken) {
            info!("camera {}: pictures can be read again", self.camera.name());
        }
    }
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
