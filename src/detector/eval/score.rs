//! Average precision as pycocotools computes it: IoU thresholds .50:.05:.95, 101 recall points, 100 detections of a class
//! in an image, objects of every size.
//!
//! **Pictures that list their classes** (`labelled_classes`) follow the rule of federated data sets: a class that a picture
//! does not list is not evaluated on that picture. Its truth boxes there, if there are any all the same, and its
//! detections there are ignored: neither found nor missed, neither right nor a false alarm. An empty list takes a picture
//! out for every class; no list at all means that every class is labelled.

use std::collections::BTreeMap;

use serde::Serialize;

use super::coco::Image;

const IOUS: usize = 10;
const RECALLS: usize = 101;
/// More detections of a class in one picture don't count.
const MAX_DETECTIONS: usize = 100;

/// A detection to be scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Index into [`super::Dataset::categories`].
    pub category: usize,
    /// The confidence.
    pub score: f64,
    /// x, y, width and height in pixels of the picture.
    pub bbox: [f64; 4],
}

/// The scores of a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Pictures scored.
    pub images: usize,
    /// Mean over classes of the average precision at IoU 0.5.
    pub map50: f64,
    /// Mean over classes and IoU thresholds .50:.05:.95.
    pub map50_95: f64,
    /// By label, the classes of which there are objects.
    pub classes: BTreeMap<String, ClassScores>,
}

/// The scores of a class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClassScores {
    /// Average precision at IoU 0.5.
    pub ap50: f64,
    /// Mean over IoU thresholds .50:.05:.95.
    pub ap50_95: f64,
    /// Objects that had to be found.
    pub boxes: usize,
}

/// What became of a detection at each IoU threshold.
#[derive(Clone, Copy)]
struct Verdict {
    score: f64,
    outcomes: [Outcome; IOUS],
}

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    True,
    False,
    Ignored,
}

/// Collects the detections of one picture after the other.
pub struct Evaluator {
    verdicts: Vec<Vec<Verdict>>,
    objects: Vec<usize>,
    images: usize,
}

impl Evaluator {
    /// For a data set of that many categories.
    pub fn new(categories: usize) -> Evaluator {
        Evaluator { verdicts: vec![Vec::new(); categories], objects: vec![0; categories], images: 0 }
    }

    /// Judges the detections of one picture. Detections, and objects, of categories that are not labelled in it are left out.
    ///
    /// Pictures must come in the order of the data set for scores that tie to fall as pycocotools lets them.
    pub fn add(&mut self, image: &Image, found: &[Found]) {
        self.images += 1;
        for category in (0..self.objects.len()).filter(|c| image.labels(*c)) {
            // Those that count come first: a detection prefers them.
            let all = || image.objects.iter().filter(move |o| o.category == category);
            let counted = all().filter(|o| !o.ignored).map(|o| o.bbox);
            let objects: Vec<[f64; 4]> = counted.chain(all().filter(|o| o.ignored).map(|o| o.bbox)).collect();
            let counted = all().filter(|o| !o.ignored).count();
            self.objects[category] += counted;
            let mut mine: Vec<Found> = found.iter().filter(|f| f.category == category).copied().collect();
            mine.sort_by(|a, b| b.score.total_cmp(&a.score));
            mine.truncate(MAX_DETECTIONS);
            self.verdicts[category].extend(judge(&objects, counted, &mine));
        }
    }

