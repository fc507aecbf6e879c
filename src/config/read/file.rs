//! The text of a configuration file, read with a bound.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::config::report::position;

/// A larger file is no configuration but an accident.
pub const MAX_BYTES: u64 = 1 << 20;

/// Why the text could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{}", predicate(.0))]
    Io(#[from] io::Error),
    #[error("is larger than {} MiB, the most that a configuration file may have", MAX_BYTES >> 20)]
    TooLarge,
    #[error("is not UTF-8 text: there is the byte 0x{byte:02x}")]
    NotUtf8 { byte: u8, position: (usize, usize) },
}

impl ReadError {
    /// Line and column, where there is one.
    pub fn position(&self) -> Option<(usize, usize)> {
        match self {
            ReadError::NotUtf8 { position, .. } => Some(*position),
            _ => None,
        }
    }

    pub fn hint(&self) -> &'static str {
        match self {
            ReadError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "name the file with `--config FILE`; the documented default is config/vigie.toml in the sources"
            }
            ReadError::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "run as the service's user, or let this user read it"
            }
            ReadError::Io(_) => "name a TOML file with `--config FILE`",
            ReadError::TooLarge => "is that the file you meant?",
            ReadError::NotUtf8 { .. } => "is that the file you meant? if it is: save it as UTF-8",
        }
    }
}

/// Reads a whole configuration file; devices and pipes too, but never more than [`MAX_BYTES`].
pub fn text(path: &Path) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let good = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        ReadError::NotUtf8 { byte: error.as_bytes()[valid], position: position(&good, valid) }
    })
}

/// An input error as what can be said of a file.
pub fn predicate(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        io::ErrorKind::IsADirectory => "is a folder, not a file".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
