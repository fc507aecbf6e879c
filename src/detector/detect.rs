//! [`Detector`]: a loaded model, from tensors to detections.

use std::time::{Duration, Instant};

use super::contract::{self, Contract};
use super::engine::{self, Engine, Way};
use super::file::ModelFile;
use super::golden::{self, Checked};
use super::post::Post;
use super::threads::Threads;
use super::thresholds::ClassThresholds;
use super::{ContractKind, Detection, Error, ErrorKind, Options, adapt, int8};
use crate::vision::{Letterbox, Tensor};

/// How long the parts of a detection took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Feeding and running the graph.
    pub infer: Duration,
    /// Decoding, suppression, and the way back to the frame's pixels.
    pub post: Duration,
}

/// A loaded model with the memory that it works in.
pub struct Detector {
    contract: Contract,
    checked: Checked,
    pub(super) engine: Engine,
    kernels: String,
    changes: Vec<String>,
    post: Post,
}

impl Detector {
    /// Reads a model, prepares it for this machine, and checks that it computes here what it should.
    pub fn load(options: &Options) -> Result<Detector, Error> {
        let Loaded { contract, checked, engine, file, changes } = load(options)?;
        drop(file);
        int8::kernels::heap::release_free();
        let post = Post::new(&contract.layout, options);
        Ok(Detector { kernels: kernels(engine.report()), contract, checked, engine, changes, post })
    }

    /// Lets an anchor report every class that reaches its threshold, not only the best one, as COCO evaluations of YOLO
    /// models do.
    pub fn with_every_class(self) -> Detector {
        Detector { post: self.post.with_every_class(), ..self }
    }

    /// What the model is fed and what comes out.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// How many threads run the graph.
    pub fn threads(&self) -> usize {
        self.engine.threads()
    }

    /// Whose code runs the graph, and with which kernels, for people: `tract`, or `int8 avx2` for a quantized model.
    pub fn kernels(&self) -> &str {
        &self.kernels
    }

    /// What was done to the graph, or had to be left undone, for people; empty for most models.
    pub fn changes(&self) -> &[String] {
        &self.changes
    }

    /// How its results were checked at load.
    pub fn checked(&self) -> Checked {
        self.checked
    }

    /// Detects the objects in a tensor, replacing what is in `out`; the boxes are in pixels of the letterbox's picture.
    ///
    /// # Panics
    /// If `thresholds` were resolved for another model, with another number of classes.
    pub fn detect(
        &mut self,
        tensor: &Tensor,
        letterbox: &Letterbox,
        thresholds: &ClassThresholds,
        out: &mut Vec<Detection>,
    ) -> Result<Timing, Error> {
        let start = Instant::now();
        self.infer(tensor)?;
        let inferred = Instant::now();
        self.decode(letterbox, thresholds, out);
        Ok(Timing { infer: inferred - start, post: inferred.elapsed() })
    }

    /// The first half of [`Detector::detect`]: runs the graph.
    pub fn infer(&mut self, tensor: &Tensor) -> Result<(), Error> {
        if tensor.size != self.contract.size || tensor.data.len() as u64 != tensor.size.area() * 3 {
            return Err(Error::Input { expected: self.contract.size, found: tensor.size });
        }
        self.engine.run(tensor)
    }

    /// The second half of [`Detector::detect`]: what the last run's outputs mean, in pixels of the letterbox's picture.
    ///
    /// # Panics
    /// If `thresholds` were resolved for another model, with another number of classes.
    pub fn decode(&mut self, letterbox: &Letterbox, thresholds: &ClassThresholds, out: &mut Vec<Detection>) {
        assert_eq!(thresholds.scores().len(), self.contract.names.len(), "thresholds of another model");
        out.clear();
        self.post.run(&self.contract.layout, &self.engine.outputs(), thresholds, letterbox, out);
    }
}

/// Whose code runs the graph.
fn kernels(report: &int8::Report) -> String {
    let own = report.layers.iter().find_map(|layer| layer.kernels);
    own.map_or_else(|| "tract".to_owned(), |name| format!("int8 {name}"))
}

