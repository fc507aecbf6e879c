//! Motion-JPEG in AVI: a RIFF walk that needs no index, so unfinished and cut recordings play too.
//!
//! `RIFF 'AVI '` holds `LIST 'hdrl'` (streams) and `LIST 'movi'` (chunks `NNdc` or `NNdb`, perhaps in `LIST 'rec '`);
//! files over 1 GiB go on in `RIFF 'AVIX'`. The lists that hold frames are entered whatever length they claim, so that
//! it doesn't matter if a recorder never filled it in; other lists and chunks are passed over by their length.
//! What `write` wrote has the exact time of each frame besides.

use std::io::{self, Read, Seek, SeekFrom};

use super::{Header, Input, LARGEST_FRAME, Next, fill, settle_jpeg};
use crate::capture::{Error, ErrorKind};
use crate::clock::Moment;
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;

mod stamp;
pub mod write;

/// An AVI file whose first video stream is Motion-JPEG.
pub(super) struct Avi {
    input: Input,
    /// Where the first chunk of `movi` begins.
    first: u64,
    /// The two digits that a chunk of the video stream begins with.
    stream: [u8; 2],
}

/// A chunk's or a list's head.
struct Chunk {
    id: [u8; 4],
    len: u32,
}

impl Chunk {
    /// The bytes of its body with the padding to an even number.
    fn padded(&self) -> u64 {
        u64::from(self.len) + u64::from(self.len & 1)
    }
}

/// What is known of the streams when `movi` begins.
#[derive(Default)]
struct Streams {
    count: u32,
    video: Option<Video>,
    /// Microseconds a frame in the main header, for recorders that leave the stream's rate out.
    frame_us: u32,
    /// The video streams that are not Motion-JPEG.
    others: Vec<String>,
}

struct Video {
    number: u32,
    codec: [u8; 4],
    scale: u32,
    rate: u32,
    size: Size,
}

impl Avi {
    pub(super) fn open(mut input: Input) -> Result<(Avi, Header), Error> {
        let streams = read_headers(&mut input).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => Error::new(ErrorKind::BadInput, "ends before its first frame"),
            _ => Error::io("cannot read the AVI header", e),
        })?;
        let Some(video) = streams.video else {
            let what = match streams.others.first() {
                Some(codec) => format!("its video is {codec}, not Motion-JPEG"),
                None => "has no video stream".to_owned(),
            };
            return Err(Error::new(ErrorKind::BadInput, what)
                .with_hint("to convert: ffmpeg -i OLD -c:v mjpeg -q:v 3 -an NEW.avi"));
        };
        if video.number > 99 {
            return Err(Error::new(ErrorKind::BadInput, format!("its video is stream {}", video.number)));
        }
        let first = input.stream_position().map_err(|e| Error::io("cannot read the AVI header", e))?;
        let fps = match (video.scale, video.rate) {
            (1.., 1..) => Some(video.rate as f32 / video.scale as f32),
            _ if streams.frame_us > 0 => Some(1e6 / streams.frame_us as f32),
            _ => None,
        };
        let stream = [b'0' + (video.number / 10) as u8, b'0' + (video.number % 10) as u8];
        Ok((Avi { input, first, stream }, Header { format: PixelFormat::Mjpeg, size: video.size, fps }))
    }

    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.input.seek(SeekFrom::Start(self.first)).map(|_| ())
    }

    /// When each frame was captured, if it is a recording of ours; otherwise none.
    pub(super) fn times(&mut self) -> io::Result<Vec<Moment>> {
        let length = self.input.get_ref().metadata()?.len();
        let times = stamp::times(&mut self.input, self.first, length, self.stream)?;
        self.rewind()?;
        Ok(times)
    }

    pub(super) fn read(&mut self, frame: &mut Frame) -> io::Result<Next> {
        loop {
            let Some(chunk) = chunk(&mut self.input)? else { return Ok(Next::End) };
            match &chunk.id {
                b"LIST" | b"RIFF" => {
                    let mut kind = [0; 4];
                    if self.input.read_exact(&mut kind).is_err() {
                        return Ok(Next::End);
                    }
                    // Lists of chunks are entered; any other list (INFO, another header) is passed.
                    if !matches!(&kind, b"rec " | b"movi" | b"AVIX" | b"AVI ") {
                        skip(&mut self.input, chunk.padded().saturating_sub(4))?;
                    }
                }
                [a, b, b'd', b'c' | b'b'] if [*a, *b] == self.stream => {
                    // A chunk without a body repeats the frame before it.
                    if chunk.len == 0 {
                        continue;
                    }
                    if chunk.len as usize > LARGEST_FRAME {
                        return Ok(Next::End);
                    }
                    let whole = fill(&mut self.input, &mut frame.data, chunk.len as usize)?;
                    skip(&mut self.input, u64::from(chunk.len & 1))?;
                    let next = settle_jpeg(frame);
                    return Ok(if whole { next } else { Next::Broken });
                }
                // A byte of garbage and the walk is lost; no recorder writes such an id.
                id if !id.iter().all(|b| (0x20..0x7F).contains(b)) => return Ok(Next::End),
                _ => skip(&mut self.input, chunk.padded())?,
            }
        }
    }
}

