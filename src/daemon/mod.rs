//! Wires the rooms into a running system.

pub mod host;
pub mod logging;
pub mod schedule;
pub mod window;
