//! The golden check: at load the model runs on a picture that every implementation can draw, and its outputs must be
//! those that another runtime computed when the model was made. So a runtime that mis-computes (a wrong kernel, a wrong
//! graph rewrite, a flipped bit in the file) is caught before it reports things that are not there.
//!
//! The golden outputs stand in the model's metadata under `vigie.golden`, or beside it in `MODEL.onnx.golden.json`;
//! `vigie-golden` (`training/`) writes them with onnxruntime. Models without any are only checked for plausible outputs.

use std::path::PathBuf;

use serde::Deserialize;

use super::error::ContractKind;
use super::file::ModelFile;
use super::layout::Layout;
use super::{Contract, Error};
use crate::geometry::Size;
use crate::vision::Tensor;

/// The metadata key.
const KEY: &str = "vigie.golden";
/// The format that this code knows.
const VERSION: u32 = 1;
/// More probes say nothing more.
const MAX_PROBES: usize = 65_536;
/// Probabilities closer than this to 0 or 1 are not told apart.
const EDGE: f32 = 1e-5;

/// Golden outputs, at evenly spaced places of all values of a kind.
#[derive(Debug, Deserialize)]
struct Golden {
    version: u32,
    /// Height and width of the input.
    size: [u32; 2],
    /// The largest root mean square of the differences, relative to the standard deviation of what is expected.
    tolerance: f32,
    /// Of the decoded boxes (cx, cy, w, h), or of the raw logits of distances.
    boxes: Vec<f32>,
    /// Of the classes' logits.
    classes: Vec<f32>,
}

/// How a model was checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Checked {
    /// Against golden outputs, with these relative deviations of boxes and classes.
    Golden {
        /// Of the boxes.
        boxes: f32,
        /// Of the classes.
        classes: f32,
        /// What is allowed.
        tolerance: f32,
    },
    /// There were no golden outputs; the outputs were plausible.
    Plausible,
    /// There were no golden outputs, and every score was the same, next to 0: the model may find nothing at all, as one
    /// does whose outputs were quantized together.
    Silent,
}

/// The picture: gradients, blocks and curves in integer arithmetic, the same in every language.
pub(super) fn picture(size: Size) -> Tensor {
    let mut tensor = Tensor::new(size);
    let places = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
    for ((x, y), pixel) in places.zip(tensor.data.as_chunks_mut::<3>().0) {
        for (c, value) in (0u32..).zip(pixel) {
            let gradient = (x * (7 + 2 * c) + y * (5 + 3 * c)) >> 2;
            let blocks = (((x >> 4) ^ (y >> 4)) & 7) * 23;
            let curves = (x * x + y * y * (c + 1)) >> 7;
            *value = ((gradient + blocks + curves) & 255) as u8;
        }
    }
    tensor
}

/// Checks the outputs that the model made of [`picture`].
pub(super) fn check(file: &ModelFile, contract: &Contract, outputs: &[&[f32]]) -> Result<Checked, Error> {
    let wrong = |reason: String| Error::Golden { path: file.path.clone(), reason };
    let (boxes, classes) = groups(&contract.layout, outputs);
    let plausible = match &contract.layout {
        Layout::EndToEnd { classes, .. } => rows(outputs[0], *classes, contract.size),
        layout => {
            probabilities(layout, outputs).and_then(|()| plausible(layout, &boxes, &classes, contract.size))
        }
    };
    let plausible = plausible.map_err(wrong)?;
    // The rows of an end-to-end head are sorted by score: the least difference of two scores swaps them, and then
    // values at fixed places say nothing.
    let golden = read(file)?.filter(|_| !matches!(contract.layout, Layout::EndToEnd { .. }));
    // A dynamic export may be pinned to another size.
    let golden = golden.filter(|golden| golden.size == [contract.size.height, contract.size.width]);
    let Some(golden) = golden else { return Ok(plausible) };
    let boxes = deviation(&golden.boxes, &boxes);
    let classes = deviation(&golden.classes, &classes);
    let tolerance = golden.tolerance;
    // Written so that NaN fails.
    if boxes <= tolerance && classes <= tolerance {
        return Ok(Checked::Golden { boxes, classes, tolerance });
    }
    Err(wrong(format!(
        "its golden outputs are missed by {:.2} % in boxes and {:.2} % in classes, {:.2} % are allowed",
        boxes * 100.0,
        classes * 100.0,
        tolerance * 100.0
    )))
}

