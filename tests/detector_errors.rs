//! Models that must be refused, each with its reason and what to do.

use std::path::{Path, PathBuf};

use vigie::detector::{
    Checked, ClassThresholds, ContractKind, ContractOverride, Detector, Error, ErrorKind, Options, Thresholds,
};
use vigie::geometry::Size;
use vigie::vision::{Letterbox, Tensor};

fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(name)
}

fn refused(options: &Options) -> Error {
    Detector::load(options).err().expect("must be refused")
}

fn says(path: impl Into<PathBuf>, kind: ErrorKind, words: &[&str]) {
    let error = refused(&Options::new(path));
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

#[test]
fn missing() {
    says("/nowhere/model.onnx", ErrorKind::NotFound, &["/nowhere/model.onnx", "No such file", "[model]"]);
}

#[test]
fn truncated_anywhere() {
    let whole = std::fs::read(tiny("tiny-raw.onnx")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.onnx");
    for kept in [1, 2, 10, 100, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..kept]).unwrap();
        let error = refused(&Options::new(&path));
        assert_eq!(error.kind(), ErrorKind::Format, "{kept} bytes: {error}");
    }
}

#[test]
fn flipped_bits_never_panic() {
    let whole = std::fs::read(tiny("tiny-raw.onnx")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped.onnx");
    let mut rng = 0x2545_F491_4F6C_DD1Du64;
    let mut refused = 0;
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..4 {
            rng ^= rng << 13;
            rng ^= rng >> 7;
            rng ^= rng << 17;
            // The graph's structure more often than its weights.
            let span = if rng & 1 == 0 { 3000 } else { bytes.len() as u64 };
            let at = bytes.len() - 1 - (rng >> 8) as usize % span as usize;
            bytes[at] ^= 1 << ((rng >> 3) & 7);
        }
        std::fs::write(&path, &bytes).unwrap();
        refused += usize::from(Detector::load(&Options::new(&path)).is_err());
    }
    assert!(refused > 50, "only {refused} of 300 refused");
}

#[test]
fn not_onnx() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, "names: [a, b]\n").unwrap();
    says(&path, ErrorKind::Format, &["not an ONNX model"]);
}

#[test]
fn the_wrong_task() {
    says(tiny("tiny-segment.onnx"), ErrorKind::Contract(ContractKind::Task), &["`segment`", "task=detect"]);
}

#[test]
fn no_names_unless_the_user_gives_them() {
    let path = tiny("tiny-nameless.onnx");
    says(&path, ErrorKind::Contract(ContractKind::Names), &["3 classes", "[model]"]);
    let named = |names: &[&str]| Options {
        contract: ContractOverride { names: Some(names.iter().map(|n| (*n).into()).collect()), imgsz: None },
        ..Options::new(&path)
    };
    let detector = Detector::load(&named(&["a", "b", "c"])).unwrap();
    assert_eq!(detector.contract().names, ["a", "b", "c"]);
    assert_eq!(detector.checked(), Checked::Plausible);
    let error = refused(&named(&["a", "b"]));
    assert!(error.to_string().contains("has 3 classes, but the configuration names 2"), "{error}");
}

#[test]
fn dynamic_shapes_unless_the_user_fixes_them() {
    let path = tiny("tiny-dynamic.onnx");
    let kind = ErrorKind::Contract(ContractKind::DynamicShape);
    says(&path, kind, &["1x3xheightxwidth", "dynamic=False", "imgsz = [64, 64]"]);
    let contract = ContractOverride { imgsz: Some([64, 64]), names: None };
    let detector = Detector::load(&Options { contract, ..Options::new(&path) }).unwrap();
    assert_eq!(detector.contract().size, Size::new(64, 64));
    assert_eq!(detector.contract().layout.anchors(), 64 + 16 + 4);
}

#[test]
fn another_size_than_the_export_has() {
    let contract = ContractOverride { imgsz: Some([96, 64]), names: None };
    let error = refused(&Options { contract, ..Options::new(tiny("tiny-stock.onnx")) });
    assert!(error.to_string().contains("exported for 64x64 pixels, not for 64x96"), "{error}");
}

