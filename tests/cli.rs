//! What scripts may rely on: the JSON of `vigie detect`, `bench`, `eval` and `model info`, and their exit codes, on the
//! bundled photographs and the shipped model.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

mod common;

fn run(args: &[&str]) -> Output {
    common::vigie().args(args).output().expect("the program runs")
}

/// The JSON objects, one a line, that a successful command prints.
fn lines(args: &[&str]) -> Vec<Value> {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").iter().map(|v| v.as_f64().expect("a number")).collect()
}

#[test]
fn detect_prints_an_object_a_picture() {
    let pictures = ["demo/pictures/horses.jpg", "demo/pictures/musicians.jpg"];
    let found = lines(&["detect", "--json", pictures[0], pictures[1]]);
    assert_eq!(found.iter().map(|l| l["file"].as_str().unwrap()).collect::<Vec<_>>(), pictures);
    let model = lines(&["model", "info", "models/vigie-xxs-320-int8.onnx", "--json"]);
    let least = numbers(&model[0]["thresholds"]);
    for (line, label) in found.iter().zip(["horse", "person"]) {
        let (width, height) = (line["width"].as_f64().unwrap(), line["height"].as_f64().unwrap());
        let detections = line["detections"].as_array().unwrap();
        assert!(detections.iter().any(|d| d["label"] == label), "no {label}: {line}");
        for d in detections {
            let [x1, y1, x2, y2] = numbers(&d["box"])[..] else { panic!("a box of four: {d}") };
            assert!(0.0 <= x1 && x1 < x2 && x2 <= width && 0.0 <= y1 && y1 < y2 && y2 <= height, "{d}");
            let score = d["score"].as_f64().unwrap();
            let class = d["class_id"].as_u64().expect("a class") as usize;
            assert!((least[class]..=1.0).contains(&score), "{d}");
        }
    }
}

#[test]
fn a_picture_that_is_none_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.jpg");
    std::fs::write(&broken, [0xff, 0xd8, 0xff, 0xe0, 0, 16]).unwrap();
    let output = run(&["detect", "--json", broken.to_str().unwrap(), "demo/pictures/horses.jpg"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("broken.jpg"));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1, "the other picture's line");
}

#[test]
fn annotated_pictures_and_coco_results_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let (coco, out) = (folder.path().join("results.json"), folder.path().join("out"));
    let (coco_arg, out_arg) = (coco.to_str().unwrap(), out.to_str().unwrap());
    let found =
        lines(&["detect", "--json", "demo/pictures/horses.jpg", "--coco", coco_arg, "--annotate", out_arg]);
    let results: Vec<Value> = serde_json::from_slice(&std::fs::read(&coco).unwrap()).unwrap();
    let detections = found[0]["detections"].as_array().unwrap();
    assert_eq!(results.len(), detections.len());
    for (result, d) in results.iter().zip(detections) {
        let (xywh, box_) = (numbers(&result["bbox"]), numbers(&d["box"]));
        assert!((xywh[0] + xywh[2] - box_[2]).abs() < 0.02 && (xywh[1] + xywh[3] - box_[3]).abs() < 0.02);
        assert_eq!(result["category_id"], d["class_id"].as_u64().unwrap() + 1);
    }
    let annotated: Vec<_> = std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(annotated.len(), 1);
    assert!(std::fs::read(&annotated[0]).unwrap().starts_with(&[0xff, 0xd8, 0xff]), "a JPEG");
}

#[test]
fn pictures_of_one_name_are_annotated_side_by_side_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let png = std::fs::read("tests/parity/chelsea.png").unwrap();
    for (dir, name) in [("a", "1.png"), ("b", "1.jpg")] {
        std::fs::create_dir(at(dir)).unwrap();
        std::fs::write(at(dir).join(name), &png).unwrap();
    }
    std::fs::copy("demo/pictures/horses.jpg", at("b/1.jpg")).unwrap();
    let (a, b, out) = (at("a"), at("b"), at("out"));
    lines(&["detect", "--json", path(&a), path(&b), "--annotate", path(&out)]);
    let mut names: Vec<_> = std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["1-2.jpg", "1.jpg"]);
    let output = run(&["detect", path(&b), "--annotate", path(&b)]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("would overwrite") && told.contains("--annotate"), "{told}");
    assert_eq!(std::fs::read(at("b/1.jpg")).unwrap(), std::fs::read("demo/pictures/horses.jpg").unwrap());
}

#[test]
fn a_dynamic_model_runs_at_the_size_that_the_command_line_says() {
    let model = ["--model", "tests/parity/tiny-dynamic.onnx", "--imgsz", "64", "64"];
    let picture = "demo/pictures/horses.jpg";
    let found = lines(&[&["detect", "--json", picture][..], &model].concat());
    assert_eq!(found[0]["file"], picture);
    let [report] = &lines(&[&["bench", "--json", "--frames", "1", picture][..], &model].concat())[..] else {
        panic!("one object")
    };
    assert_eq!(report["kernels"], "tract");
    let [info] =
        &lines(&["model", "info", "--json", "tests/parity/tiny-dynamic.onnx", "--imgsz", "64", "64"])[..]
    else {
        panic!("one object")
    };
    assert_eq!(info["imgsz"], json!([64, 64]));
}

