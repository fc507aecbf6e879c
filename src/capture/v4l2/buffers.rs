//! The kernel's side of streaming: an open device as a [`Driver`], and the memory of its buffers.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use v4l::v4l_sys as raw;

use super::driver::{Driver, Filled, Input, MOST_PLANES, Memory, Payload, Waited};
use super::ioctl::{self, Ioctl, Plain};
use super::open::Handle;
use super::sys::{self, Family};

impl Driver for Handle {
    type Memory = Mapping;

    fn request_buffers(&self, count: u32) -> io::Result<u32> {
        request_buffers(self.fd(), self.family, count)
    }

    fn map(&self, index: u32) -> io::Result<Vec<Mapping>> {
        let areas = query_buffer(self.fd(), self.family, index)?;
        areas.into_iter().map(|area| Mapping::new(self.fd(), area)).collect()
    }

    unsafe fn queue(&self, index: u32) -> io::Result<()> {
        // SAFETY: the caller vouches for it that nobody reads the buffer.
        unsafe { with_planes(self.fd(), &ioctl::QBUF, self.family, index).map(|_| ()) }
    }

    fn dequeue(&self) -> io::Result<Option<Filled>> {
        dequeue(self.fd(), self.family)
    }

    fn stream(&self, on: bool) -> io::Result<()> {
        let mut buf_type = self.family.buf_type() as std::os::raw::c_int;
        let request = if on { ioctl::STREAMON } else { ioctl::STREAMOFF };
        request.call(self.fd(), &mut buf_type)
    }

    fn wait(&self, at_most: Duration) -> io::Result<Waited> {
        let timeout = Timespec { tv_sec: at_most.as_secs() as _, tv_nsec: at_most.subsec_nanos() as _ };
        let fd = self.fd();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) if fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) => {
                Ok(Waited::Trouble)
            }
            // A signal ends a wait early: whoever waits looks at the time and waits on.
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(Waited::Over),
            Err(e) => Err(e.into()),
        }
    }

    fn input(&self) -> Option<Input> {
        sys::input(self.fd())
    }
}

/// Allocates that many buffers (0: frees them); gives how many there are.
pub(super) fn request_buffers(fd: BorrowedFd<'_>, family: Family, count: u32) -> io::Result<u32> {
    let mut r = raw::v4l2_requestbuffers::zeroed();
    (r.count, r.type_, r.memory) = (count, family.buf_type(), raw::v4l2_memory_V4L2_MEMORY_MMAP);
    ioctl::REQBUFS.call(fd, &mut r)?;
    Ok(r.count)
}

/// An ioctl on a `v4l2_buffer`, with room for its planes where the family has them.
///
/// # Safety
/// If `request` hands the buffer to the driver, nobody may be reading it.
unsafe fn with_planes(
    fd: BorrowedFd<'_>,
    request: &Ioctl<raw::v4l2_buffer>,
    family: Family,
    index: u32,
) -> io::Result<(raw::v4l2_buffer, [raw::v4l2_plane; MOST_PLANES])> {
    let mut planes = [raw::v4l2_plane::zeroed(); MOST_PLANES];
    let mut b = raw::v4l2_buffer::zeroed();
    (b.index, b.type_, b.memory) = (index, family.buf_type(), raw::v4l2_memory_V4L2_MEMORY_MMAP);
    if family == Family::Multi {
        (b.m.planes, b.length) = (planes.as_mut_ptr(), MOST_PLANES as u32);
    }
    // SAFETY: the only pointer and its length describe `planes`, which lives until the ioctl has returned; what is read
    // meanwhile, the caller vouches for.
    unsafe { request.call_with_pointers(fd, &mut b)? };
    Ok((b, planes))
}

/// Where the kernel lets the memory of a plane be mapped from.
#[derive(Clone, Copy, Debug)]
struct Area {
    offset: u32,
    len: u32,
}

/// Where a buffer's memory planes are to be mapped from.
fn query_buffer(fd: BorrowedFd<'_>, family: Family, index: u32) -> io::Result<Vec<Area>> {
    // SAFETY: to ask about a buffer hands over none.
    let (b, planes) = unsafe { with_planes(fd, &ioctl::QUERYBUF, family, index)? };
    Ok(match family {
        // SAFETY: for memory-mapped buffers of this family the driver has written the union's `offset`.
        Family::Single => vec![Area { offset: unsafe { b.m.offset }, len: b.length }],
        Family::Multi => {
            let area = |p: &raw::v4l2_plane| {
                // SAFETY: for memory-mapped buffers the driver has written the union's `mem_offset`.
                Area { offset: unsafe { p.m.mem_offset }, len: p.length }
            };
            planes.iter().take(b.length as usize).map(area).collect()
        }
    })
}

fn dequeue(fd: BorrowedFd<'_>, family: Family) -> io::Result<Option<Filled>> {
    // SAFETY: to take a buffer hands over none.
    let (b, planes) = match unsafe { with_planes(fd, &ioctl::DQBUF, family, 0) } {
        Ok(taken) => taken,
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut payloads = [Payload::default(); MOST_PLANES];
    match family {
        Family::Single => payloads[0] = Payload { start: 0, end: b.bytesused },
        Family::Multi => {
            for (payload, p) in payloads.iter_mut().zip(&planes).take(b.length as usize) {
                *payload = Payload { start: p.data_offset, end: p.bytesused };
            }
        }
    }
    // The fields' widths differ between architectures.
    #[allow(clippy::unnecessary_cast)]
    let (seconds, micros) = (b.timestamp.tv_sec as i64, b.timestamp.tv_usec as i64);
    let stamp = Duration::from_secs(seconds.try_into().unwrap_or(0))
        + Duration::from_micros(micros.try_into().unwrap_or(0));
    Ok(Some(Filled { index: b.index, flags: b.flags, sequence: b.sequence, stamp, payloads }))
}

/// Memory of a driver's buffer, mapped for reading.
#[derive(Debug)]
pub(super) struct Mapping {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone and is memory like any other, on whichever thread.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, area: Area) -> io::Result<Mapping> {
        let len = area.len as usize;
        // SAFETY: a fresh shared mapping at an address of the kernel's choice touches no memory of ours. Some drivers
        // insist on write access although nothing is ever written.
        let at = unsafe {
            v4l::v4l2::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                area.offset as libc::off_t,
            )?
        };
        let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { at, len })
    }
}

impl Memory for Mapping {
    unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: `at` and `len` are a live mapping, readable, and unmapped only when `self` is dropped; that nothing
        // writes to it meanwhile, the caller vouches for.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` and nothing borrows from it any more. There is nothing to be done about
        // a failure.
        let _ = unsafe { v4l::v4l2::munmap(self.at.as_ptr().cast(), self.len) };
    }
}
