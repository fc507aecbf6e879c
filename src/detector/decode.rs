//! Outputs become [`Candidate`]s: what stays below its threshold costs one comparison and nothing else.

use super::dfl::{self, Distributions};
use super::layout::{Layout, Level};
use super::nms::Candidate;
use super::thresholds::ClassThresholds;
use crate::geometry::BBox;

/// Whether an anchor speaks for its best class alone, or for every class that reaches its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// For one object one label: what a daemon wants.
    BestClass,
    /// As COCO evaluations of YOLO models do it.
    EveryClass,
}

/// Values by class, `classes` rows of `anchors`.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    anchors: usize,
}

impl Rows<'_> {
    /// Calls `hit(class, anchor, value)` for what reaches its class's limit.
    fn scan(self, limits: &[f32], speaks: Speaks, mut hit: impl FnMut(usize, usize, f32)) {
        for (class, (row, &limit)) in self.values.chunks_exact(self.anchors).zip(limits).enumerate() {
            for (block, values) in row.chunks(BLOCK).enumerate() {
                // Almost every block is silent: one vectorized pass without a branch an element decides.
                if !values.iter().fold(false, |any, &v| any | (v >= limit)) {
                    continue;
                }
                for (i, &value) in values.iter().enumerate().filter(|(_, v)| **v >= limit) {
                    let anchor = block * BLOCK + i;
                    if speaks == Speaks::EveryClass || self.is_best(class, anchor, value) {
                        hit(class, anchor, value);
                    }
                }
            }
        }
    }

    /// Whether no other class of the anchor has a higher value; of equal ones the first is best.
    fn is_best(self, class: usize, anchor: usize, value: f32) -> bool {
        let column = self.values[anchor..].iter().step_by(self.anchors);
        column.enumerate().all(|(c, &v)| v < value || (v == value && c >= class) || v.is_nan())
    }
}

const BLOCK: usize = 32;

/// Appends the candidates of a model's `outputs`.
pub(super) fn candidates(
    layout: &Layout,
    outputs: &[&[f32]],
    thresholds: &ClassThresholds,
    speaks: Speaks,
    out: &mut Vec<Candidate>,
) {
    match layout {
        Layout::Decoded { anchors, .. } => decoded(outputs[0], *anchors, thresholds, speaks, out),
        Layout::EndToEnd { .. } => end_to_end(outputs[0], thresholds, out),
        Layout::Raw { reg_max, classes, levels } => {
            let mut first = 0;
            for level in levels {
                raw(level, (*reg_max, *classes), outputs, first, thresholds, speaks, out);
                first += level.width * level.height;
            }
        }
    }
}

fn decoded(
    output: &[f32],
    anchors: usize,
    thresholds: &ClassThresholds,
    speaks: Speaks,
    out: &mut Vec<Candidate>,
) {
    let (boxes, values) = output.split_at(4 * anchors);
    Rows { values, anchors }.scan(thresholds.scores(), speaks, |class, i, score| {
        let [cx, cy, w, h] = [0, 1, 2, 3].map(|row| boxes[row * anchors + i]);
        let bbox = BBox::new(cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0);
        out.push(Candidate { score, class: class as u16, anchor: i as u32, bbox });
    });
}

fn end_to_end(output: &[f32], thresholds: &ClassThresholds, out: &mut Vec<Candidate>) {
    for (slot, row) in output.as_chunks::<6>().0.iter().enumerate() {
        let [x1, y1, x2, y2, score, class] = *row;
        // What is no class has no threshold either.
        let index = if class >= 0.0 { class.round() as usize } else { usize::MAX };
        if thresholds.scores().get(index).is_some_and(|limit| score >= *limit) {
            let bbox = BBox::new(x1, y1, x2, y2);
            out.push(Candidate { score, class: index as u16, anchor: slot as u32, bbox });
        }
    }
}

fn raw(
    level: &Level,
    (reg_max, classes): (usize, usize),
    outputs: &[&[f32]],
    first: usize,
    thresholds: &ClassThresholds,
    speaks: Speaks,
    out: &mut Vec<Candidate>,
) {
    let anchors = level.width * level.height;
    let channels =
        |output: usize, from: usize, count: usize| &outputs[output][from * anchors..][..count * anchors];
    let logits = channels(level.boxes.output, level.boxes.first, 4 * reg_max);
    let values = channels(level.classes.output, level.classes.first, classes);
    let new = out.len();
    Rows { values, anchors }.scan(thresholds.logits(), speaks, |class, i, logit| {
        let (score, class, anchor) = (sigmoid(logit), class as u16, i as u32);
        out.push(Candidate { score, class, anchor, bbox: BBox::new(0.0, 0.0, 0.0, 0.0) });
    });
    let distributions = Distributions { logits, bins: reg_max, anchors };
    for some in out[new..].chunks_mut(dfl::LANES) {
        locate(some, level, distributions);
        some.iter_mut().for_each(|c| c.anchor += first as u32);
    }
}

