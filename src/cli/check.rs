//! `vigie check`: is the configuration right, and what does it amount to?

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Failure, Outcome, output};
use crate::capture::SourceSpec;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Config};
use crate::daemon;
use crate::detector::Detector;
use crate::geometry::Size;
use crate::mqtt;

/// Arguments of `vigie check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// Print the configuration as TOML with every default filled in; secrets are never shown
    #[arg(long)]
    print_effective: bool,
    /// Print each problem as a JSON object on a line of its own
    #[arg(long, conflicts_with = "print_effective")]
    json: bool,
}

/// Checks the configuration.
pub fn run(args: Args) -> Outcome {
    let config = Config::load(&args.config).map_err(|error| wrong(&args, error))?;
    let model = daemon::load_model(&config);
    // The labels are the model's: only it can say whether they are right.
    let names = match &model {
        Ok(detector) => detector.contract().names.as_slice(),
        Err(error) => error.known_labels(),
    };
    if let Some(error) = config::unknown_labels(&args.config, names) {
        return Err(wrong(&args, error));
    }
    let detector = model.map_err(|error| told(&args, error))?;
    tell(&args.config, &config, &detector);
    if args.print_effective {
        output::text(&with_thresholds(config, &detector).to_toml())?;
    }
    Ok(())
}

/// With the model's thresholds where nothing else is said.
fn with_thresholds(mut config: Config, detector: &Detector) -> Config {
    for camera in &mut config.cameras {
        // A label that the model doesn't have has been told of before.
        if let Ok(written) = camera.thresholds.written_out(detector.contract()) {
            camera.thresholds = written;
        }
    }
    config
}

/// What is wrong with the text, for people and, where asked for, for programs.
fn wrong(args: &Args, error: config::Error) -> Failure {
    for problem in error.problems().iter().filter(|_| args.json) {
        if let Err(failure) = output::json_line(&json(&error, problem)) {
            return failure.into();
        }
    }
    Failure::Usage(error.into())
}

/// A problem that the model shows, for people and, where asked for, for programs.
fn told(args: &Args, error: daemon::Error) -> Failure {
    if args.json {
        let kind = if matches!(error, daemon::Error::Model(_)) { "model" } else { "label" };
        let line = json!({
            "file": args.config, "line": null, "column": null,
            "kind": kind, "key": null, "message": error.to_string(), "hint": null,
        });
        if let Err(failure) = output::json_line(&line) {
            return failure.into();
        }
    }
    error.into()
}

/// Says in words for people what the configuration amounts to, and what of it has no effect.
fn tell(path: &Path, config: &Config, detector: &Detector) {
    let broker = match &config.mqtt {
        Some(mqtt) => {
            let with = if mqtt.tls.is_some() { " with TLS" } else { "" };
            format!("events to {}:{}{with}, topics {}/{}/…", mqtt.host, mqtt.port, mqtt.prefix, config.device)
        }
        None => "events to standard output (no [mqtt])".to_owned(),
    };
    let cameras: Vec<String> = config.cameras.iter().map(describe).collect();
    output::say(&format!("{} is right", path.display()));
    output::say(&format!("  {broker}"));
    let contract = detector.contract();
    let (size, labels) = (contract.size, contract.names.join(", "));
    output::say(&format!(
        "  model {}, {}×{}: {labels}",
        config.model.path.display(),
        size.width,
        size.height
    ));
    output::say(&format!("  {}", cameras.join("\n  ")));
    if config.has_hours() {
        let timezone = &config.timezone;
        let now = timezone.local(SystemClock.now().wall).map(|local| format!(", where it is {local} now"));
        let name = timezone.name().unwrap_or("the host");
        output::say(&format!("  hours are those of {name}{}", now.unwrap_or_default()));
    }
    if let Some(record) = &config.record {
        let recorded = config.cameras.iter().filter(|camera| camera.record);
        let recorded: Vec<&str> = recorded.map(|camera| camera.name.as_str()).collect();
        let folder = record.store.directory.display();
        output::say(&format!("  clips of {} to {folder}", recorded.join(", ")));
    }
    for doubt in doubts(config) {
        output::say(&format!("warning: {doubt}"));
    }
}

fn describe(camera: &config::Camera) -> String {
    let source = match &camera.source {
        SourceSpec::Device(device) => device.to_string(),
        SourceSpec::Pictures { path, .. } => format!("pictures {}", path.display()),
        SourceSpec::Clip { path, .. } => format!("clip {}", path.display()),
        SourceSpec::TestCard { .. } => "test card".to_owned(),
    };
    let mut text = format!("camera {}: {source}, at most {} frames a second", camera.name, camera.max_fps);
    if let Some(hours) = &camera.hours {
        text += &format!(", {hours}");
    }
    for zone in &camera.zones {
        let Some(hours) = &zone.hours else { continue };
        text += &format!("; zone {}: {hours}", zone.name);
    }
    text
}

/// What is right and perhaps not meant, or could not be looked at here.
fn doubts(config: &Config) -> Vec<String> {
    let mut doubts: Vec<String> = config.doubt_of_hours().into_iter().collect();
    for camera in &config.cameras {
        if let Some(Size { width, height }) = camera.request.size.filter(|size| size.height > size.width) {
            doubts.push(format!(
                "camera `{}`: `size` is width, then height, so [{width}, {height}] is taller than wide",
                camera.name
            ));
        }
    }
    let secret = config.mqtt.as_ref().and_then(|mqtt| mqtt.password.as_ref());
    if let Some(Err(mqtt::Error::NoCredentials { name })) = secret.map(mqtt::Secret::read) {
        doubts.push(format!("only the service sees the credential `{name}`, so it was not looked into"));
    }
    let spool = config.mqtt.as_ref().and_then(|mqtt| mqtt.spool.as_ref());
    let folder = spool.and_then(|spool| spool.path.parent()).filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        doubts.push(format!(
            "the spool's folder {} is not there: without it events would wait in memory",
            folder.display()
        ));
    }
    let pictures = config.snapshot.as_ref().and_then(|snapshot| snapshot.store.as_ref());
    let clips = config.record.as_ref().map(|record| &record.store);
    for (what, store) in [("pictures", pictures), ("clips", clips)] {
        doubts.extend(
            store
                .and_then(|store| unwritable(&store.directory))
                .map(|why| format!("no {what} would be kept: {why}")),
        );
    }
    doubts
}

/// Why nothing can be written into a folder that is there or will be made, as far as whoever asks can see.
fn unwritable(folder: &Path) -> Option<String> {
    let there = folder.ancestors().find(|part| part.exists()).unwrap_or(Path::new("."));
    if !there.is_dir() {
        return Some(format!("{} is no folder", there.display()));
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(there, access).err().map(|error| {
        format!("{} cannot be written by this user ({})", there.display(), std::io::Error::from(error))
    })
}

/// A problem for programs.
fn json(error: &config::Error, problem: &config::Problem) -> serde_json::Value {
    let (line, column) = problem.position().unzip();
    json!({
        "file": error.name(),
        "line": line,
        "column": column,
        "kind": problem.kind().name(),
        "key": problem.path(),
        "message": problem.message(),
        "hint": problem.hint_text(),
    })
}
