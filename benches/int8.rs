//! The integer engine against stock tract on the same file, interleaved, one thread; and layer by layer.
//!
//! `cargo bench --bench int8 -- MODEL.onnx [--layers] [--frames N] [--no-stock] [--threads N] [--memory]` prints tables; with `--threads`
//! instead one of the engine on 1 to N threads, with `--memory` the engine's resident memory. With `--serve` it reads lines
//! from standard input, runs one frame for each (on `--threads`), and answers with nanoseconds of wall and of thread time: so
//! that `benches/peers/int8.py` can interleave it with other runtimes, and compare results.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use tract_onnx::prelude::*;
use vigie::detector::int8::exec::{Input, Output};
use vigie::detector::int8::kernels::{Kernels, available};
use vigie::detector::int8::plan::Form;
use vigie::detector::int8::{self, Rewritten};
use vigie::detector::{Detector, Options};
use vigie::vision::Tensor as Frame;

type Runnable = std::sync::Arc<TypedRunnableModel>;

fn thread_time() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// A model as tract runs it: rewritten for `kernels`, or stock.
fn load(path: &str, kernels: Option<&'static dyn Kernels>) -> (Runnable, Option<Rewritten>) {
    let mut onnx = tract_onnx::onnx();
    let mut proto = onnx.proto_model_for_path(path).unwrap();
    let rewritten =
        kernels.map(|k| int8::rewrite(&mut proto, &mut onnx, &int8::Options { kernels: Some(k) }).unwrap());
    let model = onnx.parse(&proto, None).unwrap().model.into_optimized().unwrap().into_runnable().unwrap();
    (model, rewritten)
}

/// The same pseudo-random picture for everybody, smooth enough to look like one.
fn picture(model: &Runnable) -> Tensor {
    let fact = model.model().input_fact(0).unwrap();
    let shape: Vec<usize> = fact.shape.as_concrete().unwrap().to_vec();
    let (h, w) = (shape[2], shape[3]);
    let value = |i: usize| {
        let (c, y, x) = (i / (h * w), i / w % h, i % w);
        (128.0 + 80.0 * ((x * (c + 2)) as f32 * 0.03).sin() + 40.0 * ((y * (c + 1)) as f32 * 0.07).cos())
            as u8
    };
    let bytes: Vec<u8> = (0..shape.iter().product()).map(value).collect();
    if fact.datum_type == u8::datum_type() {
        return Tensor::from_shape(&shape, &bytes).unwrap();
    }
    let floats: Vec<f32> = bytes.iter().map(|&b| f32::from(b) / 255.0).collect();
    Tensor::from_shape(&shape, &floats).unwrap()
}

fn frame(model: &Runnable, x: &Tensor) -> (Duration, Duration) {
    let (wall, thread) = (Instant::now(), thread_time());
    model.run(tvec!(x.clone().into_tvalue())).unwrap();
    (wall.elapsed(), thread_time() - thread)
}

fn median(v: &mut [f64]) -> f64 {
    v.sort_by(f64::total_cmp);
    v[v.len() / 2]
}

/// An empty line: one frame, its times. A line that names a file of raw bytes: one frame on them, results (floats) to
/// the file's name with `.out` behind.
fn serve(model: &Runnable, threads: usize) {
    let x = picture(model);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let frame = |model: &Runnable, x: &Tensor| match threads {
        1 => frame(model, x),
        _ => pool.install(|| frame(model, x)),
    };
    frame(model, &x);
    println!("ready");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if line.is_empty() {
            let (wall, thread) = frame(model, &x);
            println!("{} {}", wall.as_nanos(), thread.as_nanos());
        } else {
            let bytes = std::fs::read(&line).unwrap();
            let results =
                model.run(tvec!(Tensor::from_shape(x.shape(), &bytes).unwrap().into_tvalue())).unwrap();
            let floats = results.iter().flat_map(|t| {
                t.to_plain_array_view::<f32>().unwrap().into_iter().copied().collect::<Vec<_>>()
            });
            std::fs::write(format!("{line}.out"), floats.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
                .unwrap();
            println!("done");
        }
        std::io::stdout().flush().unwrap();
    }
}

