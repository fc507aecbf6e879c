//! `vigie replay`: looks at a clip or a folder of frames as the daemon looks at a camera, in the clip's own time. The same
//! file, model and configuration always give the same bytes, however fast it goes.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use miette::miette;

use super::story::{Story, clock};
use super::{Failure, Outcome, output};
use crate::capture::{self, Source, SourceSpec};
use crate::clock::{Clock as _, Moment, Trust};
use crate::config::{self, Config, defaults};
use crate::daemon::timetable::Timetable;
use crate::daemon::{load_model, watch};
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;
use crate::mqtt::dialect::{Occasion, Voice, VoiceOptions};
use crate::mqtt::payload::{Event, Stages};
use crate::mqtt::{Class, Dialect as _, Message, Native, Site, SiteCamera, stdout};
use crate::scene::{Fact, Place};
use crate::turn::Turn;
use explain::Explanation;
use reel::Reel;
use sheet::Sheet;

mod explain;
mod reel;
mod sheet;

/// Arguments of `vigie replay` and `vigie explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A clip (Motion-JPEG in AVI, bare Motion-JPEG, Y4M), or a folder of pictures that follow each other
    #[arg(value_name = "CLIP|DIR")]
    input: PathBuf,
    /// The configuration whose zones, filters and model are used; default: the shipped model, and nothing else
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The camera in the configuration that the frames stand for; default: the only one
    #[arg(long, value_name = "NAME")]
    camera: Option<String>,
    /// Another model than the configuration's
    #[arg(long, value_name = "ONNX")]
    model: Option<PathBuf>,
    /// Frames a second, where the clip's own rate, or a recording's exact times, are not wanted; a folder's default is 5
    #[arg(long, value_parser = rate)]
    fps: Option<f32>,
    /// How fast: 1 as it was, 10 ten times as fast, max as fast as the machine can; what comes out is the same
    #[arg(long, default_value = "max", value_parser = speed)]
    speed: Speed,
    /// When the first frame was captured (RFC 3339), by which `hours` are kept; default: what a recording says, otherwise
    /// 1970-01-01T00:00:00Z, and none are
    #[arg(long, value_name = "TIME")]
    start: Option<humantime::Timestamp>,
    /// Write the events, as subscribers get them, into this file, one a line
    #[arg(long, value_name = "OUT.jsonl")]
    events: Option<PathBuf>,
    /// Say of everything that became no object which rule dropped it, and by how much
    #[arg(long)]
    explain: bool,
    /// Draw the ways of the objects, zones and lines into pictures in this folder
    #[arg(long, value_name = "DIR")]
    picture: Option<PathBuf>,
    /// Print every message that the daemon would publish, one JSON object a line, instead of words
    #[arg(long)]
    json: bool,
}

/// A rate that is so little above another is the same.
const NEARLY: f32 = 1.02;

/// How many times as fast as it was; `None`: as fast as it can.
type Speed = Option<f32>;

fn rate(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(fps) if (0.001..=1000.0).contains(&fps) => Ok(fps),
        _ => Err(format!("'{text}' is no rate between 0.001 and 1000")),
    }
}

// clap takes an `Option` for an argument that may be missing, unless its path is spelled out.
fn speed(text: &str) -> Result<::std::option::Option<f32>, String> {
    match text.parse::<f32>() {
        _ if text == "max" => Ok(None),
        Ok(speed) if (0.01..=1000.0).contains(&speed) => Ok(Some(speed)),
        _ => Err(format!("'{text}' is neither max nor a number between 0.01 and 1000")),
    }
}

/// Replays, and explains without being asked to.
///
/// # Errors
/// As [`run`].
pub fn explain(args: Args) -> Outcome {
    run(Args { explain: true, ..args })
}

