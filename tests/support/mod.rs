//! What several integration tests need.
#![allow(dead_code, unused_macros, clippy::unwrap_used)]

pub mod certificates;
#[macro_use]
pub mod client;
pub mod daemon;
pub mod gate;
pub mod mosquitto;
pub mod nats;
pub mod publisher;
