//! `vigie detect`: objects in pictures, as words, JSON, COCO results or annotated pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use miette::miette;
use serde::Serialize;

use super::pictures::{cannot, label, picture_files, save_annotated};
use super::{Failure, Outcome, output};
use crate::config;
use crate::detector::{self, ClassThresholds, Detection, Detector, Thresholds};
use crate::geometry::Size;
use crate::vision::{Preprocessor, Tensor, picture};

/// Arguments of `vigie detect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pictures (JPEG, PNG) or folders of them
    #[arg(required = true, value_name = "FILE|DIR")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Print one JSON object a picture
    #[arg(long)]
    json: bool,
    /// Write all detections as COCO results; image ids are taken from file names that are numbers, else counted from 1
    #[arg(long, value_name = "OUT.json")]
    coco: Option<PathBuf>,
    /// Write the pictures with boxes into this folder
    #[arg(long, value_name = "DIR")]
    annotate: Option<PathBuf>,
}

/// Which model, and how it is run; shared by the commands that need one.
#[derive(Debug, clap::Args)]
pub struct ModelArgs {
    /// The model's ONNX file; default: the shipped one
    #[arg(long, value_name = "ONNX")]
    model: Option<PathBuf>,
    /// Inference threads; 0: all cores up to two, otherwise all but one
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
    /// Least score, 0…1: for all labels (0.4), or for one (person=0.3); may be given several times
    #[arg(long = "threshold", value_name = "[LABEL=]SCORE", value_parser = threshold)]
    thresholds: Vec<(String, f32)>,
}

fn threshold(text: &str) -> Result<(String, f32), String> {
    let (label, score) = text.rsplit_once('=').unwrap_or(("*", text));
    match score.parse::<f32>() {
        Ok(score) if (0.0..=1.0).contains(&score) => Ok((label.to_owned(), score)),
        _ => Err(format!("'{score}' is no score between 0 and 1")),
    }
}

impl ModelArgs {
    /// What the detector wants to know.
    ///
    /// # Errors
    /// When no model is named and none is installed.
    pub fn options(&self) -> Result<detector::Options, Failure> {
        let path = match &self.model {
            Some(path) => path.clone(),
            None => shipped_model()?,
        };
        Ok(detector::Options { threads: self.threads, ..detector::Options::new(path) })
    }

    /// The thresholds for the model's classes.
    ///
    /// # Errors
    /// When a label is none of the model's.
    pub fn thresholds(&self, detector: &Detector) -> Result<ClassThresholds, Failure> {
        let mut thresholds = Thresholds { default: DEFAULT_THRESHOLD, labels: Vec::new() };
        for (label, score) in &self.thresholds {
            if label == "*" {
                thresholds.default = *score;
            } else {
                thresholds.labels.push((label.clone(), *score));
            }
        }
        thresholds.resolve(&detector.contract().names).map_err(Failure::usage)
    }
}

/// The installed model.
///
/// # Errors
/// When there is none.
pub(super) fn shipped_model() -> Result<PathBuf, Failure> {
    config::shipped_model().ok_or_else(|| {
        Failure::Usage(miette!(
            help = format!("name one with --model, or its folder with {}", config::MODEL_DIR_VARIABLE),
            "there is no {}, neither in {} nor in ./models",
            config::MODEL_FILE,
            config::MODEL_DIR
        ))
    })
}

/// Below it a box is more often wrong than right.
const DEFAULT_THRESHOLD: f32 = 0.4;

/// One picture's result, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    file: String,
    width: u32,
    height: u32,
    detections: Vec<Found<'a>>,
}

#[derive(Debug, Serialize)]
struct Found<'a> {
    label: &'a str,
    class_id: u16,
    score: f32,
    #[serde(rename = "box")]
    bbox: [f32; 4],
}

/// One entry of a COCO results file.
#[derive(Debug, Serialize)]
struct CocoResult {
    image_id: u64,
    category_id: u32,
    bbox: [f32; 4],
    score: f32,
}

