//! The whole way from text to configuration, in surroundings that the test makes.

mod hours;
mod noise;
mod secrets;
mod wrong;

use std::fs;
use std::path::Path;

use super::*;
use crate::capture::{DeviceMatcher, Request, SourceSpec};
use crate::frame::PixelFormat;
use crate::geometry::Size;
use crate::mqtt::Secret;
use crate::scene::objects::Filter;

/// The documented default configuration.
const DOCUMENTED: &str = include_str!("../../../config/vigie.toml");

/// A folder with a model, a password and what else a configuration may name, and the surroundings that it makes.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let certificate =
            rcgen::generate_simple_self_signed(["broker.lan".to_owned()]).expect("a certificate");
        let files = [
            (MODEL_FILE, "not looked into here".to_owned()),
            ("password", "secret\n".to_owned()),
            ("empty", "\n".to_owned()),
            ("other.pem", rcgen::KeyPair::generate().expect("a key").serialize_pem()),
            ("ca.pem", certificate.cert.pem()),
            ("key.pem", certificate.signing_key.serialize_pem()),
            ("clip.avi", String::new()),
        ];
        for (name, content) in files {
            fs::write(folder.path().join(name), content).expect("a written file");
        }
        fs::write(folder.path().join("latin1"), b"w\xf6rd\n").expect("a written file");
        Place { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder has the model and the credentials.
    fn around(&self) -> Surroundings {
        let folder = self.path().to_path_buf();
        Surroundings {
            device: "porch".to_owned(),
            model_dirs: vec![folder.clone()],
            credentials: Some(folder),
            timezone: Timezone::named("Europe/Paris").expect("a time zone"),
        }
    }

    /// Parses a text in which `@` stands for the folder.
    fn parse(&self, text: &str) -> Result<Config, Vec<Problem>> {
        let text = text.replace('@', &self.path().display().to_string());
        parse_in(&self.around(), &text)
            .map_err(|problems| Error::of_text("test", &text, problems).problems().to_vec())
    }

    /// Parses a text that is right.
    fn config(&self, text: &str) -> Config {
        self.parse(text).unwrap_or_else(|problems| panic!("{problems:#?}\nin\n{text}"))
    }

    /// The problems of a text that is wrong, as `KIND KEY: MESSAGE`.
    fn problems(&self, text: &str) -> Vec<String> {
        let problems = self.parse(text).expect_err(text);
        problems.iter().map(|problem| format!("{} {problem}", problem.kind().name())).collect()
    }
}

const CAMERA: &str = "[[camera]]\nname = \"front\"\nsource = { device = \"/dev/video0\" }\n";

#[test]
fn the_shortest_configuration_has_the_defaults() {
    let place = Place::new();
    let config = place.config(CAMERA);
    assert_eq!(config.device, "porch");
    assert_eq!((config.timezone.name(), config.trust_clock), (Some("Europe/Paris"), false), "the host's");
    assert_eq!((config.mqtt, config.homeassistant), (None, None));
    let model = detector::Options::new(place.path().join(MODEL_FILE));
    assert_eq!(config.model, model, "the daemon detects what `vigie detect` does");
    assert_eq!(config.stats_interval, defaults::STATS_INTERVAL);
    assert_eq!(config.log, Log { level: LevelFilter::Info, modules: vec![] });
    let [camera] = &config.cameras[..] else { panic!("one camera") };
    assert_eq!(camera.source, SourceSpec::Device(DeviceMatcher::Path("/dev/video0".into())));
    assert_eq!(
        camera.request,
        Request {
            size: None,
            fps: None,
            enough_fps: defaults::MAX_FPS,
            format: None,
            stall_after: defaults::STALL_AFTER
        }
    );
    assert_eq!((camera.max_fps, camera.detections_rate), (defaults::MAX_FPS, 0.0));
    assert_eq!(camera.hold, Duration::from_secs(2));
    assert_eq!(camera.thresholds, detector::Thresholds::default());
}

