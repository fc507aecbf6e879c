//! The TOML file becomes a validated [`Config`]; after that nothing fails because of configuration.

use std::time::Duration;

use crate::{capture, detector, mqtt};

/// Everything the daemon wants to know, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The device's name: second level of every topic.
    pub device: String,
    /// The broker; `None`: JSON lines on standard output.
    pub mqtt: Option<mqtt::Options>,
    /// The model.
    pub model: detector::Options,
    /// How often the stats message goes out.
    pub stats_interval: Duration,
    /// The cameras, in the order of the file; at least one.
    pub cameras: Vec<Camera>,
}

/// One camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Camera {
    /// Its name: third level of its topics; unique.
    pub name: String,
    /// Where its frames come from.
    pub source: capture::SourceSpec,
    /// What is asked of a device.
    pub request: capture::Request,
    /// How many frames a second are looked at, at most.
    pub max_fps: f32,
    /// Score thresholds.
    pub thresholds: detector::Thresholds,
    /// How often at most a detections message goes out; 0: never, 1.0: for every processed frame of a second…
    pub detections_max_fps: f32,
}