/// A model that has passed every check.
pub(super) struct Loaded {
    pub file: ModelFile,
    pub contract: Contract,
    pub checked: Checked,
    pub engine: Engine,
    /// What was done to the graph, or had to be left undone.
    pub changes: Vec<String>,
}

/// From a file to a graph that is known to compute the right thing here.
pub(super) fn load(options: &Options) -> Result<Loaded, Error> {
    let file = ModelFile::read(&options.path)?;
    let fed = contract::fed(&file, &options.contract)?;
    let (way, others) = ways(&file);
    let first = match attempt(&file, &fed, options, way) {
        Ok(ready) => return Ok(loaded(file, ready, changes(way, None))),
        Err(error) => error,
    };
    for other in others.into_iter().filter(|other| may_do(&first, way, *other)) {
        if let Ok(ready) = attempt(&file, &fed, options, other) {
            let changes = changes(other, (!other.rewrite).then_some((&first, quantized(&file))));
            return Ok(loaded(file, ready, changes));
        }
    }
    // The first way is the one that the file was made for, and its error the one that helps.
    Err(first)
}

type Ready = (Contract, Checked, Engine);

fn attempt(file: &ModelFile, fed: &contract::Fed, options: &Options, way: Way) -> Result<Ready, Error> {
    let analysed = engine::analyse(file, fed, way)?;
    let contract = contract::complete(file, &options.contract, fed, &analysed.outputs, analysed.input)?;
    let mut engine = Engine::prepare(file, analysed, Threads::new(options.threads, &options.cores)?)?;
    let checked = engine.first_run(file, &golden::picture(contract.size), |engine| {
        golden::check(file, &contract, &engine.outputs())
    })?;
    Ok((contract, checked, engine))
}

fn loaded(file: ModelFile, (contract, checked, engine): Ready, changes: Vec<String>) -> Loaded {
    changes.iter().for_each(|change| log::warn!("model {}: {change}", file.path.display()));
    Loaded { file, contract, checked, engine, changes }
}

/// The way that suits a file and this machine best, and those that may do where it doesn't.
fn ways(file: &ModelFile) -> (Way, Vec<Way>) {
    let halves = adapt::has_halves(&file.proto);
    let best = Way { rewrite: true, widen: halves && !adapt::fast_halves() };
    let mut others = Vec::new();
    if halves && !best.widen {
        others.push(Way { widen: true, ..best });
    }
    if quantized(file) || !file.graph().value_info.is_empty() {
        others.push(Way { rewrite: false, widen: halves });
    }
    (best, others)
}

fn quantized(file: &ModelFile) -> bool {
    file.operators().any(|operator| operator == "QuantizeLinear")
}

/// Whether another way may do where the first failed.
fn may_do(first: &Error, way: Way, other: Way) -> bool {
    match first.kind() {
        ErrorKind::Unsupported | ErrorKind::Contract(ContractKind::Layout | ContractKind::DynamicShape) => {
            true
        }
        // Halves overflow where floats don't. What the integer engine computes wrongly is not passed over.
        ErrorKind::Golden => other.rewrite && other.widen && !way.widen,
        _ => false,
    }
}

/// What people should know about the way; with the error for which shapes inside the graph are not believed, and whether
/// the model is quantized.
fn changes(way: Way, failed: Option<(&Error, bool)>) -> Vec<String> {
    let widened = way.widen.then(|| {
        "its 16-bit floats are computed as 32-bit ones, with which this machine is faster or more exact"
            .to_owned()
    });
    let refused = failed.map(|(error, quantized)| {
        let what = match quantized {
            true => "it is quantized, but computed in floats, slowly, for the integer engine can't run it",
            false => "what the file says of shapes inside the graph is not believed",
        };
        let reason = match error {
            Error::Unsupported { reason, .. } => reason.clone(),
            Error::Contract { problem, .. } => format!("it {problem}"),
            other => other.to_string(),
        };
        format!("{what} ({reason})")
    });
    widened.into_iter().chain(refused).collect()
}