/// Every key at once, none at its default.
const EVERYTHING: &str = r#"
    [device]
    name = "gate"
    timezone = "America/New_York"
    trust_clock = true
    [mqtt]
    url = "mqtts://broker.lan:8884"
    dialects = ["homeassistant", "frigate"]
    protocol = "5"
    username = "vigie"
    password_file = "@/password"
    prefix = "home/vigie"
    ca_file = "@/ca.pem"
    client_cert = "@/ca.pem"
    client_key = "@/key.pem"
    client_id = "gate 1"
    keep_alive = "1m 30s"
    queue_messages = 0x10
    queue_bytes = "65 KiB"
    spool = { path = "@/spool.redb", max_bytes = "2 MiB", max_age = "36h" }
    commands = false
    [frigate]
    prefix = "nvr"
    [homeassistant]
    discovery_prefix = "ha/discovery"
    birth_topic = "ha/status"
    birth_payload = "here"
    labels = ["car"]
    [model]
    path = "@/clip.avi"
    threads = 2
    cores = [0, 3]
    names = ["person", "car"]
    imgsz = [256, 320]
    nms_iou = 0.6
    nms_iou_across_classes = 1
    max_detections = 7
    [detect]
    max_fps = 0.1
    thresholds = { "*" = 1, person = 0.4, car = 0.3 }
    detections_rate = 2
    hold = "10s"
    motion = { contrast = 20 }
    filters = { person = { min_area = 0.01, max_area = 0.5, min_aspect = 0.2, max_aspect = 2, min_score = 0.45 }, car = {} }
    [track]
    min_hits = 4
    lost_after = "3s"
    resting_lost_after = "1m"
    stationary_after = "20s"
    update_every = "5s"
    [snapshot]
    crop = false
    boxes = true
    max_size = 640
    quality = 70
    max_bytes = "100 KiB"
    retain = false
    directory = "@/pictures"
    keep_bytes = "1 MiB"
    keep_age = "1h"
    [record]
    directory = "@/clips"
    before = "3s"
    after = "10s"
    longest = "2m"
    fps = 2
    labels = ["person"]
    quality = 80
    keep_bytes = "2 MiB"
    keep_age = "2h"
    [stats]
    interval = "10s"
    [log]
    level = "warn"
    modules = { "vigie::capture" = "debug" }
    [[camera]]
    name = "front"
    source = { usb = "046d:0825", serial = "A1", card = "C920", bus = "usb-0" }
    size = [1280, 720]
    fps = 7.5
    format = "MJPG"
    stall_after = "500ms"
    max_fps = 3
    thresholds = { person = 0.6 }
    detections_rate = 0
    hold = "0s"
    motion = { min_area = 0.01, contrast = 30, recheck = "20s" }
    snapshots = false
    hours = [{ from = "22:00", days = ["mon", "fri"] }, { to = "6:30" }]
    record = false
    [[camera.zone]]
    name = "steps"
    points = [[0, 0], [640, 0], [640, 360]]
    unit = "px"
    labels = ["person"]
    inertia = 3
    loitering = "4s"
    hours = { from = "08:00", to = "18:00" }
    [[camera.ignore_zone]]
    points = [[0, 0], [1, 0], [1, 0.25]]
    labels = ["car"]
    [[camera.line]]
    name = "gate"
    points = [[128, 72], [640, 360]]
    unit = "px"
    labels = ["car", "person"]
    [camera.filters]
    car = { min_displacement = 0.1 }
    "*" = { max_area = 0.9 }
    [[camera.privacy_mask]]
    points = [[0.8, 0.0], [1.0, 0.0], [1.0, 0.3]]
    [[camera]]
    name = "pictures"
    source = { pictures = "@", fps = 0.01 }
    [[camera]]
    name = "clip"
    source = { clip = "@/clip.avi" }
    [[camera]]
    name = "card"
    size = [64, 48]
    source = { testcard = true }
"#;

