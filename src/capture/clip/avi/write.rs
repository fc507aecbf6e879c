//! Writing Motion-JPEG in AVI, so that a file is of use however it ends.
//!
//! The lengths in the headers are zero until the end, which players take for "up to the end of the file", so what a power
//! cut leaves plays too; [`Writer::resume`] takes it up again. AVI knows nothing but ticks: a frame has the tick that is
//! nearest to its time, and chunks without a body, which repeat the frame before them, stand where nothing came. The exact
//! time stands before each frame in a stamp that players pass over.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::stamp::{self, STAMP};
use super::{chunk, skip, u32_at};
use crate::capture::clip::Input;
use crate::clock::Moment;
use crate::geometry::Size;

/// No file grows beyond this: players that know nothing of AVI's extensions read no more.
pub const MOST_BYTES: u64 = 1 << 30;
/// So many repeats stand for one pause at most; the stamps know how long it was.
const MOST_REPEATS: u64 = 600;
/// The units of a second in which the rate is told.
const SCALE: u32 = 1000;
/// What the chunks of the only stream are called.
const VIDEO: [u8; 4] = *b"00dc";
const KEY_FRAME: u32 = 0x10;
const HAS_INDEX: u32 = 0x10;

/// An AVI that is being written.
pub struct Writer {
    file: File,
    size: Size,
    rate: u32,
    /// The first frame's time, and the latest one's.
    span: Option<(Moment, Moment)>,
    /// Ticks that were left out because a pause was too long.
    left_out: u64,
    totals: Totals,
    index: Vec<u8>,
    /// The bytes up to the end of the last whole frame.
    bytes: u64,
    buffer: Vec<u8>,
}

/// What the headers tell at the end, and not before.
#[derive(Clone, Copy, Default)]
struct Totals {
    ticks: u32,
    largest: u32,
    movi: u32,
    file: u32,
}

impl Writer {
    /// Begins a file that is not there yet, for frames of that size, at most `fps` a second.
    ///
    /// # Errors
    /// When it is there, or can't be written.
    pub fn create(path: &Path, size: Size, fps: f32) -> io::Result<Writer> {
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        // Who finds it knows by the lock that somebody is at it; where there are no locks nobody knows.
        let _ = file.try_lock();
        let rate = ((fps * SCALE as f32).round() as u32).max(1);
        let header = header(size, rate, Totals::default());
        file.write_all(&header)?;
        Ok(Writer::at(file, size, rate, header.len() as u64))
    }

    fn at(file: File, size: Size, rate: u32, bytes: u64) -> Writer {
        let (span, totals) = (None, Totals::default());
        Writer { file, size, rate, span, left_out: 0, totals, index: Vec::new(), bytes, buffer: Vec::new() }
    }

