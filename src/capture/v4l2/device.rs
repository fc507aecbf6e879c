//! A V4L2 device as a source: found, negotiated, streaming.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use v4l::FourCC;

use super::layout::Layout;
use super::nodes::Roots;
use super::probe::{judge, listings, offers};
use super::resolve::{Opened, refused, resolve};
use super::ring::{Ring, Step, Taken};
use super::{sys, unfinished};
use crate::capture::jpeg::{self, Defect};
use crate::capture::negotiate::{Choice, Offer, choose};
use crate::capture::{Counters, DeviceMatcher, Error, ErrorKind, Negotiated, Request, Source};
use crate::clock::Clock;
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;

/// A camera that streams.
pub struct Device {
    ring: Ring,
    layout: Layout,
    negotiated: Negotiated,
    path: String,
    stall_after: Duration,
    clock: Arc<dyn Clock>,
    truncated: u64,
    unreadable: u64,
    /// The size of the last JPEG that had not the one agreed on.
    other_size: Option<Size>,
}

impl Device {
    /// Finds the device, agrees with it on what is cheapest to turn into a tensor of size `model`, and starts it.
    ///
    /// # Errors
    /// It is not there, is no camera, is in use, offers nothing that can be used, or its driver fails.
    pub fn open(
        matcher: &DeviceMatcher,
        request: &Request,
        model: Size,
        clock: Arc<dyn Clock>,
    ) -> Result<Device, Error> {
        let opened = resolve(matcher, &Roots::system())?;
        let listings = listings(&opened.file, opened.kind);
        judge(&opened.node, &opened.capability, &listings)?;
        let offers = offers(&listings);
        let plain: Vec<Offer> = offers.iter().map(|(_, offer)| offer.clone()).collect();
        let choices = choose(&plain, request, model).map_err(|e| e.in_file(&opened.node.path))?;
        let (ring, layout, fps) = choices.settle(|choice| {
            let (layout, fps) = agree(&opened, fourcc_of(&offers, choice), choice)?;
            Ok((start(&opened)?, layout, fps))
        })?;
        let path = opened.node.path.display().to_string();
        let name = format!("{path} ({}, {})", opened.capability.card, opened.capability.driver);
        let negotiated = Negotiated { name, format: layout.format, size: layout.size, fps };
        let (stall_after, truncated, unreadable) = (request.stall_after, 0, 0);
        let other_size = None;
        Ok(Device { ring, layout, negotiated, path, stall_after, clock, truncated, unreadable, other_size })
    }
}

impl Source for Device {
    fn poll(&mut self, frame: &mut Frame, wait: Duration) -> Result<bool, Error> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let taken = self.ring.newest(left).map_err(|e| failed(&self.path, e))?;
            let Some(taken) = taken else { return Ok(false) };
            let copied = copy(&taken, &self.layout, self.clock.as_ref(), frame);
            taken.give_back().map_err(|e| failed(&self.path, e))?;
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
fn copy(taken: &Taken<'_>, layout: &Layout, clock: &dyn Clock, frame: &mut Frame) -> Result<(), Defect> {
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

fn failed(path: &str, e: io::Error) -> Error {
    match e.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => Error::new(ErrorKind::Lost, format!("{path} went away")),
        _ => Error::io(format!("cannot take a frame from {path}"), e),
    }
}

/// The device's code for the chosen format, which may have several (in one memory plane, or in one each).
fn fourcc_of(offers: &[(FourCC, Offer)], choice: &Choice) -> FourCC {
    let same = |offer: &Offer| offer.format == choice.format;
    let exact =
        offers.iter().find(|(_, offer)| same(offer) && offer.sizes.nearest(choice.size) == choice.size);
    exact
        .or_else(|| offers.iter().find(|(_, offer)| same(offer)))
        .map_or(FourCC::default(), |(code, _)| *code)
}

/// Sets format and rate; gives what the driver made of them.
fn agree(opened: &Opened, fourcc: FourCC, choice: &Choice) -> Result<(Layout, Option<f32>), Error> {
    let (fd, kind) = (opened.file.as_fd(), opened.kind);
    let set = sys::set_format(fd, kind, fourcc, choice.size)
        .map_err(|e| refused(&format!("set {fourcc} {}", choice.size), opened, e))?;
    let layout = Layout::of(&set).map_err(|e| e.in_file(&opened.node.path))?;
    if layout.size != choice.size {
        log::info!("{}: asked for {}, got {}", opened.node.path.display(), choice.size, layout.size);
    }
    // A device without a say in its rate is no worse for it.
    let fps = match choice.fps {
        Some(fps) => match sys::set_rate(fd, kind, fps) {
            Ok(fps) => fps,
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
                return Err(refused("set the rate", opened, e));
            }
            Err(_) => sys::rate(fd, kind),
        },
        None => sys::rate(fd, kind),
    };
    Ok((layout, fps))
}

/// Starts the ring.
fn start(opened: &Opened) -> Result<Ring, Error> {
    let fd = opened.file.as_fd();
    let file = fd.try_clone_to_owned().map_err(|e| Error::io("cannot start streaming", e))?.into();
    Ring::start(file, opened.kind).map_err(|(step, e)| {
        let what = if step == Step::Start { "start streaming" } else { "allocate buffers" };
        refused(what, opened, e)
    })
}
