//! The rig of the virtual board's tests (`tests/vm/guest/capture-faults.sh`): captures frames from one source, waits for
//! the fault that the test provokes, and says in one line of JSON how it went. For how to use the library, see
//! `camera_to_tensor.rs`.
//!
//! ```text
//! cargo run --example grab -- --device /dev/video0 --frames 30 [--format YUYV] [--size 640x480]
//!     [--fps 15 | --enough 5] [--seconds 20] [--stall 2] [--until-reopened N] [--until-kind KIND] [--ready FILE] [--save DIR]
//!     [--card PART] [--bus PART] [--serial S] [--pictures PATH | --clip FILE | --testcard]
//! ```
//! `--until-kind` ends it at the first failure of that kind, `--ready` makes a file after five frames, `--save` keeps
//! the first five.

#![allow(clippy::print_stdout, reason = "its result")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use vigie::capture::{Camera, DeviceMatcher, Request, SourceSpec, Take};
use vigie::clock::{Clock, SystemClock};
use vigie::frame::{Frame, PixelFormat};
use vigie::geometry::Size;

struct Options {
    spec: SourceSpec,
    request: Request,
    frames: u64,
    seconds: u64,
    reopened: u64,
    kind: Option<String>,
    ready: Option<String>,
    save: Option<String>,
}

fn main() -> ExitCode {
    env_logger::init();
    match options() {
        Ok(options) => grab(options),
        Err(e) => {
            eprintln!("grab: {e}");
            ExitCode::from(2)
        }
    }
}

fn options() -> Result<Options, String> {
    let mut words = std::env::args().skip(1);
    let mut values = BTreeMap::new();
    while let Some(word) = words.next() {
        let key = word.strip_prefix("--").ok_or_else(|| format!("what is {word}?"))?.to_owned();
        let value = if key == "testcard" {
            String::new()
        } else {
            words.next().ok_or(format!("{word} needs a value"))?
        };
        values.insert(key, value);
    }
    let number = |key: &str| -> Result<Option<f32>, String> {
        values.get(key).map(|v| v.parse().map_err(|_| format!("--{key} is no number: {v}"))).transpose()
    };
    let fps = number("fps")?;
    let spec = if let Some(path) = values.get("pictures") {
        SourceSpec::Pictures { path: path.into(), fps: fps.unwrap_or(2.0) }
    } else if let Some(path) = values.get("clip") {
        SourceSpec::Clip { path: path.into(), fps }
    } else if values.contains_key("testcard") {
        SourceSpec::TestCard { fps: fps.unwrap_or(10.0) }
    } else if let Some(path) = values.get("device") {
        SourceSpec::Device(DeviceMatcher::Path(path.into()))
    } else {
        let of = |key: &str| values.get(key).cloned();
        SourceSpec::Device(DeviceMatcher::Match {
            usb: None,
            serial: of("serial"),
            card: of("card"),
            bus: of("bus"),
        })
    };
    let format = match values.get("format") {
        Some(name) => {
            let known = PixelFormat::ALL.into_iter().find(|format| format.name() == name);
            Some(known.ok_or_else(|| format!("unknown format {name}"))?)
        }
        None => None,
    };
    let size = match values.get("size").map(|size| size.split_once('x')) {
        Some(Some((w, h))) => Some(Size::new(w.parse().unwrap_or(0), h.parse().unwrap_or(0))),
        Some(None) => return Err("--size is WIDTHxHEIGHT".to_owned()),
        None => None,
    };
    let stall_after = Duration::from_secs_f32(number("stall")?.unwrap_or(2.0));
    Ok(Options {
        spec,
        request: Request { size, fps, enough_fps: number("enough")?.unwrap_or(30.0), format, stall_after },
        frames: number("frames")?.unwrap_or(30.0) as u64,
        seconds: number("seconds")?.unwrap_or(30.0) as u64,
        reopened: number("until-reopened")?.unwrap_or(0.0) as u64,
        kind: values.get("until-kind").cloned(),
        ready: values.get("ready").cloned(),
        save: values.get("save").cloned(),
    })
}

