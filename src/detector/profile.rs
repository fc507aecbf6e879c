//! Where a frame's time goes, layer by layer: the steps of the int8 engine one by one, and every node that stays with tract.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::plan::eval;

use super::describe::{self, Layer};
use super::{Detector, Error, int8};

/// A layer and what it takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerTime {
    /// The layer.
    #[serde(flatten)]
    pub layer: Layer,
    /// The median over the frames, in milliseconds.
    pub median_ms: f64,
    /// Of the sum of all layers, 0…1.
    pub share: f64,
}

impl Detector {
    /// Runs the graph on the last tensor so many times and says what each layer takes, in the order in which they run.
    ///
    /// # Errors
    /// As [`Detector::infer`].
    pub fn profile(&mut self, frames: usize) -> Result<Vec<LayerTime>, Error> {
        let mut times: BTreeMap<(usize, usize), (Layer, Vec<Duration>)> = BTreeMap::new();
        for _ in 0..frames {
            let mut order = 0;
            self.engine.run_with(&mut |ctx, state, node, inputs| {
                let start = Instant::now();
                let results = match node.op_as::<int8::Region>() {
                    Some(region) => {
                        let mut steps = vec![Duration::ZERO; region.plan().steps.len()];
                        let results = region.run(&inputs, Some(&mut steps))?;
                        for (at, (named, time)) in region.plan().steps.iter().zip(steps).enumerate() {
                            let layer = || describe::own_layer(named);
                            times.entry((order, at)).or_insert_with(|| (layer(), Vec::new())).1.push(time);
                        }
                        results
                    }
                    None => {
                        let layer = || describe::tract_layer(node, &facts(&inputs));
                        let at = (order, 0);
                        let times = &mut times.entry(at).or_insert_with(|| (layer(), Vec::new())).1;
                        let results = eval(ctx, state, node, inputs)?;
                        times.push(start.elapsed());
                        results
                    }
                };
                order += 1;
                Ok(results)
            })?;
        }
        let median = |mut all: Vec<Duration>| {
            all.sort_unstable();
            all[all.len() / 2].as_secs_f64() * 1e3
        };
        let layers: Vec<_> = times.into_values().map(|(layer, all)| (layer, median(all))).collect();
        let sum: f64 = layers.iter().map(|(_, ms)| ms).sum();
        let share = |ms: f64| if sum > 0.0 { ms / sum } else { 0.0 };
        Ok(layers
            .into_iter()
            .map(|(layer, median_ms)| LayerTime { layer, median_ms, share: share(median_ms) })
            .collect())
    }
}

fn facts(inputs: &[TValue]) -> Vec<TypedFact> {
    inputs.iter().map(|tensor| tensor.datum_type().fact(tensor.shape())).collect()
}
