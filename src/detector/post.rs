//! From a model's outputs to detections: decoding, suppression, the way back to the frame's pixels.

use super::decode::{self, Speaks};
use super::layout::Layout;
use super::nms::{self, Candidate, Overlap};
use super::thresholds::ClassThresholds;
use super::{Detection, Options};
use crate::vision::Letterbox;

/// Turns outputs into detections in memory that it keeps: a frame costs no allocation.
pub struct Post {
    speaks: Speaks,
    overlap: Overlap,
    max_detections: usize,
    candidates: Vec<Candidate>,
}

impl Post {
    /// For outputs of a layout. Boxes that overlap more than `nms_iou`, and of two classes more than
    /// `nms_iou_across_classes`, are one (but for an end-to-end head, which reports each object once), and at most
    /// `max_detections`, the best ones, are reported.
    pub fn new(layout: &Layout, options: &Options) -> Post {
        // Where every anchor speaks for one class, there are never more candidates than anchors.
        let candidates = Vec::with_capacity(layout.anchors());
        let overlap = match layout {
            Layout::EndToEnd { .. } => Overlap::NEVER,
            _ => Overlap { within: options.nms_iou, across: options.nms_iou_across_classes },
        };
        Post { speaks: Speaks::BestClass, overlap, max_detections: options.max_detections, candidates }
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
        nms::suppress(&mut self.candidates, self.overlap, self.max_detections);
        out.clear();
        out.extend(self.candidates.iter().map(|c| Detection {
            class_id: c.class,
            score: c.score,
            bbox: letterbox.undo(&c.bbox),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    #[test]
    fn what_an_end_to_end_head_tells_apart_stays_apart() {
        let layout = Layout::EndToEnd { slots: 2, classes: 1 };
        let output = [0.0, 0.0, 10.0, 10.0, 0.8, 0.0, 1.0, 0.0, 11.0, 10.0, 0.9, 0.0];
        let (size, mut found) = (Size::new(32, 32), Vec::new());
        let thresholds = ClassThresholds::uniform(0.5, 1);
        Post::new(&layout, &Options::new("")).run(
            &layout,
            &[&output],
            &thresholds,
            &Letterbox::new(size, size),
            &mut found,
        );
        assert_eq!(found.iter().map(|d| d.score).collect::<Vec<_>>(), [0.9, 0.8], "best first");
    }
}