/// Detects, and goes on after a picture that can't be read; such a picture makes the exit code 1 in the end.
pub fn run(args: Args) -> Outcome {
    let files = picture_files(&args.inputs)?;
    let mut detector = Detector::load(&args.model.options()?).map_err(Failure::runtime)?;
    let thresholds = args.model.thresholds(&detector)?;
    if let Some(dir) = &args.annotate {
        std::fs::create_dir_all(dir).map_err(|e| cannot("create the folder", dir, e))?;
    }
    let size = detector.contract().size;
    let (mut preprocessor, mut tensor) = (Preprocessor::new(size), Tensor::new(size));
    let mut found = Vec::new();
    let (mut coco, mut failed) = (Vec::new(), 0);
    let bar = output::progress(files.len(), "detecting");
    for (index, file) in files.iter().enumerate() {
        bar.inc(1);
        let frame = match picture::load(file) {
            Ok(frame) => frame,
            Err(error) => {
                bar.suspend(|| output::say(&format!("skipped: {error}")));
                failed += 1;
                continue;
            }
        };
        let prepared = preprocessor.prepare(&frame, &mut tensor).map_err(Failure::runtime)?;
        detector.detect(&tensor, &prepared.letterbox, &thresholds, &mut found).map_err(Failure::runtime)?;
        let names = &detector.contract().names;
        if args.json {
            output::json_line(&line(file, frame.size, &found, names))?;
        } else {
            bar.suspend(|| output::text(&sentence(file, &found, names)))?;
        }
        if args.coco.is_some() {
            let image_id = stem_number(file).unwrap_or(index as u64 + 1);
            coco.extend(found.iter().map(|d| coco_result(image_id, d)));
        }
        if let Some(dir) = &args.annotate {
            let target = dir.join(file.file_name().unwrap_or(file.as_os_str())).with_extension("jpg");
            save_annotated(&frame, &found, names, &target).map_err(Failure::runtime)?;
        }
    }
    bar.finish_and_clear();
    if let Some(path) = &args.coco {
        let text = serde_json::to_vec(&coco).map_err(Failure::runtime)?;
        std::fs::write(path, text).map_err(|e| cannot("write the COCO results to", path, e))?;
    }
    if failed > 0 {
        return Err(Failure::Runtime(miette!("{failed} of {} pictures could not be read", files.len())));
    }
    Ok(())
}

/// The number that a COCO file name is, for instance 139 of `000000000139.jpg`.
fn stem_number(file: &Path) -> Option<u64> {
    file.file_stem()?.to_str()?.parse().ok()
}

fn line<'a>(file: &Path, size: Size, found: &[Detection], names: &'a [String]) -> Line<'a> {
    let detections = found.iter().map(|d| {
        let b = d.bbox;
        Found {
            label: label(names, d),
            class_id: d.class_id,
            score: round(d.score, 1e4),
            bbox: [b.x1, b.y1, b.x2, b.y2].map(|v| round(v, 1e2)),
        }
    });
    Line {
        file: file.display().to_string(),
        width: size.width,
        height: size.height,
        detections: detections.collect(),
    }
}

fn round(value: f32, steps: f32) -> f32 {
    (value * steps).round() / steps
}

/// `street.jpg: 2 persons 0.91 0.64, 1 car 0.80`, the surest first.
fn sentence(file: &Path, found: &[Detection], names: &[String]) -> String {
    let mut by_label: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
    for d in found {
        by_label.entry(label(names, d)).or_default().push(d.score);
    }
    let mut groups: Vec<_> = by_label.into_iter().collect();
    groups.iter_mut().for_each(|(_, scores)| scores.sort_by(|a, b| b.total_cmp(a)));
    groups.sort_by(|a, b| b.1[0].total_cmp(&a.1[0]));
    let words = groups.iter().map(|(label, scores)| {
        let list: Vec<String> = scores.iter().map(|s| format!("{s:.2}")).collect();
        format!("{} {label} ({})", scores.len(), list.join(", "))
    });
    let words: Vec<String> = words.collect();
    let what = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
    format!("{}: {what}\n", file.display())
}

fn coco_result(image_id: u64, d: &Detection) -> CocoResult {
    let b = d.bbox;
    CocoResult {
        image_id,
        category_id: u32::from(d.class_id) + 1,
        bbox: [b.x1, b.y1, b.width(), b.height()],
        score: d.score,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::BBox;

    #[test]
    fn thresholds_are_for_all_or_for_one_label() {
        assert_eq!(threshold("0.25"), Ok(("*".to_owned(), 0.25)));
        assert_eq!(threshold("person=0.3"), Ok(("person".to_owned(), 0.3)));
        assert!(threshold("person=1.5").is_err() && threshold("person").is_err());
    }

    #[test]
    fn the_surest_label_comes_first() {
        let names = vec!["person".to_owned(), "car".to_owned()];
        let d = |class_id, score| Detection { class_id, score, bbox: BBox::default() };
        let text = sentence(Path::new("a.jpg"), &[d(0, 0.5), d(1, 0.8), d(0, 0.7)], &names);
        assert_eq!(text, "a.jpg: 1 car (0.80), 2 person (0.70, 0.50)\n");
        assert_eq!(sentence(Path::new("a.jpg"), &[], &names), "a.jpg: nothing\n");
    }
}
