//! `vigie record`: clips around what happens, into a folder, in the foreground and without a broker: to see what a camera
//! sees, and for pictures to train with.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use miette::miette;
use serde::Serialize;
use tokio::sync::mpsc;

use super::story::{Story, clock};
use super::{Failure, Outcome, output, pictures, replay, run};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Config, Record, Store};
use crate::daemon::record::{About, Clip};
use crate::daemon::{self, Instead};
use crate::mqtt::payload::Event;
use crate::mqtt::{Class, Message, Sink, Stats};

/// Arguments of `vigie record`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder for the clips; they lie in it by camera and day, and nothing in it is ever removed
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The configuration file; what it says under [record] holds here too, but for where clips are kept and how long
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// This camera alone; default: all but those that say `record = false`
    #[arg(long, value_name = "NAME")]
    camera: Option<String>,
    /// End after so long ("90s", "2h"); default: with Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// Record everything, whether or not something is seen
    #[arg(long)]
    all: bool,
    /// Print each clip as a JSON object on a line of its own
    #[arg(long)]
    json: bool,
}

/// Records until Ctrl-C, SIGTERM, or for as long as was asked for.
///
/// # Errors
/// When the configuration, the model or the folder can't be used, a clip could not be written, or no camera gave a frame.
pub fn run(args: Args) -> Outcome {
    let config = configuration(&args)?;
    std::fs::create_dir_all(&args.directory)
        .map_err(|error| pictures::cannot("make the folder", &args.directory, error))?;
    daemon::logging::init("warn");
    let names: Vec<&str> = config.cameras.iter().map(|camera| camera.name.as_str()).collect();
    let end = args
        .time
        .map_or("Ctrl-C".to_owned(), |time| format!("{} or Ctrl-C", humantime::format_duration(time)));
    let what = if args.all { "everything" } else { "what happens" };
    output::say(&format!(
        "recording {what} of {} into {}, until {end}",
        names.join(", "),
        args.directory.display()
    ));
    let telling = Telling {
        json: args.json,
        several: names.len() > 1,
        start: SystemClock.now().monotonic,
        story: Story::default(),
        told: Told::default(),
    };
    let (tell, news) = channel();
    let teller = std::thread::Builder::new().name("words".to_owned()).spawn(move || telling.tell(&news))?;
    let outcome = record(config, &args, tell);
    let told = teller
        .join()
        .map_err(|_| Failure::Runtime(miette!("the words panicked, which is a bug in Vigie")))?;
    outcome.map_err(|error| match config::unknown_labels(&args.config, error.known_labels()) {
        Some(labels) => Failure::Usage(labels.into()),
        None => error.into(),
    })?;
    told.sum_up()
}

/// The configuration, with nothing in it but cameras that are recorded into the folder.
fn configuration(args: &Args) -> Result<Config, Failure> {
    let mut config = Config::load(&args.config).map_err(|error| Failure::Usage(error.into()))?;
    match &args.camera {
        Some(name) => config.cameras = vec![replay::camera(&config, Some(name))?.clone()],
        None => config.cameras.retain(|camera| camera.record),
    }
    if config.cameras.is_empty() {
        let help = "name the one that is to be recorded with --camera";
        return Err(Failure::Usage(miette!(help = help, "every camera says `record = false`")));
    }
    config.cameras.iter_mut().for_each(|camera| camera.record = true);
    let store = Store { directory: args.directory.clone(), bytes: u64::MAX, age: Duration::MAX };
    config.record = Some(match config.record.take() {
        Some(record) => Record { store, ..record },
        None => Record::into(store),
    });
    (config.mqtt, config.homeassistant, config.frigate, config.snapshot) = (None, None, None, None);
    Ok(config)
}

/// Runs the daemon, with `tell` in the place of a broker.
fn record(config: Config, args: &Args, tell: Sender<News>) -> Result<(), daemon::Error> {
    let (of_clips, everything, time) = (tell.clone(), args.all, args.time);
    let instead = Instead {
        publisher: Arc::new(Ears(tell)),
        on_clip: Arc::new(move |clip| {
            let news = clip.map_or_else(
                |error| News::Failed(error.to_string()),
                |clip| News::Clip(Box::new(clip.clone())),
            );
            let _ = of_clips.send(news);
        }),
        everything,
    };
    let runtime = daemon::runtime()?;
    let result = runtime.block_on(async {
        let stop = run::stop_signal()?;
        let stop = async {
            match time {
                Some(time) => drop(tokio::time::timeout(time, stop).await),
                None => stop.await,
            }
        };
        let (_unused, configurations) = mpsc::channel(1);
        daemon::run(config, Some(instead), configurations, stop).await
    });
    runtime.shutdown_background();
    result
}

