//! Pictures as files: one for each object, in a folder for each day, bounded in bytes and age.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use log::{info, warn};

use crate::config::Store;

/// How often it is looked for files that are too old.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// The files of one camera.
pub struct Files {
    folder: PathBuf,
    bytes: u64,
    age: Duration,
    /// What sets the files of this run apart from those of others.
    run: String,
    /// What there is, the oldest first.
    kept: VecDeque<Kept>,
    total: u64,
    tidied: Option<SystemTime>,
    /// Whether the last file could not be written: such trouble is logged when it begins.
    failing: bool,
}

struct Kept {
    path: PathBuf,
    bytes: u64,
    written: SystemTime,
}

impl Files {
    /// The files of a camera, below the folder of all of them; those of earlier runs count too.
    pub fn open(store: &Store, camera: &str, run: &str) -> Files {
        let folder = store.directory.join(camera);
        let mut kept = Vec::new();
        // A folder that isn't there yet has no files.
        gather(&folder, &mut kept);
        kept.sort_by_key(|kept: &Kept| kept.written);
        let total = kept.iter().map(|kept| kept.bytes).sum();
        let (bytes, age, run) = (store.bytes, store.age, run.to_owned());
        Files { folder, bytes, age, run, kept: kept.into(), total, tidied: None, failing: false }
    }

    /// Writes an object's picture, in the place of the one that there is of it; the oldest files give way.
    pub fn keep(&mut self, now: SystemTime, label: &str, number: u64, jpeg: &[u8]) {
        match self.try_keep(now, label, number, jpeg) {
            Ok(()) if std::mem::take(&mut self.failing) => {
                info!("pictures are kept again in {}", self.folder.display())
            }
            Ok(()) => {}
            Err(error) if !std::mem::replace(&mut self.failing, true) => {
                warn!(
                    "cannot keep a picture in {}: {error} (is it writable, and the disk not full?)",
                    self.folder.display()
                );
            }
            Err(_) => {}
        }
        self.tidy(now);
    }

    fn try_keep(&mut self, now: SystemTime, label: &str, number: u64, jpeg: &[u8]) -> io::Result<()> {
        let day = Timestamp::try_from(now).unwrap_or_default().strftime("%Y-%m-%d").to_string();
        let folder = self.folder.join(day);
        fs::create_dir_all(&folder)?;
        // A label may be anything; a file's name may not.
        let label: String = label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let path = folder.join(format!("{}.{number}-{label}.jpg", self.run));
        // Whole or not at all: somebody may be looking.
        let draft = path.with_extension("part");
        fs::write(&draft, jpeg)?;
        fs::rename(&draft, &path)?;
        if let Some(place) = self.kept.iter().position(|kept| kept.path == path)
            && let Some(old) = self.kept.remove(place)
        {
            self.total -= old.bytes;
        }
        self.total += jpeg.len() as u64;
        self.kept.push_back(Kept { path, bytes: jpeg.len() as u64, written: now });
        Ok(())
    }

    /// Removes what is too much, and now and then what is too old.
    fn tidy(&mut self, now: SystemTime) {
        while self.total > self.bytes && self.kept.len() > 1 {
            self.remove_oldest();
        }
        let since = |then: SystemTime| now.duration_since(then).unwrap_or_default();
        if self.tidied.is_some_and(|tidied| since(tidied) < TIDY_EVERY) {
            return;
        }
        self.tidied = Some(now);
        while self.kept.front().is_some_and(|oldest| since(oldest.written) > self.age) {
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        let Some(oldest) = self.kept.pop_front() else { return };
        self.total -= oldest.bytes;
        // Somebody else may have removed it; and a day's folder goes when it is empty.
        let _ = fs::remove_file(&oldest.path);
        let _ = oldest.path.parent().map(fs::remove_dir);
    }
}

/// The pictures in a folder and the folders in it.
fn gather(folder: &Path, kept: &mut Vec<Kept>) {
    let Ok(days) = fs::read_dir(folder) else { return };
    for day in days.flatten() {
        let Ok(files) = fs::read_dir(day.path()) else { continue };
        for file in files.flatten().filter(|file| file.path().extension().is_some_and(|e| e == "jpg")) {
            let Ok(about) = file.metadata() else { continue };
            let written = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            kept.push(Kept { path: file.path(), bytes: about.len(), written });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn names(folder: &Path) -> Vec<String> {
        let mut kept = Vec::new();
        gather(folder, &mut kept);
        let name = |kept: &Kept| kept.path.strip_prefix(folder).unwrap().display().to_string();
        let mut names: Vec<String> = kept.iter().map(name).collect();
        names.sort();
        names
    }

    fn store(folder: &Path, bytes: u64) -> Store {
        Store { directory: folder.to_owned(), bytes, age: 48 * HOUR }
    }

    #[test]
    fn an_object_has_one_file_and_the_oldest_give_way() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::open(&store(folder.path(), 250), "front", "run");
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        files.keep(start, "person", 1, &[1; 100]);
        files.keep(start, "person", 1, &[2; 90]);
        files.keep(start, "traffic light", 2, &[3; 100]);
        let front = folder.path().join("front");
        let both = ["2023-11-14/run.1-person.jpg", "2023-11-14/run.2-traffic_light.jpg"];
        assert_eq!(names(&front), both);
        assert_eq!(fs::read(front.join(both[0])).unwrap(), [2; 90]);
        files.keep(start + 24 * HOUR, "person", 3, &[4; 100]);
        assert_eq!(names(&front), [both[1], "2023-11-15/run.3-person.jpg"], "no more than 250 bytes");
        files.keep(start + 49 * HOUR, "person", 4, &[5; 10]);
        assert_eq!(names(&front), ["2023-11-15/run.3-person.jpg", "2023-11-16/run.4-person.jpg"], "two days");
        assert!(!front.join("2023-11-14").exists(), "nor the day's folder");
        drop(files);
        let mut files = Files::open(&store(folder.path(), 45), "front", "later");
        files.keep(SystemTime::now(), "person", 1, &[6; 40]);
        assert_eq!(names(&front).len(), 1, "what earlier runs left counts too: {:?}", names(&front));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_end() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("front"), "a file").unwrap();
        let mut files = Files::open(&store(folder.path(), 250), "front", "run");
        files.keep(SystemTime::now(), "person", 1, &[1; 100]);
        assert!(files.failing);
        fs::remove_file(folder.path().join("front")).unwrap();
        files.keep(SystemTime::now(), "person", 1, &[1; 100]);
        assert!(!files.failing && names(&folder.path().join("front")).len() == 1);
    }
}
