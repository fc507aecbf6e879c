//! [`Detector`]: a loaded model, from tensors to detections.

use std::time::{Duration, Instant};

use super::contract::{self, Contract};
use super::engine::{self, Engine};
use super::file::ModelFile;
use super::golden::{self, Checked};
use super::post::Post;
use super::threads::Threads;
use super::thresholds::ClassThresholds;
use super::{Detection, Error, Options, int8};
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
    post: Post,
}

impl Detector {
    /// Reads a model, prepares it for this machine, and checks that it computes here what it should.
    pub fn load(options: &Options) -> Result<Detector, Error> {
        let Loaded { contract, checked, engine, file } = load(options)?;
        drop(file);
        int8::kernels::heap::release_free();
        let post = Post::new(&contract.layout, options.nms_iou, options.max_detections);
        Ok(Detector { kernels: kernels(engine.report()), contract, checked, engine, post })
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
}

/// From a file to a graph that is known to compute the right thing here.
pub(super) fn load(options: &Options) -> Result<Loaded, Error> {
    let file = ModelFile::read(&options.path)?;
    let fed = contract::fed(&file, &options.contract)?;
    let analysed = engine::analyse(&file, &fed)?;
    let contract = contract::complete(&file, &options.contract, &fed, &analysed.outputs)?;
    let mut engine = Engine::prepare(&file, analysed, Threads::new(options.threads, &options.cores)?)?;
    let checked = engine.first_run(&file, &golden::picture(contract.size), |engine| {
        golden::check(&file, &contract, &engine.outputs())
    })?;
    Ok(Loaded { file, contract, checked, engine })
}
