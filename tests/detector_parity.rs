//! The detector against onnxruntime: the same tensors, the same models, in every layout. `tests/parity/make.py` made the
//! expectations.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use serde::Deserialize;
use vigie::detector::{Checked, ClassThresholds, Detection, Detector, ModelFile, Options};
use vigie::geometry::{BBox, Size};
use vigie::vision::{Letterbox, Tensor};

#[derive(Deserialize)]
struct Expected {
    score: f32,
    iou: f32,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    model: String,
    sha256: String,
    tensor: String,
    step: usize,
    detections: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    class_id: u16,
    score: f32,
    #[serde(rename = "box")]
    bbox: [f32; 4],
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `step`-th pixel of a PNG.
fn tensor(path: &Path, step: usize) -> Tensor {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    let (w, h) = (info.width as usize, info.height as usize);
    let pixel = |x: usize, y: usize| &bytes[(y * w + x) * 3..][..3];
    let data =
        (0..h).step_by(step).flat_map(|y| (0..w).step_by(step).flat_map(move |x| pixel(x, y).to_vec()));
    Tensor { data: data.collect(), size: Size::new((w / step) as u32, (h / step) as u32) }
}

fn near(a: &Detection, b: &Found) -> bool {
    let bbox = BBox::new(b.bbox[0], b.bbox[1], b.bbox[2], b.bbox[3]);
    let apart = [a.bbox.x1 - bbox.x1, a.bbox.y1 - bbox.y1, a.bbox.x2 - bbox.x2, a.bbox.y2 - bbox.y2];
    a.class_id == b.class_id && (a.score - b.score).abs() < 0.005 && apart.iter().all(|d| d.abs() < 0.5)
}

#[test]
fn detections_are_those_of_onnxruntime() {
    let text = std::fs::read_to_string(root().join("tests/parity/expected.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    assert!(expected.runs.len() >= 8, "every layout and the shipped model, on two pictures");
    let mut compared = 0;
    for run in &expected.runs {
        let path = root().join(&run.model);
        let hash = ModelFile::read(&path).unwrap().sha256;
        assert_eq!(hash, run.sha256, "{} has changed: run tests/parity/make.py again", run.model);
        let options = Options { nms_iou: expected.iou, nms_iou_across_classes: 1.0, ..Options::new(&path) };
        let mut detector = Detector::load(&options).unwrap();
        let tensor = tensor(&root().join("tests/parity").join(&run.tensor), run.step);
        let letterbox = Letterbox::new(tensor.size, tensor.size);
        let thresholds = ClassThresholds::uniform(expected.score, detector.contract().names.len());
        let mut found = Vec::new();
        // Twice: the second time in memory that has been used.
        for _ in 0..2 {
            detector.detect(&tensor, &letterbox, &thresholds, &mut found).unwrap();
            let what = format!("{} on {}: {found:#?}", run.model, run.tensor);
            for f in &run.detections {
                // What stands at the threshold may fall to either side.
                let clear = (f.score - expected.score).abs() > 0.005;
                assert!(!clear || found.iter().any(|d| near(d, f)), "missed {:?} {what}", f.bbox);
            }
            let clear = found.iter().filter(|d| (d.score - expected.score).abs() > 0.005);
            for d in clear {
                assert!(run.detections.iter().any(|f| near(d, f)), "made up {d:?} {what}");
            }
            compared += run.detections.len();
        }
    }
    assert!(compared > 100, "only {compared} boxes compared");
}

#[test]
fn golden_outputs_are_met_closely() {
    for model in
        ["tests/parity/tiny-stock.onnx", "tests/parity/tiny-raw.onnx", "models/vigie-xxs-320-fp32.onnx"]
    {
        let detector = Detector::load(&Options::new(root().join(model))).unwrap();
        let Checked::Golden { boxes, classes, .. } = detector.checked() else {
            panic!("{model} has golden outputs")
        };
        println!("{model}: boxes off by {boxes:e}, classes by {classes:e} of their spread");
        assert!(boxes < 1e-3 && classes < 1e-3, "{model}: {boxes} {classes}");
    }
}

#[test]
fn every_shipped_model_meets_its_golden_outputs() {
    let mut met = 0;
    for entry in std::fs::read_dir(root().join("models")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "onnx") {
            let detector = Detector::load(&Options::new(&path)).unwrap();
            assert!(matches!(detector.checked(), Checked::Golden { .. }), "{}", path.display());
            met += 1;
        }
    }
    assert!(met >= 3, "only {met} models in models/");
}
