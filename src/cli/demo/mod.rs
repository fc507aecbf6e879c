//! `vigie demo`: the whole way on a scene of photographs, with a broker of its own, on this machine alone.
//!
//! Nothing here is a shortcut: the daemon runs as always, publishes over TCP, and what is printed and drawn is what a
//! subscriber got from the broker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use miette::miette;
use serde::Deserialize;
use serde_json::json;
use toml::{Table, Value};

use super::pictures::{BUNDLED, bundled, picture_files};
use super::story::{Story, clock};
use super::{Failure, Outcome, output};
use crate::config::Config;
use crate::daemon;
use crate::geometry::BBox;
use crate::mqtt::payload::Event;
use crate::vision::annotate::{self, Mark, class_colour};
use crate::vision::encode;
use crate::vision::sketch::{self, Stroke};
use scene::Scene;

mod broker;
pub mod scene;

/// Arguments of `vigie demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The photographs that the camera pans over; default: the bundled ones
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// The model's ONNX file; default: the shipped one
    #[arg(long, value_name = "ONNX")]
    model: Option<PathBuf>,
    /// Where the clip and the pictures of what was seen go; default: a folder vigie-demo under the temporary folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How long the camera pans over each photograph, in seconds
    #[arg(long, default_value_t = 4.0, value_parser = seconds)]
    seconds: f32,
    /// Print every message, one JSON object a line, instead of words
    #[arg(long)]
    json: bool,
    /// Go on until Ctrl-C instead of ending when each photograph was seen once
    #[arg(long)]
    forever: bool,
}

fn seconds(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(seconds) if (1.0..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err(format!("'{text}' is no time between 1 and 60 seconds")),
    }
}

/// What is drawn into the camera's picture, so that there is something to be told of.
const DRAWN: &str = r#"
zone = [{ name = "foreground", points = [[0, 0.6], [1, 0.6], [1, 1], [0, 1]] }]
line = [{ name = "middle", points = [[0.5, 1], [0.5, 0]] }]
"#;

/// Runs the demo; fails if nothing was seen at all.
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
    let scene = Scene::new(picture_files(std::slice::from_ref(&folder))?, args.seconds);
    let out = args.out.clone().unwrap_or_else(|| std::env::temp_dir().join("vigie-demo"));
    std::fs::create_dir_all(&out).map_err(|error| super::pictures::cannot("make the folder", &out, error))?;
    let clip = out.join("scene.mjpeg");
    scene.write(&clip)?;
    let (port, mut subscriber) = broker::start("vigie/#").map_err(Failure::Runtime)?;
    let config = settings(&args, &clip, port)?;

    output::say(&format!(
        "camera  : pans over {} photographs of {}, {} s each, dark for a second between two",
        scene.pans().count(),
        folder.display(),
        args.seconds
    ));
    output::say(&format!("model   : {}", config.model.path.display()));
    output::say(&format!("broker  : mqtt://127.0.0.1:{port} (embedded, for this demo alone)"));
    output::say("zone    : foreground, the lower part of the picture; line: middle, from below to above\n");

    let daemon = daemon::Background::start(config)?;
    let mut show = Show::new(&args, &scene);
    // Generous for a slow board: a minute to start, and as long as the scene.
    let deadline = Instant::now() + Duration::from_secs_f32(60.0 + 2.0 * scene.frames() as f32 / scene::FPS);
    while !daemon.has_ended() && (args.forever || (show.is_on() && Instant::now() < deadline)) {
        if let Some((topic, payload)) = subscriber.next(Duration::from_millis(500)) {
            show.message(&topic, &payload)?;
        }
    }
    daemon.stop()?;
    while let Some((topic, payload)) = subscriber.next(Duration::from_millis(200)) {
        show.message(&topic, &payload)?;
    }
    show.draw(&out)?;
    show.verdict(&clip)
}

/// The configuration that the demo runs with: `config/demo.toml`, with its own broker and what the arguments say.
fn settings(args: &Args, clip: &Path, port: u16) -> Result<Config, Failure> {
    let mut table: Table = include_str!("../../../config/demo.toml").parse().map_err(Failure::runtime)?;
    let path = |path: &Path| Value::from(path.display().to_string());
    set(&mut table, "mqtt", [("url", format!("mqtt://127.0.0.1:{port}").into())]);
    if let Some(model) = &args.model {
        set(&mut table, "model", [("path", path(model))]);
    }
    // While the shutter is closed, what was there is gone.
    set(&mut table, "track", [("lost_after", "500ms".into())]);
    // Each frame is to be looked at, and heard of.
    if let Some(detect) = table.get_mut("detect").and_then(Value::as_table_mut) {
        detect.insert("max_fps".into(), 30.into());
        detect.insert("detections_rate".into(), 30.into());
    }
    let camera = table.get_mut("camera").and_then(|cameras| cameras.get_mut(0)).and_then(Value::as_table_mut);
    if let Some(camera) = camera {
        set(camera, "source", [("clip", path(clip)), ("fps", f64::from(scene::FPS).into())]);
        camera.extend(DRAWN.parse::<Table>().map_err(Failure::runtime)?);
    }
    Config::parse("the demo's configuration", &table.to_string())
        .map_err(|error| Failure::Usage(error.into()))
}

