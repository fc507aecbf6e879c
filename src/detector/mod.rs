//! A [`crate::vision::Tensor`] becomes [`Detection`]s. Only this room names tract.

mod adapt;
mod contract;
mod decode;
mod describe;
mod detect;
mod dfl;
mod engine;
mod error;
pub mod eval;
mod file;
mod golden;
pub mod input;
pub mod int8;
mod layout;
pub mod literal;
mod nms;
mod post;
mod profile;
mod threads;
mod thresholds;
mod weights;
mod words;

use std::path::PathBuf;

use crate::geometry::BBox;

pub use contract::{Contract, Input};
pub use describe::{Description, Layer, describe};
pub use detect::{Detector, Timing};
pub use error::{ContractKind, Error, ErrorKind};
pub use file::{Dim, Element, MAX_BYTES, ModelFile, Port};
pub use golden::Checked;
pub use layout::{Channels, Layout, Level};
pub use post::Post;
pub use profile::LayerTime;
pub use thresholds::{ClassThresholds, UnknownLabel, known_labels};
pub use words::{label_of, listed, printable};

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

/// Score thresholds by label; where neither the label nor `default` says anything, the model's own hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// For every label that has none of its own; `*` in the configuration.
    pub default: Option<f32>,
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
    /// Inference threads; 0: all cores up to two, otherwise all but one.
    pub threads: usize,
    /// The cores that these threads may run on; empty: any.
    pub cores: Vec<usize>,
    /// What the user says instead of the file's metadata.
    pub contract: ContractOverride,
    /// Boxes of one class that overlap more than this (IoU) are one object.
    pub nms_iou: f32,
    /// Boxes of two classes that overlap more than this (IoU) are one object, of which the surer name counts; 1: never.
    pub nms_iou_across_classes: f32,
    /// No more detections than this from one frame.
    pub max_detections: usize,
}

impl Options {
    /// Where boxes of one class begin to be one object: low, for one object must not be reported twice.
    pub const NMS_IOU: f32 = 0.5;
    /// Where boxes of two classes begin to be one object: among the 15 487 objects that people labelled for the shipped
    /// model seven pairs overlap more, most of them somebody who holds a dog or a cat (training/EXPERIMENTS.md).
    pub const NMS_IOU_ACROSS_CLASSES: f32 = 0.8;
    /// More objects than this in one frame are not told apart by a small model.
    pub const MAX_DETECTIONS: usize = 100;

    /// A model with its own contract, threads chosen from the cores, and what suits a daemon.
    pub fn new(path: impl Into<PathBuf>) -> Options {
        Options {
            path: path.into(),
            threads: 0,
            cores: Vec::new(),
            contract: ContractOverride::default(),
            nms_iou: Options::NMS_IOU,
            nms_iou_across_classes: Options::NMS_IOU_ACROSS_CLASSES,
            max_detections: Options::MAX_DETECTIONS,
        }
    }
}
