//! The invariants of `ARCHITECTURE.md` that can be read off the source text.

#![allow(clippy::expect_used, reason = "a test that meets what it does not expect shall fail")]

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

/// All Rust files of a room, which is a file or a folder of the checkout, with their text.
fn sources(room: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut left = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(room)];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).expect("a readable folder").flatten().map(|entry| entry.path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a readable file");
            files.push((path, text));
        }
    }
    assert!(!files.is_empty(), "{room} has no sources");
    files
}

/// The words of a file's own code, as `::`-joined paths where they are such: no comments, no strings, no tests.
fn words(path: &Path, text: &str) -> Vec<String> {
    let tokens: TokenStream = text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut words = Words::default();
    if !is_test(path) {
        words.take(tokens);
    }
    words.0
}

/// Whether the file is nothing but a test: what a `#[cfg(test)] mod name;` stands for.
fn is_test(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    name.ends_with("tests") || name == "testing" || path.parent().is_some_and(|p| p.ends_with("tests"))
}

#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn take(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        // The last word was followed by `::`.
        let mut joined = false;
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Punct(p) if p.as_char() == '#' => {
                    let attribute = tokens.peek().map(ToString::to_string).unwrap_or_default();
                    if attribute.replace(' ', "") == "[cfg(test)]" {
                        skip_item(&mut tokens);
                    }
                }
                TokenTree::Punct(p) if p.as_char() == ':' => {
                    let twice = matches!(tokens.peek(), Some(TokenTree::Punct(p)) if p.as_char() == ':');
                    if twice {
                        tokens.next();
                        joined = true;
                    }
                }
                TokenTree::Ident(ident) => {
                    let word = ident.to_string();
                    match self.0.last_mut().filter(|_| joined) {
                        Some(last) => *last += &format!("::{word}"),
                        None => self.0.push(word),
                    }
                    joined = false;
                }
                TokenTree::Group(group) => {
                    // `use crate::{mqtt, config};` is as good as a path each.
                    let path = self.0.last().filter(|_| joined).cloned();
                    let from = self.0.len();
                    self.take(group.stream());
                    if let Some(path) = path {
                        self.0[from..].iter_mut().for_each(|word| *word = format!("{path}::{word}"));
                    }
                    joined = false;
                }
                _ => joined = false,
            }
        }
    }

    /// Whether any word begins with that path.
    fn name(&self, path: &str) -> bool {
        let begins = |word: &String| word == path || word.starts_with(&format!("{path}::"));
        self.0.iter().any(begins)
    }
}

/// Passes over what an attribute stands before: up to a semicolon or the end of a braced body.
fn skip_item(tokens: &mut impl Iterator<Item = TokenTree>) {
    for token in tokens {
        match token {
            TokenTree::Punct(p) if p.as_char() == ';' => return,
            TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Brace => return,
            _ => {}
        }
    }
}

fn inside(path: &Path, homes: &[&str]) -> bool {
    homes.iter().any(|home| path.to_string_lossy().contains(home))
}

/// No file of these rooms names one of the paths.
fn keep_apart(rooms: &[&str], paths: &[&str]) {
    for (path, text) in rooms.iter().flat_map(|room| sources(room)) {
        let words = Words(words(&path, &text));
        for word in paths {
            assert!(!words.name(word), "{} names {word}", path.display());
        }
    }
}

const LOWER_ROOMS: [&str; 11] = [
    "src/frame.rs",
    "src/geometry.rs",
    "src/geometry",
    "src/hours.rs",
    "src/timezone.rs",
    "src/turn.rs",
    "src/capture",
    "src/vision",
    "src/detector",
    "src/scene",
    "src/tracker",
];

#[test]
fn each_outside_library_has_one_home() {
    for (library, homes) in [
        ("tract_onnx", &["src/detector/"][..]),
        ("tract_linalg", &["src/detector/"]),
        ("v4l", &["src/capture/v4l2/"]),
        ("rumqttc", &["src/mqtt/client"]),
        ("redb", &["src/mqtt/spool/store.rs"]),
        ("turbojpeg", &["src/vision/"]),
        ("clap", &["src/cli/", "src/main.rs"]),
        ("miette", &["src/config/", "src/cli/", "src/main.rs"]),
        // the demo fills in a configuration that is in a file
        ("toml", &["src/config/", "src/cli/demo/"]),
    ] {
        for (path, text) in sources("src") {
            let words = Words(words(&path, &text));
            assert!(inside(&path, homes) || !words.name(library), "{} names {library}", path.display());
        }
    }
}

#[test]
fn the_lower_rooms_know_no_network_no_toml_and_no_daemon() {
    let above = ["tokio", "rumqttc", "toml", "crate::mqtt", "crate::config", "crate::daemon", "crate::cli"];
    keep_apart(&LOWER_ROOMS, &above);
    keep_apart(&["src/clock.rs"], &above);
}

#[test]
fn only_the_clock_reads_the_wall_clock() {
    // The log's lines are for people: src/daemon/logging.rs asks for itself.
    let daemon =
        ["lane", "inference", "system", "figures", "timesync"].map(|name| format!("src/daemon/{name}.rs"));
    let daemon: Vec<&str> = daemon.iter().map(String::as_str).collect();
    let rooms = [&LOWER_ROOMS[..], &["src/mqtt"], &daemon].concat();
    keep_apart(&rooms, &["SystemTime::now", "std::time::SystemTime::now", "jiff::Timestamp::now"]);
}

#[test]
fn facts_know_no_topic_and_mqtt_knows_no_configuration() {
    keep_apart(&["src/mqtt"], &["crate::config", "crate::daemon", "crate::cli"]);
    keep_apart(&["src/config"], &["crate::daemon", "crate::cli"]);
    keep_apart(&["src/daemon"], &["crate::cli"]);
}

#[test]
fn unsafe_code_lives_in_three_places() {
    let homes = ["src/capture/v4l2/", "src/detector/int8/kernels/", "src/vision/"];
    for (path, text) in sources("src") {
        let words = Words(words(&path, &text));
        assert!(inside(&path, &homes) || !words.name("unsafe"), "{} has unsafe code", path.display());
    }
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    for folder in ["src", "tests", "benches", "examples", "fuzz"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= 500, "{} has {lines} lines", path.display());
            assert!(text.starts_with("//!"), "{} does not say what it is for", path.display());
        }
    }
}

#[test]
fn the_reader_sees_code_and_neither_comments_nor_tests() {
    let text = r#"
        //! crate::mqtt in words
        use crate::{frame::Frame, mqtt as far};
        #[cfg(test)]
        mod first { use tokio::time; }
        fn own() -> &'static str { "tokio::time" } // rumqttc
        fn after_the_first_test() { rumqttc::go(); }
        #[cfg(test)]
        mod tests;
    "#;
    let words = Words(words(Path::new("src/some.rs"), text));
    for seen in ["crate::frame::Frame", "crate::mqtt", "rumqttc"] {
        assert!(words.name(seen), "{seen} in {:?}", words.0);
    }
    assert!(!words.name("tokio"), "{:?}", words.0);
}
