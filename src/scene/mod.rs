//! What is seen, over time: counts of labels. Pure: time comes in with the frames.

mod counts;

pub use counts::{Change, Counts};
