//! Recording, as a user gets it: the real program, a camera that pans over a photograph, clips on disk, and `vigie replay`
//! that says the same of them.
#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that meets what it does not expect shall fail")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::daemon::{Daemon, START, common};
use vigie::capture::{Clip, Source as _};
use vigie::cli::demo::scene::Scene;
use vigie::clock::{Clock as _, SystemClock};
use vigie::frame::{Frame, PixelFormat};
use vigie::geometry::Size;
use vigie::vision::picture;

mod support;

/// A folder with a clip of a pan over the musicians, which a camera `front` plays over and over; the configuration, and where
/// its clips are to go.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let photograph = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/pictures/musicians.jpg");
        let scene = Scene::new(vec![photograph], 6.0);
        scene.write(&folder.path().join("scene.mjpeg")).map_err(|_| "no clip").unwrap();
        Place { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration, with more tables and with more keys of the camera.
    fn config(&self, tables: &str, camera: &str) -> String {
        format!(
            "device.name = 'porch'\nstats.interval = '1s'\ndetect.max_fps = 8\n{tables}\n[[camera]]\nname = 'front'\n\
             source = {{ clip = '{}', fps = 8 }}\n{camera}",
            self.at("scene.mjpeg").display()
        )
    }

    fn write(&self, tables: &str, camera: &str) -> String {
        let file = self.at("vigie.toml");
        std::fs::write(&file, self.config(tables, camera)).unwrap();
        file.display().to_string()
    }
}

fn vigie(args: &[&str]) -> Output {
    common::vigie().args(args).env("NO_COLOR", "1").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The files in a folder and those in it, whose names end so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let of = |path: PathBuf| if path.is_dir() { files(&path, ending) } else { vec![path] };
    let all = entries.flatten().flat_map(|entry| of(entry.path()));
    all.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

/// The frames of a clip.
fn frames(clip: &Path) -> Vec<Frame> {
    let clock = Arc::new(SystemClock);
    let mut clip = Clip::open(clip, Some(1000.0), Duration::from_secs(5), clock).unwrap();
    let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), SystemClock.now());
    let mut all = Vec::new();
    loop {
        clip.next(&mut frame).unwrap();
        if clip.rounds() > 0 {
            return all;
        }
        all.push(picture::decode(&frame.data).unwrap());
    }
}

fn nanoseconds(time: &Value) -> i128 {
    time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_nanosecond()
}

#[test]
#[cfg_attr(target_arch = "aarch64", ignore = "looks take seconds under an emulator, longer than the scene")]
fn what_was_recorded_is_seen_again() {
    let place = Place::new();
    let config = place.write("record.before = '4s'\nrecord.directory = '/nowhere'", "");
    let into = place.at("clips");
    let output = vigie(&["record", "--config", &config, "--for", "14s", "--json", into.to_str().unwrap()]);
    let words = text(&output.stderr);
    assert!(output.status.success(), "{words}");
    assert!(words.contains("recording what happens of front into") && words.contains("is here"), "{words}");
    let told = lines(&text(&output.stdout));
    assert!(!told.is_empty(), "{words}");
    let written = files(&into, ".avi");
    assert_eq!(written.len(), told.len(), "{words}");
    assert!(files(&into, ".part").is_empty(), "all are whole");
    assert!(!Path::new("/nowhere").exists());

    let first = &told[0];
    let clip = PathBuf::from(first["file"].as_str().unwrap());
    assert!(words.contains(&format!("→ {}", clip.display())), "{words}");
    assert_eq!(
        (&first["camera"], &first["device"], &first["width"]),
        (&"front".into(), &"porch".into(), &640.into())
    );
    let beside: Value = serde_json::from_slice(&std::fs::read(clip.with_extension("json")).unwrap()).unwrap();
    assert_eq!(beside["objects"], first["objects"]);
    let times = beside["captured_monotonic_ns"].as_array().unwrap();
    assert_eq!((times.len(), first["frames"].as_u64()), (frames(&clip).len(), beside["frames"].as_u64()));

    // The same frames at the same times: the same objects, first seen at the same instant.
    let (events, clip) = (place.at("events"), clip.to_str().unwrap());
    let replayed = vigie(&["replay", clip, "--config", &config, "--events", events.to_str().unwrap()]);
    assert!(replayed.status.success(), "{}", text(&replayed.stderr));
    let frames = format!("{0} of {0} frames were looked at", times.len());
    assert!(text(&replayed.stderr).contains(&frames), "{}", text(&replayed.stderr));
    let events = lines(&std::fs::read_to_string(events).unwrap());
    let new: Vec<&Value> = events.iter().filter(|event| event["type"] == "new").collect();
    for seen in first["objects"].as_array().unwrap() {
        let same = |event: &&&Value| {
            let apart = (nanoseconds(&event["first_seen"]) - nanoseconds(&seen["first_seen"])).abs();
            event["label"] == seen["label"] && apart < 1_000_000
        };
        assert!(new.iter().find(same).is_some(), "{seen} is not among {new:#?}");
    }
}