/// Gives some of a level's candidates, no more than lanes, their boxes.
fn locate(some: &mut [Candidate], level: &Level, distributions: Distributions<'_>) {
    let at = std::array::from_fn(|lane| some[lane.min(some.len() - 1)].anchor as usize);
    let [left, top, right, bottom] = [0, 1, 2, 3].map(|side| distributions.means(side, &at));
    let stride = level.stride as f32;
    for (lane, candidate) in some.iter_mut().enumerate() {
        let x = ((at[lane] % level.width) as f32 + 0.5) * stride;
        let y = ((at[lane] / level.width) as f32 + 0.5) * stride;
        let to = |distances: [f32; dfl::LANES]| distances[lane] * stride;
        candidate.bbox = BBox::new(x - to(left), y - to(top), x + to(right), y + to(bottom));
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::super::layout::Channels;
    use super::*;

    fn run(layout: &Layout, outputs: &[&[f32]], thresholds: &[f32], speaks: Speaks) -> Vec<Candidate> {
        let mut out = Vec::new();
        candidates(layout, outputs, &ClassThresholds::new(thresholds.to_vec()), speaks, &mut out);
        out
    }

    #[test]
    fn a_decoded_anchor_speaks_for_its_best_class() {
        // Two anchors, two classes.
        let output = [50.0, 10.0, 60.0, 20.0, 20.0, 4.0, 10.0, 8.0, 0.6, 0.2, 0.7, 0.9f32];
        let layout = Layout::Decoded { anchors: 2, classes: 2 };
        let best = run(&layout, &[&output], &[0.5, 0.5], Speaks::BestClass);
        assert_eq!(best.len(), 2);
        assert_eq!((best[0].class, best[0].score, best[0].bbox), (1, 0.7, BBox::new(40.0, 55.0, 60.0, 65.0)));
        assert_eq!(run(&layout, &[&output], &[0.5, 0.5], Speaks::EveryClass).len(), 3);
        assert_eq!(
            run(&layout, &[&output], &[0.5, 0.95], Speaks::BestClass),
            [],
            "the second best doesn't step in"
        );
    }

    #[test]
    fn a_row_of_an_end_to_end_head_is_an_object() {
        let rows: [[f32; 6]; 5] = [
            [1.0, 2.0, 3.0, 4.0, 0.9, 1.0],
            [1.0, 2.0, 3.0, 4.0, 0.4, 1.0],
            [5.0, 6.0, 7.0, 8.0, 0.6, 0.0],
            [5.0, 6.0, 7.0, 8.0, 0.9, 2.0],
            [5.0, 6.0, 7.0, 8.0, 0.9, f32::NAN],
        ];
        let layout = Layout::EndToEnd { slots: 5, classes: 2 };
        let found = run(&layout, &[rows.as_flattened()], &[0.5, 0.5], Speaks::EveryClass);
        assert_eq!(found.iter().map(|c| (c.class, c.score)).collect::<Vec<_>>(), [(1, 0.9), (0, 0.6)]);
        assert_eq!(found[0].bbox, BBox::new(1.0, 2.0, 3.0, 4.0));
    }

    #[test]
    fn raw_heads_are_the_mean_of_their_bins() {
        let (w, h, reg_max) = (3, 2, 4);
        let anchors = w * h;
        let mut boxes = vec![0.0f32; 4 * reg_max * anchors];
        // Anchor 4 (x 1, y 1): left surely 2, top evenly 0…3 (1.5), right surely 3, bottom half 0 half 1.
        let mut set = |side: usize, bin: usize, v: f32| boxes[(side * reg_max + bin) * anchors + 4] = v;
        set(0, 2, 100.0);
        set(2, 3, 100.0);
        set(3, 0, 100.0);
        set(3, 1, 100.0);
        let mut classes = vec![-9.0f32; 2 * anchors];
        classes[anchors + 4] = 0.0;
        let level = |boxes, classes| Level { stride: 16, width: w, height: h, boxes, classes };
        let at = |output, first| Channels { output, first };
        let two = Layout::Raw { reg_max, classes: 2, levels: vec![level(at(0, 0), at(1, 0))] };
        let found = run(&two, &[&boxes, &classes], &[0.3, 0.5], Speaks::BestClass);
        assert_eq!(found.len(), 1, "0.5 is reached by a logit of 0");
        let c = found[0];
        assert_eq!((c.class, c.anchor, c.score), (1, 4, 0.5));
        let want = BBox::new(24.0 - 32.0, 24.0 - 24.0, 24.0 + 48.0, 24.0 + 8.0);
        assert!((c.bbox.x1 - want.x1).abs() < 1e-4 && (c.bbox.y1 - want.y1).abs() < 1e-4);
        assert!((c.bbox.x2 - want.x2).abs() < 1e-4 && (c.bbox.y2 - want.y2).abs() < 1e-4);

        let joined = [boxes.clone(), classes.clone()].concat();
        let one = Layout::Raw { reg_max, classes: 2, levels: vec![level(at(0, 0), at(0, 4 * reg_max))] };
        assert_eq!(run(&one, &[&joined], &[0.3, 0.5], Speaks::BestClass), found);
    }

    #[test]
    fn nothing_that_is_not_a_number_is_reported() {
        let output = [1.0, 1.0, 1.0, 1.0, f32::NAN, 0.9];
        let layout = Layout::Decoded { anchors: 1, classes: 2 };
        let found = run(&layout, &[&output], &[0.0, 0.0], Speaks::BestClass);
        assert_eq!(found.iter().map(|c| c.class).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn every_anchor_of_a_long_row_is_looked_at() {
        let anchors = 2 * BLOCK + 7;
        let mut output = vec![0.0f32; 5 * anchors];
        for i in 0..anchors {
            output[4 * anchors + i] = 0.9;
        }
        let layout = Layout::Decoded { anchors, classes: 1 };
        let found = run(&layout, &[&output], &[0.5], Speaks::BestClass);
        assert!(found.iter().map(|c| c.anchor as usize).eq(0..anchors));
    }
}