/// Replays a clip or a folder from its first frame to its last.
///
/// # Errors
/// When the configuration or the model can't be used, the clip can't be read, or the output not be written.
pub fn run(args: Args) -> Outcome {
    let mut config = configuration(&args)?;
    if let Some(model) = &args.model {
        config.model.path.clone_from(model);
    }
    let camera = camera(&config, args.camera.as_deref())?.clone();
    // A recording knows when it was.
    let start = args.start.map(SystemTime::from).or_else(|| capture::recorded(&args.input));
    let mut reel = open(&args, &camera, start.unwrap_or(SystemTime::UNIX_EPOCH))?;
    let detector = load_model(&config)?;
    let names = detector.contract().names.clone();
    if start.is_none() && camera.has_hours() {
        output::say("hours are not kept: say with --start when the first frame was captured");
    }
    let timetable = Timetable::new(&config, &camera, trust(start.is_some()));
    let mut watch = watch::Watch::new(&config, &camera, detector.contract(), timetable, reel.clock().now())?;
    let explaining = args.explain.then(|| Explanation::new(&camera, &config.tracking, names.clone()));
    if explaining.is_some() {
        watch.see_everything();
    }
    let mut telling = Telling::new(&args, &config, &camera, names, explaining)?;
    let mut eye = watch::Eye::new(detector);
    // What is no faster than the camera is looked at is looked at in every frame, as even or uneven as they come.
    let is_faster = reel.fps().is_none_or(|fps| fps > NEARLY * camera.max_fps);
    let mut turn = is_faster.then(|| Turn::new(camera.max_fps));
    let (mut looks, mut broken) = (0, 0);
    while let Some(frame) = reel.next().map_err(|error| Failure::Runtime(told(&error)))? {
        watch.tick(frame.captured);
        telling.facts(&mut watch, frame.captured)?;
        if !watch.is_within_hours() {
            continue;
        }
        if turn.as_mut().is_some_and(|turn| !turn.take(frame.captured.monotonic)) {
            continue;
        }
        let prepared = match watch.prepare(frame, &mut eye) {
            Ok(prepared) => prepared,
            Err(error) => {
                output::say(&format!("frame {}: {error}", frame.sequence));
                broken += 1;
                continue;
            }
        };
        if !watch.is_worth_it(frame.captured.monotonic, &prepared, &eye) {
            telling.facts(&mut watch, frame.captured)?;
            continue;
        }
        watch.look(frame, &prepared, &mut eye, false).map_err(Failure::runtime)?;
        looks += 1;
        telling.look(&mut watch, &eye, frame, prepared.spread)?;
    }
    let end = reel.clock().now();
    watch.stop();
    telling.facts(&mut watch, end)?;
    let frames = format!("{looks} of {} frames were looked at", reel.frames());
    let broken = if broken > 0 { format!(", {broken} could not be read") } else { String::new() };
    telling.end(reel.last(), &format!("{frames}{broken}"))
}

/// The configuration that was named, or one with nothing but a camera in it.
fn configuration(args: &Args) -> Result<Config, Failure> {
    let config = match &args.config {
        Some(path) => Config::load(path),
        None => {
            let text = "[[camera]]\nname = \"replay\"\nsource = { testcard = true }\n";
            Config::parse("the default configuration", text)
        }
    };
    config.map_err(|error| Failure::Usage(error.into()))
}

/// Hours can be kept only where it is known when the frames were captured.
fn trust(is_known: bool) -> Trust {
    let trust = Trust::default();
    trust.set(is_known);
    trust
}

/// The camera of that name, or the only one.
///
/// # Errors
/// When there is none of that name, or there are several.
pub(super) fn camera<'a>(config: &'a Config, name: Option<&str>) -> Result<&'a config::Camera, Failure> {
    let names = || config.cameras.iter().map(|camera| camera.name.as_str()).collect::<Vec<_>>().join(", ");
    match (name, &config.cameras[..]) {
        (None, [only]) => Ok(only),
        (None, _) => Err(Failure::Usage(miette!(
            help = "name the one that the frames stand for with --camera",
            "the configuration has several cameras: {}",
            names()
        ))),
        (Some(name), cameras) => cameras.iter().find(|camera| camera.name == name).ok_or_else(|| {
            Failure::Usage(miette!("the configuration has no camera '{name}'; it has: {}", names()))
        }),
    }
}

