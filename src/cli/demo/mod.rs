//! `vigie demo`: the whole way on photographs, with a broker of its own, on this machine alone.
//!
//! Nothing here is a shortcut: the daemon runs as always, publishes over TCP, and what is printed and drawn is what a
//! subscriber got from the broker.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use miette::miette;
use serde::Deserialize;
use toml::{Table, Value};

use super::pictures::{BUNDLED, bundled, picture_files, save_annotated};
use super::{Failure, Outcome, output};
use crate::config::Config;
use crate::daemon;
use crate::detector::Detection;
use crate::geometry::BBox;
use crate::vision::picture;

mod broker;

/// Arguments of `vigie demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The photographs that stand in for a camera; default: the bundled ones
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// The model's ONNX file; default: the shipped one
    #[arg(long, value_name = "ONNX")]
    model: Option<PathBuf>,
    /// Where the annotated pictures go; default: a folder vigie-demo under the temporary folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Photographs a second
    #[arg(long, default_value_t = 1.0, value_parser = rate)]
    fps: f32,
    /// Go on until Ctrl-C instead of ending when each photograph was seen once
    #[arg(long)]
    forever: bool,
}

fn rate(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(fps) if (0.1..=30.0).contains(&fps) => Ok(fps),
        _ => Err(format!("'{text}' is no rate between 0.1 and 30")),
    }
}

/// What the demo reads of a detections message.
#[derive(Debug, Deserialize)]
struct Message {
    seq: u64,
    detections: Vec<Found>,
}

#[derive(Debug, Deserialize)]
struct Found {
    label: String,
    class_id: u16,
    score: f32,
    #[serde(rename = "box")]
    bbox: [f32; 4],
}

/// Runs the demo; fails if nothing was detected at all.
pub fn run(args: Args) -> Outcome {
    daemon::logging::init("warn");
    let folder = args.pictures.clone().or_else(bundled).ok_or_else(|| {
        Failure::Usage(miette!(
            help = "name a folder of JPEG or PNG files with --pictures",
            "no photographs found, neither in {} nor in {}",
            BUNDLED[0],
            BUNDLED[1]
        ))
    })?;
    let files = picture_files(std::slice::from_ref(&folder))?;
    let out = args.out.clone().unwrap_or_else(|| std::env::temp_dir().join("vigie-demo"));
    std::fs::create_dir_all(&out).map_err(Failure::runtime)?;
    let (port, mut subscriber) = broker::start("vigie/#").map_err(Failure::Runtime)?;
    let config = settings(&args, &folder, port)?;

    output::say(&format!(
        "camera  : {} photographs of {}, {} a second",
        files.len(),
        folder.display(),
        args.fps
    ));
    output::say(&format!("model   : {}", config.model.path.display()));
    output::say(&format!("broker  : mqtt://127.0.0.1:{port} (embedded, for this demo alone)"));
    output::say(&format!("pictures: {}\n", out.display()));

    let daemon = daemon::Background::start(config)?;
    let mut show = Show { files: &files, out: &out, seen: BTreeSet::new(), objects: 0 };
    // Generous for a slow board: a minute to start and five seconds a photograph.
    let deadline = Instant::now() + Duration::from_secs(60 + 5 * files.len() as u64);
    while !daemon.has_ended()
        && (args.forever || (show.seen.len() < files.len() && Instant::now() < deadline))
    {
        if let Some((topic, payload)) = subscriber.next(Duration::from_millis(500)) {
            show.message(&topic, &payload)?;
        }
    }
    daemon.stop()?;
    while let Some((topic, payload)) = subscriber.next(Duration::from_millis(200)) {
        show.message(&topic, &payload)?;
    }
    show.verdict()
}

/// The configuration that the demo runs with: `config/demo.toml`, with its own broker and what the arguments say.
fn settings(args: &Args, pictures: &Path, port: u16) -> Result<Config, Failure> {
    let mut table: Table = include_str!("../../../config/demo.toml").parse().map_err(Failure::runtime)?;
    let path = |path: &Path| Value::from(path.display().to_string());
    set(&mut table, "mqtt", [("url", format!("mqtt://127.0.0.1:{port}").into())]);
    if let Some(model) = &args.model {
        set(&mut table, "model", [("path", path(model))]);
    }
    // Each photograph is to be looked at, and heard of, at whatever rate they come.
    if let Some(detect) = table.get_mut("detect").and_then(Value::as_table_mut) {
        detect.insert("max_fps".into(), 30.into());
        detect.insert("detections_rate".into(), 30.into());
    }
    let camera = table.get_mut("camera").and_then(|cameras| cameras.get_mut(0)).and_then(Value::as_table_mut);
    if let Some(camera) = camera {
        set(camera, "source", [("pictures", path(pictures)), ("fps", f64::from(args.fps).into())]);
    }
    Config::parse("the demo's configuration", &table.to_string())
        .map_err(|error| Failure::Usage(error.into()))
}

/// Puts a table in the place of what was there.
fn set<const N: usize>(table: &mut Table, key: &str, pairs: [(&str, Value); N]) {
    let inner: Table = pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    table.insert(key.to_owned(), inner.into());
}

/// What the subscriber makes of the messages.
struct Show<'a> {
    files: &'a [PathBuf],
    out: &'a Path,
    seen: BTreeSet<usize>,
    objects: usize,
}

impl Show<'_> {
    /// Prints a message as `mosquitto_sub -v` would; detections are drawn into their photograph.
    fn message(&mut self, topic: &str, payload: &[u8]) -> Outcome {
        output::text(&format!("{topic} {}\n", String::from_utf8_lossy(payload)))?;
        if !topic.ends_with("/detections") {
            return Ok(());
        }
        let message: Message = serde_json::from_slice(payload).map_err(Failure::runtime)?;
        let index = (message.seq % self.files.len() as u64) as usize;
        if !self.seen.insert(index) {
            return Ok(());
        }
        self.objects += message.detections.len();
        let frame = picture::load(&self.files[index]).map_err(Failure::runtime)?;
        let target = self.out.join(self.files[index].file_name().unwrap_or_default()).with_extension("jpg");
        let (detections, names) = drawable(&message.detections);
        save_annotated(&frame, &detections, &names, &target).map_err(Failure::runtime)?;
        output::say(&format!("    → {}", target.display()));
        Ok(())
    }

    fn verdict(&self) -> Outcome {
        let (seen, all, objects) = (self.seen.len(), self.files.len(), self.objects);
        output::say(&format!(
            "\n{objects} objects in {seen} of {all} photographs; annotated: {}",
            self.out.display()
        ));
        if objects == 0 {
            return Err(Failure::Runtime(miette!("nothing was detected in {seen} photographs")));
        }
        Ok(())
    }
}

/// A message's objects as the drawing wants them; names stand at their class's index.
fn drawable(found: &[Found]) -> (Vec<Detection>, Vec<String>) {
    let mut names = Vec::new();
    let detections = found.iter().map(|f| {
        let index = usize::from(f.class_id);
        if names.len() <= index {
            names.resize(index + 1, String::new());
        }
        names[index].clone_from(&f.label);
        let [x1, y1, x2, y2] = f.bbox;
        Detection { class_id: f.class_id, score: f.score, bbox: BBox::new(x1, y1, x2, y2) }
    });
    (detections.collect(), names)
}
