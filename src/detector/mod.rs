//! A [`crate::vision::Tensor`] becomes [`Detection`]s. Only this room names tract.

pub mod int8;

use std::path::PathBuf;

use crate::geometry::BBox;

/// One object that the model saw in one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Index into the model's names.
    pub class_id: u16,
    /// The model's confidence, 0…1.
    pub score: f32,
    /// Where it is, in pixels of the frame.
    pub bbox: BBox,
}

/// Score thresholds by label, with a default for the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// For every label that has none of its own; `*` in the configuration.
    pub default: f32,
    /// Label and threshold.
    pub labels: Vec<(String, f32)>,
}

/// What of a model's contract the user says instead of the file's metadata.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContractOverride {
    /// The class names, in the order of the model's outputs.
    pub names: Option<Vec<String>>,
    /// Input height and width in pixels.
    pub imgsz: Option<[u32; 2]>,
}

/// How a model is loaded and run.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The ONNX file.
    pub path: PathBuf,
    /// Inference threads; 0: chosen from the cores.
    pub threads: usize,
    /// What the user says instead of the file's metadata.
    pub contract: ContractOverride,
    /// Boxes of one class that overlap more than this (IoU) are one object.
    pub nms_iou: f32,
    /// No more detections than this from one frame.
    pub max_detections: usize,
}
