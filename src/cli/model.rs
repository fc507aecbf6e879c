//! `vigie model`: what there is to know about a model file.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::model_args::ContractArgs;
use super::{Failure, Outcome, output};
use crate::detector::{self, Description, Layer, listed, printable};

/// Looks into a model file.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Loads a model, checks it on this machine, and prints its contract, its size and how its layers run.
    Info(Info),
}

#[derive(Debug, clap::Args)]
struct Info {
    /// The ONNX file; the shipped one if none is given.
    model: Option<PathBuf>,
    #[command(flatten)]
    contract: ContractArgs,
    /// List every layer that multiplies.
    #[arg(long)]
    layers: bool,
    /// Print JSON, all layers included.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Outcome {
    match args.command {
        Command::Info(info) => run_info(info),
    }
}

fn run_info(args: Info) -> Outcome {
    let options = args.contract.options(args.model)?;
    let description = detector::describe(&options).map_err(Failure::runtime)?;
    match args.json {
        true => output::json_line(&description)?,
        false => output::text(&table(&description, args.layers))?,
    }
    Ok(())
}

/// No longer list is printed, and no longer line, whatever the file holds; `--json` has all of it.
const MOST: usize = 100;
const MOST_CHARACTERS: usize = 4000;

fn table(d: &Description, all_layers: bool) -> String {
    let opset = d.opset.map_or("unknown".to_owned(), |v| v.to_string());
    let producer = if d.producer.is_empty() { "an unnamed program" } else { &d.producer };
    let operators: Vec<String> = d.operators.iter().map(|(op, n)| format!("{op} {n}")).collect();
    let mut rows = vec![
        ("model", d.path.clone()),
        ("size", format!("{:.1} MB ({} bytes)", d.bytes as f64 / 1e6, d.bytes)),
        ("sha256", d.sha256.clone()),
        ("format", format!("ONNX, opset {opset}, written by {producer}")),
    ];
    rows.extend(d.description.clone().map(|words| ("description", words)));
    rows.push(("looks at", format!("{} x {} pixels (width x height), {}", d.imgsz[1], d.imgsz[0], d.input)));
    rows.extend(d.inputs.iter().map(|port| ("input", port.clone())));
    rows.extend(d.outputs.iter().map(|port| ("output", port.clone())));
    rows.extend([
        ("layout", d.layout.clone()),
        ("classes", format!("{}: {}", d.names.len(), listed(d.names.iter().map(String::as_str), MOST))),
        ("thresholds", thresholds(d)),
        ("parameters", format!("{:.2} M", d.parameters as f64 / 1e6)),
        ("MACs", format!("{:.1} M a picture", d.macs as f64 / 1e6)),
        ("check", d.check.clone()),
        ("operators", listed(operators.iter().map(String::as_str), MOST)),
    ]);
    rows.extend(d.changes.iter().map(|change| ("note", change.clone())));
    let mut out = String::new();
    // Writing to a string can't fail.
    for (name, value) in rows {
        let _ = writeln!(out, "{name:<12} {}", printable(&value, MOST_CHARACTERS));
    }
    let _ = writeln!(out, "\nhow it runs on this machine");
    for (how, layers, macs) in summary(&d.layers) {
        let share = 100.0 * macs as f64 / d.macs.max(1) as f64;
        let _ = writeln!(out, "{layers:>5} layers {:>9.1} M MACs {share:>5.1} %  {how}", macs as f64 / 1e6);
    }
    let _ = writeln!(out, "{:>5} other nodes", d.others.values().sum::<usize>());
    if all_layers {
        let _ = writeln!(
            out,
            "\n{:>9}  {:<10} {:<7} {:<40} name",
            "M MACs", "arithmetic", "engine", "operator, kernel"
        );
    }
    for l in d.layers.iter().filter(|_| all_layers) {
        let (macs, loops) = (l.macs as f64 / 1e6, loops(l));
        let _ = writeln!(
            out,
            "{macs:>9.2}  {:<10} {:<7} {loops:<40} {}",
            l.arithmetic,
            l.engine,
            printable(&l.name, 200)
        );
    }
    out
}

fn loops(layer: &Layer) -> String {
    layer
        .kernel
        .as_ref()
        .map_or_else(|| layer.operator.clone(), |kernel| format!("{}, {kernel}", layer.operator))
}

/// Layers and MACs by the way in which they run, the most MACs first.
fn summary(layers: &[Layer]) -> Vec<(String, usize, u64)> {
    let mut ways: Vec<(String, usize, u64)> = Vec::new();
    for layer in layers {
        let how = format!("{} {}, {}", layer.engine, layer.arithmetic, loops(layer));
        match ways.iter_mut().find(|w| w.0 == how) {
            Some(way) => (way.1, way.2) = (way.1 + 1, way.2 + layer.macs),
            None => ways.push((how, 1, layer.macs)),
        }
    }
    ways.sort_by_key(|w| std::cmp::Reverse(w.2));
    ways
}
/// `0.4`, or label by label where they differ.
fn thresholds(d: &Description) -> String {
    let least = d.thresholds.iter().copied().fold(f32::INFINITY, f32::min);
    if d.thresholds.iter().all(|score| *score == least) {
        return format!("{least} unless the configuration says otherwise");
    }
    let each: Vec<String> =
        d.names.iter().zip(&d.thresholds).map(|(name, score)| format!("{name} {score}")).collect();
    format!("{}; unless the configuration says otherwise", listed(each.iter().map(String::as_str), MOST))
}
