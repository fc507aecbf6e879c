//! A clip, played over and over at its own rate: Motion-JPEG in AVI, bare Motion-JPEG, or Y4M.
//!
//! The content decides what it is, not the file's name. Clips are streamed: no more than one frame is in memory. A
//! recording of Vigie's own is played in the rhythm in which it was captured.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::jpeg;
use super::pace::Pace;
use super::{Counters, Error, ErrorKind, Negotiated, Source};
use crate::clock::{Clock, Moment};
use crate::frame::{Colour, Frame, PixelFormat};
use crate::geometry::Size;

pub mod avi;
mod mjpeg;
mod y4m;

/// The largest frame that is read; a length above it is nonsense, not a picture.
const LARGEST_FRAME: usize = 64 << 20;

/// The rate of a clip that doesn't know its own.
const DEFAULT_FPS: f32 = 25.0;

type Input = BufReader<File>;

/// A clip as a source.
pub struct Clip {
    reader: Reader,
    stall_after: Duration,
    clock: Arc<dyn Clock>,
    pace: Pace,
    negotiated: Negotiated,
    path: PathBuf,
    /// Whether this round had a frame yet; a round without one is an error, not a loop for ever.
    any: bool,
    rounds: u64,
    counters: Counters,
    sequence: u64,
}

/// The containers.
enum Reader {
    Avi(avi::Avi),
    Mjpeg(mjpeg::Stream),
    Y4m(y4m::Y4m),
}

/// What a container's header says.
struct Header {
    format: PixelFormat,
    size: Size,
    fps: Option<f32>,
}

/// What came of reading a frame.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// A whole frame is in the buffer.
    Frame,
    /// There was one, but it is broken.
    Broken,
    /// The clip is over.
    End,
}

