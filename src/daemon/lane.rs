//! A [`Lane`]: all that belongs to one camera between the capture thread and the publisher. The inference thread owns
//! it; adding or removing a camera is adding or removing a lane.

use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};

use super::figures::CameraFigures;
use super::record::Recorder;
use super::snapshots::Studio;
use super::watch::{Eye, Watch};
use crate::capture::{Camera, State, Take};
use crate::clock::{Clock, Moment};
use crate::detector;
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;
use crate::mqtt::Herald;
use crate::mqtt::commands::{Change, Setting};
use crate::mqtt::dialect::Look;
use crate::turn::Turn;
use crate::vision;

/// What a lane is made of.
pub struct Parts {
    /// Delivers the frames.
    pub camera: Camera,
    /// Looks a second at most.
    pub max_fps: f32,
    /// What becomes of them.
    pub watch: Watch,
    /// Says what is so.
    pub herald: Herald,
    /// Makes pictures of what is seen, where they are wanted.
    pub studio: Option<Studio>,
    /// Records what happens, where it is to be.
    pub recorder: Option<Recorder>,
    /// What is counted.
    pub figures: Arc<CameraFigures>,
}

/// See the module's words.
pub struct Lane {
    camera: Camera,
    turn: Turn,
    frame: Frame,
    watch: Watch,
    herald: Herald,
    studio: Option<Studio>,
    recorder: Option<Recorder>,
    figures: Arc<CameraFigures>,
    /// Whether a command lets frames be looked at. If that or the camera's hours do not, they are taken all the same, so that
    /// its status stays true.
    detecting: bool,
    /// Whether pictures are made, where there is a studio.
    picturing: bool,
    /// The status that was said last.
    state: State,
    /// Whether the last frame could not be decoded: such trouble is logged when it begins, not with every frame.
    broken: bool,
}

impl Lane {
    /// A lane for a camera that was introduced as offline.
    pub fn new(parts: Parts, now: Moment) -> Lane {
        let Parts { camera, max_fps, watch, herald, studio, recorder, figures } = parts;
        let mut lane = Lane {
            camera,
            turn: Turn::new(max_fps),
            frame: Frame::packed(PixelFormat::Grey, Size::default(), now),
            watch,
            herald,
            studio,
            recorder,
            figures,
            detecting: true,
            picturing: true,
            state: State::Offline,
            broken: false,
        };
        lane.herald.setting(&Setting::Detect(true));
        lane.say_thresholds(None);
        if lane.watch.has_gate() {
            lane.herald.setting(&Setting::Motion(true));
        }
        if lane.studio.is_some() {
            lane.herald.setting(&Setting::Snapshot(true));
        }
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
                if self.is_looking() && !on {
                    self.watch.pause();
                    self.say_facts(now);
                }
                if !self.detecting && on {
                    self.turn.reset();
                }
                self.detecting = on;
                self.herald.setting(&Setting::Detect(on));
            }
            Change::Threshold { class_id, score } => {
                self.watch.set_threshold(class_id, score);
                self.say_thresholds(class_id);
            }
            Change::Motion(on) => {
                self.watch.set_gating(on);
                self.herald.setting(&Setting::Motion(on));
            }
            Change::Snapshot(on) => {
                self.picturing = on;
                self.herald.setting(&Setting::Snapshot(on));
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
        let before = self.watch.is_within_hours();
        self.watch.tick(now);
        match (before, self.watch.is_within_hours()) {
            (true, false) => info!("camera {}: outside of its hours; nobody looks", self.name()),
            (false, true) => {
                info!("camera {}: its hours have begun", self.name());
                self.turn.reset();
            }
            _ => {}
        }
        self.say_facts(now);
    }

    /// Nobody looks any more: objects end.
    pub fn stop(&mut self, now: Moment) {
        self.watch.stop();
        self.say_facts(now);
    }

    /// Looks at the newest frame, from the tensor to the last message; `false`: there was none.
    ///
    /// # Errors
    /// When the model itself fails: nothing that is published from then on could be trusted. A frame that can't be
    /// decoded is the camera's trouble: it is counted, and said once.
    pub fn look(&mut self, eye: &mut Eye, clock: &dyn Clock) -> Result<bool, detector::Error> {
        let since = self.turn.wants_since(clock.now().monotonic);
        loop {
            match self.camera.take(&mut self.frame, since) {
                Take::Frame => break,
                Take::Nothing => return Ok(false),
                Take::Lost(state) => self.lost(state, clock.now()),
            }
        }
        self.turn.taken(clock.now().monotonic);
        // One that is not online has to prove with a picture that it is.
        if !self.is_looking() && self.state == State::Online {
            return Ok(true);
        }
        let prepared = match self.watch.prepare(&self.frame, eye) {
            Ok(prepared) => prepared,
            Err(error) => {
                self.unreadable(&error);
                return Ok(true);
            }
        };
        self.readable();
        // A camera none of whose pictures can be decoded is not online.
        self.say_status(State::Online);
        if !self.is_looking() {
            return Ok(true);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.frame(&self.frame, prepared.spread);
        }
        if !self.watch.is_worth_it(self.frame.captured.monotonic, &prepared, eye) {
            self.say_facts(clock.now());
            self.figures.still();
            return Ok(true);
        }
        let keeps = self.picturing && self.studio.as_mut().is_some_and(Studio::is_free);
        self.watch.look(&self.frame, &prepared, eye, keeps)?;
        if let (true, Some(studio)) = (keeps, &mut self.studio) {
            let viewed = self.watch.scene().viewed(self.frame.captured.monotonic);
            studio.take(&self.frame, prepared.spread, viewed);
        }
        self.say_facts(clock.now());
        let (frame, done) = (*self.watch.occasion(), clock.now());
        self.herald.look(&Look { frame, detections: eye.detections(), done });
        self.figures.looked(&frame.stages, clock.now().monotonic.saturating_sub(frame.captured.monotonic));
        Ok(true)
    }

    /// Whether frames are looked at: nobody forbade it, and it is within the camera's hours.
    fn is_looking(&self) -> bool {
        self.detecting && self.watch.is_within_hours()
    }

    /// Tells the camera to stop, and does not wait for it.
    pub fn ask_to_stop(&self) {
        self.camera.ask_to_stop();
    }

    fn lost(&mut self, state: State, now: Moment) {
        self.say_status(state);
        self.watch.lost();
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
        for (id, &score) in (0u16..).zip(self.watch.thresholds().scores()) {
            if class_id.is_none_or(|class_id| class_id == id) {
                self.herald.setting(&Setting::Threshold { class_id: id, score });
            }
        }
    }

    fn say_facts(&mut self, now: Moment) {
        for (fact, of) in self.watch.facts() {
            self.herald.fact(&fact, &of, now);
            if let Some(recorder) = &mut self.recorder {
                recorder.fact(&fact, now);
            }
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
