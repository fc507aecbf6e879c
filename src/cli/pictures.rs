//! Pictures that are named on the command line, and those that come with the program.

use std::path::{Path, PathBuf};

use miette::miette;

use super::Failure;
use crate::clock::{Clock as _, SystemClock};
use crate::detector::Detection;
use crate::frame::Frame;
use crate::vision::annotate::{self, Mark};
use crate::vision::{self, encode, picture};

/// Where the bundled photographs are: in a checkout, or installed.
pub const BUNDLED: [&str; 2] = ["demo/pictures", "/usr/share/vigie/demo"];

/// The folder of the bundled photographs, if there is one.
pub fn bundled() -> Option<PathBuf> {
    BUNDLED.iter().map(PathBuf::from).find(|path| path.is_dir())
}

/// The pictures that were named, those of folders in the order of their names.
///
/// # Errors
/// When a path does not exist or a folder holds no picture.
pub fn picture_files(inputs: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            if !input.exists() {
                return Err(Failure::Usage(miette!("there is no picture or folder '{}'", input.display())));
            }
            files.push(input.clone());
            continue;
        }
        let before = files.len();
        let entries = std::fs::read_dir(input).map_err(|e| cannot("list the folder", input, e))?;
        files.extend(entries.flatten().map(|entry| entry.path()).filter(|path| is_picture(path)));
        files[before..].sort();
        if files.len() == before {
            return Err(Failure::Usage(miette!(
                help = "JPEG and PNG files are read: .jpg .jpeg .png",
                "the folder '{}' holds no picture",
                input.display()
            )));
        }
    }
    Ok(files)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    matches!(extension.as_deref(), Some("jpg" | "jpeg" | "png"))
}

/// A JPEG file as a camera would send it, so that decoding is part of what is measured; others are decoded here.
///
/// # Errors
/// When the file can't be read.
pub fn undecoded(file: &Path) -> Result<Frame, vision::Error> {
    let decoded = picture::load(file)?;
    let bytes = std::fs::read(file).unwrap_or_default();
    if bytes.starts_with(&[0xff, 0xd8]) {
        return Ok(Frame { captured: SystemClock.now(), ..picture::undecoded(bytes)? });
    }
    Ok(decoded)
}

/// Writes a picture with its objects boxed and labelled; a name that ends in `.png` makes a PNG, any other a JPEG.
///
/// # Errors
/// When the frame can't be decoded or the file can't be written.
pub fn save_annotated(
    frame: &Frame,
    detections: &[Detection],
    names: &[String],
    path: &Path,
) -> Result<(), vision::Error> {
    let mut picture = encode::to_rgb(frame)?;
    let marks = detections.iter().map(|d| Mark {
        bbox: d.bbox,
        text: format!("{} {:.0} %", label(names, d), d.score * 100.0),
        colour: annotate::class_colour(usize::from(d.class_id)),
    });
    annotate::draw(&mut picture, &marks.collect::<Vec<_>>())?;
    encode::save(&picture, path)
}

/// The label of a detection.
pub fn label<'a>(names: &'a [String], d: &Detection) -> &'a str {
    names.get(usize::from(d.class_id)).map_or("?", String::as_str)
}

/// A failure of the file system that names what was tried and where.
pub fn cannot(what: &str, path: &Path, error: std::io::Error) -> Failure {
    Failure::Runtime(miette!("cannot {what} '{}': {error}", path.display()))
}