/// Reads up to the beginning of `movi`.
fn read_headers(input: &mut Input) -> io::Result<Streams> {
    skip(input, 12)?;
    let mut streams = Streams::default();
    let mut is_video = None;
    loop {
        let chunk = chunk(input)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        match &chunk.id {
            b"LIST" => {
                let mut kind = [0; 4];
                input.read_exact(&mut kind)?;
                match &kind {
                    b"movi" => return Ok(streams),
                    b"hdrl" | b"strl" => {}
                    _ => skip(input, chunk.padded().saturating_sub(4))?,
                }
            }
            b"avih" => streams.frame_us = u32_at(&body(input, &chunk)?, 0),
            b"strh" => {
                let head = body(input, &chunk)?;
                is_video = head.starts_with(b"vids").then(|| Video {
                    number: streams.count,
                    codec: four_at(&head, 4),
                    scale: u32_at(&head, 20),
                    rate: u32_at(&head, 24),
                    size: Size::default(),
                });
                streams.count += 1;
            }
            b"strf" => {
                let format = body(input, &chunk)?;
                let Some(mut video) = is_video.take() else { continue };
                // BITMAPINFOHEADER; a negative height means rows from the top, which a JPEG's are anyway.
                video.size = Size::new(u32_at(&format, 4), (u32_at(&format, 8) as i32).unsigned_abs());
                let codecs = [four_at(&format, 16), video.codec];
                if !codecs.iter().any(is_motion_jpeg) {
                    streams.others.push(String::from_utf8_lossy(&codecs[0]).into_owned());
                } else if streams.video.is_none() {
                    streams.video = Some(video);
                }
            }
            _ => skip(input, chunk.padded())?,
        }
    }
}

fn is_motion_jpeg(codec: &[u8; 4]) -> bool {
    [b"MJPG", b"AVRN", b"JPEG", b"LJPG"].iter().any(|known| codec.eq_ignore_ascii_case(&known[..]))
}

/// Reads a head; `None` at the file's end.
fn chunk(input: &mut Input) -> io::Result<Option<Chunk>> {
    let mut head = [0; 8];
    match input.read_exact(&mut head) {
        Ok(()) => Ok(Some(Chunk { id: four_at(&head, 0), len: u32_at(&head, 4) })),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

/// Reads the body of a header chunk, of which no more than the first part is ever needed.
fn body(input: &mut Input, chunk: &Chunk) -> io::Result<Vec<u8>> {
    const ENOUGH: u64 = 1024;
    let mut body = Vec::new();
    let part = u64::from(chunk.len).min(ENOUGH);
    if input.take(part).read_to_end(&mut body)? as u64 != part {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    skip(input, chunk.padded() - part)?;
    Ok(body)
}

/// Goes on by `len` bytes; past the file's end it is the next read that finds nothing.
fn skip(input: &mut Input, len: u64) -> io::Result<()> {
    input.seek_relative(len.min(i64::MAX as u64) as i64)
}

fn four_at(bytes: &[u8], at: usize) -> [u8; 4] {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).unwrap_or_default()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(four_at(bytes, at))
}
