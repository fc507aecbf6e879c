//! The invariants of `ARCHITECTURE.md` that can be read off the source text.

use std::fs;
use std::path::{Path, PathBuf};

/// All Rust files under a folder of the checkout, with their text.
fn sources(under: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(under)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("a readable file");
                files.push((path, text));
            }
        }
    }
    files
}

/// The code of a file without its comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn inside(path: &Path, part: &str) -> bool {
    path.to_string_lossy().contains(part)
}

#[test]
fn each_outside_library_has_one_home() {
    for (word, homes) in [
        ("tract_onnx", &["src/detector/"][..]),
        ("v4l::", &["src/capture/v4l2/"]),
        ("rumqttc", &["src/mqtt/client"]),
        ("rumqttd", &["src/cli/demo"]),
        ("turbojpeg", &["src/vision/"]),
    ] {
        for (path, text) in sources("src") {
            let at_home = homes.iter().any(|home| inside(&path, home));
            let code = code(&text);
            let own = code.split("#[cfg(test)]").next().unwrap_or_default();
            assert!(at_home || !own.contains(word), "{} names {word}", path.display());
        }
    }
}

#[test]
fn the_lower_rooms_know_no_network_no_toml_and_no_wall_clock() {
    for room in ["src/capture", "src/vision", "src/detector", "src/scene"] {
        for (path, text) in sources(room) {
            let text = code(&text);
            let own = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in
                ["tokio", "rumqtt", "toml::", "toml_edit", "SystemTime::now", "crate::mqtt", "crate::config"]
            {
                assert!(!own.contains(word), "{} names {word}", path.display());
            }
        }
    }
}

#[test]
fn unsafe_code_lives_in_three_places() {
    for (path, text) in sources("src") {
        let home = ["src/capture/v4l2/", "src/detector/int8/kernels/", "src/vision/"]
            .iter()
            .any(|h| inside(&path, h));
        assert!(home || !code(&text).contains("unsafe "), "{} has unsafe code", path.display());
    }
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    for folder in ["src", "tests", "benches"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= 500, "{} has {lines} lines", path.display());
            assert!(text.starts_with("//!"), "{} does not say what it is for", path.display());
        }
    }
}