/// The least time of each step over many frames: what it costs when nothing disturbs it.
fn layers(rewritten: &Rewritten, frames: usize) {
    for plan in &rewritten.plans {
        let len = |shape: &[usize]| shape.iter().product::<usize>();
        let bytes: Vec<Vec<u8>> =
            plan.inputs.iter().map(|p| (0..len(&p.shape)).map(|i| (i * 7) as u8).collect()).collect();
        let floats: Vec<Vec<f32>> =
            bytes.iter().map(|v| v.iter().map(|&b| f32::from(b) / 255.0).collect()).collect();
        let inputs: Vec<Input<'_>> = plan
            .inputs
            .iter()
            .enumerate()
            .map(|(i, p)| if p.form == Form::Bytes { Input::U8(&bytes[i]) } else { Input::F32(&floats[i]) })
            .collect();
        let mut results: Vec<Vec<f32>> = plan.outputs.iter().map(|p| vec![0.0; len(&p.shape)]).collect();
        let (mut work, mut least) = (plan.workspace(1), vec![Duration::MAX; plan.steps.len()]);
        for _ in 0..frames {
            let mut outputs: Vec<Output<'_>> = results.iter_mut().map(|v| Output::F32(v)).collect();
            let mut times = vec![Duration::ZERO; plan.steps.len()];
            plan.run(&mut work, &inputs, &mut outputs, Some(&mut times));
            least.iter_mut().zip(times).for_each(|(l, t)| *l = (*l).min(t));
        }
        let total: Duration = least.iter().sum();
        println!("\n{:<12} {:>9} {:>6} {:>9}  name", "step", "us", "%", "GMAC/s");
        for (named, t) in plan.steps.iter().zip(&least) {
            let (us, rate) = (t.as_secs_f64() * 1e6, named.step.macs() as f64 / t.as_secs_f64() / 1e9);
            let share = 100.0 * t.as_secs_f64() / total.as_secs_f64();
            println!("{:<12} {us:>9.1} {share:>6.2} {rate:>9.1}  {}", named.step.kind(), named.name);
        }
        let mut kinds: Vec<(&str, f64, u64)> = Vec::new();
        for (named, t) in plan.steps.iter().zip(&least) {
            let kind = named.step.kind();
            let at = kinds.iter().position(|k| k.0 == kind).unwrap_or_else(|| {
                kinds.push((kind, 0.0, 0));
                kinds.len() - 1
            });
            kinds[at].1 += t.as_secs_f64() * 1e3;
            kinds[at].2 += named.step.macs();
        }
        println!("\nsum of the least times: {:.2} ms", total.as_secs_f64() * 1e3);
        for (kind, ms, macs) in kinds {
            println!(
                "{kind:<12} {ms:>7.3} ms {:>8.1} MMAC {:>7.1} GMAC/s",
                macs as f64 / 1e6,
                macs as f64 / ms / 1e6
            );
        }
    }
}

/// The engine on 1 to `most` threads, interleaved.
fn scaling(path: &str, most: usize, frames: usize) {
    let mut pools: Vec<_> = (1..=most)
        .map(|n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            (pool, load(path, Some(int8::kernels::best())).0, Vec::new())
        })
        .collect();
    for n in 0..frames + 5 {
        for (pool, model, times) in &mut pools {
            let x = picture(model);
            let (wall, _) = pool.install(|| frame(model, &x));
            if n >= 5 {
                times.push(wall.as_secs_f64() * 1e3);
            }
        }
    }
    println!("\n{:<8} {:>12} {:>12} {:>12}", "threads", "median ms", "least ms", "one / it");
    let mut one = 0.0;
    for (pool, _, times) in &mut pools {
        let n = pool.current_num_threads();
        let (median, least) = (median(times), times[0]);
        if n == 1 {
            one = median;
        }
        println!("{n:<8} {median:>12.2} {least:>12.2} {:>12.2}", one / median);
    }
}

/// Resident memory now and at its highest, MiB.
fn resident() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// What the deployed detector adds to an idle process: with the golden check at load, then with frames.
fn memory(path: &str, frames: usize) {
    let (idle, _) = resident();
    let options = Options { threads: 1, ..Options::new(path) };
    let mut detector = Detector::load(&options).unwrap();
    let (loaded, _) = resident();
    let size = detector.contract().size;
    let picture = Frame { size, data: vec![114; size.area() as usize * 3] };
    for _ in 0..frames {
        detector.infer(&picture).unwrap();
    }
    let (now, most) = resident();
    println!("\n{:<12} {:>10} {:>12} {:>12} {:>12}", "MiB", "idle", "loaded", "running", "highest");
    println!("{:<12} {idle:>10.1} {loaded:>12.1} {now:>12.1} {most:>12.1}", "resident");
    println!(
        "{:<12} {:>10} {:>12.1} {:>12.1} {:>12.1}",
        "over idle",
        "",
        loaded - idle,
        now - idle,
        most - idle
    );
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let flag = |name: &str| args.iter().any(|a| a == name);
    let number = |name: &str, default: usize| {
        args.iter().position(|a| a == name).map_or(default, |i| args[i + 1].parse().unwrap())
    };
    let Some(path) = args.iter().find(|a| a.ends_with(".onnx")) else {
        println!("int8: no MODEL.onnx given, nothing measured");
        return;
    };
    if flag("--serve") {
        let kernels = (!flag("--stock")).then(int8::kernels::best);
        return serve(&load(path, kernels).0, number("--threads", 1));
    }
    let frames = number("--frames", 30);
    if flag("--memory") {
        return memory(path, frames);
    }
    if flag("--threads") {
        return scaling(path, number("--threads", 1), frames);
    }
    let mut models: Vec<(String, Runnable)> = Vec::new();
    for (i, kernels) in available().into_iter().enumerate() {
        let (model, rewritten) = load(path, Some(kernels));
        let rewritten = rewritten.unwrap();
        if i == 0 && flag("--layers") {
            layers(&rewritten, frames * 4);
        }
        models.push((format!("vigie {}", kernels.name()), model));
    }
    if !flag("--no-stock") {
        models.push(("stock tract".into(), load(path, None).0));
    }
    let mut times = vec![(Vec::new(), Vec::new()); models.len()];
    for _ in 0..frames {
        for ((_, model), times) in models.iter().zip(&mut times) {
            let (wall, thread) = frame(model, &picture(model));
            times.0.push(wall.as_secs_f64() * 1e3);
            times.1.push(thread.as_secs_f64() * 1e3);
        }
    }
    println!("\n{:<20} {:>12} {:>12} {:>12}", "one thread", "median ms", "least ms", "thread ms");
    for ((name, _), (wall, thread)) in models.iter().zip(&mut times) {
        println!("{name:<20} {:>12.2} {:>12.2} {:>12.2}", median(wall), wall[0], median(thread));
    }
}
