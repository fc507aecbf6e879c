//! `vigie bench`: how fast this machine is, stage by stage.

use std::path::PathBuf;
use std::time::Duration;

use miette::miette;
use serde::Serialize;

use layers::Layers;

use super::model_args::{ModelArgs, ScoreArgs};
use super::pictures::{bundled, picture_files, undecoded};
use super::{Failure, Outcome, output};
use crate::daemon::host;
use crate::detector::Detector;
use crate::frame::Frame;
use crate::mqtt::payload;
use crate::vision::{Preprocessor, Tensor};

mod layers;

/// Arguments of `vigie bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    score: ScoreArgs,
    /// Pictures to run on (files or folders); default: the bundled photographs
    #[arg(value_name = "PICTURE")]
    pictures: Vec<PathBuf>,
    /// How many frames to measure
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    frames: u32,
    /// Also measure each layer of the network: time, multiply-accumulates, and these a second and a cycle
    #[arg(long)]
    layers: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Frames before the measured ones: caches, branch predictors and the clock governor settle.
const WARM_UP: u32 = 5;

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    cpu: String,
    threads: usize,
    kernels: String,
    input: String,
    frames: u32,
    stages: Stages,
    fps: f64,
    start_ms: f64,
    rss_mib: f32,
    rss_peak_mib: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Layers>,
}

/// Median and 95th percentile of a stage, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Quantiles {
    median_ms: f64,
    p95_ms: f64,
}

#[derive(Debug, Serialize)]
struct Stages {
    decode: Quantiles,
    prepare: Quantiles,
    infer: Quantiles,
    post: Quantiles,
    total: Quantiles,
}

/// Measures and prints.
pub fn run(args: Args) -> Outcome {
    let frames = frames(&args.pictures)?;
    let start = std::time::Instant::now();
    let options = args.model.options()?;
    let mut detector = Detector::load(&options).map_err(Failure::runtime)?;
    let start_ms = start.elapsed().as_secs_f64() * 1e3;
    let thresholds = args.score.thresholds(&detector)?;
    let size = detector.contract().size;
    let mut preprocessor = Preprocessor::new(size);
    let mut tensor = Tensor::new(size);
    let mut found = Vec::new();
    let mut times: [Vec<Duration>; 5] = std::array::from_fn(|_| Vec::with_capacity(args.frames as usize));
    let bar = output::progress(args.frames as usize, "measuring");
    for (n, frame) in (0..WARM_UP + args.frames).zip(frames.iter().cycle()) {
        let prepared = preprocessor.prepare(frame, &mut tensor).map_err(Failure::runtime)?;
        let timing = detector
            .detect(&tensor, &prepared.letterbox, &thresholds, &mut found)
            .map_err(Failure::runtime)?;
        if n >= WARM_UP {
            let stages = [prepared.decode, prepared.prepare, timing.infer, timing.post];
            for (all, one) in times.iter_mut().zip(stages.into_iter().chain([stages.iter().sum()])) {
                all.push(one);
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let [decode, prepare, infer, post, total] = times.map(|mut t| {
        let q = payload::Quantiles::of(&mut t).unwrap_or_default();
        Quantiles { median_ms: q.median, p95_ms: q.p95 }
    });
    let (rss_mib, rss_peak_mib) = host::memory_mib().unwrap_or_default();
    let layers = args.layers.then(|| Layers::measure(&mut detector, args.frames as usize)).transpose()?;
    let report = Report {
        model: options.path.display().to_string(),
        cpu: host::cpu(),
        threads: detector.threads(),
        kernels: detector.kernels().to_owned(),
        input: describe(&frames),
        frames: args.frames,
        fps: if total.median_ms > 0.0 { 1e3 / total.median_ms } else { 0.0 },
        stages: Stages { decode, prepare, infer, post, total },
        start_ms,
        rss_mib,
        rss_peak_mib,
        layers,
    };
    if args.json {
        return Ok(output::json_line(&report)?);
    }
    Ok(output::text(&report.table())?)
}

/// The pictures that were named, or the bundled ones, as a camera would send them.
fn frames(pictures: &[PathBuf]) -> Result<Vec<Frame>, Failure> {
    let inputs = match (pictures.is_empty(), bundled()) {
        (false, _) => pictures.to_vec(),
        (true, Some(folder)) => vec![folder],
        (true, None) => {
            return Err(Failure::Usage(miette!(
                help = "name a picture or a folder of pictures",
                "there are no bundled photographs on this machine to measure with"
            )));
        }
    };
    let files = picture_files(&inputs)?;
    files.iter().map(|file| undecoded(file).map_err(Failure::runtime)).collect()
}

fn describe(frames: &[Frame]) -> String {
    match frames {
        [one] => format!("{} {}", one.format, one.size),
        many => format!("{} pictures", many.len()),
    }
}

impl Report {
    fn table(&self) -> String {
        let row = |name: &str, q: &Quantiles| format!("  {name:<8} {:>9.2} {:>9.2}\n", q.median_ms, q.p95_ms);
        let s = &self.stages;
        [
            format!("model    {}\n", self.model),
            format!("machine  {}, {} thread(s), {}\n", self.cpu, self.threads, self.kernels),
            format!("input    {}, {} frames\n\n", self.input, self.frames),
            "  stage    median ms    p95 ms\n".to_owned(),
            row("decode", &s.decode),
            row("prepare", &s.prepare),
            row("infer", &s.infer),
            row("post", &s.post),
            row("total", &s.total),
            format!(
                "\n{:.1} frames/s, model loaded in {:.0} ms, {:.0} MiB resident (peak {:.0})\n",
                self.fps, self.start_ms, self.rss_mib, self.rss_peak_mib
            ),
            self.layers.as_ref().map(Layers::table).unwrap_or_default(),
        ]
        .concat()
    }
}
