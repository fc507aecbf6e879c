//! The integer engine: standard QDQ ONNX in, fused signed-byte operations with our own inner loops out.
//!
//! [`rewrite`] works on the protobuf, before tract folds weights to floats: it walks the graph ([`import`]), turns what it
//! recognizes into a [`plan::Plan`] of steps over memory that is laid out once, and puts one operation a region in the
//! graph's place ([`op`]). [`exec`] runs the steps on the inner loops of [`kernels`]. `docs/int8.md` explains the engine.

mod bands;
mod conv;
pub mod exec;
mod import;
pub mod kernels;
mod op;
pub mod plan;
pub mod report;
mod rows;

#[cfg(test)]
pub(super) use bands::threads;
pub use import::{Rewritten, check, rewrite};
pub use op::Region;
pub use report::{Layer, Report, Runs};

/// How a model is rewritten.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Which kernels; the fastest that run here where not said.
    pub kernels: Option<&'static dyn kernels::Kernels>,
}

/// Why a model cannot be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The protobuf is empty.
    #[error("the model has no graph (the file is not ONNX, or it is cut off)")]
    NoGraph,
    /// An output comes from nowhere.
    #[error("no node makes the graph's output {name:?} (the file is damaged, or was edited by hand)")]
    NoSuchOutput {
        /// The output.
        name: String,
    },
}
