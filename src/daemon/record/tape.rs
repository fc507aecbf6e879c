//! A [`Tape`]: one clip while it is written. It has its name when it is whole, and `.part` behind it until then.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::about::About;
use super::ring::Still;
use crate::capture::avi::Writer;
use crate::clock::Moment;
use crate::daemon::store::write_whole;
use crate::geometry::Size;

/// How the name of a clip ends that is being written.
pub const PART: &str = ".avi.part";
/// What was written is on the disk after so long: whoever cuts the power is to be seen.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// See the module's words.
pub struct Tape {
    writer: Writer,
    part: PathBuf,
    times: Vec<Moment>,
    synced: Duration,
}

/// A clip that is whole.
#[derive(Clone, Debug)]
pub struct Clip {
    /// The file.
    pub path: PathBuf,
    /// How much it takes, with what lies beside it.
    pub bytes: u64,
    /// What is known of it.
    pub about: About,
}

impl Tape {
    /// Begins a clip in a folder, for frames of that size, at most `fps` a second; a number goes behind its name if there is
    /// one of that name.
    ///
    /// # Errors
    /// When the file can't be made.
    pub fn begin(folder: &Path, name: &str, size: Size, fps: f32, at: Duration) -> io::Result<Tape> {
        let mut number = 1;
        loop {
            let name = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
            let part = folder.join(name + PART);
            number += 1;
            if part.with_extension("").exists() {
                continue;
            }
            match Writer::create(&part, size, fps) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    // What could not be begun is not to be found and finished.
                    let _ = fs::remove_file(&part);
                    return Err(error);
                }
                Ok(writer) => return Ok(Tape { writer, part, times: Vec::new(), synced: at }),
            }
        }
    }

    /// Takes up what an earlier run did not finish; `None`: somebody is at it, or it is none of ours.
    ///
    /// # Errors
    /// When it can't be read and written.
    pub fn resume(part: PathBuf) -> io::Result<Option<Tape>> {
        match Writer::resume(&part) {
            Ok(Some((_, times))) if times.is_empty() => fs::remove_file(&part).map(|()| None),
            Ok(Some((writer, times))) => Ok(Some(Tape { writer, part, times, synced: Duration::ZERO })),
            // It was cut off before there was a frame in it.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                fs::remove_file(&part).map(|()| None)
            }
            Err(error) if error.kind() != io::ErrorKind::InvalidData => Err(error),
            _ => Ok(None),
        }
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// When it can't be written; the clip is then as it was before.
    pub fn write(&mut self, still: &Still) -> io::Result<()> {
        let at = still.captured.monotonic;
        self.writer.frame(&still.jpeg, still.captured)?;
        self.times.push(still.captured);
        if at.saturating_sub(self.synced) >= SYNC_EVERY {
            self.synced = at;
            self.writer.sync()?;
        }
        Ok(())
    }

    /// The file, under the name that it has until it is whole.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// The size of its frames.
    pub fn size(&self) -> Size {
        self.writer.size()
    }

    /// The most frames a second.
    pub fn fps(&self) -> f32 {
        self.writer.fps()
    }

    /// When its frames were captured.
    pub fn times(&self) -> &[Moment] {
        &self.times
    }

    /// How much it takes so far.
    pub fn bytes(&self) -> u64 {
        self.writer.bytes()
    }

    /// Ends it: what is known of it is written first, so that no clip is without.
    ///
    /// # Errors
    /// When it can't be written. What there is of it stays under the name that it had, for another try at the next start.
    pub fn finish(self, about: About) -> io::Result<Clip> {
        let Tape { writer, part, .. } = self;
        let path = part.with_extension("");
        if about.frames == 0 {
            fs::remove_file(&part)?;
            return Ok(Clip { path, bytes: 0, about });
        }
        let length = writer.finish()?;
        let mut text = serde_json::to_vec(&about)?;
        text.push(b'\n');
        write_whole(&path.with_extension("json"), &text)?;
        fs::rename(&part, &path)?;
        Ok(Clip { path, bytes: length + text.len() as u64, about })
    }
}
