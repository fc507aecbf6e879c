//! What there is to know about a model: its contract, its size, its layers and how each runs on this machine.

use std::collections::BTreeMap;

use serde::Serialize;
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::{Cost, TypedOp};

use super::detect::{self, Loaded};
use super::engine::Engine;
use super::golden::Checked;
use super::int8::plan::Named;
use super::{Contract, Error, ModelFile, Options, int8};

/// A model, described.
#[derive(Debug, Serialize)]
pub struct Description {
    /// The file.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// Who wrote the file, by name and version.
    pub producer: String,
    /// The version of the ONNX operators.
    pub opset: Option<i64>,
    /// What the model says of itself.
    pub description: Option<String>,
    /// The class names.
    pub names: Vec<String>,
    /// By class: from which score on a detection is one, where the configuration says nothing.
    pub thresholds: Vec<f32>,
    /// Height and width of the input in pixels.
    pub imgsz: [u32; 2],
    /// What it is fed, in words.
    pub input: String,
    /// The graph's inputs as the file declares them.
    pub inputs: Vec<String>,
    /// The graph's outputs as the file declares them.
    pub outputs: Vec<String>,
    /// The layout of the outputs, in words.
    pub layout: String,
    /// How the results were checked on this machine.
    pub check: String,
    /// What was done to the graph, or had to be left undone, in words; empty for most models.
    pub changes: Vec<String>,
    /// Weights and biases.
    pub parameters: u64,
    /// Multiply-accumulates for one picture.
    pub macs: u64,
    /// How many nodes there are of each ONNX operator.
    pub operators: BTreeMap<String, usize>,
    /// The layers that multiply, in the order in which they run.
    pub layers: Vec<Layer>,
    /// How many other nodes run, by operator.
    pub others: BTreeMap<String, usize>,
}

/// A layer as it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Its name in the graph.
    pub name: String,
    /// The runtime's operator.
    pub operator: String,
    /// Whose code runs it.
    pub engine: String,
    /// The type that it multiplies in.
    pub arithmetic: String,
    /// The inner loop, where the operator tells.
    pub kernel: Option<String>,
    /// Multiply-accumulates for one picture.
    pub macs: u64,
}

/// Loads a model, with all checks, and describes it.
pub fn describe(options: &Options) -> Result<Description, Error> {
    let Loaded { file, contract, checked, engine, changes } = detect::load(options)?;
    let (layers, others) = layers(&file, &engine)?;
    let graph = file.graph();
    let mut operators = BTreeMap::new();
    for node in &graph.node {
        *operators.entry(node.op_type.clone()).or_insert(0) += 1;
    }
    let Contract { names, thresholds, size, input, layout, description, .. } = contract;
    Ok(Description {
        path: file.path.display().to_string(),
        bytes: file.bytes,
        sha256: file.sha256.clone(),
        producer: format!("{} {}", file.proto.producer_name, file.proto.producer_version).trim().to_owned(),
        opset: file.opset(),
        description,
        names,
        thresholds,
        imgsz: [size.height, size.width],
        input: input.to_string(),
        inputs: file.inputs().iter().map(ToString::to_string).collect(),
        outputs: file.outputs().iter().map(ToString::to_string).collect(),
        layout: layout.to_string(),
        check: check(checked),
        changes,
        parameters: graph.initializer.iter().filter(|t| is_weight(t)).map(elements).sum(),
        macs: layers.iter().map(|l| l.macs).sum(),
        operators,
        layers,
        others,
    })
}

fn check(checked: Checked) -> String {
    match checked {
        Checked::Plausible => "no golden outputs; the outputs are plausible".to_owned(),
        Checked::Silent => "no golden outputs; every score on the test picture is the same and next to 0: try it on \
                            pictures (vigie detect), it may find nothing at all. A quantized model must keep its outputs \
                            in floats"
            .to_owned(),
        Checked::Golden { boxes, classes, tolerance } => format!(
            "golden outputs met: {:.4} % off in boxes, {:.4} % in classes, {} % allowed",
            boxes * 100.0,
            classes * 100.0,
            tolerance * 100.0
        ),
    }
}

