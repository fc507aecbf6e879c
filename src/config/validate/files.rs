//! Files that a configuration names: whether they are there and can be read, and what to do if not.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::read::{FilePath, Located, predicate};
use crate::config::report::{Kind, Problem, Problems};

/// Whether there is a file that can be read; a folder, a pipe or a device is none.
pub(super) fn readable_file(path: &Path) -> Result<(), String> {
    open(path).map(drop)
}

/// Whether there is a file, or a folder that can be listed.
pub(super) fn readable_file_or_folder(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        fs::read_dir(path).map(drop).map_err(|error| say(path, &error))
    } else {
        readable_file(path)
    }
}

/// Opens a regular file; asks first, because opening a pipe waits for its other end.
fn open(path: &Path) -> Result<File, String> {
    let kind = fs::metadata(path).map_err(|error| say(path, &error))?.file_type();
    if kind.is_dir() {
        return Err(format!("{} is a folder, not a file", path.display()));
    }
    if !kind.is_file() {
        return Err(format!("{} is no regular file", path.display()));
    }
    File::open(path).map_err(|error| say(path, &error))
}

fn say(path: &Path, error: &io::Error) -> String {
    format!("{} {}", path.display(), predicate(error))
}

/// What to do about a file that cannot be used.
fn hint(path: &Path) -> Option<String> {
    if path.is_relative() {
        let here = std::env::current_dir().ok()?;
        return Some(format!("a relative path starts at the working directory, which is {}", here.display()));
    }
    match File::open(path).err()?.kind() {
        io::ErrorKind::NotFound => Some("correct the path, or put the file there".to_owned()),
        io::ErrorKind::PermissionDenied => {
            Some("run as the service's user, or let that user read it (chown, chmod)".to_owned())
        }
        _ => None,
    }
}

/// The path, if the file passes the check.
pub(super) fn check_file(
    path: &Located<FilePath>,
    check: impl Fn(&Path) -> Result<(), String>,
    problems: &mut Problems,
) -> Option<PathBuf> {
    match check(&path.value.0) {
        Ok(()) => Some(path.value.0.clone()),
        Err(message) => {
            let problem = Problem::with(Kind::File, path, message);
            problems.add(match hint(&path.value.0) {
                Some(hint) => problem.hint(hint),
                None => problem,
            });
            None
        }
    }
}
