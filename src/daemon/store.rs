//! Files of what a camera saw, in a folder for each day, bounded in bytes and age: the oldest give way.

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

/// What the files are.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What they are called.
    pub what: &'static str,
    /// How their names end.
    pub ending: &'static str,
    /// How the name of what lies beside each of them ends, and goes with it.
    pub beside: Option<&'static str>,
}

/// The files of one camera.
pub struct Files {
    kind: Kind,
    folder: PathBuf,
    bytes: u64,
    age: Duration,
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
    pub fn open(store: &Store, camera: &str, kind: Kind) -> Files {
        let folder = store.directory.join(camera);
        let mut kept = Vec::new();
        // A folder that isn't there yet has no files.
        gather(&folder, kind, &mut kept);
        kept.sort_by_key(|kept: &Kept| kept.written);
        let total = kept.iter().map(|kept| kept.bytes).sum();
        let (bytes, age) = (store.bytes, store.age);
        Files { kind, folder, bytes, age, kept: kept.into(), total, tidied: None, failing: false }
    }

    /// Writes a file of that name, in the place of the one that there is of it; the oldest files give way.
    pub fn write(&mut self, now: SystemTime, name: &str, bytes: &[u8]) {
        let written = self.day(now).and_then(|folder| {
            let path = folder.join(name);
            write_whole(&path, bytes)?;
            Ok(path)
        });
        self.said(written.as_ref().err());
        if let Ok(path) = written {
            self.put(now, path, bytes.len() as u64);
        }
    }

    /// The folder of a day, which is made if it is not there.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn day(&self, now: SystemTime) -> io::Result<PathBuf> {
        let day = Timestamp::try_from(now).unwrap_or_default().strftime("%Y-%m-%d").to_string();
        let folder = self.folder.join(day);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Another file is there, in the place of the one of its name; the oldest files give way.
    pub fn put(&mut self, now: SystemTime, path: PathBuf, bytes: u64) {
        if let Some(place) = self.kept.iter().position(|kept| kept.path == path)
            && let Some(old) = self.kept.remove(place)
        {
            self.total -= old.bytes;
        }
        self.total += bytes;
        self.kept.push_back(Kept { path, bytes, written: now });
        self.tidy(now);
    }

    /// The oldest files give way to so many bytes that are being written.
    pub fn make_room(&mut self, bytes: u64) {
        while self.total.saturating_add(bytes) > self.bytes && !self.kept.is_empty() {
            self.remove_oldest();
        }
    }

    /// Says once that files can't be written, and once that they can be again.
    pub fn said(&mut self, error: Option<&io::Error>) {
        let (what, folder) = (self.kind.what, self.folder.display());
        match error {
            None if std::mem::take(&mut self.failing) => info!("{what}s are kept again in {folder}"),
            Some(error) if !std::mem::replace(&mut self.failing, true) => {
                warn!("cannot keep a {what} in {folder}: {error} ({})", hint(error));
            }
            _ => {}
        }
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
        if let Some(beside) = self.kind.beside {
            let _ = fs::remove_file(oldest.path.with_extension(beside));
        }
        let _ = oldest.path.parent().map(fs::remove_dir);
    }

    /// The files in the camera's folder whose names end so: what an earlier run left.
    pub fn ending(&self, ending: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for_each(&self.folder, |path| {
            if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        });
        found
    }
}

/// Writes a file whole or not at all: somebody may be looking.
///
/// # Errors
/// When it can't be written; nothing of it is left then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("part");
    let written = fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// A word as a part of a file's name: a label may be anything, a name may not.
pub fn word(label: &str) -> String {
    label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// What may help.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "there is no room left: a smaller `keep_bytes` keeps less"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "the service's user must be able to write there; the unit lets it write in /var/lib/vigie"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "something that is no folder has the name of one"
        }
        _ => "is it writable, and the disk not full?",
    }
}