fn read(file: &ModelFile) -> Result<Option<Golden>, Error> {
    let mut beside = file.path.clone().into_os_string();
    beside.push(".golden.json");
    let beside = PathBuf::from(beside);
    let text = match (file.metadata(KEY), std::fs::read_to_string(&beside)) {
        (Some(text), _) => text.to_owned(),
        (None, Ok(text)) => text,
        (None, Err(e)) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        (None, Err(source)) => return Err(Error::Read { path: beside, source }),
    };
    let golden = serde_json::from_str::<Golden>(&text).map_err(|e| e.to_string()).and_then(|golden| {
        let probes = |p: &[f32]| (1..=MAX_PROBES).contains(&p.len());
        match golden.version == VERSION && probes(&golden.boxes) && probes(&golden.classes) {
            true => Ok(golden),
            false => Err(format!("version {} or its number of probes is unknown", golden.version)),
        }
    });
    golden.map(Some).map_err(|e| Error::Contract {
        path: file.path.clone(),
        kind: ContractKind::Metadata,
        problem: format!("has golden outputs that can't be read: {e}"),
        hint: "make them again with vigie-golden (training/), or remove them".into(),
    })
}

/// All values of boxes and of classes (as logits), in the order of the layout.
fn groups(layout: &Layout, outputs: &[&[f32]]) -> (Vec<f32>, Vec<f32>) {
    match layout {
        Layout::Decoded { anchors, .. } => {
            let (boxes, scores) = outputs[0].split_at(4 * anchors);
            let logit = |p: &f32| {
                let p = p.clamp(EDGE, 1.0 - EDGE);
                (p / (1.0 - p)).ln()
            };
            (boxes.to_vec(), scores.iter().map(logit).collect())
        }
        Layout::EndToEnd { .. } => (Vec::new(), Vec::new()),
        Layout::Raw { reg_max, classes, levels } => {
            let (mut boxes, mut values) = (Vec::new(), Vec::new());
            for level in levels {
                let n = level.width * level.height;
                boxes.extend_from_slice(
                    &outputs[level.boxes.output][level.boxes.first * n..][..4 * reg_max * n],
                );
                values.extend_from_slice(
                    &outputs[level.classes.output][level.classes.first * n..][..classes * n],
                );
            }
            (boxes, values)
        }
    }
}

/// The scores of a decoded output are probabilities; a rounding error may step over the ends. Written so that NaN fails.
fn probabilities(layout: &Layout, outputs: &[&[f32]]) -> Result<(), String> {
    let Layout::Decoded { anchors, .. } = layout else { return Ok(()) };
    match outputs[0][4 * anchors..].iter().find(|score| !PROBABILITY.contains(*score)) {
        Some(bad) => Err(format!("its scores hold {bad}, which is no probability")),
        None => Ok(()),
    }
}

const PROBABILITY: std::ops::RangeInclusive<f32> = -0.001..=1.001;

/// What no sound detector's outputs fail, whatever it was trained on.
fn plausible(layout: &Layout, boxes: &[f32], classes: &[f32], size: Size) -> Result<Checked, String> {
    if let Some(bad) = boxes.iter().chain(classes).find(|v| !v.is_finite()) {
        return Err(format!("its outputs hold {bad}"));
    }
    let far = far(size);
    let limit = if matches!(layout, Layout::Decoded { .. }) { far } else { 1e4 };
    if let Some(bad) = boxes.iter().chain(classes).find(|v| v.abs() > limit) {
        return Err(format!("its outputs hold the implausible value {bad}"));
    }
    let constant = |values: &[f32]| values.iter().all(|v| *v == values[0]);
    // Probabilities that are all next to 0 are no fault of a model that sees nothing here.
    let silent = constant(classes) && classes.first().is_some_and(|logit| *logit < -4.0);
    let raw = matches!(layout, Layout::Raw { .. });
    if constant(boxes) || constant(classes) && (raw || !silent) {
        return Err("all its outputs are the same, whatever it sees".into());
    }
    Ok(if silent { Checked::Silent } else { Checked::Plausible })
}

/// Boxes lie within this of the input's pixels.
fn far(size: Size) -> f32 {
    8.0 * size.width.max(size.height) as f32
}

/// What no sound end-to-end head's rows fail.
fn rows(output: &[f32], classes: usize, size: Size) -> Result<Checked, String> {
    let mut best = 0.0f32;
    for [box_ @ .., score, class] in output.as_chunks::<6>().0 {
        if let Some(bad) = box_.iter().find(|v| v.is_nan() || v.abs() > far(size)) {
            return Err(format!("its boxes hold {bad}"));
        }
        if !PROBABILITY.contains(score) {
            return Err(format!("its scores hold {score}"));
        }
        // Rows without an object may have any class.
        if *score > 0.001 && !(class.fract() == 0.0 && (0.0..classes as f32).contains(class)) {
            return Err(format!("its classes hold {class}, where there are {classes}"));
        }
        best = best.max(*score);
    }
    Ok(if best == 0.0 { Checked::Silent } else { Checked::Plausible })
}