#[test]
fn model_info_says_what_was_changed_and_prints_no_more_than_anybody_reads() {
    let info = |args: &[&str]| String::from_utf8(run(args).stdout).unwrap();
    let half = info(&["model", "info", "tests/parity/tiny-half.onnx"]);
    assert!(cfg!(target_arch = "aarch64") || half.contains("note         its 16-bit floats"), "{half}");
    let names = (0..300).map(|n| format!("thing {n}")).collect::<Vec<_>>().join(",");
    let many = info(&["model", "info", "tests/parity/tiny-end2end.onnx", "--names", &names]);
    assert!(many.contains("thing 99, … and 200 more"), "{many}");
    let escaped = info(&["model", "info", "tests/parity/tiny-stock.onnx", "--names", "a,b,\u{1b}[31m"]);
    assert!(escaped.contains("a, b, \\u{1b}[31m"), "{escaped}");
}

#[test]
fn bench_measures_stages_and_layers_on_the_threads_that_were_asked_for() {
    let args = ["bench", "--json", "--layers", "--frames", "2", "--threads", "2", "demo/pictures/horses.jpg"];
    let [report] = &lines(&args)[..] else { panic!("one object") };
    assert_eq!((report["threads"].as_u64(), report["frames"].as_u64()), (Some(2), Some(2)));
    assert!(report["kernels"].as_str().unwrap().starts_with("int8 "), "{}", report["kernels"]);
    assert!(report["model"].is_string() && report["rss_mib"].as_f64().unwrap() > 1.0);
    for stage in ["decode", "prepare", "infer", "post"] {
        let (median, p95) = (&report["stages"][stage]["median_ms"], &report["stages"][stage]["p95_ms"]);
        assert!(0.0 < median.as_f64().unwrap() && median.as_f64() <= p95.as_f64(), "{stage}: {report}");
    }
    let layers = report["layers"].as_array().unwrap();
    let share: f64 = layers.iter().map(|l| l["share"].as_f64().unwrap()).sum();
    assert!((share - 1.0).abs() < 1e-6, "shares add up to {share}");
    let macs = |layers: &[Value]| layers.iter().map(|l| l["macs"].as_u64().unwrap()).sum::<u64>();
    let [info] = &lines(&["model", "info", "--json"])[..] else { panic!() };
    assert_eq!(Some(macs(layers)), info["macs"].as_u64());
    assert_eq!(macs(layers), macs(info["layers"].as_array().unwrap()));
}

/// Labels made of a model's own detections: whatever the model is, it finds all of them.
#[test]
fn eval_of_a_model_on_its_own_detections_is_perfect() {
    let folder = tempfile::tempdir().unwrap();
    let picture = "horses.jpg";
    let found = lines(&["detect", "--json", "--threshold", "0.5", &format!("demo/pictures/{picture}")]);
    let detections = found[0]["detections"].as_array().unwrap();
    let label = detections[0]["label"].as_str().unwrap();
    let boxes: Vec<Value> = detections
        .iter()
        .filter(|d| d["label"] == label)
        .enumerate()
        .map(|(id, d)| {
            let b = numbers(&d["box"]);
            let (w, h) = (b[2] - b[0], b[3] - b[1]);
            json!({"id": id + 1, "image_id": 7, "category_id": 3, "bbox": [b[0], b[1], w, h], "area": w * h, "iscrowd": 0})
        })
        .collect();
    let count = boxes.len();
    let labels = json!({
        "images": [{"id": 7, "file_name": picture, "width": found[0]["width"], "height": found[0]["height"]}],
        "categories": [{"id": 3, "name": label}],
        "annotations": boxes,
    });
    let coco = folder.path().join("instances.json");
    std::fs::write(&coco, labels.to_string()).unwrap();
    let [scores] = &lines(&["eval", "--json", "--coco", path(&coco), "--images", "demo/pictures"])[..] else {
        panic!("one object")
    };
    assert_eq!(scores["images"], 1);
    assert_eq!(scores["classes"][label]["boxes"].as_u64(), Some(count as u64));
    for score in [&scores["map50"], &scores["classes"][label]["ap50"], &scores["classes"][label]["ap50_95"]] {
        assert!((score.as_f64().unwrap() - 1.0).abs() < 1e-6, "{scores}");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

#[test]
fn what_is_asked_for_wrongly_ends_with_2_and_says_what_is_right() {
    let cases: [(&[&str], &[&str]); 4] = [
        (&["detect", "/no/such/picture.jpg"], &["/no/such/picture.jpg"]),
        (&["detect", "--threshold", "persn=0.3", "demo/pictures"], &["persn", "did you mean `person`?"]),
        (&["bench", "--threshold", "2", "demo/pictures"], &["no score between 0 and 1"]),
        (&["eval", "--coco", "/no/such.json", "--images", "demo"], &["/no/such.json"]),
    ];
    for (args, words) in cases {
        let output = run(args);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert!(words.iter().all(|word| told.contains(word)), "{args:?}: {told}");
    }
}
