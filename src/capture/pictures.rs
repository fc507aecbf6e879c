//! A picture, or a folder of them in the order of their names, over and over, at a steady rate.
//!
//! The folder is read anew each round, so pictures may come and go. What can't be read as a picture is counted, named
//! in the log once, and skipped; it is an error only if nothing else is left.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::pace::Pace;
use super::{Counters, Error, ErrorKind, Negotiated, Source};
use crate::clock::Clock;
use crate::frame::Frame;
use crate::vision::picture;

/// Pictures as a source.
pub struct Pictures {
    path: PathBuf,
    stall_after: Duration,
    clock: Arc<dyn Clock>,
    pace: Pace,
    negotiated: Negotiated,
    /// This round's files, the next one last.
    round: Vec<PathBuf>,
    /// Whether this round had a picture yet.
    any: bool,
    rounds: u64,
    /// The only picture there is, decoded; it need not be decoded twice.
    only: Option<Frame>,
    complained: HashSet<PathBuf>,
    counters: Counters,
    sequence: u64,
}

impl Pictures {
    /// Opens a file or a folder; the first readable picture is looked at, so that there is one.
    ///
    /// # Errors
    /// There is no such file or folder, or no picture in it that can be read.
    pub fn open(
        path: &Path,
        fps: f32,
        stall_after: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Pictures, Error> {
        let round = list(path)?;
        let alone = round.len() == 1;
        let mut complained = HashSet::new();
        let mut counters = Counters::default();
        let first = round.iter().rev().find_map(|file| read(file, &mut complained, &mut counters));
        let first = first.ok_or_else(|| nothing_readable(path, round.len()))?;
        // The first poll meets the same files again and counts them.
        counters.unreadable = 0;
        let negotiated = Negotiated {
            name: path.display().to_string(),
            format: first.format,
            size: first.size,
            fps: Some(fps),
        };
        let only = alone.then_some(first);
        let (pace, path) = (Pace::new(fps), path.to_owned());
        Ok(Pictures {
            path,
            stall_after,
            clock,
            pace,
            negotiated,
            round,
            any: true,
            rounds: 0,
            only,
            complained,
            counters,
            sequence: 0,
        })
    }

    /// The next picture that can be read.
    fn next_picture(&mut self) -> Result<Frame, Error> {
        loop {
            while let Some(file) = self.round.pop() {
                if let Some(frame) = read(&file, &mut self.complained, &mut self.counters) {
                    self.any = true;
                    return Ok(frame);
                }
            }
            if !std::mem::take(&mut self.any) {
                return Err(nothing_readable(&self.path, self.complained.len()));
            }
            self.round = list(&self.path)?;
            self.rounds += 1;
            let round: HashSet<&PathBuf> = self.round.iter().collect();
            self.complained.retain(|file| round.contains(file));
        }
    }
}

impl Source for Pictures {
    fn poll(&mut self, frame: &mut Frame, wait: Duration) -> Result<bool, Error> {
        if !self.pace.wait(self.clock.as_ref(), wait) {
            return Ok(false);
        }
        match &self.only {
            // `clone_from` would not reuse the pixels' buffer.
            Some(only) => {
                frame.data.clear();
                frame.data.extend_from_slice(&only.data);
                (frame.format, frame.size) = (only.format, only.size);
                (frame.planes, frame.colour) = (only.planes, only.colour);
                self.rounds = self.sequence;
            }
            None => *frame = self.next_picture()?,
        }
        frame.sequence = self.sequence;
        frame.captured = self.clock.now();
        self.sequence += 1;
        Ok(true)
    }

    fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn rounds(&self) -> u64 {
        self.rounds
    }

    fn stall_after(&self) -> Duration {
        self.stall_after
    }
}

/// The files to show, in falling order of their names, so that the next one can be popped.
fn list(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let meta = path.metadata().map_err(|e| Error::file("open", path, e))?;
    if !meta.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(|e| Error::file("list", path, e))? {
        let file = entry.map_err(|e| Error::file("list", path, e))?.path();
        if is_picture(&file) && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, format!("no picture in {}", path.display()))
            .with_hint("pictures are files that end in .jpg, .jpeg or .png"));
    }
    files.sort_unstable_by(|a, b| b.cmp(a));
    Ok(files)
}