    /// Takes up a file that was never finished: what is whole of it stays. Beside the writer, the times of its frames;
    /// `None`: somebody is still writing it.
    ///
    /// # Errors
    /// When it can't be read and written, or is none that a [`Writer`] began.
    pub fn resume(path: &Path) -> io::Result<Option<(Writer, Vec<Moment>)>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Ok(None);
        }
        let mut input = Input::new(file.try_clone()?);
        let mut head = vec![0; header(Size::default(), 1, Totals::default()).len()];
        input.read_exact(&mut head)?;
        let size = Size::new(u32_at(&head, WIDTH), u32_at(&head, WIDTH + 4));
        let rate = u32_at(&head, RATE);
        // But for the totals it must be word for word what would be written.
        if header(size, rate, Totals::default()) != head {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not begun by vigie"));
        }
        let length = file.metadata()?.len();
        let mut writer = Writer::at(file, size, rate, head.len() as u64);
        let (mut times, mut time, mut at) = (Vec::new(), None, writer.bytes);
        let mut whole = (0, writer.totals);
        while let Some(chunk) = chunk(&mut input)? {
            at += 8 + chunk.padded();
            if at > length {
                break;
            }
            if chunk.id == STAMP && chunk.len as usize == stamp::LENGTH {
                let mut body = [0; stamp::LENGTH];
                input.read_exact(&mut body)?;
                time = stamp::read(&body);
                continue;
            }
            if chunk.id != VIDEO || (chunk.len > 0 && time.is_none()) {
                break;
            }
            skip(&mut input, chunk.padded())?;
            let from = if chunk.len > 0 { at - 8 - chunk.padded() } else { at - 8 };
            writer.entry(from, chunk.len);
            if let Some(time) = time.take_if(|_| chunk.len > 0) {
                writer.span = Some((writer.span.map_or(time, |(first, _)| first), time));
                times.push(time);
                writer.bytes = at;
                whole = (writer.index.len(), writer.totals);
            }
        }
        // Repeats before a frame that is not all there repeat nothing.
        writer.index.truncate(whole.0);
        writer.totals = whole.1;
        Ok(Some((writer, times)))
    }

    /// Adds a frame, later than the one before it.
    ///
    /// # Errors
    /// When it can't be written; the file is then as it was before.
    pub fn frame(&mut self, jpeg: &[u8], captured: Moment) -> io::Result<()> {
        let first = self.span.map_or(captured, |(first, _)| first);
        let passed = captured.monotonic.saturating_sub(first.monotonic).as_secs_f64();
        let tick = (passed * f64::from(self.rate) / f64::from(SCALE)).round() as u64;
        let pause = tick.saturating_sub(self.left_out).saturating_sub(u64::from(self.totals.ticks));
        let repeats = if self.span.is_some() { pause.min(MOST_REPEATS) } else { 0 };
        let (entries, totals) = (self.index.len(), self.totals);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        for _ in 0..repeats {
            self.entry(self.bytes + buffer.len() as u64, 0);
            put(&mut buffer, VIDEO, &[]);
        }
        put(&mut buffer, STAMP, &stamp::write(captured));
        self.entry(self.bytes + buffer.len() as u64, jpeg.len() as u32);
        put(&mut buffer, VIDEO, jpeg);
        let written = self.file.write_all(&buffer);
        match &written {
            Ok(()) => {
                self.bytes += buffer.len() as u64;
                self.left_out += pause - repeats;
                self.span = Some((first, captured));
            }
            Err(_) => {
                self.index.truncate(entries);
                self.totals = totals;
                // If not even that is possible, what is half there is found when it is read.
                let _ = self.file.set_len(self.bytes);
                let _ = self.file.seek(SeekFrom::Start(self.bytes));
            }
        }
        self.buffer = buffer;
        written
    }

    /// How large the file will be.
    pub fn bytes(&self) -> u64 {
        self.bytes + self.index.len() as u64 + 8
    }

    /// The times of the first frame and of the latest; `None`: there is none yet.
    pub fn span(&self) -> Option<(Moment, Moment)> {
        self.span
    }

    /// The size of the frames.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The most frames a second.
    pub fn fps(&self) -> f32 {
        self.rate as f32 / SCALE as f32
    }

    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    /// When the disk says that it could not.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Writes the index and the lengths; gives the file's length.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn finish(mut self) -> io::Result<u64> {
        self.file.set_len(self.bytes)?;
        self.file.seek(SeekFrom::Start(self.bytes))?;
        let mut index = Vec::with_capacity(self.index.len() + 8);
        put(&mut index, *b"idx1", &self.index);
        self.file.write_all(&index)?;
        let length = self.bytes + index.len() as u64;
        let movi = self.bytes - header(self.size, self.rate, Totals::default()).len() as u64 + 4;
        self.totals.movi = movi as u32;
        self.totals.file = (length - 8) as u32;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header(self.size, self.rate, self.totals))?;
        self.file.sync_all()?;
        Ok(length)
    }

    /// A tick's place in the index, which counts from the word `movi`.
    fn entry(&mut self, at: u64, len: u32) {
        let movi = header(self.size, self.rate, Totals::default()).len() as u64 - 4;
        let flags = if len > 0 { KEY_FRAME } else { 0 };
        self.index.extend_from_slice(&VIDEO);
        for number in [flags, (at - movi) as u32, len] {
            self.index.extend_from_slice(&number.to_le_bytes());
        }
        self.totals.ticks += 1;
        self.totals.largest = self.totals.largest.max(len);
    }
}

/// Where the width stands in the header, with the height behind it; and where the stream's rate does.
const WIDTH: usize = 32 + 32;
const RATE: usize = 32 + 56 + 20 + 24;

/// Everything up to and with the word `movi`; without totals the file is unfinished.
fn header(size: Size, rate: u32, totals: Totals) -> Vec<u8> {
    let Totals { ticks, largest, movi, file } = totals;
    let (Size { width, height }, frame_us) =
        (size, (u64::from(SCALE) * 1_000_000 / u64::from(rate.max(1))) as u32);
    let flags = if file > 0 { HAS_INDEX } else { 0 };
    let avih = numbers(&[frame_us, 0, 0, flags, ticks, 0, 1, largest, width, height, 0, 0, 0, 0]);
    let frame = (width & 0xFFFF) | (height << 16);
    let strh = numbers(&[0, 0, 0, SCALE, rate, 0, ticks, largest, u32::MAX, 0, 0, frame]);
    let strh = [&b"vidsMJPG"[..], &strh].concat();
    let pixels = (size.area() * 3).min(u64::from(u32::MAX)) as u32;
    let planes_and_bits = 1 | 24 << 16;
    let codec = u32::from_le_bytes(*b"MJPG");
    let strf = numbers(&[40, width, height, planes_and_bits, codec, pixels, 0, 0, 0, 0]);
    let (mut strl, mut hdrl, mut info) = (b"strl".to_vec(), b"hdrl".to_vec(), b"INFO".to_vec());
    put(&mut strl, *b"strh", &strh);
    put(&mut strl, *b"strf", &strf);
    put(&mut hdrl, *b"avih", &avih);
    put(&mut hdrl, *b"LIST", &strl);
    put(&mut info, *b"ISFT", b"vigie\0");
    let mut bytes = [&b"RIFF"[..], &file.to_le_bytes(), b"AVI "].concat();
    put(&mut bytes, *b"LIST", &hdrl);
    put(&mut bytes, *b"LIST", &info);
    bytes.extend_from_slice(b"LIST");
    bytes.extend_from_slice(&movi.to_le_bytes());
    bytes.extend_from_slice(b"movi");
    bytes
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Appends a chunk, padded to an even number of bytes.
fn put(bytes: &mut Vec<u8>, id: [u8; 4], body: &[u8]) {
    bytes.extend_from_slice(&id);
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(body);
    if body.len() % 2 == 1 {
        bytes.push(0);
    }
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
