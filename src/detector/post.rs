//! From a model's outputs to detections: decoding, suppression, the way back to the frame's pixels.

use super::Detection;
use super::decode::{self, Speaks};
use super::layout::Layout;
use super::nms::{self, Candidate};
use super::thresholds::ClassThresholds;
use crate::vision::Letterbox;

/// Turns outputs into detections in memory that it keeps: a frame costs no allocation.
pub struct Post {
    speaks: Speaks,
    nms_iou: f32,
    max_detections: usize,
    candidates: Vec<Candidate>,
}

impl Post {
    /// For outputs of a layout; boxes of a class that overlap more than `nms_iou` are one, and at most
    /// `max_detections`, the best ones, are reported.
    pub fn new(layout: &Layout, nms_iou: f32, max_detections: usize) -> Post {
        // Where every anchor speaks for one class, there are never more candidates than anchors.
        let candidates = Vec::with_capacity(layout.anchors());
        Post { speaks: Speaks::BestClass, nms_iou, max_detections, candidates }
    }

    /// Lets an anchor speak for every class that reaches its threshold, not only for its best one.
    pub fn with_every_class(self) -> Post {
        Post { speaks: Speaks::EveryClass, ..self }
    }

    /// Replaces what is in `out` by the detections in `outputs`, best first, in pixels of the letterbox's picture.
    ///
    /// # Panics
    /// If `outputs` are not those of the layout.
    pub fn run(
        &mut self,
        layout: &Layout,
        outputs: &[&[f32]],
        thresholds: &ClassThresholds,
        letterbox: &Letterbox,
        out: &mut Vec<Detection>,
    ) {
        self.candidates.clear();
        decode::candidates(layout, outputs, thresholds, self.speaks, &mut self.candidates);
        nms::suppress(&mut self.candidates, self.nms_iou, self.max_detections);
        out.clear();
        out.extend(self.candidates.iter().map(|c| Detection {
            class_id: c.class,
            score: c.score,
            bbox: letterbox.undo(&c.bbox),
        }));
    }
}