/// Runs a camera until it has had the frames and reopenings that were asked for, or the time is over (exit code 1).
fn grab(options: Options) -> ExitCode {
    let (wake, woken) = mpsc::sync_channel(1);
    let wake = Mutex::new(wake);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (began, cpu) = (Instant::now(), cpu_ms());
    let mut camera = Camera::spawn(
        "grab",
        options.spec,
        options.request,
        Size::new(320, 320),
        Arc::clone(&clock),
        Arc::new(move || {
            if let Ok(wake) = wake.lock() {
                let _ = wake.try_send(());
            }
        }),
    );
    let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), clock.now());
    let (mut taken, mut bytes, mut rising, mut last) = (0, 0, true, None);
    let (mut states, mut kinds) = (Vec::new(), Vec::new());
    let mut first_ms = None;
    let done = loop {
        if began.elapsed() > Duration::from_secs(options.seconds) {
            break false;
        }
        let _ = woken.recv_timeout(Duration::from_millis(50));
        let health = camera.health();
        if states.last() != Some(&health.state.name()) {
            states.push(health.state.name());
        }
        if let Some(kind) = health.kind.map(|kind| kind.name()).filter(|kind| kinds.last() != Some(kind)) {
            kinds.push(kind);
        }
        if camera.take(&mut frame, Duration::ZERO) == Take::Frame {
            first_ms.get_or_insert(began.elapsed().as_millis() as u64);
            rising &= last.is_none_or(|last| frame.sequence > last);
            last = Some(frame.sequence);
            taken += 1;
            bytes += frame.data.len();
            if let Some(name) = options.ready.as_ref().filter(|_| taken == 5)
                && let Err(e) = std::fs::write(name, b"")
            {
                eprintln!("grab: {name}: {e}");
            }
            if let Some(dir) = options.save.as_ref().filter(|_| taken <= 5) {
                let name = format!("{dir}/{taken}.{}", frame.format.name().to_lowercase());
                if let Err(e) = std::fs::write(&name, &frame.data) {
                    eprintln!("grab: {name}: {e}");
                }
            }
        }
        if kinds.iter().any(|kind| options.kind.as_deref() == Some(kind)) {
            break true;
        }
        if options.kind.is_none() && taken >= options.frames && health.counters.reopened >= options.reopened {
            break true;
        }
    };
    let health = camera.health();
    let stopping = Instant::now();
    camera.stop();
    let (c, n) = (health.counters, health.negotiated);
    let delay = clock.now().monotonic.saturating_sub(frame.captured.monotonic);
    let line = json!({
        "done": done,
        "taken": taken,
        "bytes": bytes,
        "rising": rising,
        "last": {
            "format": frame.format.name(),
            "width": frame.size.width,
            "height": frame.size.height,
            "bytes": frame.data.len(),
            "colour": format!("{:?} {:?}", frame.colour.matrix, frame.colour.range),
            "sequence": frame.sequence,
            "age_ms": delay.as_millis() as u64,
        },
        "name": n.as_ref().map(|n| n.name.clone()),
        "fps": n.as_ref().and_then(|n| n.fps),
        "state": health.state.name(),
        "reason": health.reason,
        "hint": health.hint,
        "states": states,
        "kinds": kinds,
        "counters": {
            "frames": c.frames,
            "dropped": c.dropped,
            "gaps": c.gaps,
            "error_flagged": c.error_flagged,
            "truncated": c.truncated,
            "unreadable": c.unreadable,
            "reopened": c.reopened,
        },
        "first_ms": first_ms,
        "stop_ms": stopping.elapsed().as_millis() as u64,
        "cpu_ms": cpu_ms() - cpu,
        "wall_ms": began.elapsed().as_millis() as u64,
    });
    println!("{line}");
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The processor time that this process has used.
fn cpu_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    (time.tv_sec * 1000 + time.tv_nsec / 1_000_000) as u64
}
