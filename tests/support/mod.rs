//! What several integration tests need.
#![allow(dead_code, clippy::unwrap_used)]

pub mod certificates;
pub mod daemon;
pub mod gate;
pub mod mosquitto;
pub mod publisher;
