//! `vigie eval` and the training side's `vigie-evaluate` give the same figures: on a random set with partly labelled
//! pictures, crowds and ties, which `tests/data/eval/make.py` drew and which pycocotools evaluated.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect shall fail")]

use std::path::Path;

use serde_json::Value;
use vigie::detector::eval::{Dataset, Evaluator, Found, Scores};

fn read(name: &str) -> Value {
    let path = Path::new("tests/data/eval").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// What the evaluator makes of the set.
fn scores() -> Scores {
    let data = Dataset::read(Path::new("tests/data/eval/instances.json")).unwrap();
    let detections = read("detections.json");
    let detections = detections.as_array().unwrap();
    let mut evaluator = Evaluator::new(data.categories.len());
    for image in &data.images {
        let found: Vec<Found> = detections
            .iter()
            .filter(|d| d["image_id"].as_u64() == Some(image.id))
            .map(|d| Found {
                category: data
                    .categories
                    .iter()
                    .position(|c| d["category_id"].as_u64() == Some(c.id))
                    .unwrap(),
                score: d["score"].as_f64().unwrap(),
                bbox: std::array::from_fn(|i| d["bbox"][i].as_f64().unwrap()),
            })
            .collect();
        evaluator.add(image, &found);
    }
    let names: Vec<Option<String>> = data.categories.iter().map(|c| Some(c.name.clone())).collect();
    evaluator.finish(&names)
}

#[test]
fn both_evaluators_give_the_same_figures() {
    let (scores, expected) = (serde_json::to_value(scores()).unwrap(), read("expected.json"));
    let same = |a: &Value, b: &Value, what: &str| {
        let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
        assert!((a - b).abs() < 1e-9, "{what}: {a} here, {b} by vigie-evaluate");
    };
    for key in ["images", "map50", "map50_95"] {
        same(&scores[key], &expected[key], key);
    }
    let (classes, others) =
        (scores["classes"].as_object().unwrap(), expected["classes"].as_object().unwrap());
    assert!(classes.keys().eq(others.keys()), "{:?}", classes.keys());
    assert!(others.len() >= 3);
    for (label, figures) in others {
        for key in ["ap50", "ap50_95", "boxes"] {
            same(&classes[label][key], &figures[key], &format!("{key} of {label}"));
        }
    }
}