    /// The scores of all that was added, over the categories that `names` names (by category) and of which there are
    /// objects.
    pub fn finish(self, names: &[Option<String>]) -> Scores {
        let mut classes = BTreeMap::new();
        for ((name, verdicts), boxes) in names.iter().zip(self.verdicts).zip(self.objects) {
            let Some(name) = name.as_ref().filter(|_| boxes > 0) else { continue };
            let precisions = precisions(verdicts, boxes);
            let scores = ClassScores { ap50: precisions[0], ap50_95: mean(&precisions), boxes };
            classes.insert(name.clone(), scores);
        }
        let over = |f: fn(&ClassScores) -> f64| mean(&classes.values().map(f).collect::<Vec<_>>());
        Scores { images: self.images, map50: over(|c| c.ap50), map50_95: over(|c| c.ap50_95), classes }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn threshold(index: usize) -> f64 {
    // The very numbers of numpy.linspace(.5, .95, 10).
    0.5 + (0.95 - 0.5) / 9.0 * index as f64
}

/// Matches detections, best first, to a picture's objects of one category, of which the first `counted` count.
fn judge(objects: &[[f64; 4]], counted: usize, found: &[Found]) -> Vec<Verdict> {
    let overlaps: Vec<Vec<f64>> = found
        .iter()
        .map(|f| objects.iter().enumerate().map(|(i, o)| overlap(&f.bbox, o, i >= counted)).collect())
        .collect();
    let mut verdicts: Vec<Verdict> =
        found.iter().map(|f| Verdict { score: f.score, outcomes: [Outcome::False; IOUS] }).collect();
    for t in 0..IOUS {
        let mut taken = vec![false; counted];
        for (verdict, overlaps) in verdicts.iter_mut().zip(&overlaps) {
            let (certain, ignorable) = overlaps.split_at(counted);
            if let Some(best) = nearest(certain, &taken, threshold(t)) {
                taken[best] = true;
                verdict.outcomes[t] = Outcome::True;
            } else if ignorable.iter().any(|iou| *iou >= threshold(t)) {
                // An ignored region swallows any number of detections.
                verdict.outcomes[t] = Outcome::Ignored;
            }
        }
    }
    verdicts
}

/// The free object that overlaps most, if any reaches the threshold; of equal ones the last, as pycocotools has it.
fn nearest(overlaps: &[f64], taken: &[bool], threshold: f64) -> Option<usize> {
    let free =
        overlaps.iter().zip(taken).enumerate().filter(|(_, (iou, taken))| !**taken && **iou >= threshold);
    free.max_by(|a, b| a.1.0.total_cmp(b.1.0)).map(|(i, _)| i)
}

/// Intersection over union; over the detection alone if the object is a region to be ignored.
fn overlap(found: &[f64; 4], object: &[f64; 4], ignored: bool) -> f64 {
    let w = (found[0] + found[2]).min(object[0] + object[2]) - found[0].max(object[0]);
    let h = (found[1] + found[3]).min(object[1] + object[3]) - found[1].max(object[1]);
    if w <= 0.0 || h <= 0.0 {
        return 0.0;
    }
    let (intersection, area) = (w * h, found[2] * found[3]);
    let whole = if ignored { area } else { area + object[2] * object[3] - intersection };
    intersection / whole
}

/// Average precision at each IoU threshold.
fn precisions(mut verdicts: Vec<Verdict>, boxes: usize) -> [f64; IOUS] {
    verdicts.sort_by(|a, b| b.score.total_cmp(&a.score));
    std::array::from_fn(|t| average_precision(verdicts.iter().map(|v| v.outcomes[t]), boxes))
}

fn average_precision(outcomes: impl Iterator<Item = Outcome>, boxes: usize) -> f64 {
    let (mut hits, mut false_alarms) = (0usize, 0usize);
    // Recall and precision after each detection.
    let mut curve: Vec<(f64, f64)> = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::True => hits += 1,
            Outcome::False => false_alarms += 1,
            Outcome::Ignored => {}
        }
        let precision = hits as f64 / ((hits + false_alarms) as f64 + f64::EPSILON);
        curve.push((hits as f64 / boxes as f64, precision));
    }
    // The envelope: what is reached at this recall or a higher one.
    let mut best = 0.0f64;
    for point in curve.iter_mut().rev() {
        best = best.max(point.1);
        point.1 = best;
    }
    let at = |recall: f64| curve.get(curve.partition_point(|p| p.0 < recall)).map_or(0.0, |p| p.1);
    (0..RECALLS).map(|r| at(r as f64 * 0.01)).sum::<f64>() / RECALLS as f64
}

#[cfg(test)]
mod tests {
    use super::super::coco::Object;
    use super::*;

    fn object(x: f64, ignored: bool) -> Object {
        Object { category: 0, bbox: [x, 0.0, 10.0, 10.0], ignored }
    }

    fn found(x: f64, score: f64) -> Found {
        Found { category: 0, score, bbox: [x, 0.0, 10.0, 10.0] }
    }

    fn scores(images: &[(Vec<Object>, Vec<Found>)]) -> ClassScores {
        let image = |(id, (objects, _)): (u64, &(Vec<Object>, Vec<Found>))| Image {
            id,
            file_name: String::new(),
            objects: objects.clone(),
            labelled: None,
        };
        let mut evaluator = Evaluator::new(1);
        for (image, (_, found)) in (0..).zip(images).map(image).zip(images) {
            evaluator.add(&image, found);
        }
        evaluator.finish(&[Some("a".into())]).classes["a"]
    }