/// Shapes and indices are 64-bit integers; scalars are scales, zero points and constants of the arithmetic.
fn is_weight(tensor: &TensorProto) -> bool {
    tensor.data_type != DataType::Int64 as i32 && elements(tensor) > 1
}

fn elements(tensor: &TensorProto) -> u64 {
    tensor.dims.iter().map(|d| d.unsigned_abs()).product()
}

type Layers = (Vec<Layer>, BTreeMap<String, usize>);

/// The nodes of the prepared graph: those that multiply one by one, the rest counted.
fn layers(file: &ModelFile, engine: &Engine) -> Result<Layers, Error> {
    let model = engine.model();
    let unsupported = |e: TractError| Error::Unsupported { path: file.path.clone(), reason: e.to_string() };
    let mut layers = own_layers(engine.report());
    let mut others = BTreeMap::new();
    for id in model.eval_order().map_err(unsupported)? {
        let facts = model.node_input_facts(id).map_err(unsupported)?;
        let facts: Vec<TypedFact> = facts.into_iter().cloned().collect();
        let layer = tract_layer(model.node(id), &facts);
        if layer.macs == 0 || !multiplies(&layer.operator) {
            *others.entry(layer.operator).or_insert(0) += 1;
        } else {
            layers.push(layer);
        }
    }
    Ok((layers, others))
}

/// A node that tract runs.
pub(super) fn tract_layer(node: &TypedNode, inputs: &[TypedFact]) -> Layer {
    let op: &dyn TypedOp = node.op.as_ref();
    let (mut macs, mut arithmetic) = (0, String::new());
    // What tract can't say the cost of multiplies nothing, as far as anybody knows.
    for (cost, count) in op.cost(&inputs.iter().collect::<Vec<_>>()).unwrap_or_default() {
        if let Cost::FMA(element) = cost {
            macs += count.to_i64().unwrap_or(0).unsigned_abs();
            arithmetic = format!("{element:?}").to_lowercase();
        }
    }
    Layer {
        name: node.name.clone(),
        operator: op.name().into_owned(),
        engine: "tract".to_owned(),
        arithmetic,
        kernel: kernel(op),
        macs,
    }
}

/// The layers that the integer engine runs in place of tract.
fn own_layers(report: &int8::Report) -> Vec<Layer> {
    let all = report.layers.iter().filter(|l| l.runs != int8::Runs::Tract && l.macs.unwrap_or(0) > 0);
    let layer =
        |l: &int8::Layer| own(&l.name, &l.op, l.runs == int8::Runs::Float, l.kernels, l.macs.unwrap_or(0));
    all.map(layer).collect()
}

/// A step of the integer engine.
pub(super) fn own_layer(named: &Named) -> Layer {
    let step = &named.step;
    own(&named.name, step.kind(), step.is_float(), step.kernels(), step.macs())
}

fn own(name: &str, operator: &str, float: bool, kernels: Option<&str>, macs: u64) -> Layer {
    Layer {
        name: name.to_owned(),
        operator: operator.to_owned(),
        engine: "vigie int8".to_owned(),
        arithmetic: if float { "f32" } else { "i8" }.to_owned(),
        kernel: kernels.map(str::to_owned),
        macs,
    }
}

/// Whether an operator is a layer of the network; tract counts the arithmetic of activations and norms as
/// multiply-accumulates too.
fn multiplies(operator: &str) -> bool {
    let operator = operator.to_lowercase();
    ["conv", "matmul", "einsum", "linear", "depthwise"].iter().any(|word| operator.contains(word))
}

/// The inner loop of a matrix product: tract tells it in words, `… with [avx512_mmm_f32_16x12]`.
fn kernel(op: &dyn TypedOp) -> Option<String> {
    let words = op.info().ok()?;
    let named = words.iter().find_map(|w| w.rsplit_once(" with ").or_else(|| w.split_once("Mult: ")))?.1;
    Some(named.trim_matches(['[', ']']).to_owned())
}