/// The files in a folder and the folders in it.
fn gather(folder: &Path, kind: Kind, kept: &mut Vec<Kept>) {
    for_each(folder, |path| {
        if path.extension().is_none_or(|ending| ending != kind.ending) {
            return;
        }
        let Ok(about) = path.metadata() else { return };
        let beside = kind.beside.and_then(|beside| path.with_extension(beside).metadata().ok());
        let bytes = about.len() + beside.map_or(0, |beside| beside.len());
        let written = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        kept.push(Kept { path, bytes, written });
    });
}

/// Each of the files in the folders of the days.
fn for_each(folder: &Path, mut see: impl FnMut(PathBuf)) {
    let Ok(days) = fs::read_dir(folder) else { return };
    for day in days.flatten() {
        let Ok(files) = fs::read_dir(day.path()) else { continue };
        files.flatten().for_each(|file| see(file.path()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const PICTURES: Kind = Kind { what: "picture", ending: "jpg", beside: None };

    fn names(folder: &Path) -> Vec<String> {
        let mut kept = Vec::new();
        gather(folder, PICTURES, &mut kept);
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
        let mut files = Files::open(&store(folder.path(), 250), "front", PICTURES);
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        files.write(start, "run.1-person.jpg", &[1; 100]);
        files.write(start, "run.1-person.jpg", &[2; 90]);
        files.write(start, "run.2-traffic_light.jpg", &[3; 100]);
        let front = folder.path().join("front");
        let both = ["2023-11-14/run.1-person.jpg", "2023-11-14/run.2-traffic_light.jpg"];
        assert_eq!(names(&front), both);
        assert_eq!(fs::read(front.join(both[0])).unwrap(), [2; 90]);
        files.write(start + 24 * HOUR, "run.3-person.jpg", &[4; 100]);
        assert_eq!(names(&front), [both[1], "2023-11-15/run.3-person.jpg"], "no more than 250 bytes");
        files.write(start + 49 * HOUR, "run.4-person.jpg", &[5; 10]);
        assert_eq!(names(&front), ["2023-11-15/run.3-person.jpg", "2023-11-16/run.4-person.jpg"], "two days");
        assert!(!front.join("2023-11-14").exists(), "nor the day's folder");
        drop(files);
        let mut files = Files::open(&store(folder.path(), 45), "front", PICTURES);
        files.write(SystemTime::now(), "later.1-person.jpg", &[6; 40]);
        assert_eq!(names(&front).len(), 1, "what earlier runs left counts too: {:?}", names(&front));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_end() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("front"), "a file").unwrap();
        let mut files = Files::open(&store(folder.path(), 250), "front", PICTURES);
        files.write(SystemTime::now(), "run.1-person.jpg", &[1; 100]);
        assert!(files.failing);
        fs::remove_file(folder.path().join("front")).unwrap();
        files.write(SystemTime::now(), "run.1-person.jpg", &[1; 100]);
        assert!(!files.failing && names(&folder.path().join("front")).len() == 1);
    }

    #[test]
    fn what_lies_beside_a_file_counts_and_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let clips = Kind { what: "clip", ending: "avi", beside: Some("json") };
        let day = folder.path().join("front/2023-11-14");
        fs::create_dir_all(&day).unwrap();
        for (name, bytes) in [("a.avi", 100), ("a.json", 50), ("b.avi", 30), ("c.avi.part", 9)] {
            fs::write(day.join(name), vec![0; bytes]).unwrap();
        }
        fs::File::options()
            .write(true)
            .open(day.join("a.avi"))
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        let mut files = Files::open(&store(folder.path(), 200), "front", clips);
        assert_eq!(files.total, 180);
        assert_eq!(files.ending(".avi.part"), [day.join("c.avi.part")]);
        files.make_room(20);
        assert!(day.join("a.json").exists());
        files.make_room(21);
        assert_eq!(files.total, 30);
        assert!(!day.join("a.avi").exists() && !day.join("a.json").exists() && day.join("b.avi").exists());
        assert_eq!(word("traffic light/ä"), "traffic_light__");
    }
}
