//! `vigie detect`: objects in pictures, as words, JSON, COCO results or annotated pictures.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use miette::miette;
use serde::Serialize;

use super::coco_results::{self, CocoResult};
use super::model_args::{ModelArgs, ScoreArgs};
use super::pictures::{cannot, label, picture_files, save_annotated};
use super::{Failure, Outcome, output};
use crate::detector::{Detection, Detector};
use crate::geometry::Size;
use crate::mqtt::payload::round;
use crate::vision::{Preprocessor, Tensor, picture};

/// Arguments of `vigie detect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pictures (JPEG, PNG) or folders of them
    #[arg(required = true, value_name = "FILE|DIR")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    score: ScoreArgs,
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

/// Detects, and goes on after a picture that can't be read; such a picture makes the exit code 1 in the end.
pub fn run(args: Args) -> Outcome {
    let files = picture_files(&args.inputs)?;
    let mut detector = Detector::load(&args.model.options()?).map_err(Failure::runtime)?;
    let thresholds = args.score.thresholds(&detector)?;
    let targets = match &args.annotate {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(|e| cannot("create the folder", dir, e))?;
            targets(&files, dir)?
        }
        None => Vec::new(),
    };
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
        if let Some(target) = targets.get(index) {
            save_annotated(&frame, &found, names, target).map_err(Failure::runtime)?;
        }
    }
    bar.finish_and_clear();
    if let Some(path) = &args.coco {
        coco_results::write(path, &coco)?;
    }
    if failed > 0 {
        return Err(Failure::Runtime(miette!("{failed} of {} pictures could not be read", files.len())));
    }
    Ok(())
}

/// By picture, the annotated file in a folder: its own name, with a number where another picture has it.
///
/// # Errors
/// When an annotated picture would take the place of one that is looked at.
fn targets(files: &[PathBuf], dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let sources: HashSet<PathBuf> = files.iter().map(|file| real(file)).collect();
    let mut taken = HashSet::new();
    let mut targets = Vec::with_capacity(files.len());
    for file in files {
        let stem = file.file_stem().unwrap_or(file.as_os_str());
        let named = |suffix: &str| {
            let mut name = stem.to_owned();
            name.push(suffix);
            name.push(".jpg");
            dir.join(name)
        };
        let mut target = named("");
        for number in 2.. {
            if taken.insert(target.clone()) {
                break;
            }
            target = named(&format!("-{number}"));
        }
        if sources.contains(&real(&target)) {
            return Err(Failure::Usage(miette!(
                help = "name another folder with --annotate",
                "the annotated picture of '{}' would overwrite the picture '{}'",
                file.display(),
                target.display()
            )));
        }
        targets.push(target);
    }
    Ok(targets)
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
        category_id: u64::from(d.class_id) + 1,
        bbox: [b.x1, b.y1, b.width(), b.height()],
        score: d.score,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::BBox;

    #[test]
    fn the_surest_label_comes_first() {
        let names = vec!["person".to_owned(), "car".to_owned()];
        let d = |class_id, score| Detection { class_id, score, bbox: BBox::default() };
        let text = sentence(Path::new("a.jpg"), &[d(0, 0.5), d(1, 0.8), d(0, 0.7)], &names);
        assert_eq!(text, "a.jpg: 1 car (0.80), 2 person (0.70, 0.50)\n");
        assert_eq!(sentence(Path::new("a.jpg"), &[], &names), "a.jpg: nothing\n");
    }
}
