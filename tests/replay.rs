//! `vigie replay` and `vigie explain` on a scene that is made of a photograph: the same bytes every time, and reasons.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use vigie::cli::demo::scene::Scene;

mod common;

fn vigie(args: &[&str]) -> Output {
    common::vigie().args(args).output().unwrap()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn events(path: &Path) -> Vec<Value> {
    text(path).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A folder with a clip of a pan over the musicians, and a configuration.
fn place(camera: &str) -> (tempfile::TempDir, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let photograph = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/pictures/musicians.jpg");
    // A look takes seconds under an emulator.
    let seconds = if EMULATED { 0.75 } else { 6.0 };
    let clip = folder.path().join("clip.mjpeg");
    Scene::new(vec![photograph], seconds).write(&clip).map_err(|_| "no clip").unwrap();
    let config = folder.path().join("vigie.toml");
    let text = format!(
        "detect.max_fps = 8\ndevice.name = 'porch'\n[[camera]]\nname = 'front'\nsource = {{ testcard = true }}\n{camera}"
    );
    std::fs::write(&config, text).unwrap();
    let name = |path: &Path| path.display().to_string();
    let (clip, config) = (name(&clip), name(&config));
    (folder, clip, config)
}

const EMULATED: bool = cfg!(target_arch = "aarch64");

const SCENERY: &str = "zone = [{ name = 'left', points = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]] }]
line = [{ name = 'middle', points = [[0.5, 1], [0.5, 0]] }]\n";

#[test]
fn the_same_clip_gives_the_same_bytes_however_fast_it_goes() {
    let (folder, clip, config) = place(SCENERY);
    let at = |name: &str| folder.path().join(name);
    let replay = |out: &Path, more: &[&str]| {
        let out = out.to_str().unwrap();
        let args = [&["replay", &clip, "--config", &config, "--fps", "8", "--events", out], more].concat();
        let output = vigie(&args);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let pictures = at("pictures");
    let words = replay(&at("a"), &["--picture", pictures.to_str().unwrap()]);
    let messages = replay(&at("b"), &["--json", "--speed", "20"]);
    assert_eq!(text(&at("a")), text(&at("b")), "events");
    if EMULATED {
        return;
    }
    let explained = replay(&at("c"), &["--explain"]);
    assert_eq!(text(&at("a")), text(&at("c")), "explaining changes nothing");

    let events = events(&at("a"));
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    let (new, end) = (of("new"), of("end"));
    assert!(!new.is_empty(), "{words}{explained}");
    assert_eq!(new.len(), end.len(), "{words}");
    for event in &events {
        assert_eq!((&event["camera"], &event["device"]), (&"front".into(), &"porch".into()));
        assert!(event["captured"].as_str().unwrap().starts_with("1970-01-01T00:00:0"), "{event}");
        assert_eq!(event["latency_ms"]["infer"], 0.0, "how long it took here is not part of it");
    }
    assert!(events.iter().any(|event| !event["entered_zones"].as_array().unwrap().is_empty()), "{words}");
    assert_eq!(words.lines().filter(|line| line.contains("is here")).count(), new.len(), "{words}");
    let line =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["topic"].as_str().unwrap().to_owned();
    let topics: Vec<String> = messages.lines().map(line).collect();
    let zone = "vigie/porch/front/zone/left/person/count".to_owned();
    assert!(topics.contains(&zone), "{topics:?}");
    let drawn: Vec<_> = std::fs::read_dir(&pictures).unwrap().collect();
    assert_eq!(drawn.len(), 1, "{drawn:?}");
}

#[test]
#[cfg_attr(
    target_arch = "aarch64",
    ignore = "dozens of looks, each of which takes seconds under an emulator"
)]
fn what_became_no_object_is_told_with_the_rule_that_dropped_it() {
    let (folder, clip, config) = place("filters = { '*' = { min_area = 0.9 } }");
    let out = folder.path().join("events");
    let args =
        ["explain", &clip, "--config", &config, "--fps", "8", "--json", "--events", out.to_str().unwrap()];
    let output = vigie(&args);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&out), "", "nothing takes nine tenths of the picture");
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let dropped: Vec<&Value> =
        lines.iter().filter(|line| line["rule"] == "filters.person.min_area").collect();
    assert!(!dropped.is_empty(), "{lines:?}");
    for line in dropped {
        let (value, limit) = (line["value"].as_f64().unwrap(), line["limit"].as_f64().unwrap());
        assert!(value > 0.0 && value < 0.9 && (limit - 0.9).abs() < 1e-6, "{line}");
        assert!(line["words"].as_str().unwrap().contains("at least"), "{line}");
        assert!(line["from"].as_f64().unwrap() <= line["until"].as_f64().unwrap());
    }
    let words = vigie(&["explain", &clip, "--config", &config, "--fps", "8"]);
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(words.contains("of the picture, 90.00 % at least [filters.person.min_area]"), "{words}");
    assert!(words.contains("boxes of person were followed by nothing [thresholds.person]"), "{words}");
}

#[test]
fn what_cannot_be_replayed_is_told() {
    let (folder, clip, config) = place("");
    let noise = folder.path().join("noise.avi");
    std::fs::write(&noise, "no clip").unwrap();
    for (args, code, words) in [
        (&["replay", "/no/such/clip"][..], 2, "/no/such/clip"),
        (&["replay", noise.to_str().unwrap()], 2, "noise.avi"),
        (&["replay", &clip, "--speed", "0"], 2, "neither max nor a number"),
        (&["replay", &clip, "--config", &config, "--camera", "back"], 2, "no camera 'back'; it has: front"),
        (&["replay", &clip, "--start", "yesterday"], 2, "yesterday"),
        (&["replay", &clip, "--events", "/no/such/folder/out"], 1, "/no/such/folder/out"),
    ] {
        let output = vigie(args);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        assert!(told.contains(words), "{args:?}: {told}");
    }
}
