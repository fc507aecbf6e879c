//! The streaming ring: buffers that go between the driver and us, the newest good one is what is wanted.
//!
//! The crate `v4l` has a stream of its own, but it gives a buffer back twice after a timeout, hands out the whole buffer
//! instead of the bytes that were filled, looks at no error flag, and panics when a device is gone as it is closed.
//!
//! Who owns a buffer is decided here: a [`Taken`] is ours, everything else may be the driver's at any time.

#![allow(unsafe_code)]

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::driver::{Driver, Filled, Input, MOST_PLANES, Memory, Waited};

/// Two in the driver's hands, one in ours, and one in reserve for a board that is busy.
const BUFFERS: u32 = 4;

/// What became of the buffers that were given back meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// Good frames that were older than the one handed out.
    pub(super) stale: u64,
    /// Frames that the driver flagged as broken.
    pub(super) flagged: u64,
    /// Frames that the driver never gave us, by the holes in its numbering.
    pub(super) gaps: u64,
}

/// A device that streams.
pub(super) struct Ring<D: Driver> {
    driver: Arc<D>,
    buffers: Vec<Vec<D::Memory>>,
    numbering: Numbering,
    losses: Losses,
}

/// A filled buffer in our hands; [`Taken::give_back`] returns it.
///
/// It holds the ring, so that no other is taken meanwhile, and its bytes borrow from it, so that they are gone when it
/// is given back.
#[must_use = "the driver runs out of buffers that are not given back"]
pub(super) struct Taken<'r, D: Driver> {
    ring: &'r Ring<D>,
    filled: Filled,
    /// The driver's number, without its wrap-around.
    pub(super) sequence: u64,
}

impl<D: Driver> Taken<'_, D> {
    /// The driver's time stamp, if it is one of the monotonic clock.
    pub(super) fn stamp(&self) -> Option<Duration> {
        let clock = self.filled.flags & v4l::v4l_sys::V4L2_BUF_FLAG_TIMESTAMP_MASK;
        (clock == v4l::v4l_sys::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC).then_some(self.filled.stamp)
    }

    /// The filled bytes, memory plane by memory plane.
    pub(super) fn planes(&self) -> [&[u8]; MOST_PLANES] {
        let mut planes = [&[][..]; MOST_PLANES];
        let memory = &self.ring.buffers[self.filled.index as usize];
        for ((plane, memory), payload) in planes.iter_mut().zip(memory).zip(self.filled.payloads) {
            // SAFETY: the driver has handed the buffer out, and gets it back only from `give_back`, which consumes the
            // value that the slice borrows from.
            let bytes = unsafe { memory.bytes() };
            let end = (payload.end as usize).min(bytes.len());
            *plane = bytes.get(payload.start as usize..end).unwrap_or_default();
        }
        planes
    }

    /// Gives the buffer back to the driver.
    pub(super) fn give_back(self) -> io::Result<()> {
        // SAFETY: slices of the buffer borrow from this value, which ends here; there is no other of its kind, because
        // each is made of a ring that is borrowed mutably.
        unsafe { self.ring.driver.queue(self.filled.index) }
    }
}

impl<D: Driver> Ring<D> {
    /// Allocates buffers, hands them all to the driver, and starts. The format has been set before.
    pub(super) fn start(driver: Arc<D>) -> Result<Ring<D>, StartError> {
        let count = driver.request_buffers(BUFFERS).map_err(StartError::Buffers)?;
        // From here on a failure must free the buffers, which the value's drop does.
        let (numbering, losses) = (Numbering::default(), Losses::default());
        let mut ring = Ring { driver, buffers: Vec::new(), numbering, losses };
        if count < 2 {
            return Err(StartError::Buffers(io::ErrorKind::OutOfMemory.into()));
        }
        for index in 0..count {
            let memory = ring.driver.map(index).map_err(StartError::Buffers)?;
            ring.buffers.push(memory);
        }
        for index in 0..count {
            // SAFETY: nothing has been taken out of the new ring yet, so nobody reads.
            unsafe { ring.driver.queue(index) }.map_err(StartError::Buffers)?;
        }
        ring.driver.stream(true).map_err(StartError::Streaming)?;
        Ok(ring)
    }

    /// Waits for the newest good frame; `None`: none came within `wait`.
    ///
    /// All that the driver has ready is taken out; older and broken ones go straight back.
    pub(super) fn newest(&mut self, wait: Duration) -> io::Result<Option<Taken<'_, D>>> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let waited = self.driver.wait(left)?;
            if let Some((filled, sequence)) = self.drain()? {
                return Ok(Some(Taken { ring: self, filled, sequence }));
            }
            if waited == Waited::Trouble {
                // The driver signals trouble, but taking a buffer names none: waiting on would be a spin.
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    /// Takes out all that is ready and keeps the newest good one, with its number.
    fn drain(&mut self) -> io::Result<Option<(Filled, u64)>> {
        let mut newest: Option<(Filled, u64)> = None;
        // No more than the ring holds: a driver that fills faster than this runs must not keep us here.
        for _ in 0..self.buffers.len() {
            let filled = match self.driver.dequeue() {
                Ok(Some(filled)) => filled,
                Ok(None) => break,
                // What was taken is still good; the trouble will be met again at the next call.
                Err(_) if newest.is_some() => break,
                Err(e) => return Err(e),
            };
            if filled.index as usize >= self.buffers.len() {
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            let (sequence, lost) = self.numbering.next(filled.sequence);
            self.losses.gaps += lost;
            if filled.flags & v4l::v4l_sys::V4L2_BUF_FLAG_ERROR != 0 {
                self.losses.flagged += 1;
                self.put_back(filled)?;
            } else if let Some((older, _)) = newest.replace((filled, sequence)) {
                self.losses.stale += 1;
                self.put_back(older)?;
            }
        }
        Ok(newest)
    }

    /// Gives a buffer back that nobody has looked into.
    fn put_back(&mut self, filled: Filled) -> io::Result<()> {
        // SAFETY: slices of buffers borrow from a `Taken`, which borrows the ring; it is borrowed mutably here.
        unsafe { self.driver.queue(filled.index) }
    }

    /// What the driver says of its input.
    pub(super) fn input(&self) -> Option<Input> {
        self.driver.input()
    }

    /// What was lost since it started.
    pub(super) fn losses(&self) -> Losses {
        self.losses
    }
}

impl<D: Driver> Drop for Ring<D> {
    fn drop(&mut self) {
        // The device may be gone; then all this fails, and that is as good.
        let _ = self.driver.stream(false);
        self.buffers.clear();
        let _ = self.driver.request_buffers(0);
    }
}

/// What [`Ring::start`] failed at.
#[derive(Debug)]
pub(super) enum StartError {
    /// Allocating the buffers, mapping them, or handing them over.
    Buffers(io::Error),
    /// The start of the stream.
    Streaming(io::Error),
}

/// Makes a rising number without wrap-around of the driver's, and counts its holes.
#[derive(Debug, Default)]
struct Numbering {
    last: Option<(u32, u64)>,
}

impl Numbering {
    /// The frame's number, and how many are missing before it.
    fn next(&mut self, raw: u32) -> (u64, u64) {
        let Some((last_raw, last)) = self.last else {
            self.last = Some((raw, 0));
            return (0, 0);
        };
        // Some drivers never count, and some start over: both are taken for the next frame.
        let step = match raw.wrapping_sub(last_raw) {
            step @ 1..=0x7FFF_FFFF => u64::from(step),
            _ => 1,
        };
        self.last = Some((raw, last + step));
        (last + step, step - 1)
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