#[test]
#[cfg_attr(target_arch = "aarch64", ignore = "looks take seconds under an emulator, longer than the scene")]
fn the_daemon_records_beside_its_work_and_shows_nothing_that_is_masked() {
    let place = Place::new();
    let into = place.at("clips");
    let record = format!("record = {{ directory = '{}', labels = ['person'] }}", into.display());
    // The lower third is nobody's business.
    let mask = "privacy_mask = [{ points = [[0, 0.67], [1, 0.67], [1, 1], [0, 1]] }]";
    let mut daemon = Daemon::start(&place.config(&record, mask));
    let messages = BufReader::new(daemon.stdout()).lines().map_while(Result::ok);
    let start = Instant::now();
    let mut stats = Value::Null;
    for message in messages {
        let message: Value = serde_json::from_str(&message).unwrap();
        if message["topic"] == "vigie/porch/stats" {
            stats = message["payload"]["cameras"]["front"]["recording"].clone();
        }
        if stats["frames"].as_u64().is_some_and(|frames| frames > 30) {
            break;
        }
        assert!(start.elapsed() < START, "{stats}");
    }
    assert_eq!((&stats["failures"], &stats["clips"]), (&0.into(), &0.into()), "{stats}");
    let part = files(&into.join("front"), ".avi.part");
    assert_eq!(part.len(), 1, "it is being written");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end().code, Some(0));
    assert!(!part[0].exists() && part[0].with_extension("").exists(), "whole at the end");
    let shown = frames(&part[0].with_extension(""));
    assert!(shown.len() > 30, "{}", shown.len());
    for frame in shown {
        let (width, height) = (frame.size.width as usize, frame.size.height as usize);
        let rows = |from: usize, to: usize| &frame.data[3 * width * from..3 * width * to];
        assert!(rows(height * 68 / 100, height).iter().all(|&byte| byte < 24), "the mask");
        // They stand on a dark stage.
        let light = rows(0, height * 2 / 3).iter().filter(|&&byte| byte > 60).count();
        assert!(light > 3 * width * height / 50, "and nothing else: {light}");
    }
}

#[test]
#[cfg_attr(target_arch = "aarch64", ignore = "looks take seconds under an emulator, longer than the scene")]
fn everything_is_one_clip_and_a_signal_ends_it() {
    let place = Place::new();
    let config = place.write("", "thresholds = { '*' = 1 }");
    let into = place.at("clips");
    let recording = common::vigie()
        .args(["record", "--config", &config, "--all"])
        .arg(&into)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while files(&into, ".part").iter().all(|part| part.metadata().map_or(0, |part| part.len()) < 100_000) {
        assert!(start.elapsed() < START, "nothing is written");
        std::thread::sleep(Duration::from_millis(50));
    }
    kill_process(Pid::from_child(&recording), Signal::INT).unwrap();
    let output = recording.wait_with_output().unwrap();
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");
    let clips = files(&into, "-all.avi");
    assert_eq!(clips.len(), 1, "{words}");
    assert!(words.contains("recording everything of front") && words.contains("1 clip, "), "{words}");
    assert!(!frames(&clips[0]).is_empty());
}