#[test]
fn every_key_arrives_where_it_belongs() {
    let place = Place::new();
    let config = place.config(EVERYTHING);
    assert_eq!(config.device, "gate");
    let mqtt = config.mqtt.as_ref().expect("a broker");
    assert_eq!((mqtt.host.as_str(), mqtt.port), ("broker.lan", 8884));
    assert_eq!(mqtt.protocol, crate::mqtt::Protocol::V5);
    assert_eq!(mqtt.password, Some(Secret::File(place.path().join("password"))));
    let tls = mqtt.tls.as_ref().expect("TLS");
    assert_eq!(tls.client, Some((place.path().join("ca.pem"), place.path().join("key.pem"))));
    assert_eq!((mqtt.prefix.as_str(), mqtt.client_id.as_str()), ("home/vigie", "gate 1"));
    assert_eq!(
        (mqtt.keep_alive, mqtt.queue_messages, mqtt.queue_bytes, mqtt.commands),
        (Duration::from_secs(90), 16, 65 << 10, false)
    );
    let spool = mqtt.spool.as_ref().expect("a spool");
    assert_eq!(spool.path, place.path().join("spool.redb"));
    assert_eq!((spool.max_bytes, spool.max_age), (2 << 20, Duration::from_secs(36 * 3600)));
    let told = config.homeassistant.as_ref().expect("a dialect");
    assert_eq!((told.discovery_prefix.as_str(), told.birth_topic.as_str()), ("ha/discovery", "ha/status"));
    assert_eq!(config.frigate.as_deref(), Some("nvr"));
    assert_eq!((told.birth_payload.as_str(), &told.labels), ("here", &Some(vec!["car".to_owned()])));
    assert_eq!(config.model.contract.names, Some(vec!["person".to_owned(), "car".to_owned()]));
    assert_eq!(config.model.contract.imgsz, Some([256, 320]));
    assert_eq!(config.model.cores, [0, 3]);
    let model = &config.model;
    assert_eq!(
        (model.threads, model.nms_iou, model.nms_iou_across_classes, model.max_detections),
        (2, 0.6, 1.0, 7)
    );
    assert_eq!(config.log.modules, [("vigie::capture".to_owned(), LevelFilter::Debug)]);
    let front = &config.cameras[0];
    assert_eq!(front.request.size, Some(Size::new(1280, 720)));
    assert_eq!(front.request.format, Some(PixelFormat::Mjpeg));
    assert_eq!((front.request.fps, front.request.stall_after), (Some(7.5), Duration::from_millis(500)));
    let labels = vec![("car".to_owned(), 0.3), ("person".to_owned(), 0.6)];
    assert_eq!(
        front.thresholds,
        detector::Thresholds { default: Some(1.0), labels },
        "merged label by label"
    );
    assert_eq!((front.max_fps, front.detections_rate, front.hold), (3.0, 0.0, Duration::ZERO));
    assert_eq!(
        front.zones[0].polygon.points(),
        [[0.0, 0.0], [0.5, 0.0], [0.5, 0.5]],
        "pixels become fractions"
    );
    assert_eq!(front.privacy_masks.len(), 1);
    assert_eq!((front.zones[0].inertia, front.zones[0].loitering), (3, Duration::from_secs(4)));
    assert_eq!(front.ignore_zones[0].labels.as_deref(), Some(&["car".to_owned()][..]));
    assert_eq!((front.lines[0].name.as_str(), front.lines[0].ends), ("gate", [[0.1, 0.1], [0.5, 0.5]]));
    let filters = &front.filters;
    assert_eq!(filters.default, Filter { area: [0.0, 0.9], ..Filter::NONE });
    assert_eq!(
        filters.labels[0].1,
        Filter { displacement: 0.1, ..Filter::NONE },
        "the camera's, and nothing else"
    );
    let person = Filter { area: [0.01, 0.5], aspect: [0.2, 2.0], score: 0.45, ..Filter::NONE };
    assert_eq!(filters.labels[1], ("person".to_owned(), person), "inherited from [detect]");
    let following = tracker::Options {
        min_hits: 4,
        lost_after: Duration::from_secs(3),
        resting_lost_after: Duration::from_secs(60),
        stationary_after: Duration::from_secs(20),
        ..tracker::Options::default()
    };
    assert_eq!((&config.tracking, config.update_every), (&following, Duration::from_secs(5)));
    let shot = Shot { crop: false, boxes: true, longest: 640, quality: 70, bytes: 100 << 10, retain: false };
    let directory = place.path().join("pictures");
    let store = Some(Store { directory, bytes: 1 << 20, age: Duration::from_secs(3600) });
    assert_eq!(config.snapshot, Some(Snapshot { shot, store }));
    assert_eq!(config.timezone.name(), Some("America/New_York"));
    assert!(config.trust_clock && config.has_hours());
    let hours = |hours: &Option<Hours>| hours.as_ref().map(Hours::to_string);
    assert_eq!(hours(&front.hours).as_deref(), Some("mon, fri 22:00 to 24:00; 00:00 to 06:30"));
    assert_eq!(hours(&front.zones[0].hours).as_deref(), Some("08:00 to 18:00"));
    assert_eq!(config.cameras[1].hours, None);
    assert_eq!((front.snapshots, config.cameras[1].snapshots), (false, true));
    let store =
        Store { directory: place.path().join("clips"), bytes: 2 << 20, age: Duration::from_secs(7200) };
    let record = Record {
        store,
        before: Duration::from_secs(3),
        after: Duration::from_secs(10),
        longest: Duration::from_secs(120),
        fps: Some(2.0),
        labels: Some(vec!["person".to_owned()]),
        quality: 80,
    };
    assert_eq!(config.record, Some(record));
    assert_eq!((front.record, config.cameras[1].record), (false, true));
    let gate = MotionGate { min_area: 0.01, contrast: 30.0, recheck: Duration::from_secs(20) };
    assert_eq!(front.motion, Some(gate));
    assert_eq!(
        config.cameras[1].motion,
        Some(MotionGate { contrast: 20.0, ..defaults::MOTION }),
        "inherited"
    );
    let mut labels: Vec<&String> = front.labels().collect();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels, ["car", "person"]);
    let pictures = &config.cameras[1];
    assert_eq!((pictures.max_fps, pictures.detections_rate), (0.1, 2.0), "inherited from [detect]");
    assert_eq!((front.request.enough_fps, pictures.request.enough_fps), (3.0, 0.1), "what is looked at");
    assert_eq!(pictures.hold, Duration::from_secs(10), "inherited too");
    assert_eq!(pictures.request.stall_after, Duration::from_secs(300), "three frame periods");
    assert_eq!(config.cameras[3].source, SourceSpec::TestCard { fps: defaults::TESTCARD_FPS });
}

