//! The contract of `vigie check` and `vigie schema config`, with the real program and the shipped files.

mod common;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The file that `vigie check` looks for where `VIGIE_MODEL_DIR` says.
const MODEL: &str = "vigie-xxs-320-int8.onnx";

/// A folder with the shipped model.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(MODEL);
    std::os::unix::fs::symlink(model, folder.path().join(MODEL)).expect("a link");
    folder
}

/// Runs `vigie ARGS…` where the sources are, with the models in that folder.
fn vigie(models: &Path, args: &[&str]) -> Output {
    common::vigie()
        .args(args)
        .env("VIGIE_MODEL_DIR", models)
        .env("NO_COLOR", "1")
        .env_remove("CREDENTIALS_DIRECTORY")
        .stdin(Stdio::null())
        .output()
        .expect("a program that starts")
}

/// Writes a configuration and checks it.
fn check(text: impl AsRef<[u8]>, args: &[&str]) -> Output {
    let folder = folder();
    let file = folder.path().join("vigie.toml");
    fs::write(&file, text).expect("a written file");
    let file = file.display().to_string();
    vigie(folder.path(), &[&["check", "--config", &file], args].concat())
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

const BAD: &str = r#"
[mqtt]
url = "tcp://broker.lan"
password = "hunter2"

[detect]
max-fps = 5
thresholds = { person = 40 }

[[camera]]
name = "front door"
source = { device = "/dev/video0" }

[[camera.zone]]
name = "steps"
points = [[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]
"#;

#[test]
fn the_shipped_configuration_is_right() {
    let folder = folder();
    let output = vigie(folder.path(), &["check", "--config", "config/vigie.toml"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("config/vigie.toml is right"));
    assert!(stdout(&output).is_empty(), "words are for standard error");
}

#[test]
fn the_demonstrations_configuration_lacks_at_most_its_pictures() {
    let folder = folder();
    let output = vigie(folder.path(), &["check", "--config", "config/demo.toml", "--json"]);
    let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/pictures").exists();
    assert_eq!(output.status.success(), there, "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), usize::from(!there), "{}", stdout(&output));
}

#[test]
fn the_effective_configuration_is_a_configuration_with_all_defaults() {
    let first = check("[[camera]]\nname = \"a\"\nsource = { testcard = true }\n", &["--print-effective"]);
    let written = stdout(&first);
    assert!(first.status.success(), "{}", stderr(&first));
    // The last one is the model's.
    for default in [
        "threads = 0",
        "max_fps = 5.0",
        "stall_after = \"5s\"",
        "interval = \"1m\"",
        "level = \"info\"",
        "person = 0.",
    ] {
        assert!(written.contains(default), "{default} is not in\n{written}");
    }
    // The model's folder was another one, so its path is all that may differ.
    let rest =
        |text: &str| text.lines().filter(|line| !line.starts_with("path =")).collect::<Vec<_>>().join("\n");
    let again = check(rest(&written), &["--print-effective"]);
    assert_eq!(rest(&stdout(&again)), rest(&written), "{}", stderr(&again));
}

#[test]
fn everything_wrong_is_told_at_once_with_line_caret_and_hint() {
    let output = check(BAD, &[]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("has 6 problems"), "{told}");
    for place in [
        "vigie.toml:3:7",
        "vigie.toml:4:1",
        "vigie.toml:7:1",
        "vigie.toml:8:25",
        "vigie.toml:11:8",
        "vigie.toml:16:11",
    ] {
        assert!(told.contains(place), "{place} is not in\n{told}");
    }
    for word in [
        "did you mean `max_fps`?",
        "password_file",
        "write `mqtt://`",
        "40 is out of range",
        "cross or touch",
    ] {
        assert!(told.contains(word), "{word} is not in\n{told}");
    }
    assert!(!told.contains("hunter2"), "a secret was quoted:\n{told}");
}

#[test]
fn problems_are_to_be_had_as_json() {
    let output = check(BAD, &["--json"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stdout(&output);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let keys: Vec<_> =
        lines.iter().map(|line| (line["line"].as_u64(), line["key"].as_str().unwrap_or(""))).collect();
    assert_eq!(
        keys,
        [
            (Some(3), "mqtt.url"),
            (Some(4), "mqtt"),
            (Some(7), "detect"),
            (Some(8), "detect.thresholds.person"),
            (Some(11), "camera[0].name"),
            (Some(16), "camera[0].zone[0].points"),
        ]
    );
    assert!(lines.iter().all(|line| line["hint"].is_string() && line["kind"].is_string()), "{text}");
}

#[test]
fn what_is_no_text_is_refused_at_once() {
    let noise: Vec<u8> = (0..10_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let start = Instant::now();
    let output = check(noise, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is larger than 1 MiB"), "{}", stderr(&output));
    assert!(output.stderr.len() < 1000 && start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());

    let output = check(b"# fine\nname = \"caf\xe9\"\n", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("line 2, column 12"), "{}", stderr(&output));
    assert!(stderr(&output).contains("is not UTF-8"), "{}", stderr(&output));
}

#[test]
fn what_is_no_file_is_refused_with_the_reason() {
    let folder = folder();
    let at = |path: &str| {
        let output = vigie(folder.path(), &["check", "--config", path]);
        (output.status.code(), stderr(&output))
    };
    let (code, told) = at("/nonexistent/vigie.toml");
    assert!(code == Some(2) && told.contains("does not exist") && told.contains("--config"), "{told}");
    let (code, told) = at("/");
    assert!(code == Some(2) && told.contains("is a folder"), "{told}");
    let (code, told) = at("/dev/zero");
    assert!(code == Some(2) && told.contains("is larger than 1 MiB"), "{told}");
}

#[test]
fn a_missing_model_and_a_missing_camera_are_told() {
    let empty = tempfile::tempdir().expect("a temporary folder");
    let file = empty.path().join("vigie.toml");
    fs::write(&file, "").expect("a written file");
    let output = vigie(empty.path(), &["check", "--config", &file.display().to_string()]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(told.contains("there is no camera") && told.contains("[[camera]]"), "{told}");
    assert!(told.contains(MODEL) && told.contains("VIGIE_MODEL_DIR"), "{told}");
}

#[test]
fn a_label_that_the_model_lacks_is_told_with_those_that_it_has() {
    let text = "detect.thresholds = { persn = 0.4 }\n[[camera]]\nname = \"a\"\n\
                source = { testcard = true }\nthresholds = { zebra = 0.5 }\n";
    let output = check(text, &["--json"]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for word in [
        "`persn`",
        "did you mean `person`?",
        "vigie.toml:1:31",
        "`zebra`",
        "known here: person, bicycle, car",
    ] {
        assert!(told.contains(word), "{word} is missing: {told}");
    }
    let printed = stdout(&output);
    let lines = printed.lines().map(|line| serde_json::from_str(line).expect("a JSON object"));
    let places: Vec<_> =
        lines.map(|l: Value| (l["kind"].clone(), l["line"].clone(), l["key"].clone())).collect();
    assert_eq!(
        places,
        [("label", 1, "detect.thresholds.persn"), ("label", 5, "camera[0].thresholds.zebra")]
            .map(|(kind, line, key)| (kind.into(), line.into(), key.into()))
    );
}

#[test]
fn a_model_that_is_none_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join(MODEL), "not a model").expect("a written file");
    let file = folder.path().join("vigie.toml");
    fs::write(&file, "[[camera]]\nname = \"a\"\nsource = { testcard = true }\n").expect("a written file");
    let output = vigie(folder.path(), &["check", "--config", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(MODEL), "{}", stderr(&output));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = folder();
    let mut child = common::vigie()
        .args(["check", "--print-effective", "--config", "/dev/stdin"])
        .env("VIGIE_MODEL_DIR", folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a program that starts");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"[[camera]]\nname = \"a\"\nsource = { testcard = true }\n").expect("a written pipe");
    drop(stdin);
    assert!(child.wait().expect("an end").success());
}

#[test]
fn the_shipped_schema_is_the_current_one() {
    let folder = folder();
    let output = vigie(folder.path(), &["schema", "config"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let shipped = include_str!("../config/vigie.schema.json");
    assert!(stdout(&output) == shipped, "run `vigie schema config > config/vigie.schema.json`");
}

#[test]
fn the_schema_takes_what_the_program_takes_and_refuses_what_no_type_allows() {
    let schema: Value = serde_json::from_str(include_str!("../config/vigie.schema.json")).expect("JSON");
    let verdict = |text: &str| {
        let value: Value = toml::from_str(text).expect("TOML");
        complaint(&schema, &value)
    };
    for right in [include_str!("../config/vigie.toml"), include_str!("../config/demo.toml")] {
        assert_eq!(verdict(right), None);
    }
    let camera = "[[camera]]\nname = \"a\"\n";
    let wrong = [
        ("", "camera"),
        ("camera = []", "[]"),
        ("[[camera]]\nname = \"a\"", "source"),
        ("titel = 1\n[[camera]]\nname = \"a\"\nsource = { testcard = true }", "titel"),
        (&format!("{camera}source = {{}}"), "oneOf"),
        (&format!("{camera}source = {{ clip = \"a\", device = \"b\" }}"), "oneOf"),
        (&format!("{camera}source = {{ testcard = 1 }}"), "1"),
        (&format!("{camera}source = {{ testcard = true }}\nsize = [1, 2]"), "1"),
        (&format!("{camera}source = {{ testcard = true }}\nsize = [99, 99, 99]"), "99"),
        (&format!("{camera}source = {{ testcard = true }}\nformat = \"YUY2\""), "YUY2"),
        ("[[camera]]\nname = \"status\"\nsource = { testcard = true }", "status"),
        (&format!("{camera}source = {{ testcard = true }}\nthresholds = {{ a = 2 }}"), "2"),
    ];
    for (text, word) in wrong {
        let complaint = verdict(text).unwrap_or_else(|| panic!("the schema takes\n{text}"));
        assert!(complaint.contains(word), "{complaint}");
        assert_eq!(check(text, &[]).status.code(), Some(2), "the program takes\n{text}");
    }
}

/// What of the schema a value breaks. Knows the words that the schema of the configuration uses, except patterns.
fn complaint(schema: &Value, value: &Value) -> Option<String> {
    let limit = |word: &str| schema[word].as_f64();
    let known = [
        "$schema",
        "title",
        "description",
        "default",
        "examples",
        "pattern",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "enum",
        "oneOf",
        "anyOf",
        "not",
    ];
    let unknown = schema
        .as_object()
        .into_iter()
        .flatten()
        .map(|(word, _)| word)
        .find(|word| !known.contains(&word.as_str()));
    assert_eq!(unknown, None, "the test does not know this word of JSON Schema");
    let of_type = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        _ => true,
    };
    let in_range = value.as_f64().is_none_or(|number| {
        limit("minimum").is_none_or(|least| number >= least)
            && limit("maximum").is_none_or(|most| number <= most)
    });
    let count = value.as_array().map(Vec::len);
    let of_length = count.is_none_or(|count| {
        limit("minItems").is_none_or(|least| count as f64 >= least)
            && limit("maxItems").is_none_or(|most| count as f64 <= most)
    });
    let chosen = schema["enum"].as_array().is_none_or(|choices| choices.contains(value));
    if !(of_type && in_range && of_length && chosen) {
        return Some(format!("{value} against {schema:#}"));
    }
    let fitting = |word: &str| {
        schema[word]
            .as_array()
            .map(|schemas| schemas.iter().filter(|schema| complaint(schema, value).is_none()).count())
    };
    if fitting("oneOf").is_some_and(|count| count != 1) || fitting("anyOf") == Some(0) {
        return Some(format!("{value} against oneOf or anyOf"));
    }
    if schema.get("not").is_some_and(|not| complaint(not, value).is_none()) {
        return Some(format!("{value} against not"));
    }
    let lacking = |key: &&Value| value.is_object() && value.get(key.as_str().unwrap_or("")).is_none();
    if let Some(key) = schema["required"].as_array().and_then(|keys| keys.iter().find(lacking)) {
        return Some(format!("{key} is missing"));
    }
    let entries = value.as_object().into_iter().flatten().map(|(key, inner)| {
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(schema), _) | (None, schema @ Value::Object(_)) => complaint(schema, inner),
            (None, Value::Bool(false)) => Some(format!("unknown key {key}")),
            (None, _) => None,
        }
    });
    let items = value.as_array().into_iter().flatten().map(|item| complaint(&schema["items"], item));
    entries.chain(items).flatten().next()
}