/// Whether a file's name says that it is a picture.
fn is_picture(file: &Path) -> bool {
    let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
    ["jpg", "jpeg", "png"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Reads one picture; a file that is none is counted, and named in the log the first time.
fn read(file: &Path, complained: &mut HashSet<PathBuf>, counters: &mut Counters) -> Option<Frame> {
    match picture::load(file) {
        Ok(frame) => Some(frame),
        Err(e) => {
            counters.unreadable += 1;
            if complained.insert(file.to_owned()) {
                log::warn!("skipped: {e}");
            }
            None
        }
    }
}

fn nothing_readable(path: &Path, files: usize) -> Error {
    let what = match files {
        0 | 1 => format!("{} can't be read as a picture", path.display()),
        n => format!("none of the {n} files in {} can be read as a picture", path.display()),
    };
    Error::new(ErrorKind::BadInput, what)
        .with_hint("JPEG and PNG are understood; the log says what is wrong with each")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::jpeg::tests::picture;
    use crate::capture::testing::FakeClock;
    use crate::geometry::Size;

    const STALL: Duration = Duration::from_secs(5);

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        dir
    }

    fn sizes(pictures: &mut Pictures, count: usize) -> Vec<u32> {
        let mut frame = Frame::packed(crate::frame::PixelFormat::Grey, Size::default(), pictures.clock.now());
        (0..count)
            .map(|_| {
                pictures.next(&mut frame).unwrap();
                frame.size.width
            })
            .collect()
    }

    #[test]
    fn a_folder_goes_round_by_name_and_broken_files_are_counted_once_a_round() {
        let (a, b) = (picture(16, 16), picture(32, 16));
        let dir = folder(&[("b.JPG", &b), ("a.jpeg", &a), ("c.jpg", &b[..40]), ("notes.txt", b"no picture")]);
        let clock = Arc::new(FakeClock::new());
        let mut pictures = Pictures::open(dir.path(), 4.0, STALL, clock.clone()).unwrap();
        assert_eq!(sizes(&mut pictures, 5), [16, 32, 16, 32, 16]);
        assert_eq!(clock.elapsed(), Duration::from_secs(1));
        assert_eq!(pictures.counters().unreadable, 2);
        std::fs::write(dir.path().join("c.jpg"), picture(48, 16)).unwrap();
        assert_eq!(sizes(&mut pictures, 3), [32, 48, 16], "what was repaired is shown");
    }

    #[test]
    fn a_single_picture_is_shown_at_the_rate() {
        let dir = folder(&[("a.jpg", &picture(24, 16))]);
        let clock = Arc::new(FakeClock::new());
        let mut pictures = Pictures::open(&dir.path().join("a.jpg"), 0.5, STALL, clock.clone()).unwrap();
        assert_eq!(sizes(&mut pictures, 3), [24, 24, 24]);
        assert_eq!(clock.elapsed(), Duration::from_secs(4));
    }

    #[test]
    fn nothing_to_show_is_an_error_that_says_so() {
        let open = |path: &Path| Pictures::open(path, 1.0, STALL, Arc::new(FakeClock::new())).err().unwrap();
        assert_eq!(open(Path::new("/nowhere/at/all")).kind(), ErrorKind::NotFound);
        let empty = folder(&[("notes.txt", b"no picture")]);
        assert_eq!(open(empty.path()).kind(), ErrorKind::NotFound);
        let broken = folder(&[("a.jpg", b"nonsense"), ("b.png", b"")]);
        let e = open(broken.path());
        assert_eq!(e.kind(), ErrorKind::BadInput);
        assert!(e.to_string().contains("none of the 2 files"), "{e}");
    }

    #[test]
    fn a_folder_whose_pictures_all_break_fails_instead_of_spinning() {
        let dir = folder(&[("a.jpg", &picture(16, 16)), ("b.jpg", &picture(16, 16))]);
        let mut pictures = Pictures::open(dir.path(), 10.0, STALL, Arc::new(FakeClock::new())).unwrap();
        assert_eq!(sizes(&mut pictures, 2), [16, 16]);
        std::fs::write(dir.path().join("a.jpg"), b"broken").unwrap();
        std::fs::write(dir.path().join("b.jpg"), b"broken").unwrap();
        let mut frame = Frame::packed(crate::frame::PixelFormat::Grey, Size::default(), pictures.clock.now());
        assert_eq!(pictures.next(&mut frame).unwrap_err().kind(), ErrorKind::BadInput);
    }
}
