//! What is wrong with a configuration, and how it is told: problems with their places, what was perhaps meant, and the
//! lines around them, without the secrets in them.

mod error;
mod mask;
mod problem;
mod quote;
mod suggest;

pub use error::Error;
pub use problem::{Kind, Problem};

pub(in crate::config) use problem::Problems;
pub(in crate::config) use quote::position;
pub(in crate::config) use suggest::{did_you_mean, nearest};