#[test]
fn what_computes_something_else_than_its_golden_outputs() {
    says(tiny("tiny-wrong.onnx"), ErrorKind::Golden, &["wrong results", "% in classes"]);
}

#[test]
fn golden_outputs_beside_the_model_count_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    std::fs::copy(tiny("tiny-nameless.onnx"), &path).unwrap();
    let contract = ContractOverride { names: Some(vec!["a".into(), "b".into(), "c".into()]), imgsz: None };
    let options = Options { contract, ..Options::new(&path) };
    let beside = folder.path().join("m.onnx.golden.json");
    let golden = r#"{"version":1,"size":[64,64],"tolerance":0.01,"boxes":[1,2,3],"classes":[1,2,3]}"#;
    std::fs::write(&beside, golden).unwrap();
    assert_eq!(refused(&options).kind(), ErrorKind::Golden);
    std::fs::write(&beside, "{}").unwrap();
    assert_eq!(refused(&options).kind(), ErrorKind::Contract(ContractKind::Metadata));
}

#[test]
fn a_tensor_of_another_size() {
    let mut detector = Detector::load(&Options::new(tiny("tiny-raw.onnx"))).unwrap();
    let tensor = Tensor::new(Size::new(320, 320));
    let letterbox = Letterbox::new(tensor.size, tensor.size);
    let thresholds = ClassThresholds::uniform(0.5, 3);
    let error = detector.detect(&tensor, &letterbox, &thresholds, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "the model looks at 64x64 pixels, the tensor has 320x320");
}

#[test]
fn thresholds_by_label() {
    let detector = Detector::load(&Options::new(tiny("tiny-raw.onnx"))).unwrap();
    let asked = Thresholds { default: Some(0.5), labels: vec![("driver's cat".into(), 0.25)] };
    assert_eq!(asked.resolve(detector.contract()).unwrap().scores(), [0.5, 0.25, 0.5]);
}

/// The model with one more entry in its metadata: protobuf joins what is appended.
fn with_metadata(folder: &Path, key: &str, value: &str) -> PathBuf {
    let entry = |tag: u8, text: &[u8]| [&[tag, u8::try_from(text.len()).expect("short")], text].concat();
    let pair = [entry(0x0a, key.as_bytes()), entry(0x12, value.as_bytes())].concat();
    let model = std::fs::read(tiny("tiny-raw.onnx")).expect("a model");
    let path = folder.join("m.onnx");
    std::fs::write(&path, [model, entry(0x72, &pair)].concat()).expect("a folder to write to");
    path
}

#[test]
fn thresholds_that_the_model_suggests_hold_where_nobody_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let path = with_metadata(folder.path(), "vigie.thresholds", "[0.31, 0.5, 1]");
    let detector = Detector::load(&Options::new(path)).unwrap();
    let scores = |asked: Thresholds| asked.resolve(detector.contract()).unwrap().scores().to_vec();
    assert_eq!(scores(Thresholds::default()), [0.31, 0.5, 1.0]);
    assert_eq!(
        scores(Thresholds { default: None, labels: vec![("driver's cat".into(), 0.2)] }),
        [0.31, 0.2, 1.0]
    );
    assert_eq!(scores(Thresholds { default: Some(0.6), labels: vec![] }), [0.6; 3]);
    let silent = Detector::load(&Options::new(tiny("tiny-raw.onnx"))).unwrap();
    assert_eq!(silent.contract().thresholds, [Thresholds::FALLBACK; 3]);
}

#[test]
fn suggested_thresholds_that_make_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    for value in ["[0.3, 0.5]", "[0.3, 0.5, 1.5]", "[0.3, 0.5, 'high']", "{0: 0.3}", "[0.3, 0.5, nan]", ""] {
        let path = with_metadata(folder.path(), "vigie.thresholds", value);
        let kind = ErrorKind::Contract(ContractKind::Metadata);
        says(
            &path,
            kind,
            &["vigie.thresholds = ", value, "no list of 3 scores from 0 to 1", "vigie-thresholds"],
        );
    }
}