/// Opens the clip or the folder, in a time of its own.
fn open(args: &Args, camera: &config::Camera, start: SystemTime) -> Result<Reel, Failure> {
    /// The rate of a folder that nobody gives one: what a camera is looked at by default.
    const FOLDER_FPS: f32 = defaults::MAX_FPS;
    let path = args.input.clone();
    let spec = if path.is_dir() {
        SourceSpec::Pictures { path, fps: args.fps.unwrap_or(FOLDER_FPS) }
    } else {
        SourceSpec::Clip { path, fps: args.fps }
    };
    let clock = Arc::new(reel::FileClock::new(start, args.speed));
    let open = capture::open(&spec, &camera.request, Size::new(1, 1), Arc::clone(&clock) as _);
    let source: Box<dyn Source> = open.map_err(|error| Failure::Usage(told(&error)))?;
    Ok(Reel::new(source, clock))
}

/// An error of a file, with its hint.
fn told(error: &capture::Error) -> miette::Report {
    match error.hint() {
        Some(hint) => miette!(help = hint.to_owned(), "{error}"),
        None => miette!("{error}"),
    }
}

/// Where everything goes that is said.
struct Telling<'a> {
    args: &'a Args,
    voice: Box<dyn Voice>,
    story: Story,
    events: Option<BufWriter<File>>,
    explaining: Option<Explanation>,
    sheet: Option<Sheet>,
    /// The names of the zones.
    zones: Vec<String>,
}