/// The root mean square of the differences at the probes, relative to the standard deviation of what is expected.
fn deviation(want: &[f32], got: &[f32]) -> f32 {
    let n = want.len() as f64;
    let mean = want.iter().map(|w| f64::from(*w)).sum::<f64>() / n;
    let (mut error, mut variance) = (0.0f64, 0.0f64);
    for (k, &w) in want.iter().enumerate() {
        let g = got[(2 * k + 1) * got.len() / (2 * want.len())];
        error += (f64::from(g) - f64::from(w)).powi(2);
        variance += (f64::from(w) - mean).powi(2);
    }
    (error / variance.max(1e-12)).sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_that_of_the_script() {
        // Also computed by training's golden.py.
        let tensor = picture(Size::new(320, 320));
        let sum: u64 = tensor.data.iter().map(|v| u64::from(*v)).sum();
        let at = |x: usize, y: usize| &tensor.data[(y * 320 + x) * 3..][..3];
        assert_eq!(
            (at(0, 0), at(17, 3), at(319, 319), sum),
            (&[0, 0, 0][..], &[58, 69, 80][..], &[243, 156, 70][..], 38_938_720)
        );
    }

    #[test]
    fn a_deviation_is_relative_to_the_spread() {
        assert_eq!(deviation(&[1.0, 3.0], &[0.0, 1.0, 0.0, 3.0]), 0.0);
        assert!((deviation(&[0.0, 10.0], &[1.0, 9.0]) - 0.2).abs() < 1e-6);
        assert!(deviation(&[0.0, 10.0], &[f32::NAN, 9.0]).is_nan());
    }

    #[test]
    fn implausible_outputs_are_told() {
        let layout = Layout::Raw { reg_max: 1, classes: 2, levels: Vec::new() };
        let size = Size::new(320, 320);
        let says = |boxes: &[f32], classes: &[f32]| plausible(&layout, boxes, classes, size);
        assert_eq!(says(&[1.0, 2.0, 3.0, 4.0], &[-4.0, -3.0]), Ok(Checked::Plausible));
        assert!(says(&[f32::NAN, 2.0, 3.0, 4.0], &[-4.0, -3.0]).unwrap_err().contains("NaN"));
        assert!(says(&[1e9, 2.0, 3.0, 4.0], &[-4.0, -3.0]).unwrap_err().contains("implausible"));
        assert!(says(&[1.0, 2.0, 3.0, 4.0], &[-4.0, -4.0]).unwrap_err().contains("the same"));
    }

    #[test]
    fn a_decoded_output_that_scores_nothing_is_silent() {
        let layout = Layout::Decoded { anchors: 2, classes: 1 };
        let says = |scores: [f32; 2]| {
            let output = [9.0, 8.0, 9.0, 8.0, 7.0, 6.0, 7.0, 6.0, scores[0], scores[1]];
            let (boxes, classes) = groups(&layout, &[&output]);
            probabilities(&layout, &[&output])?;
            plausible(&layout, &boxes, &classes, Size::new(320, 320))
        };
        assert_eq!(says([0.0, 0.0]), Ok(Checked::Silent));
        assert_eq!(says([0.0, 0.01]), Ok(Checked::Plausible));
        assert!(says([0.5, 0.5]).unwrap_err().contains("the same"));
        assert!(says([0.5, f32::NAN]).unwrap_err().contains("NaN"));
        assert!(says([0.5, 3.0]).unwrap_err().contains("3, which is no probability"));
    }

    #[test]
    fn rows_of_an_end_to_end_head_are_looked_through() {
        let says = |row: [f32; 6]| rows(&row, 3, Size::new(320, 320));
        assert_eq!(says([1.0, 2.0, 30.0, 40.0, 0.9, 2.0]), Ok(Checked::Plausible));
        assert_eq!(says([0.0, 0.0, 0.0, 0.0, 0.0, -1.0]), Ok(Checked::Silent));
        for (at, bad, word) in
            [(0, f32::NAN, "boxes"), (3, 1e6, "boxes"), (4, 7.0, "scores"), (4, f32::NAN, "scores")]
        {
            let mut row = [1.0, 2.0, 30.0, 40.0, 0.9, 2.0];
            row[at] = bad;
            assert!(says(row).unwrap_err().contains(word), "{row:?}");
        }
        for class in [3.0, -1.0, 0.5, f32::NAN] {
            assert!(says([1.0, 2.0, 30.0, 40.0, 0.9, class]).unwrap_err().contains("classes"), "{class}");
        }
    }
}
