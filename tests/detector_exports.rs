//! Exports of other people's models: halves, dynamic shapes, end-to-end heads, and files that were edited or damaged. Each
//! runs as onnxruntime runs it, or is refused with what is unusual about it and what to do.
#![allow(clippy::unwrap_used, missing_docs)]

mod int8_common;

use std::path::{Path, PathBuf};

use int8_common::Rng;
use int8_common::damage::damage;
use prost::Message as _;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, ModelProto, NodeProto, StringStringEntryProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};
use vigie::detector::{
    Checked, ClassThresholds, ContractKind, ContractOverride, Detector, Error, ErrorKind, Input, Layout,
    Options,
};
use vigie::geometry::Size;
use vigie::vision::{Letterbox, Tensor};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tiny(name: &str) -> PathBuf {
    root().join("tests/parity").join(name)
}

/// A fixture that somebody edited, in a folder of its own.
struct Edited {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn edited(original: impl AsRef<Path>, edit: impl FnOnce(&mut ModelProto)) -> Edited {
    let mut model = ModelProto::decode(&*std::fs::read(original).unwrap()).unwrap();
    edit(&mut model);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edited.onnx");
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    Edited { path, _folder: folder }
}

fn load(path: &Path) -> Result<Detector, Error> {
    Detector::load(&Options { threads: 1, ..Options::new(path) })
}

fn refused(path: &Path) -> Error {
    load(path).err().expect("must be refused")
}

fn set(model: &mut ModelProto, key: &str, value: &str) {
    model.metadata_props.retain(|p| p.key != key);
    model.metadata_props.push(StringStringEntryProto { key: key.into(), value: value.into() });
}

fn value(name: &str, dims: &[Result<i64, &str>]) -> ValueInfoProto {
    let dim = |dim: &Result<i64, &str>| Dimension {
        value: Some(match dim {
            Ok(n) => dimension::Value::DimValue(*n),
            Err(name) => dimension::Value::DimParam((*name).into()),
        }),
        ..Dimension::default()
    };
    let shape = Some(TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let tensor = type_proto::Tensor { elem_type: 1, shape };
    let r#type =
        Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() });
    ValueInfoProto { name: name.into(), r#type, ..ValueInfoProto::default() }
}

/// Puts a node after the one that makes `output0`, whose declaration stays.
fn append(model: &mut ModelProto, op: &str, attribute: Vec<AttributeProto>) {
    let graph = model.graph.as_mut().unwrap();
    for output in graph.node.iter_mut().flat_map(|node| &mut node.output) {
        if output == "output0" {
            *output = "before".into();
        }
    }
    graph.node.push(NodeProto {
        op_type: op.into(),
        name: "appended".into(),
        input: vec!["before".into()],
        output: vec!["output0".into()],
        attribute,
        ..NodeProto::default()
    });
}

#[test]
fn a_graph_that_ends_in_integers_is_refused_whatever_it_declares() {
    let model = edited(tiny("tiny-stock.onnx"), |m| append(m, "Cast", vec![int8_common::attr_i("to", 7)]));
    let error = refused(&model.path);
    assert_eq!(error.kind(), ErrorKind::Contract(ContractKind::Layout));
    assert!(error.to_string().contains("has the output output0 of int64; export it with float"), "{error}");
}

#[test]
fn halves_are_computed_as_floats_where_that_is_faster() {
    let detector = load(&tiny("tiny-half.onnx")).unwrap();
    assert!(matches!(detector.checked(), Checked::Golden { .. }));
    if cfg!(target_arch = "aarch64") {
        return;
    }
    assert_eq!(detector.contract().input, Input::F32);
    assert!(
        detector.changes()[0].contains("16-bit floats are computed as 32-bit"),
        "{:?}",
        detector.changes()
    );
    assert_eq!(load(&tiny("tiny-stock.onnx")).unwrap().changes(), [""; 0]);
}

#[test]
fn a_dynamic_export_runs_at_the_size_that_is_said() {
    let model = edited(tiny("tiny-dynamic.onnx"), |m| {
        let graph = m.graph.as_mut().unwrap();
        for name in ["stem8", "act8", "b8"] {
            let rows = if name == "b8" { 64 } else { 8 };
            graph.value_info.push(value(name, &[Err("batch"), Ok(rows), Err("height/8"), Err("width/8")]));
        }
    });
    let refused = refused(&model.path);
    assert_eq!(refused.kind(), ErrorKind::Contract(ContractKind::DynamicShape));
    assert!(refused.to_string().contains("--imgsz 64 64"), "{refused}");
    let contract = ContractOverride { imgsz: Some([64, 64]), names: None };
    let detector = Detector::load(&Options { contract, ..Options::new(&model.path) }).unwrap();
    assert_eq!((detector.contract().layout.anchors(), detector.changes().len()), (84, 0));
}

#[test]
fn an_end_to_end_head_is_read_row_by_row() {
    let detector = load(&tiny("tiny-end2end.onnx")).unwrap();
    assert_eq!(detector.contract().layout, Layout::EndToEnd { slots: 24, classes: 3 });
    assert_eq!(detector.checked(), Checked::Plausible);
    // Of two classes where the file names three: what it calls the third has no name.
    let two = edited(tiny("tiny-end2end.onnx"), |m| set(m, "names", "{0: 'a', 1: 'b'}"));
    assert!(refused(&two.path).to_string().contains("its classes hold 2, where there are 2"));
}

#[test]
fn a_suppression_inside_is_told_with_the_way_to_export() {
    let model = edited(tiny("tiny-stock.onnx"), |m| append(m, "NonMaxSuppression", vec![]));
    let error = refused(&model.path);
    assert_eq!(error.kind(), ErrorKind::Contract(ContractKind::Layout));
    let text = error.to_string();
    assert!(text.contains("NonMaxSuppression") && text.contains("nms=False"), "{text}");
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    for (bad, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        for all in [true, false] {
            let model = edited(tiny("tiny-stock.onnx"), |m| {
                for tensor in m.graph.as_mut().unwrap().initializer.iter_mut().filter(|t| t.data_type == 1) {
                    if all && tensor.dims.len() == 4 || tensor.name == "c16.b" {
                        tensor.raw_data = bad.to_le_bytes().repeat(tensor.raw_data.len() / 4);
                    }
                }
                m.metadata_props.retain(|p| p.key != "vigie.golden");
            });
            let error = refused(&model.path);
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}

#[test]
fn names_that_nobody_could_read_are_refused() {
    let many = |name: &str| format!("{{0: 'person', 1: {name}, 2: 'car'}}");
    for (names, word) in [
        (many("'a\\x1b[31m'"), "`a\\u{1b}[31m`, which holds control characters"),
        (many("'a\\x00'"), "`a\\0`, which holds control characters"),
        (many("''"), "which is no name"),
        (many("'  '"), "which is no name"),
        (many("'person'"), "names class 1 `person`, as class 0"),
        (many(&format!("'{}'", "x".repeat(1 << 20))), "longer than 100 characters"),
    ] {
        let model = edited(tiny("tiny-stock.onnx"), |m| set(m, "names", &names));
        let error = refused(&model.path);
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Contract(ContractKind::Names), "{text}");
        assert!(text.contains(word) && text.len() < 1000 && !text.contains('\u{1b}'), "{text}");
    }
    // What the user says is meant: two classes that count as one.
    let names = Some(["cat", "cat", "car"].map(String::from).to_vec());
    let contract = ContractOverride { names, imgsz: None };
    assert!(Detector::load(&Options { contract, ..Options::new(tiny("tiny-stock.onnx")) }).is_ok());
}

#[test]
fn other_words_of_a_file_are_escaped_and_cut() {
    let model =
        edited(tiny("tiny-stock.onnx"), |m| set(m, "task", &format!("\u{1b}[2J{}", "x".repeat(1 << 20))));
    let text = refused(&model.path).to_string();
    assert!(text.contains("\\u{1b}[2J") && text.len() < 2000, "{} characters", text.len());
}

#[test]
fn weights_in_another_file_are_told() {
    let model = edited(tiny("tiny-stock.onnx"), |m| {
        let tensor = &mut m.graph.as_mut().unwrap().initializer[0];
        tensor.raw_data.clear();
        tensor.data_location = Some(1);
        tensor.external_data =
            vec![StringStringEntryProto { key: "location".into(), value: "model.onnx.data".into() }];
    });
    let error = refused(&model.path);
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(text.contains("model.onnx.data") && text.contains("save it as one file"), "{text}");
    assert!(!text.contains("damaged") && !text.contains("SHA"), "{text}");
}

/// A model whose float node claims a shape that isn't its own: what the integer engine builds on the claim can't run.
#[test]
fn a_stale_shape_costs_the_integer_engine_and_not_the_model() {
    let sound = load(&tiny("tiny-qdq.onnx")).unwrap();
    assert!(sound.kernels().starts_with("int8") && sound.changes().is_empty(), "{:?}", sound.changes());
    let stale = edited(tiny("tiny-qdq.onnx"), |m| {
        let graph = m.graph.as_mut().unwrap();
        for input in graph.node.iter_mut().flat_map(|node| &mut node.input) {
            if input == "scaled" {
                *input = "positive".into();
            }
        }
        let abs = NodeProto {
            op_type: "Abs".into(),
            name: "abs".into(),
            input: vec!["scaled".into()],
            output: vec!["positive".into()],
            ..NodeProto::default()
        };
        let at = graph.node.iter().position(|node| node.output[0] == "scaled").unwrap();
        graph.node.insert(at + 1, abs);
        graph.value_info = vec![value("positive", &[Ok(1), Ok(3), Ok(32), Ok(32)])];
    });
    let detector = load(&stale.path).unwrap();
    assert_eq!(detector.kernels(), "tract");
    assert!(matches!(detector.checked(), Checked::Golden { .. }), "{:?}", detector.checked());
    let [change] = detector.changes() else { panic!("{:?}", detector.changes()) };
    assert!(change.contains("the integer engine can't run it ("), "{change}");
}

/// Wounds of every kind: an error, or a model that runs; never a panic.
fn survives(original: &Path, seeds: std::ops::Range<u64>) -> (usize, usize) {
    let whole = ModelProto::decode(&*std::fs::read(original).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.onnx");
    let (mut refused, mut ran) = (0, 0);
    for seed in seeds {
        let (mut model, mut rng) = (whole.clone(), Rng(seed));
        for _ in 0..=seed % 4 {
            damage(&mut model, &mut rng);
        }
        if seed % 2 == 0 {
            // Without golden outputs more damaged models come as far as running.
            model.metadata_props.retain(|p| p.key != "vigie.golden");
        }
        std::fs::write(&path, model.encode_to_vec()).unwrap();
        match load(&path) {
            Err(error) => {
                assert!(error.to_string().len() < 2000, "seed {seed}: {error}");
                refused += 1;
            }
            Ok(mut detector) => {
                let size = detector.contract().size;
                let thresholds = ClassThresholds::uniform(0.1, detector.contract().names.len());
                let tensor = Tensor { data: vec![90; size.area() as usize * 3], size };
                let letterbox = Letterbox::new(Size::new(640, 480), size);
                detector.detect(&tensor, &letterbox, &thresholds, &mut Vec::new()).unwrap();
                ran += 1;
            }
        }
    }
    (refused, ran)
}

#[test]
fn damaged_quantized_models_are_refused_or_run() {
    let (refused, ran) = survives(&tiny("tiny-qdq.onnx"), 0..300);
    println!("tiny-qdq: {refused} refused, {ran} ran");
    assert!(refused > 50 && ran > 20, "{refused} refused, {ran} ran");
}

#[test]
fn the_shipped_model_damaged_is_refused_or_runs() {
    // Where the processor is emulated each takes seconds.
    let seeds = if cfg!(target_arch = "aarch64") { 4 } else { 24 };
    let (refused, ran) = survives(&root().join("models/vigie-xxs-320-int8.onnx"), 0..seeds);
    println!("shipped: {refused} refused, {ran} ran");
    assert_eq!((refused + ran) as u64, seeds);
}

#[test]
fn damaged_exports_in_floats_are_refused_or_run() {
    for name in ["tiny-stock.onnx", "tiny-half.onnx", "tiny-end2end.onnx"] {
        let (refused, ran) = survives(&tiny(name), 0..100);
        println!("{name}: {refused} refused, {ran} ran");
        assert!(refused > 5 && ran > 5, "{name}: {refused} refused, {ran} ran");
    }
}