/// Puts a table in the place of what was there.
fn set<const N: usize>(table: &mut Table, key: &str, pairs: [(&str, Value); N]) {
    let inner: Table = pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    table.insert(key.to_owned(), inner.into());
}

/// What the demo reads of a detections message.
#[derive(Debug, Deserialize)]
struct Seen {
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

/// What the subscriber makes of the messages.
struct Show<'a> {
    scene: &'a Scene,
    json: bool,
    story: Story,
    /// The latest frame that was heard of.
    latest: u64,
    /// What was seen in the first round, by frame.
    seen: BTreeMap<u64, Vec<Found>>,
    /// The ways of objects, each with the frame in which it was first told of, by the object's id.
    ways: BTreeMap<String, (u64, Stroke)>,
}

impl<'a> Show<'a> {
    fn new(args: &Args, scene: &'a Scene) -> Show<'a> {
        let (seen, ways) = (BTreeMap::new(), BTreeMap::new());
        Show { scene, json: args.json, story: Story::default(), latest: 0, seen, ways }
    }

    /// Whether the first round goes on.
    fn is_on(&self) -> bool {
        self.latest + 1 < self.scene.frames()
    }

    /// Says what happened, and keeps what is to be drawn.
    fn message(&mut self, topic: &str, payload: &[u8]) -> Outcome {
        if self.json {
            let value: serde_json::Value = serde_json::from_slice(payload)
                .unwrap_or_else(|_| String::from_utf8_lossy(payload).into_owned().into());
            output::json_line(&json!({ "topic": topic, "payload": value }))?;
        }
        if topic.ends_with("/detections") {
            let seen: Seen = serde_json::from_slice(payload).map_err(Failure::runtime)?;
            self.latest = self.latest.max(seen.seq);
            if seen.seq < self.scene.frames() {
                self.seen.insert(seen.seq, seen.detections);
            }
        } else if topic.ends_with("/events") {
            self.event(&serde_json::from_slice(payload).map_err(Failure::runtime)?)?;
        }
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) -> Outcome {
        let (name, words) = self.story.tell(event);
        if !self.json {
            let time = clock(Duration::from_secs_f64(event.seq as f64 / f64::from(scene::FPS)));
            for words in words {
                output::text(&format!("{time:>9}  {name:<14} {words}\n"))?;
            }
        }
        let number = event.id.rsplit('.').next().unwrap_or_default();
        let way = Stroke {
            points: event.path.clone(),
            closed: false,
            dot: true,
            dashed: false,
            text: name,
            colour: class_colour(number.parse().unwrap_or(0)),
        };
        if let Some((_, known)) = self.ways.get_mut(event.id.as_ref()) {
            *known = way;
        } else if event.seq < self.scene.frames() {
            self.ways.insert(event.id.to_string(), (event.seq, way));
        }
        Ok(())
    }

    /// Draws for each photograph the frame in which most was seen, and the ways of the objects that began in it.
    fn draw(&self, out: &Path) -> Outcome {
        for (photograph, pan) in self.scene.pans() {
            let sure = |found: &[Found]| found.iter().map(|found| found.score).sum::<f32>();
            let best = self.seen.range(pan.clone()).max_by(|(_, a), (_, b)| sure(a).total_cmp(&sure(b)));
            let Some((&number, found)) = best else { continue };
            let mut frame = self.scene.frame(number)?;
            let begun = self.ways.values().filter(|(first, _)| pan.contains(first));
            let ways: Vec<Stroke> = begun.map(|(_, way)| way.clone()).collect();
            let marks: Vec<Mark> = found.iter().map(mark).collect();
            annotate::draw(&mut frame, &marks).map_err(Failure::runtime)?;
            sketch::draw(&mut frame, &ways).map_err(Failure::runtime)?;
            let target = out.join(photograph.file_name().unwrap_or_default()).with_extension("jpg");
            encode::save(&frame, &target).map_err(Failure::runtime)?;
            output::say(&format!("    → {}", target.display()));
        }
        Ok(())
    }

    fn verdict(&self, clip: &Path) -> Outcome {
        output::say(&format!("\n{} (the scene: {})", self.story.summary(), clip.display()));
        if self.story.objects() == 0 {
            return Err(Failure::Runtime(miette!("nothing was seen in {} frames", self.seen.len())));
        }
        Ok(())
    }
}

/// A found object as it is drawn.
fn mark(found: &Found) -> Mark {
    let [x1, y1, x2, y2] = found.bbox;
    Mark {
        bbox: BBox::new(x1, y1, x2, y2),
        text: format!("{} {:.0} %", found.label, found.score * 100.0),
        colour: class_colour(usize::from(found.class_id)),
    }
}
