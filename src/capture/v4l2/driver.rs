//! What the streaming ring needs of a driver: the seam between the ring's logic and the kernel.
//!
//! `buffers.rs` has the kernel's side of it; the ring's tests have a driver that misbehaves on demand.

#![allow(unsafe_code)]

use std::io;
use std::time::Duration;

/// As many memory planes as V4L2 allows.
pub(super) const MOST_PLANES: usize = 8;

/// A capturing device whose format has been set. No call blocks but [`Driver::wait`].
pub(super) trait Driver: Send + Sync {
    /// A memory plane of a buffer, mapped.
    type Memory: Memory;

    /// Allocates that many buffers (0: frees them); gives how many there are.
    fn request_buffers(&self, count: u32) -> io::Result<u32>;

    /// Maps a buffer, memory plane by memory plane.
    fn map(&self, index: u32) -> io::Result<Vec<Self::Memory>>;

    /// Gives a buffer to the driver, which writes into it from now on.
    ///
    /// # Safety
    /// No slice of [`Memory::bytes`] of that buffer may live.
    unsafe fn queue(&self, index: u32) -> io::Result<()>;

    /// Takes a filled buffer from the driver; `None`: there is none yet.
    fn dequeue(&self) -> io::Result<Option<Filled>>;

    /// Starts or stops streaming; stopping takes all buffers from the driver.
    fn stream(&self, on: bool) -> io::Result<()>;

    /// Waits until there is something to take, or trouble; at most so long.
    fn wait(&self, at_most: Duration) -> io::Result<Waited>;

    /// What the driver says of the chosen input; `None`: it knows no inputs.
    fn input(&self) -> Option<Input>;
}

/// Memory that the driver writes into while it owns the buffer.
pub(super) trait Memory: Send {
    /// The bytes, filled or not.
    ///
    /// # Safety
    /// The driver must not own the buffer as long as the slice lives: it would write under a reader's eyes.
    unsafe fn bytes(&self) -> &[u8];
}

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// A buffer is ready, or the time is over; taking one tells.
    Over,
    /// The driver signals trouble (`POLLERR`, `POLLHUP`), with or without a buffer.
    Trouble,
}

/// A buffer that the driver gave back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filled {
    pub(super) index: u32,
    pub(super) flags: u32,
    pub(super) sequence: u32,
    /// The driver's time stamp; on which clock, the flags say.
    pub(super) stamp: Duration,
    /// Memory plane by memory plane.
    pub(super) payloads: [Payload; MOST_PLANES],
}

/// Which bytes of a memory plane are the picture's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Payload {
    /// V4L2's `data_offset`.
    pub(super) start: u32,
    /// V4L2's `bytesused`, which counts from the beginning of the memory.
    pub(super) end: u32,
}

/// What the driver says of the chosen input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Input {
    /// Why it gives no picture, if the driver knows (no signal, no power).
    pub(super) trouble: Option<&'static str>,
    /// It must be told the timings of its signal, as HDMI must, and a camera need not.
    pub(super) wants_timings: bool,
}
