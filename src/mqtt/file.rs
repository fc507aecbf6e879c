//! Reads the files that the options name: secrets, certificates, keys. They are read anew at every connection.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

/// A larger file is no secret and no certificate.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a file.
///
/// # Errors
/// Also when it is no regular file (to open a pipe would wait for its other end, and hold up the client), and when it has
/// more than 1 MiB.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it has more than 1 MiB"));
    }
    Ok(bytes)
}