impl<'a> Telling<'a> {
    fn new(
        args: &'a Args,
        config: &Config,
        camera: &config::Camera,
        names: Vec<String>,
        explaining: Option<Explanation>,
    ) -> Result<Telling<'a>, Failure> {
        let about = SiteCamera { snapshots: false, ..watch::site_camera(config, camera, &names) };
        let model = config.model.path.file_stem().unwrap_or_default();
        let site = Site {
            prefix: config.mqtt.as_ref().map_or(defaults::PREFIX, |options| &options.prefix).to_owned(),
            device: config.device.clone(),
            boot_id: "replay".to_owned(),
            run_id: "replay".to_owned(),
            model: model.to_string_lossy().into_owned(),
            labels: names,
            cameras: vec![about.clone()],
            trust: Trust::default(),
            commands: false,
        };
        let native = Native::new(Arc::new(site)).map_err(Failure::usage)?;
        let voice = native.voice(&VoiceOptions {
            camera: &about,
            max_fps: camera.max_fps,
            detections_max_fps: camera.detections_rate,
        });
        let create =
            |path: &PathBuf| File::create(path).map_err(|e| super::pictures::cannot("write", path, e));
        let events = args.events.as_ref().map(create).transpose()?.map(BufWriter::new);
        let sheet = args.picture.as_deref().map(|folder| Sheet::new(folder, camera)).transpose()?;
        let zones = camera.zones.iter().map(|zone| zone.name.clone()).collect();
        Ok(Telling { args, voice, story: Story::default(), events, explaining, sheet, zones })
    }

    /// Tells of a look, after what came of it.
    fn look(&mut self, watch: &mut watch::Watch, eye: &watch::Eye, frame: &Frame, spread: Size) -> Outcome {
        let at = frame.captured;
        if let Some(explaining) = &mut self.explaining {
            explaining.look(at.monotonic, watch, eye);
        }
        self.facts(watch, at)?;
        self.dropped()?;
        let occasion = untimed(*watch.occasion());
        let look = crate::mqtt::dialect::Look { frame: occasion, detections: eye.detections(), done: at };
        let mut messages = Vec::new();
        self.voice.look(&look, &mut |message| messages.push(message));
        messages.iter().try_for_each(|message| self.message(message, at))?;
        match &mut self.sheet {
            Some(sheet) if sheet.is_full() => sheet.draw(frame, spread),
            Some(sheet) => {
                sheet.spread(spread);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Tells what happened.
    fn facts(&mut self, watch: &mut watch::Watch, now: Moment) -> Outcome {
        let facts: Vec<(Fact, Occasion)> = watch.facts().collect();
        for (fact, of) in &facts {
            self.hours(fact, now)?;
            let mut messages = Vec::new();
            self.voice.fact(fact, &untimed(*of), of.captured, &mut |message| messages.push(message));
            messages.iter().try_for_each(|message| self.message(message, now))?;
        }
        Ok(())
    }

    /// Says whose hours are over, or have begun.
    fn hours(&self, fact: &Fact, now: Moment) -> Outcome {
        let Fact::Hours { place, within } = fact else { return Ok(()) };
        if self.args.json || self.args.start.is_none() {
            return Ok(());
        }
        let whose = match place {
            Place::Camera => "the camera".to_owned(),
            Place::Zone(zone) => format!("zone {}", self.zones.get(*zone).map_or("_", |name| name)),
        };
        let words = if *within { "is within its hours" } else { "is outside of its hours" };
        output::text(&format!("{:>9}  {whose:<14} {words}\n", clock(now.monotonic))).map_err(Failure::from)
    }

    fn message(&mut self, message: &Message, now: Moment) -> Outcome {
        if self.args.json {
            output::line(&stdout::to_line(message))?;
        }
        if message.class != Class::Event {
            return Ok(());
        }
        if let Some(events) = &mut self.events {
            events.write_all(&message.payload)?;
            events.write_all(b"\n")?;
        }
        let event: Event<'_> = serde_json::from_slice(&message.payload).map_err(Failure::runtime)?;
        if let Some(sheet) = &mut self.sheet {
            sheet.event(&event);
        }
        let (name, words) = self.story.tell(&event);
        if !self.args.json {
            for words in words {
                output::text(&format!("{:>9}  {name:<14} {words}\n", clock(now.monotonic)))?;
            }
        }
        Ok(())
    }

    /// Tells what has turned out to be no object.
    fn dropped(&mut self) -> Outcome {
        let Some(explaining) = &mut self.explaining else { return Ok(()) };
        for dropped in explaining.dropped() {
            if let Some(sheet) = &mut self.sheet {
                sheet.dropped(&dropped);
            }
            if self.args.json {
                output::json_line(&dropped)?;
            } else {
                output::text(&format!("{:>9}  {dropped}\n", clock(dropped.until)))?;
            }
        }
        Ok(())
    }

    fn end(mut self, last: &Frame, frames: &str) -> Outcome {
        if let Some(explaining) = &mut self.explaining {
            explaining.end();
        }
        self.dropped()?;
        if let Some(events) = &mut self.events {
            events.flush()?;
        }
        if let (Some(explaining), false) = (&self.explaining, self.args.json) {
            output::text(&explaining.summary())?;
        }
        if let Some(sheet) = &mut self.sheet {
            sheet.finish(last)?;
        }
        output::say(&format!("{} ({frames})", self.story.summary()));
        for file in self.sheet.iter().flat_map(Sheet::files) {
            output::say(&format!("  → {}", file.display()));
        }
        Ok(())
    }
}

/// How long something took here and now says nothing about the clip, and would be other every time.
fn untimed(of: Occasion) -> Occasion {
    Occasion { stages: Stages::default(), ..of }
}

/// A frame with nothing in it.
fn nothing(now: Moment) -> Frame {
    Frame::packed(PixelFormat::Grey, Size::default(), now)
}

/// How long something lasted, in whole milliseconds, for programs.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}