    #[test]
    fn all_found_is_one_and_none_is_zero() {
        let perfect = scores(&[(vec![object(0.0, false)], vec![found(0.0, 0.9)])]);
        assert!((perfect.ap50_95 - 1.0).abs() < 1e-12 && perfect.boxes == 1);
        assert_eq!(scores(&[(vec![object(0.0, false)], vec![])]).ap50, 0.0);
    }

    #[test]
    fn a_false_alarm_above_the_hit_halves_the_precision() {
        let s = scores(&[(vec![object(0.0, false)], vec![found(50.0, 0.9), found(0.0, 0.8)])]);
        assert!((s.ap50 - 0.5).abs() < 1e-12);
        // IoU 9/11 = 0.818 counts for .50 to .80, seven of ten thresholds.
        let near = scores(&[(vec![object(0.0, false)], vec![found(1.0, 0.8)])]);
        assert!((near.ap50_95 - 0.7).abs() < 1e-12);
    }

    #[test]
    fn half_of_the_objects_is_fifty_one_of_101_recalls() {
        let s = scores(&[(vec![object(0.0, false), object(30.0, false)], vec![found(0.0, 0.9)])]);
        assert!((s.ap50 - 51.0 / 101.0).abs() < 1e-12);
    }

    #[test]
    fn ignored_objects_swallow_detections() {
        let crowd = vec![object(0.0, false), object(30.0, true)];
        let s =
            scores(&[(crowd, vec![found(30.0, 0.9), found(31.0, 0.85), found(0.0, 0.8), found(0.0, 0.7)])]);
        assert_eq!(s.boxes, 1);
        assert!(
            (s.ap50 - 1.0).abs() < 1e-12,
            "the second detection of the object comes after it and costs nothing"
        );
    }

    /// `training/` computes the same set with pycocotools by the same rule.
    #[test]
    fn a_class_that_a_picture_does_not_list_is_not_evaluated_there() {
        let object = |category, x| Object { category, bbox: [x, 0.0, 10.0, 10.0], ignored: false };
        let found = |category, x, score| Found { category, score, bbox: [x, 0.0, 10.0, 10.0] };
        let image = |id, labelled: Option<&[usize]>, objects: &[Object]| Image {
            id,
            file_name: String::new(),
            objects: objects.to_vec(),
            labelled: labelled.map(<[usize]>::to_vec),
        };
        let mut evaluator = Evaluator::new(3);
        // Class 1 has a truth box and two detections where it isn't listed: one that would be right, one that wouldn't.
        evaluator.add(
            &image(1, Some(&[0]), &[object(0, 0.0), object(1, 30.0)]),
            &[found(0, 0.0, 0.9), found(1, 30.0, 0.95), found(1, 90.0, 0.93)],
        );
        evaluator.add(
            &image(2, Some(&[0, 1]), &[object(0, 0.0), object(1, 30.0)]),
            &[found(0, 60.0, 0.8), found(1, 30.0, 0.7)],
        );
        evaluator.add(&image(3, None, &[object(1, 30.0)]), &[found(0, 0.0, 0.5)]);
        evaluator.add(&image(4, Some(&[]), &[object(2, 30.0)]), &[found(2, 30.0, 0.5), found(0, 0.0, 0.99)]);
        let scores = evaluator.finish(&["a", "b", "c"].map(|name| Some(name.to_owned())));
        assert_eq!(scores.images, 4);
        let class = |name: &str| (scores.classes[name].boxes, scores.classes[name].ap50);
        // One of two found, first: half of the recalls (51 of 101) at precision 1.
        assert_eq!(class("a").0, 2);
        assert!((class("a").1 - 51.0 / 101.0).abs() < 1e-12);
        assert_eq!(class("b").0, 2);
        assert!(
            (class("b").1 - 51.0 / 101.0).abs() < 1e-12,
            "the box and the detections of picture 1 count nowhere"
        );
        assert!(!scores.classes.contains_key("c"), "no object of it had to be found");
    }

    #[test]
    fn what_is_not_labelled_is_left_out() {
        let image = Image { id: 1, file_name: String::new(), objects: vec![], labelled: Some(vec![1]) };
        let mut evaluator = Evaluator::new(2);
        evaluator.add(&image, &[found(0.0, 0.9)]);
        assert!(evaluator.verdicts[0].is_empty());
    }
}