/// What there is to tell.
enum News {
    /// A camera gives frames.
    Online,
    /// An event, as subscribers get it.
    Event(Vec<u8>),
    /// A clip is whole.
    Clip(Box<Clip>),
    /// One could not be written.
    Failed(String),
}

/// Hears what a broker would.
struct Ears(Sender<News>);

impl Sink for Ears {
    fn publish(&self, message: Message) {
        let news = match message.class {
            Class::Event => News::Event(message.payload.to_vec()),
            Class::State if message.topic.ends_with("/status") && message.payload[..] == *b"online" => {
                News::Online
            }
            _ => return,
        };
        let _ = self.0.send(news);
    }

    fn stats(&self) -> Stats {
        Stats { connected: true, ..Stats::default() }
    }
}

/// Tells it.
struct Telling {
    json: bool,
    /// Whether it has to be said of which camera.
    several: bool,
    start: Duration,
    story: Story,
    told: Told,
}

/// What was told, in numbers.
#[derive(Default)]
struct Told {
    online: bool,
    clips: u64,
    seconds: f64,
    bytes: u64,
    objects: String,
    /// The first trouble.
    failed: Option<String>,
    /// Whether standard output could not be written.
    unread: Option<std::io::Error>,
}

/// A clip as it is printed.
#[derive(Serialize)]
struct Line {
    file: PathBuf,
    bytes: u64,
    #[serde(flatten)]
    about: About,
}

impl Telling {
    fn tell(mut self, news: &Receiver<News>) -> Told {
        for news in news {
            match news {
                News::Online => self.told.online = true,
                News::Event(payload) => self.event(&payload),
                News::Clip(clip) => self.clip(*clip),
                News::Failed(why) => drop(self.told.failed.get_or_insert(why)),
            }
        }
        self.told.objects = self.story.summary();
        self.told
    }

    fn event(&mut self, payload: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Event<'_>>(payload) else { return };
        let (name, words) = self.story.tell(&event);
        let at = Duration::from_nanos(event.captured_monotonic_ns).saturating_sub(self.start);
        let name = if self.several { format!("{}: {name}", event.camera) } else { name };
        for words in words {
            output::say(&format!("{:>9}  {name:<14} {words}", clock(at)));
        }
    }

    fn clip(&mut self, clip: Clip) {
        let Clip { path, bytes, about } = clip;
        let short = |id: &str| id.rsplit('.').next().unwrap_or_default().to_owned();
        let who: Vec<String> =
            about.objects.iter().map(|seen| format!("{} {}", seen.label, short(&seen.id))).collect();
        let who = if who.is_empty() { String::new() } else { format!(": {}", who.join(", ")) };
        let (seconds, frames, size) = (about.seconds, about.frames, mebibytes(bytes));
        output::say(&format!(
            "{:>9}  → {} ({seconds:.1} s, {frames} frames, {size}){who}",
            "",
            path.display()
        ));
        self.told.clips += 1;
        self.told.seconds += seconds;
        self.told.bytes += bytes;
        if self.json {
            let line =
                Line { file: path, bytes, about: About { captured_monotonic_ns: Vec::new(), ..about } };
            self.told.unread = output::json_line(&line).err().or(self.told.unread.take());
        }
    }
}

impl Told {
    fn sum_up(self) -> Outcome {
        let clips = if self.clips == 1 { "1 clip".to_owned() } else { format!("{} clips", self.clips) };
        output::say(&format!("{clips}, {:.1} s, {}: {}", self.seconds, mebibytes(self.bytes), self.objects));
        if let Some(error) = self.unread {
            return Err(error.into());
        }
        match self.failed {
            Some(why) => Err(Failure::Runtime(miette!("not everything could be recorded: {why}"))),
            None if !self.online => {
                let help = "`vigie cameras` lists what is there, and what is not usable and why";
                Err(Failure::Runtime(miette!(help = help, "no camera gave a frame")))
            }
            None => Ok(()),
        }
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
