//! Detections as COCO's results JSON, what scorers of other programs read.

use std::path::Path;

use serde::Serialize;

use super::Failure;
use super::pictures::cannot;

/// A detection.
#[derive(Debug, Serialize)]
pub struct CocoResult {
    /// The picture's number in its data set.
    pub image_id: u64,
    /// The class's number in its data set.
    pub category_id: u64,
    /// x, y, width and height in pixels of the picture.
    pub bbox: [f32; 4],
    /// The confidence, 0…1.
    pub score: f32,
}

/// Writes detections into a file.
///
/// # Errors
/// When the file can't be written.
pub fn write(path: &Path, results: &[CocoResult]) -> Result<(), Failure> {
    let json = serde_json::to_vec(results).map_err(Failure::runtime)?;
    std::fs::write(path, json).map_err(|e| cannot("write the COCO results to", path, e))
}
