//! The spool's file: opened so that nobody else reads it, and set aside when it is broken.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Why the disk can't be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::mqtt) enum Failure {
    /// What lies there is no spool of ours, or a damaged one.
    #[error("{0}")]
    Broken(String),
    /// Another process has it, perhaps the one before us.
    #[error("another process has it open")]
    Locked,
    /// Anything else, which may heal.
    #[error("{0}")]
    Unusable(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        let hint = match error.kind() {
            // What redb says of a file that is none of its own, or ends too early.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                return Failure::Broken(error.to_string());
            }
            io::ErrorKind::NotFound => " (make its folder; in the systemd unit StateDirectory= does)",
            io::ErrorKind::PermissionDenied => " (let this user write to it and its folder)",
            io::ErrorKind::StorageFull => " (make room, or lower max_bytes)",
            io::ErrorKind::ReadOnlyFilesystem => " (name a file on a disk that can be written to)",
            _ => "",
        };
        Failure::Unusable(format!("{error}{hint}"))
    }
}

/// Opens the file, or makes an empty one that only this user may read.
pub(super) fn open(path: &Path) -> Result<File, Failure> {
    // Asked first, because opening a pipe waits for its other end.
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(Failure::Unusable("it is no regular file (name another)".to_owned()));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // A file that is new must be found again after a power cut.
    File::open(folder(path)).and_then(|folder| folder.sync_all())?;
    Ok(file)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Renames a broken file, and removes one that was set aside before. Returns its new name.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf, Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".broken-";
    let older: Vec<PathBuf> = fs::read_dir(folder(path))?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&name))
        .map(|entry| entry.path())
        .collect();
    let seconds = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let aside = path.with_file_name(format!("{name}{seconds}"));
    fs::rename(path, &aside)?;
    for old in older.iter().filter(|old| **old != aside) {
        fs::remove_file(old)?;
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_file_is_this_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        assert!(open(folder.path()).unwrap_err().to_string().contains("no regular file"));
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(open(&pipe).unwrap_err().to_string().contains("no regular file"));
        let error = open(&folder.path().join("none/spool")).unwrap_err().to_string();
        assert!(error.contains("StateDirectory"), "{error}");
    }

    #[test]
    fn of_broken_files_the_latest_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool.redb");
        for name in ["spool.redb.broken-1", "spool.redb.broken-2", "other.broken-1"] {
            fs::write(folder.path().join(name), "older").unwrap();
        }
        fs::write(&path, "latest").unwrap();
        let aside = set_aside(&path).unwrap();
        assert_eq!(fs::read_to_string(&aside).unwrap(), "latest");
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 2, "that one, and the other's");
        assert!(!path.exists());
    }
}
