//! What the user must mend ends with exit code 2, from `vigie check` as from `vigie run`, and no secret is told on the way.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that meets what it does not expect shall fail")]

#[allow(dead_code, reason = "other tests use more of it")]
#[path = "support/certificates.rs"]
mod certificates;
mod common;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use certificates::Certificates;

const CAMERA: &str = "[[camera]]\nname = 'a'\nsource = { testcard = true }\n";

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/vigie-xxs-320-int8.onnx")
}

/// A program that is stopped when the test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `vigie COMMAND --config FILE` to its end; its exit code and what it wrote.
fn ends(command: &str, more: &[&str], config: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vigie.toml");
    fs::write(&file, config).unwrap();
    let (empty, log) = (folder.path().join("no.pem"), folder.path().join("log"));
    fs::write(&empty, "").unwrap();
    let out = fs::File::create(&log).unwrap();
    let program = common::vigie()
        .args([command, "--config"])
        .arg(&file)
        .args(more)
        .env("NO_COLOR", "1")
        // A system that trusts nobody.
        .env("SSL_CERT_FILE", &empty)
        .env_remove("SSL_CERT_DIR")
        .env_remove("CREDENTIALS_DIRECTORY")
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .spawn()
        .unwrap();
    let (mut program, start) = (Running(program), Instant::now());
    let code = loop {
        match program.0.try_wait().unwrap() {
            Some(status) => break status.code(),
            None if start.elapsed() > Duration::from_secs(60) => break None,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let mut told = String::new();
    fs::File::open(&log).unwrap().read_to_string(&mut told).unwrap();
    (code, told)
}

/// What was told, without the breaks between lines.
fn words(told: &str) -> String {
    told.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

/// A model file made from the shipped one.
fn model(folder: &Path, name: &str, change: impl Fn(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = fs::read(shipped()).unwrap();
    change(&mut bytes);
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Gives a class another name of the same length.
fn rename(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let at = bytes.windows(from.len()).position(|window| window == from).expect("the class in the metadata");
    bytes[at..at + from.len()].copy_from_slice(to);
}

#[test]
fn what_the_user_must_mend_ends_with_2_from_check_and_run() {
    let certificates = Certificates::new();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let truncated = model(folder.path(), "truncated.onnx", |bytes| bytes.truncate(bytes.len() / 2));
    let (ca, cert) = (certificates.ca.display(), certificates.client.0.display());
    let other_key = certificates.server.1.display();
    let with_model = |path: &Path| format!("model.path = '{}'\n{CAMERA}", path.display());
    let with_mqtt = |mqtt: &str| format!("model.path = '{}'\n[mqtt]\n{mqtt}\n{CAMERA}", shipped().display());
    let tls = "url = 'mqtts://127.0.0.1:1'";
    let cases = [
        ("a truncated model", with_model(&truncated), "truncated.onnx"),
        ("a missing model", with_model(Path::new("/there/is/none.onnx")), "/there/is/none.onnx"),
        (
            "a certificate and another's key",
            with_mqtt(&format!(
                "{tls}\nca_file = '{ca}'\nclient_cert = '{cert}'\nclient_key = '{other_key}'"
            )),
            "belong together",
        ),
        ("no authority to trust", with_mqtt(tls), "certificate store is empty"),
        ("a bare IPv6 address", with_mqtt(&format!("url = 'mqtts://[::1]'\nca_file = '{ca}'")), "IPv6"),
        (
            "a missing password",
            with_mqtt("url = 'mqtt://127.0.0.1:1'\nusername = 'u'\npassword_file = '/there/is/none'"),
            "/there/is/none does not exist",
        ),
        (
            "a password in Latin-1",
            with_mqtt(&format!(
                "url = 'mqtt://127.0.0.1:1'\nusername = 'u'\npassword_file = '{}'",
                file("latin1", b"hunter\xe9\n")
            )),
            "is not UTF-8 text",
        ),
    ];
    for (what, config, word) in &cases {
        for command in ["check", "run"] {
            let (code, told) = ends(command, &[], config);
            assert_eq!(code, Some(2), "{command} with {what}:\n{told}");
            assert!(words(&told).contains(word), "{command} with {what}:\n{told}");
            assert!(!told.contains("hunter"), "{told}");
        }
    }
    // What can be seen in the file has its line.
    for (what, config, _) in &cases[1..] {
        let (_, told) = ends("check", &["--json"], config);
        let line = told.lines().find(|line| line.starts_with('{')).unwrap();
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["line"].is_u64() && line["key"].is_string(), "{what}: {line}");
    }
}

#[test]
fn a_model_with_a_class_of_our_own_topics_name_is_refused_by_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = model(folder.path(), "stats.onnx", |bytes| rename(bytes, b"'sheep'", b"'stats'"));
    let config = format!("model.path = '{}'\n{CAMERA}", path.display());
    for command in ["check", "run"] {
        let (code, told) = ends(command, &[], &config);
        assert_eq!(code, Some(2), "{command}:\n{told}");
        assert!(
            words(&told).contains("a class 'stats'") && words(&told).contains("`names` under [model]"),
            "{told}"
        );
    }
}

#[test]
fn a_password_at_the_wrong_place_is_told_by_no_command() {
    let wrong = [
        "url = 'mqtt://me:hunter/2@broker'",
        "url = 'mqtt://me:hunter#2@broker'",
        "url = 'mqtt://broker'\nmqtt_password = 'hunter/2'",
        "url = 'mqtt://broker'\npassword = \"\"\"\nhunter/2\n\"\"\"\nkeep_alive = 3",
        "url = 'mqtt://broker'\nusername = 7\n#passwd: hunter/2",
    ];
    for mqtt in wrong {
        let config = format!("[mqtt]\n{mqtt}\n{CAMERA}");
        for (command, more) in
            [("check", &[][..]), ("check", &["--json"]), ("check", &["--print-effective"]), ("run", &[])]
        {
            let (code, told) = ends(command, more, &config);
            assert_eq!(code, Some(2), "{command} {more:?}: {told}");
            assert!(!told.contains("hunter"), "{command} {more:?}:\n{told}");
        }
    }
}

#[test]
fn detect_and_run_say_the_same_of_a_picture() {
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/pictures/musicians.jpg");
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("musicians.jpg");
    fs::copy(picture, &alone).unwrap();
    let model = shipped().display().to_string();
    let output = common::vigie().args(["detect", "--json", "--model", &model]).arg(&alone).output().unwrap();
    let detected: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!detected["detections"].as_array().unwrap().is_empty(), "{detected}");

    let file = folder.path().join("vigie.toml");
    let config = format!(
        "model.path = '{model}'\ndetect.detections_rate = 5\n[[camera]]\nname = 'a'\nsource = {{ pictures = '{}' }}\n",
        alone.display()
    );
    fs::write(&file, config).unwrap();
    let mut program = common::vigie();
    program.args(["run", "--config"]).arg(&file).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut program = Running(program.spawn().unwrap());
    let lines = std::io::BufRead::lines(std::io::BufReader::new(program.0.stdout.take().unwrap()));
    let mut messages = lines.map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap());
    let said = messages.find(|line| line["topic"].as_str().unwrap().ends_with("/detections")).unwrap();
    let brief = |found: &serde_json::Value| {
        let mut found: Vec<_> = found["detections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|d| (d["label"].to_string(), (d["score"].as_f64().unwrap() * 100.0).round() as i64))
            .collect();
        found.sort();
        found
    };
    assert_eq!(brief(&said["payload"]), brief(&detected), "one threshold for both");
}