impl Clip {
    /// Opens a clip; `fps` overrides its own rate.
    ///
    /// # Errors
    /// There is no such file, it is no clip of a kind that is understood, or has no frame.
    pub fn open(
        path: &Path,
        fps: Option<f32>,
        stall_after: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Clip, Error> {
        let file = File::open(path).map_err(|e| Error::file("open", path, e))?;
        if file.metadata().map_err(|e| Error::file("open", path, e))?.is_dir() {
            return Err(Error::new(
                ErrorKind::BadInput,
                format!("{} is a folder, not a clip", path.display()),
            )
            .with_hint("for a folder of pictures use source = { pictures = \"…\" }"));
        }
        let mut input = BufReader::with_capacity(64 << 10, file);
        let mut magic = Vec::new();
        (&mut input).take(12).read_to_end(&mut magic).map_err(|e| Error::file("read", path, e))?;
        input.seek(SeekFrom::Start(0)).map_err(|e| Error::file("read", path, e))?;
        let named = |e: Error| e.in_file(path);
        let mut times = Vec::new();
        let (reader, header) = match &magic[..] {
            [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' '] => {
                let (mut avi, header) = avi::Avi::open(input).map_err(named)?;
                times = avi.times().map_err(|e| Error::file("read", path, e))?;
                (Reader::Avi(avi), header)
            }
            m if m.starts_with(b"YUV4MPEG2") => {
                let (y4m, header) = y4m::Y4m::open(input).map_err(named)?;
                (Reader::Y4m(y4m), header)
            }
            [0xFF, 0xD8, ..] => {
                let (stream, header) = mjpeg::Stream::open(input).map_err(named)?;
                (Reader::Mjpeg(stream), header)
            }
            other => return Err(unknown(path, other)),
        };
        let exact = if fps.is_none() { intervals(&times) } else { None };
        let usual = exact.as_ref().map(|(_, usual)| 1.0 / usual.as_secs_f32());
        let fps = fps.or(usual).or(header.fps).unwrap_or(DEFAULT_FPS);
        let pace = exact.map_or_else(|| Pace::new(fps), |(intervals, _)| Pace::uneven(intervals));
        let negotiated = Negotiated {
            name: path.display().to_string(),
            format: header.format,
            size: header.size,
            fps: Some(fps),
        };
        let (path, counters) = (path.to_owned(), Counters::default());
        Ok(Clip {
            reader,
            // The pauses of a recording are no stalls.
            stall_after: stall_after.max(pace.longest() * 2),
            clock,
            pace,
            negotiated,
            path,
            any: false,
            rounds: 0,
            counters,
            sequence: 0,
        })
    }

    fn read(&mut self, frame: &mut Frame) -> Result<(), Error> {
        loop {
            match self.reader.read(frame).map_err(|e| Error::file("read", &self.path, e))? {
                Next::Frame => {
                    self.any = true;
                    return Ok(());
                }
                Next::Broken => self.counters.truncated += 1,
                Next::End if std::mem::take(&mut self.any) => {
                    self.reader.rewind().map_err(|e| Error::file("read", &self.path, e))?;
                    self.rounds += 1;
                }
                Next::End => {
                    let what = format!("{} has no frame that can be used", self.path.display());
                    return Err(Error::new(ErrorKind::BadInput, what));
                }
            }
        }
    }
}

impl Source for Clip {
    fn poll(&mut self, frame: &mut Frame, wait: Duration) -> Result<bool, Error> {
        if !self.pace.wait(self.clock.as_ref(), wait) {
            return Ok(false);
        }
        self.read(frame)?;
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

impl Reader {
    fn read(&mut self, frame: &mut Frame) -> io::Result<Next> {
        match self {
            Reader::Avi(avi) => avi.read(frame),
            Reader::Mjpeg(stream) => stream.read(frame),
            Reader::Y4m(y4m) => y4m.read(frame),
        }
    }

    fn rewind(&mut self) -> io::Result<()> {
        match self {
            Reader::Avi(avi) => avi.rewind(),
            Reader::Mjpeg(stream) => stream.rewind(),
            Reader::Y4m(y4m) => y4m.rewind(),
        }
    }
}

/// When the first frame of a recording was captured; of what is none, nothing.
pub fn recorded(path: &Path) -> Option<SystemTime> {
    let (mut avi, _) = avi::Avi::open(BufReader::new(File::open(path).ok()?)).ok()?;
    avi.times().ok()?.first().map(|first| first.wall)
}

/// From each frame to the next, and from the last to the first of the next round, which is the usual one of them, the
/// second; `None`: there are not two frames.
fn intervals(times: &[Moment]) -> Option<(Vec<Duration>, Duration)> {
    let between = |pair: &[Moment]| pair[1].monotonic.saturating_sub(pair[0].monotonic);
    let mut intervals: Vec<Duration> = times.windows(2).map(between).collect();
    let mut sorted = intervals.clone();
    sorted.sort_unstable();
    let usual = sorted.get(sorted.len() / 2).copied()?;
    intervals.push(usual);
    Some((intervals, usual))
}

/// Checks the JPEG in a frame's buffer, cuts off what lies behind it, and takes the size from it.
fn settle_jpeg(frame: &mut Frame) -> Next {
    match jpeg::measure(&frame.data) {
        Ok(extent) => {
            frame.data.truncate(extent.len);
            frame.format = PixelFormat::Mjpeg;
            frame.size = extent.size;
            frame.planes = Default::default();
            frame.colour = Colour::JPEG;
            Next::Frame
        }
        Err(_) => Next::Broken,
    }
}

/// Replaces a buffer's content by the next `len` bytes; `false`: the file ends before.
fn fill(input: &mut Input, data: &mut Vec<u8>, len: usize) -> io::Result<bool> {
    data.clear();
    data.reserve(len);
    Ok(input.take(len as u64).read_to_end(data)? == len)
}

fn unknown(path: &Path, magic: &[u8]) -> Error {
    let kind = match magic {
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "is an MP4 or QuickTime file",
        [0x1A, 0x45, 0xDF, 0xA3, ..] => "is a Matroska or WebM file",
        [0, 0, 0, 1, ..] | [0, 0, 1, ..] => "is a bare MPEG or H.264 stream",
        [0x47, ..] => "looks like an MPEG transport stream",
        [0x89, b'P', b'N', b'G', ..] => "is a picture; use source = { pictures = \"…\" }",
        [] => "is empty",
        _ => "is no clip of a kind that Vigie plays",
    };
    let file = path.display();
    Error::new(ErrorKind::BadInput, format!("{file} {kind}")).with_hint(format!(
        "Motion-JPEG AVI, bare Motion-JPEG and Y4M are played; to convert: ffmpeg -i {file} -c:v mjpeg -q:v 3 -an clip.avi"
    ))
}

#[cfg(test)]
mod tests;
