//! What of a model runs how, for `vigie model info` and `vigie bench --layers`.

use std::collections::HashSet;

use tract_onnx::pb::{GraphProto, NodeProto};

use super::plan::Plan;

/// How a layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// On bytes, in the engine.
    Integer,
    /// In floats, in the engine.
    Float,
    /// As tract computes it.
    Tract,
}

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The ONNX node's name.
    pub name: String,
    /// What it does.
    pub op: String,
    /// How.
    pub runs: Runs,
    /// The kernels, where it is one of theirs.
    pub kernels: Option<&'static str>,
    /// Multiplications of one run, where the engine knows.
    pub macs: Option<u64>,
    /// The region and the step in it.
    pub step: Option<(usize, usize)>,
}

/// All layers, in order of execution.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The layers.
    pub layers: Vec<Layer>,
}

impl Layer {
    /// A node that stays with tract.
    pub fn left(node: &NodeProto) -> Layer {
        Layer {
            name: node.name.clone(),
            op: node.op_type.clone(),
            runs: Runs::Tract,
            kernels: None,
            macs: None,
            step: None,
        }
    }

    pub(super) fn list(graph: &GraphProto, plans: &[Plan], kept: &HashSet<usize>) -> Vec<Layer> {
        let mut layers = Vec::new();
        for (region, plan) in plans.iter().enumerate() {
            for (at, named) in plan.steps.iter().enumerate() {
                layers.push(Layer {
                    name: named.name.clone(),
                    op: named.step.kind().into(),
                    runs: if named.step.is_float() { Runs::Float } else { Runs::Integer },
                    kernels: named.step.kernels(),
                    macs: Some(named.step.macs()),
                    step: Some((region, at)),
                });
            }
        }
        let silent = ["Constant", "DequantizeLinear"];
        let left =
            graph.node.iter().enumerate().filter(|(i, n)| kept.contains(i) && !silent.contains(&&*n.op_type));
        layers.extend(left.map(|(_, n)| Layer::left(n)));
        layers
    }
}

impl Report {
    /// Multiplications that the engine does on bytes, and in floats.
    pub fn macs(&self) -> (u64, u64) {
        let sum = |runs| self.layers.iter().filter(|l| l.runs == runs).filter_map(|l| l.macs).sum();
        (sum(Runs::Integer), sum(Runs::Float))
    }

    /// How many layers run in a way.
    pub fn count(&self, runs: Runs) -> usize {
        self.layers.iter().filter(|l| l.runs == runs).count()
    }
}
