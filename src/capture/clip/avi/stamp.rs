//! The exact time of a frame, in a chunk of padding before it: players pass over it, and it goes where the file goes.

use std::io;
use std::time::{Duration, SystemTime};

use super::{chunk, skip};
use crate::capture::clip::Input;
use crate::clock::Moment;

/// The chunk's name, by which everybody knows that it means nothing to him.
pub(super) const STAMP: [u8; 4] = *b"JUNK";
/// What it begins with.
const MAGIC: [u8; 8] = *b"vigieT1\0";
/// Its length: the magic, nanoseconds of the monotonic clock, nanoseconds since 1970.
pub(super) const LENGTH: usize = 24;
/// A recording has no more frames than this: of one that claims more the ticks must do.
const MOST: usize = 10_000_000;

pub(super) fn write(captured: Moment) -> [u8; LENGTH] {
    let wall = captured.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut body = [0; LENGTH];
    body[..8].copy_from_slice(&MAGIC);
    for (part, time) in body[8..].chunks_exact_mut(8).zip([captured.monotonic, wall]) {
        part.copy_from_slice(&u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).to_le_bytes());
    }
    body
}

pub(super) fn read(body: &[u8]) -> Option<Moment> {
    let times = body.strip_prefix(&MAGIC)?;
    let time =
        |at: usize| Some(Duration::from_nanos(u64::from_le_bytes(times.get(at..at + 8)?.try_into().ok()?)));
    Some(Moment { monotonic: time(0)?, wall: SystemTime::UNIX_EPOCH.checked_add(time(8)?)? })
}

/// The times of all frames of the stream, from the first chunk of `movi` on, where each has one and they go forward;
/// otherwise none. What is no recording is found out at its first chunk.
pub(super) fn times(input: &mut Input, from: u64, length: u64, stream: [u8; 2]) -> io::Result<Vec<Moment>> {
    let (mut times, mut time, mut at) = (Vec::<Moment>::new(), None, from);
    while let Some(chunk) = chunk(input)? {
        at += 8 + chunk.padded();
        // A frame that is not all there is none.
        if at > length {
            break;
        }
        if chunk.id == STAMP && chunk.len as usize == LENGTH {
            let mut body = [0; LENGTH];
            io::Read::read_exact(input, &mut body)?;
            time = read(&body);
            continue;
        }
        skip(input, chunk.padded())?;
        match (chunk.id, time) {
            ([a, b, b'd', b'c' | b'b'], _) if [a, b] == stream && chunk.len == 0 => {}
            ([a, b, b'd', b'c' | b'b'], Some(this)) if [a, b] == stream => {
                if times.last().is_some_and(|last| last.monotonic >= this.monotonic) || times.len() == MOST {
                    return Ok(Vec::new());
                }
                times.push(this);
                time = None;
            }
            ([a, b, ..], None) if [a, b] == stream => return Ok(Vec::new()),
            _ => break,
        }
    }
    Ok(times)
}