#[test]
fn the_effective_configuration_is_a_file_that_gives_it_again() {
    let place = Place::new();
    let ipv6 = format!("[mqtt]\nurl = \"mqtt://[::1]:1884\"\n{CAMERA}");
    for text in [CAMERA, &ipv6, EVERYTHING, DOCUMENTED] {
        let config = place.config(text);
        let written = config.to_toml();
        assert_eq!(place.config(&written), config, "{written}");
        assert!(!written.contains("secret"), "{written}");
    }
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let place = Place::new();
    let is_default =
        |line: &str| line.starts_with('#') && line[1..].starts_with(|c: char| c.is_ascii_lowercase());
    let shown: Vec<&str> = DOCUMENTED.lines().filter(|line| is_default(line)).collect();
    assert!(shown.len() >= 11, "{shown:?}");
    let uncomment = |line: &str| if is_default(line) { line[1..].to_owned() } else { line.to_owned() };
    let uncommented = DOCUMENTED.lines().map(uncomment).collect::<Vec<_>>().join("\n");
    assert_eq!(place.config(&uncommented), place.config(DOCUMENTED));
}

#[test]
fn the_documented_examples_are_right_and_every_key_is_documented() {
    let place = Place::new();
    let example = |line: &str| {
        line.strip_prefix("#?")
            .or(line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase())))
            .unwrap_or(line)
            .to_owned()
    };
    let drop = |line: &&str| !line.contains("credential =") && !line.starts_with("url =");
    let text = DOCUMENTED.lines().filter(drop).map(example).collect::<Vec<_>>().join("\n");
    let text = text.replace("[mqtt]", "[mqtt]\nurl = \"mqtts://localhost\"").replace("/etc/vigie/", "@/");
    let text = text
        .replace("mqtt-password", "password")
        .replace("client.pem", "ca.pem")
        .replace("client.key", "key.pem");
    let text = text.replace("/usr/share/vigie/models", "@");
    place.config(&text);
    let mut keys = Vec::new();
    collect_keys(&schema().to_value(), &mut keys);
    assert!(keys.len() > 40, "{keys:?}");
    for key in keys {
        let word =
            |line: &str| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == key);
        assert!(DOCUMENTED.lines().any(word), "`{key}` is not in config/vigie.toml");
    }
}

fn collect_keys(schema: &serde_json::Value, keys: &mut Vec<String>) {
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        keys.push(key.clone());
        collect_keys(inner, keys);
        collect_keys(&inner["items"], keys);
    }
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let place = Place::new();
    let text = "titel = 1\ndevice = 1\n[log]\nlevel = 3\n[[camera]]\nname = 1\n[[camera]]\nsorce = 1";
    let problems = place.parse(text).expect_err("wrong");
    let told: Vec<_> = problems.iter().map(|p| (p.kind().name(), p.position().expect("a place"))).collect();
    let expected = [
        ("unknown-key", (1, 1)),
        ("wrong-type", (2, 10)),
        ("wrong-type", (4, 9)),
        ("missing-key", (5, 1)),
        ("wrong-type", (6, 8)),
        ("missing-key", (7, 1)),
        ("missing-key", (7, 1)),
        ("unknown-key", (8, 1)),
    ];
    assert_eq!(told, expected);
}

#[test]
fn syntax_errors_do_not_hide_the_others_and_make_none_up() {
    let place = Place::new();
    let text = "[device]\nname = \"a b\"\nnmae = 1\n[mqtt]\nurl = \n[stats]\ninterval 10s\n[[camera]\nname = \"x\"\n";
    let problems = place.parse(text).expect_err("wrong");
    let told: Vec<_> = problems.iter().map(|p| (p.kind().name(), p.position().expect("a place").0)).collect();
    let expected = [("bad-value", 2), ("unknown-key", 3), ("syntax", 5), ("syntax", 7), ("syntax", 8)];
    assert_eq!(told, expected, "{problems:#?}");
}

#[test]
fn a_file_without_a_camera_or_a_model_says_so() {
    let place = Place::new();
    assert_eq!(place.problems(""), ["missing-key camera: there is no camera"]);
    assert_eq!(place.problems("camera = []"), ["missing-key camera: there is no camera"]);
    fs::remove_file(place.path().join(MODEL_FILE)).expect("a removed file");
    let expected =
        format!("file model.path: the shipped model {MODEL_FILE} is not in {}", place.path().display());
    assert_eq!(place.problems(CAMERA), [expected]);
}
