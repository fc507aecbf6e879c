//! Greedy non-maximum suppression, within classes and across them.

use crate::geometry::BBox;

/// One class of one anchor that reached its threshold; the box is in pixels of the tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub score: f32,
    pub class: u16,
    pub anchor: u32,
    pub bbox: BBox,
}

/// No more candidates than this, the best ones, take part: what bounds the quadratic part when a scene (or a
/// threshold near 0) makes thousands.
pub(super) const MAX_CANDIDATES: usize = 1500;

/// From which overlap (IoU) on two boxes are one object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overlap {
    /// Of one class.
    pub within: f32,
    /// Of two: one object that has two names.
    pub across: f32,
}

impl Overlap {
    /// Nothing is doubled.
    pub const NEVER: Overlap = Overlap { within: f32::INFINITY, across: f32::INFINITY };

    fn are_one(&self, a: &Candidate, b: &Candidate) -> bool {
        let most = if a.class == b.class { self.within } else { self.across };
        // No two boxes overlap by more than 1.
        most < 1.0 && a.bbox.iou(&b.bbox) > most
    }
}

/// Leaves in `candidates` only those that are not one object with a better one that is left, best first, at most `max` of
/// them. Allocates nothing.
pub(super) fn suppress(candidates: &mut Vec<Candidate>, overlap: Overlap, max: usize) {
    // Ties are broken by place, so that the result doesn't depend on the sort.
    let best_first = |a: &Candidate, b: &Candidate| {
        b.score.total_cmp(&a.score).then(a.class.cmp(&b.class)).then(a.anchor.cmp(&b.anchor))
    };
    if candidates.len() > MAX_CANDIDATES {
        candidates.select_nth_unstable_by(MAX_CANDIDATES, best_first);
        candidates.truncate(MAX_CANDIDATES);
    }
    candidates.sort_unstable_by(best_first);
    let mut kept = 0;
    for next in 0..candidates.len() {
        if kept == max {
            break;
        }
        let candidate = candidates[next];
        if !candidates[..kept].iter().any(|better| overlap.are_one(better, &candidate)) {
            candidates[kept] = candidate;
            kept += 1;
        }
    }
    candidates.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(score: f32, class: u16, x: f32) -> Candidate {
        Candidate { score, class, anchor: x as u32, bbox: BBox::new(x, 0.0, x + 10.0, 10.0) }
    }

    #[test]
    fn the_better_of_two_overlapping_boxes_of_a_class_stays() {
        let mut all = vec![
            candidate(0.6, 0, 1.0),
            candidate(0.9, 0, 0.0),
            candidate(0.5, 1, 0.0),
            candidate(0.4, 0, 20.0),
        ];
        let by_class = Overlap { within: 0.5, across: 1.0 };
        suppress(&mut all, by_class, 10);
        let left: Vec<_> = all.iter().map(|c| (c.score, c.class)).collect();
        assert_eq!(left, [(0.9, 0), (0.5, 1), (0.4, 0)]);
        suppress(&mut all, by_class, 1);
        assert_eq!(all.len(), 1);
        suppress(&mut all, by_class, 0);
        assert!(all.is_empty());
    }

    #[test]
    fn of_two_names_for_one_object_the_surer_stays() {
        // A horse that is a cow too, and a person who holds a dog that hides half of them.
        let both = [candidate(0.8, 0, 0.0), candidate(0.6, 1, 0.5), candidate(0.5, 1, 3.0)];
        let mut all = both.to_vec();
        suppress(&mut all, Overlap { within: 0.5, across: 0.8 }, 10);
        assert_eq!(all, [both[0], both[2]], "what has gone takes no other with it");
    }

    proptest! {
        /// What is left is what the definition says: going from the best down, each is kept iff no kept one overlaps it by
        /// more than their classes may.
        #[test]
        fn as_defined(raw in prop::collection::vec((0u8..50, 0u16..3, 0u8..60), 0..80), within in 0.1f32..1.0, across in 0.1f32..1.0, max in 1usize..20) {
            let mut all: Vec<_> = raw.iter().enumerate().map(|(i, (s, c, x))| Candidate {
                anchor: i as u32, ..candidate(f32::from(*s) / 50.0, *c, f32::from(*x))
            }).collect();
            let mut order = all.clone();
            order.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap().then(a.class.cmp(&b.class)).then(a.anchor.cmp(&b.anchor)));
            let mut want: Vec<Candidate> = Vec::new();
            for c in order {
                let one = |k: &Candidate| k.bbox.iou(&c.bbox) > if k.class == c.class { within } else { across };
                if want.len() < max && !want.iter().any(one) {
                    want.push(c);
                }
            }
            suppress(&mut all, Overlap { within, across }, max);
            prop_assert_eq!(all, want);
        }
    }
}