#[test]
#[cfg_attr(target_arch = "aarch64", ignore = "looks take seconds under an emulator, longer than the scene")]
fn a_folder_that_takes_nothing_is_told_once_and_the_daemon_goes_on() {
    let place = Place::new();
    let no_folder = place.at("file");
    std::fs::write(&no_folder, "not a folder").unwrap();
    let record = format!("record.directory = '{}'", no_folder.display());
    let mut daemon = Daemon::start(&place.config(&record, ""));
    let log = daemon.says("cannot keep a clip in");
    assert!(
        log.contains(&no_folder.display().to_string()) && log.contains("no folder has the name of one"),
        "{log}"
    );
    let messages = BufReader::new(daemon.stdout()).lines().map_while(Result::ok);
    let failed = |message: &String| {
        let message: Value = serde_json::from_str(message).unwrap();
        message["payload"]["cameras"]["front"]["recording"]["failures"].as_u64().is_some_and(|n| n > 0)
    };
    assert!(messages.into_iter().any(|message| failed(&message)), "its figures say so");
    daemon.signal(Signal::TERM);
    let ended = daemon.end();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.log.matches("cannot keep a clip").count(), 1, "{}", ended.log);
}

/// A small file system in memory; goes with the test.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf, size: &str) -> Option<Small> {
        std::fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", size, "vigie-test"]).arg(&at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Small(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

#[test]
#[cfg_attr(target_arch = "aarch64", ignore = "looks take seconds under an emulator, longer than the scene")]
fn a_full_disk_ends_a_clip_and_not_the_program() {
    let place = Place::new();
    let Some(disk) = Small::mount(place.at("disk"), "size=400k") else {
        eprintln!("not tried: only root mounts file systems");
        return;
    };
    let config = place.write("", "");
    let output = vigie(&["record", "--config", &config, "--for", "8s", "--all", disk.0.to_str().unwrap()]);
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("no room left") && words.contains("not everything could be recorded"), "{words}");
    // Whatever its name is: what was written before is there.
    let kept = [files(&disk.0, ".avi"), files(&disk.0, ".avi.part")].concat();
    assert!(!kept.is_empty() && !frames(&kept[0]).is_empty(), "{words}");
}

#[test]
fn what_cannot_be_recorded_is_told() {
    let place = Place::new();
    let config = place.write("", "record = false");
    let file = place.at("file");
    std::fs::write(&file, "not a folder").unwrap();
    let (file, clips) = (file.display().to_string(), place.at("clips").display().to_string());
    let lost = place.at("lost.toml");
    std::fs::write(&lost, "[[camera]]\nname = 'gone'\nsource = { device = '/dev/no-such-camera' }\n")
        .unwrap();
    let lost = lost.display().to_string();
    for (args, code, words) in [
        (&["--config", &config, &clips][..], 2, "every camera says `record = false`"),
        (&["--config", &config, "--camera", "back", &clips], 2, "no camera 'back'; it has: front"),
        (&["--config", &config, "--camera", "front", "--for", "soon", &clips], 2, "soon"),
        (&["--config", &config, "--camera", "front", &file], 1, "cannot make the folder"),
        (&["--config", "/no/such.toml", &clips], 2, "/no/such.toml"),
        (&["--config", &lost, "--for", "3s", &clips], 1, "no camera gave a frame"),
    ] {
        let output = vigie(&[&["record"], args].concat());
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        assert!(told.split_whitespace().collect::<Vec<_>>().join(" ").contains(words), "{args:?}: {told}");
    }
}
