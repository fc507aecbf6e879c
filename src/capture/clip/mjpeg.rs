//! Bare Motion-JPEG: one JPEG after the other, with or without anything between them.
//!
//! What `ffmpeg -f mjpeg` writes, and what HTTP cameras send: the part headers of a multipart stream are skipped like
//! any other bytes between two pictures.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use super::{DEFAULT_FPS, Header, Input, LARGEST_FRAME, Next, settle_jpeg};
use crate::capture::{Error, ErrorKind};
use crate::clock::Moment;
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;

/// The stream.
pub(super) struct Stream {
    input: Input,
}

impl Stream {
    pub(super) fn open(input: Input) -> Result<(Stream, Header), Error> {
        let mut stream = Stream { input };
        let now = Moment { monotonic: Default::default(), wall: std::time::UNIX_EPOCH };
        let mut frame = Frame::packed(PixelFormat::Mjpeg, Size::default(), now);
        // A size is wanted; a first frame that is broken must not end the matter.
        let size = loop {
            match stream.read(&mut frame).map_err(|e| Error::io("cannot read the first frame", e))? {
                Next::Frame => break frame.size,
                Next::Broken => {}
                Next::End => return Err(Error::new(ErrorKind::BadInput, "has no whole JPEG")),
            }
        };
        stream.rewind().map_err(|e| Error::io("cannot go back to the start", e))?;
        Ok((stream, Header { format: PixelFormat::Mjpeg, size, fps: Some(DEFAULT_FPS) }))
    }

    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.input.seek(SeekFrom::Start(0)).map(|_| ())
    }

    pub(super) fn read(&mut self, frame: &mut Frame) -> io::Result<Next> {
        frame.data.clear();
        if !self.skip_to_start()? {
            return Ok(Next::End);
        }
        let start = self.input.stream_position()?;
        frame.data.extend_from_slice(&[0xFF, 0xD8]);
        let next = if self.collect(&mut frame.data)? { settle_jpeg(frame) } else { Next::Broken };
        if next == Next::Broken {
            // A picture that breaks off in its header takes the beginning of the next one for its own: look again.
            let end = self.input.stream_position()?;
            self.input.seek_relative(-i64::try_from(end - start).unwrap_or(0))?;
        }
        Ok(next)
    }

    /// Reads past the next start marker; `false`: there is none.
    fn skip_to_start(&mut self) -> io::Result<bool> {
        let mut before = 0;
        loop {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                return Ok(false);
            }
            let (len, mut at) = (chunk.len(), None);
            for (i, &byte) in chunk.iter().enumerate() {
                if (before, byte) == (0xFF, 0xD8) {
                    at = Some(i + 1);
                    break;
                }
                before = byte;
            }
            self.input.consume(at.unwrap_or(len));
            if at.is_some() {
                return Ok(true);
            }
        }
    }

    /// Reads markers and what belongs to them, up to and with the end marker; `false`: it makes no sense or breaks off.
    fn collect(&mut self, data: &mut Vec<u8>) -> io::Result<bool> {
        while data.len() <= LARGEST_FRAME {
            // Between segments, and in a scan, everything up to the next marker is simply taken over.
            (&mut self.input).take(LARGEST_FRAME as u64).read_until(0xFF, data)?;
            let code = loop {
                match self.byte()? {
                    Some(0xFF) => {}
                    Some(code) => break code,
                    None => return Ok(false),
                }
            };
            data.push(code);
            match code {
                0xD9 => return Ok(true),
                // The next picture begins inside this one.
                0xD8 => return Ok(false),
                0 | 0x01 | 0xD0..=0xD7 => {}
                _ => {
                    let (Some(high), Some(low)) = (self.byte()?, self.byte()?) else { return Ok(false) };
                    data.extend_from_slice(&[high, low]);
                    let body = u64::from(u16::from_be_bytes([high, low])).saturating_sub(2);
                    if (&mut self.input).take(body).read_to_end(data)? as u64 != body {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(false)
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.input.fill_buf()?.first().copied();
        self.input.consume(usize::from(byte.is_some()));
        Ok(byte)
    }
}
