//! Where a spool's journal lies: in memory, and yet not in the process's own.

use std::env;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// How statfs(2) names a tmpfs.
const TMPFS: u32 = 0x0102_1994;

/// Why there is no such place.
#[derive(Debug, thiserror::Error)]
#[error(
    "neither {folders} is a tmpfs (in the systemd unit RuntimeDirectory= makes one; elsewhere name one in RUNTIME_DIRECTORY)"
)]
pub(in crate::mqtt) struct Nowhere {
    folders: String,
}

/// The journal's file: in the folder that systemd made for the service, or else where every Linux has a tmpfs.
pub(in crate::mqtt) fn place(spool: &Path) -> Result<PathBuf, Nowhere> {
    let of_the_service = env::var_os("RUNTIME_DIRECTORY");
    let of_the_service = of_the_service.iter().flat_map(env::split_paths).next();
    first_in(of_the_service.into_iter().chain([PathBuf::from("/dev/shm")]), spool)
}

fn first_in(folders: impl IntoIterator<Item = PathBuf>, spool: &Path) -> Result<PathBuf, Nowhere> {
    let mut asked = Vec::new();
    for folder in folders {
        if is_memory(&folder) {
            return Ok(folder.join(name(spool)));
        }
        asked.push(folder.display().to_string());
    }
    Err(Nowhere { folders: asked.join(" nor ") })
}

/// On any other file system a write may wait for a disk.
fn is_memory(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|about| i64::from(TMPFS) == about.f_type)
}

/// Each spool's own, and the same in each run: FNV-1a of its path.
fn name(spool: &Path) -> String {
    let path = std::path::absolute(spool).unwrap_or_else(|_| spool.to_owned());
    let hash = path.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("vigie-{hash:016x}.journal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_memory_will_do() {
        let spool = Path::new("/var/lib/vigie/spool.redb");
        let words = first_in(["/proc".into(), "/nonexistent".into()], spool).unwrap_err().to_string();
        assert!(
            words.starts_with("neither /proc nor /nonexistent is a tmpfs (in the systemd unit"),
            "{words}"
        );
        if !is_memory(Path::new("/dev/shm")) {
            return eprintln!("SKIPPED: /dev/shm is no tmpfs here");
        }
        let path = first_in(["/proc".into(), "/dev/shm".into()], spool).unwrap();
        assert_eq!(path, Path::new("/dev/shm/vigie-67709d508701e421.journal"));
        let other = first_in(["/dev/shm".into()], Path::new("/var/lib/vigie/other.redb")).unwrap();
        assert_ne!(path, other);
    }
}
