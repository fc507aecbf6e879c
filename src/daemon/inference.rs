//! The inference thread: takes the cameras in turn, newest frame first, and hands every look to whoever publishes.

use std::sync::Arc;
use std::time::Duration;

use super::schedule::{Turn, due_first};
use super::wake::Wake;
use crate::capture::{Camera, Take};
use crate::clock::{Clock, Moment};
use crate::detector::{self, ClassThresholds, Detection, Detector, Timing};
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;
use crate::vision::{self, Mask, Prepared, Preprocessor, Tensor};

/// One camera, as the inference thread sees it.
pub struct Lane {
    /// Delivers the frames.
    pub camera: Arc<Camera>,
    /// What counts as seen.
    pub thresholds: ClassThresholds,
    /// What nobody shall see.
    pub mask: Mask,
    /// No more looks a second than this.
    pub max_fps: f32,
}

/// One look at one frame.
pub struct Look<'a> {
    /// Index of the lane.
    pub lane: usize,
    /// The frame.
    pub frame: &'a Frame,
    /// When its turn began.
    pub begun: Moment,
    /// What came of it.
    pub outcome: Result<Seen<'a>, vision::Error>,
}

/// What was seen in a frame.
pub struct Seen<'a> {
    /// How the frame became a tensor, and how long that took.
    pub prepared: Prepared,
    /// How long the model took.
    pub timing: Timing,
    /// The detections, boxes in pixels of the frame, the surest first.
    pub detections: &'a [Detection],
}

/// Looks until `wake` says stop.
///
/// A frame that can't be decoded is a [`Look`] with an error: the camera's trouble, counted by whoever listens.
///
/// # Errors
/// When the model itself fails: nothing that is published from then on could be trusted.
pub fn run(
    lanes: &mut [Lane],
    detector: &mut Detector,
    clock: &dyn Clock,
    wake: &Wake,
    mut on_look: impl FnMut(&Look<'_>),
) -> Result<(), detector::Error> {
    let size = detector.contract().size;
    let mut tensor = Tensor::new(size);
    // One a camera: each keeps what it has worked out for its camera's size.
    let mut preprocessors: Vec<Preprocessor> = lanes.iter().map(|_| Preprocessor::new(size)).collect();
    let mut turns: Vec<Turn> = lanes.iter().map(|lane| Turn::new(lane.max_fps)).collect();
    let mut frames: Vec<Frame> =
        lanes.iter().map(|_| Frame::packed(PixelFormat::Grey, Size::default(), clock.now())).collect();
    let (mut order, mut detections) = (Vec::with_capacity(lanes.len()), Vec::new());
    while !wake.stopping() {
        let begun = clock.now();
        due_first(&turns, begun.monotonic, &mut order);
        let Some(&lane) = order.iter().find(|&&i| lanes[i].camera.take(&mut frames[i]) == Take::Frame) else {
            wake.sleep(until_next(&turns, begun.monotonic));
            continue;
        };
        turns[lane].taken(begun.monotonic);
        let frame = &frames[lane];
        let outcome = match preprocessors[lane].prepare(frame, &mut tensor) {
            Ok(prepared) => {
                lanes[lane].mask.apply(&mut tensor, &prepared.letterbox);
                let thresholds = &lanes[lane].thresholds;
                let timing = detector.detect(&tensor, &prepared.letterbox, thresholds, &mut detections)?;
                Ok(Seen { prepared, timing, detections: &detections })
            }
            Err(error) => Err(error),
        };
        on_look(&Look { lane, frame, begun, outcome });
    }
    Ok(())
}

/// How long nothing can be due: until the next turn, or, where turns wait for frames, until somebody rings.
fn until_next(turns: &[Turn], now: Duration) -> Duration {
    let next = turns.iter().map(Turn::due).filter(|&due| due > now).min();
    next.map_or(Duration::from_secs(1), |due| (due - now).min(Duration::from_secs(1)))
}
