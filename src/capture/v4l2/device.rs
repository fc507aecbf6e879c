//! A V4L2 device as a source: found, negotiated, streaming.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use v4l::FourCC;

use super::driver::Driver;
use super::layout::FrameLayout;
use super::listing::offers;
use super::nodes::Roots;
use super::open::Handle;
use super::refusal::{lost_or, refused};
use super::resolve::resolve;
use super::ring::{Ring, StartError, Taken};
use super::{sys, unfinished};
use crate::capture::jpeg::{self, Defect};
use crate::capture::negotiate::{Choice, choose};
use crate::capture::{Counters, DeviceMatcher, Error, Negotiated, Request, Source};
use crate::clock::Clock;
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;

/// A camera that streams.
pub(super) struct Device<D: Driver> {
    ring: Ring<D>,
    layout: FrameLayout,
    negotiated: Negotiated,
    path: String,
    stall_after: Duration,
    clock: Arc<dyn Clock>,
    truncated: u64,
    unreadable: u64,
    /// The size of the last JPEG that had not the one agreed on.
    other_size: Option<Size>,
}

impl Device<Handle> {
    /// See [`super::open()`].
    pub(super) fn open(
        matcher: &DeviceMatcher,
        request: &Request,
        model: Size,
        clock: Arc<dyn Clock>,
    ) -> Result<Device<Handle>, Error> {
        let handle = Arc::new(resolve(matcher, &Roots::system())?);
        let (codes, offers) = offers(&handle.listings);
        let choices = choose(&offers, request, model).map_err(|e| e.in_file(&handle.node.path))?;
        let (ring, layout, fps) = choices.settle(|choice| {
            let (layout, fps) = agree(&handle, codes[choice.offer], choice)?;
            Ok((start(&handle)?, layout, fps))
        })?;
        let path = handle.node.path.display().to_string();
        let name = format!("{path} ({}, {})", handle.capability.card, handle.capability.driver);
        let negotiated = Negotiated { name, format: layout.format, size: layout.size, fps };
        let (stall_after, truncated, unreadable) = (request.stall_after, 0, 0);
        let other_size = None;
        Ok(Device { ring, layout, negotiated, path, stall_after, clock, truncated, unreadable, other_size })
    }
}

impl<D: Driver> Source for Device<D> {
    fn poll(&mut self, frame: &mut Frame, wait: Duration) -> Result<bool, Error> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let taken = self.ring.newest(left).map_err(|e| lost_or(&self.path, e))?;
            let Some(taken) = taken else { return Ok(false) };
            let copied = copy(&taken, &self.layout, self.clock.as_ref(), frame);
            taken.give_back().map_err(|e| lost_or(&self.path, e))?;
            match copied {
                Ok(()) => return Ok(true),
                Err(Defect::Truncated) => self.truncated += 1,
                Err(Defect::OtherSize(size)) => {
                    self.unreadable += 1;
                    self.other_size = Some(size);
                }
                Err(Defect::NotJpeg | Defect::Corrupt) => self.unreadable += 1,
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
        }
    }

    fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    fn counters(&self) -> Counters {
        let losses = self.ring.losses();
        Counters {
            dropped: losses.stale,
            gaps: losses.gaps,
            error_flagged: losses.flagged,
            truncated: self.truncated,
            unreadable: self.unreadable,
            ..Counters::default()
        }
    }

    fn stall_after(&self) -> Duration {
        self.stall_after
    }

    fn why_silent(&self) -> Option<String> {
        let other_size = |size| {
            let agreed = self.layout.size;
            format!("its JPEGs are {size} though {agreed} was agreed on: choose another `size` or `format`")
        };
        let silence = self.ring.input().and_then(|input| unfinished::silence(input, Path::new(&self.path)));
        silence.or_else(|| self.other_size.map(other_size))
    }
}

/// Copies a taken buffer into `frame`, if it is whole and what was agreed on.
fn copy<D: Driver>(
    taken: &Taken<'_, D>,
    layout: &FrameLayout,
    clock: &dyn Clock,
    frame: &mut Frame,
) -> Result<(), Defect> {
    if !layout.copy(&taken.planes(), frame) {
        return Err(Defect::Truncated);
    }
    if layout.format == PixelFormat::Mjpeg {
        let extent = jpeg::measure(&frame.data)?.agreed(layout.size)?;
        frame.data.truncate(extent.len);
    }
    let now = clock.now();
    // A stamp from the future or from long ago is a driver's mistake.
    let stamp = taken.stamp().filter(|&s| s <= now.monotonic && now.monotonic - s < Duration::from_secs(10));
    frame.captured = stamp.map_or(now, |stamp| now.at(stamp));
    frame.sequence = taken.sequence;
    Ok(())
}

/// Sets format and rate; gives what the driver made of them.
fn agree(handle: &Handle, fourcc: FourCC, choice: &Choice) -> Result<(FrameLayout, Option<f32>), Error> {
    let (fd, family, path) = (handle.fd(), handle.family, &handle.node.path);
    let set = sys::set_format(fd, family, fourcc, choice.size)
        .map_err(|e| refused(&format!("set {fourcc} {}", choice.size), handle, e))?;
    let layout = FrameLayout::of(&set).map_err(|e| e.in_file(path))?;
    if layout.size != choice.size {
        log::info!("{}: asked for {}, got {}", path.display(), choice.size, layout.size);
    }
    // A device without a say in its rate is no worse for it.
    let fps = match choice.fps {
        Some(fps) => match sys::set_rate(fd, family, fps) {
            Ok(fps) => fps,
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
                return Err(refused("set the rate", handle, e));
            }
            Err(_) => sys::rate(fd, family),
        },
        None => sys::rate(fd, family),
    };
    Ok((layout, fps))
}

/// Starts the ring.
fn start(handle: &Arc<Handle>) -> Result<Ring<Handle>, Error> {
    Ring::start(Arc::clone(handle)).map_err(|e| match e {
        StartError::Buffers(e) => refused("allocate buffers", handle, e),
        StartError::Streaming(e) => refused("start streaming", handle, e),
    })
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
