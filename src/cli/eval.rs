//! `vigie eval`: how good is a model, through the very pipeline that the daemon runs?

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::coco_results::{self, CocoResult};
use super::model_args::ModelArgs;
use super::{Failure, Outcome, output};
use crate::detector::eval::{Category, Dataset, Evaluator, Found, Image, Scores};
use crate::detector::{ClassThresholds, Detection, Detector, Options};
use crate::vision::{Preprocessor, Tensor, picture};

/// What COCO evaluations of YOLO models use: everything that might be an object, and loose suppression, for the score
/// is over all thresholds.
const SCORE: f32 = 0.001;
const NMS_IOU: f32 = 0.7;
const NMS_IOU_ACROSS_CLASSES: f32 = 1.0;
const MAX_DETECTIONS: usize = 300;

/// Scores a model on labelled pictures: COCO's mean average precision.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The labels, as COCO's instances JSON.
    #[arg(long, value_name = "JSON")]
    coco: PathBuf,
    /// The folder that the pictures' file names are relative to.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Only the first N pictures.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Also write the detections, as COCO's results JSON.
    #[arg(long, value_name = "JSON")]
    detections: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Outcome {
    let mut data = Dataset::read(&args.coco).map_err(Failure::usage)?;
    data.images.truncate(args.limit.unwrap_or(usize::MAX));
    present(&data, &args.images)?;
    let options = args.model.options()?;
    let options = Options {
        nms_iou: NMS_IOU,
        nms_iou_across_classes: NMS_IOU_ACROSS_CLASSES,
        max_detections: MAX_DETECTIONS,
        ..options
    };
    let detector = Detector::load(&options).map_err(Failure::runtime)?.with_every_class();
    let known = known(&data, &detector.contract().names)?;

    let mut pipeline = Pipeline::new(detector);
    let mut evaluator = Evaluator::new(data.categories.len());
    let mut results = Vec::new();
    let bar = output::progress(data.images.len(), "scoring");
    for image in &data.images {
        let found = pipeline.look(&args.images.join(&image.file_name), &known)?;
        evaluator.add(image, &found);
        if args.detections.is_some() {
            results.extend(found.iter().map(|f| result(image, &data.categories, f)));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(path) = &args.detections {
        coco_results::write(path, &results)?;
    }
    let scores = evaluator.finish(&scored(data, &known));
    match args.json {
        true => output::json_line(&scores)?,
        false => output::text(&table(&scores))?,
    }
    Ok(())
}

/// Everything from a file to detections, with the memory that it works in.
struct Pipeline {
    detector: Detector,
    preprocessor: Preprocessor,
    tensor: Tensor,
    thresholds: ClassThresholds,
    detections: Vec<Detection>,
}

impl Pipeline {
    fn new(detector: Detector) -> Pipeline {
        let size = detector.contract().size;
        let thresholds = ClassThresholds::uniform(SCORE, detector.contract().names.len());
        Pipeline {
            preprocessor: Preprocessor::new(size),
            tensor: Tensor::new(size),
            thresholds,
            detections: Vec::new(),
            detector,
        }
    }

    /// What is in a picture; `known` gives the category of a class.
    fn look(&mut self, path: &Path, known: &[Option<usize>]) -> Result<Vec<Found>, Failure> {
        let frame = picture::load(path).map_err(Failure::runtime)?;
        let prepared = self.preprocessor.prepare(&frame, &mut self.tensor).map_err(Failure::runtime)?;
        self.detector
            .detect(&self.tensor, &prepared.letterbox, &self.thresholds, &mut self.detections)
            .map_err(Failure::runtime)?;
        let found = |d: &Detection| {
            let [x1, y1, x2, y2] = [d.bbox.x1, d.bbox.y1, d.bbox.x2, d.bbox.y2].map(f64::from);
            let category = known[usize::from(d.class_id)]?;
            Some(Found { category, score: f64::from(d.score), bbox: [x1, y1, x2 - x1, y2 - y1] })
        };
        Ok(self.detections.iter().filter_map(found).collect())
    }
}

/// The category of each of the model's classes, by name.
fn known(data: &Dataset, names: &[String]) -> Result<Vec<Option<usize>>, Failure> {
    let category = |name: &String| {
        let same = |c: &Category| canonical(&c.name) == canonical(name);
        let exact = data.categories.iter().position(|c| c.name == *name);
        exact.or_else(|| data.categories.iter().position(same))
    };
    let known: Vec<Option<usize>> = names.iter().map(category).collect();
    let unknown: Vec<&str> = (0..data.categories.len())
        .filter(|c| !known.contains(&Some(*c)))
        .map(|c| data.categories[c].name.as_str())
        .collect();
    if unknown.len() == data.categories.len() {
        let labels =
            format!("the labels are {}; the model's classes are {}", unknown.join(", "), names.join(", "));
        return Err(Failure::Usage(miette::miette!("the model has none of the labelled classes: {labels}")));
    }
    if !unknown.is_empty() {
        output::say(&format!("not scored, for the model doesn't have them: {}", unknown.join(", ")));
    }
    Ok(known)
}

/// A label without what data sets spell differently: PASCAL VOC says `pottedplant`, COCO `potted plant`.
fn canonical(label: &str) -> String {
    let plain: String = label.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    match plain.as_str() {
        "airplane" => "aeroplane".to_owned(),
        "motorcycle" => "motorbike".to_owned(),
        "couch" => "sofa".to_owned(),
        "tv" => "tvmonitor".to_owned(),
        _ => plain,
    }
}

/// Says at once, not after an hour, that pictures are missing.
fn present(data: &Dataset, folder: &Path) -> Result<(), Failure> {
    let missing: Vec<&str> = data
        .images
        .iter()
        .map(|i| i.file_name.as_str())
        .filter(|name| !folder.join(name).is_file())
        .collect();
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(Failure::Usage(miette::miette!(
            help = "give with --images the folder that the `file_name`s are relative to",
            "{} of {} pictures are not in {}, for instance {first}",
            missing.len(),
            data.images.len(),
            folder.display()
        ))),
    }
}

/// By category its name, if the model has it and can be held to it.
fn scored(mut data: Dataset, known: &[Option<usize>]) -> Vec<Option<String>> {
    let named =
        |(i, c): (usize, &mut Category)| known.contains(&Some(i)).then(|| std::mem::take(&mut c.name));
    data.categories.iter_mut().enumerate().map(named).collect()
}

fn result(image: &Image, categories: &[Category], found: &Found) -> CocoResult {
    CocoResult {
        image_id: image.id,
        category_id: categories[found.category].id,
        bbox: found.bbox.map(|v| v as f32),
        score: found.score as f32,
    }
}

fn table(scores: &Scores) -> String {
    let mut out = String::new();
    let width = scores.classes.keys().map(|l| l.chars().count()).max().unwrap_or(0).max(14);
    // Writing to a string can't fail.
    let _ = writeln!(out, "{:<width$} {:>8} {:>9} {:>7}", "class", "AP50", "AP50-95", "boxes");
    for (label, s) in &scores.classes {
        let _ = writeln!(out, "{label:<width$} {:>8.3} {:>9.3} {:>7}", s.ap50, s.ap50_95, s.boxes);
    }
    let boxes: usize = scores.classes.values().map(|s| s.boxes).sum();
    let all = format!("mean of {}", scores.classes.len());
    let _ = writeln!(
        out,
        "{all:<width$} {:>8.3} {:>9.3} {boxes:>7}   in {} pictures",
        scores.map50, scores.map50_95, scores.images
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_matched_across_data_sets() {
        let category = |id, name: &str| Category { id, name: name.into() };
        let data = Dataset {
            categories: vec![category(1, "tv"), category(2, "potted plant"), category(3, "dog")],
            images: vec![],
        };
        let names = ["dog", "pottedplant", "tvmonitor", "boat"].map(String::from);
        assert_eq!(known(&data, &names).unwrap(), [Some(2), Some(1), Some(0), None]);
        assert!(known(&data, &["zebra".to_owned()]).is_err());
    }
}
