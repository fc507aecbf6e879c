//! A [`Lane`]: all that belongs to one camera between the capture thread and the publisher. The inference thread owns
//! it; adding or removing a camera is adding or removing a lane.

use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};

use super::figures::CameraFigures;
use crate::capture::{Camera, State, Take};
use crate::clock::Clock;
use crate::detector::{self, ClassThresholds, Detection, Detector};
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;
use crate::mqtt::Herald;
use crate::mqtt::dialect::Look;
use crate::mqtt::payload::Stages;
use crate::scene::{Fact, Scene};
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
    scene: Scene,
    facts: Vec<Fact>,
    herald: Herald,
    figures: Arc<CameraFigures>,
    /// The status that was said last.
    state: State,
    /// Whether the last frame could not be decoded: such trouble is logged when it begins, not with every frame.
    broken: bool,
}

impl Lane {
    /// A lane towards a model with inputs of that `size`, for a camera that was introduced as offline.
    pub fn new(parts: Parts, size: Size, clock: &dyn Clock) -> Lane {
        let Parts { camera, max_fps, mask, thresholds, scene, herald, figures } = parts;
        Lane {
            camera,
            turn: Turn::new(max_fps),
            frame: Frame::packed(PixelFormat::Grey, Size::default(), clock.now()),
            preprocessor: Preprocessor::new(size),
            mask,
            facts: Vec::with_capacity(2 * thresholds.scores().len()),
            thresholds,
            scene,
            herald,
            figures,
            state: State::Offline,
            broken: false,
        }
    }

    /// When its next look is due, on the monotonic clock.
    pub fn due(&self) -> Duration {
        self.turn.due()
    }

    /// Time has passed, and perhaps the camera is lost; neither waits for a turn.
    pub fn tick(&mut self, now: Duration) {
        if let Some(state) = self.camera.take_loss() {
            self.lost(state);
        }
        self.scene.tick(now, &mut self.facts);
        self.say_facts();
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
                Take::Lost(state) => self.lost(state),
            }
        }
        self.turn.taken(clock.now().monotonic);
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
        let letterbox = prepared.letterbox;
        self.mask.apply(&mut eye.tensor, &prepared);
        let timing = eye.detector.detect(&eye.tensor, &letterbox, &self.thresholds, &mut eye.detections)?;
        let stages = Stages {
            decode: prepared.decode,
            prepare: prepared.prepare,
            infer: timing.infer,
            post: timing.post,
        };
        let captured = self.frame.captured;
        self.scene.look(captured.monotonic, &eye.detections, &mut self.facts);
        self.say_facts();
        self.herald.look(&Look {
            seq: self.frame.sequence,
            captured,
            size: letterbox.picture,
            stages,
            detections: &eye.detections,
            done: clock.now(),
        });
        self.figures.looked(&stages, clock.now().monotonic.saturating_sub(captured.monotonic));
        Ok(true)
    }

    /// Tells the camera to stop, and does not wait for it.
    pub fn ask_to_stop(&self) {
        self.camera.ask_to_stop();
    }

    fn lost(&mut self, state: State) {
        self.say_status(state);
        self.scene.lost();
        // The first frame after it is looked at whenever it comes.
        self.turn.reset();
    }

    fn say_status(&mut self, state: State) {
        if self.state != state {
            self.state = state;
            self.herald.status(state);
        }
    }

    fn say_facts(&mut self) {
        for fact in self.facts.drain(..) {
            self.herald.fact(&fact);
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
