//! Frames from a V4L2 camera, from pictures, from a clip or from a test card; the newest frame wins.
//!
//! [`open`] gives a [`Source`], which is polled with a deadline; a [`Camera`] is a source with its own thread, which
//! reopens it when it is lost and keeps the newest frame. Blocking, plain Rust: no tokio, no MQTT, no TOML. Time comes
//! from a [`Clock`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;

mod backoff;
mod camera;
mod clip;
mod complaint;
mod error;
mod health;
mod jpeg;
mod mailbox;
pub mod negotiate;
mod pace;
mod pictures;
mod testcard;
pub mod v4l2;
mod verdicts;

pub use camera::{Camera, Vitals, Wake};
pub use clip::avi::write as avi;
pub use clip::{Clip, recorded};
pub use error::{Error, ErrorKind, Retry};
pub use health::{Counters, Health, State};
pub use mailbox::Take;
pub use pictures::Pictures;
pub use testcard::TestCard;

/// Where a camera's frames come from.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceSpec {
    /// A V4L2 capture device.
    Device(DeviceMatcher),
    /// A picture (JPEG, PNG) or a folder of them, in the order of their names, over and over.
    Pictures {
        /// The file or folder.
        path: PathBuf,
        /// Pictures a second.
        fps: f32,
    },
    /// A clip: Motion-JPEG in AVI, a bare Motion-JPEG stream, or Y4M; played over and over.
    Clip {
        /// The file.
        path: PathBuf,
        /// Frames a second, where the file's own rate is not wanted.
        fps: Option<f32>,
    },
    /// A moving test card, drawn by the program.
    TestCard {
        /// Frames a second.
        fps: f32,
    },
}

/// Which V4L2 device; resolved anew at every open, because `/dev/video*` numbers move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceMatcher {
    /// A device node, or a link to one such as `/dev/v4l/by-id/…`.
    Path(PathBuf),
    /// The first usable capture node that fits everything that is given.
    Match {
        /// USB vendor and product id.
        usb: Option<(u16, u16)>,
        /// USB serial number.
        serial: Option<String>,
        /// The card's name as the driver gives it (a case-insensitive part of it is enough).
        card: Option<String>,
        /// The bus info as the driver gives it, for instance `usb-0000:01:00.0-1.2` (a part of it is enough).
        bus: Option<String>,
    },
}

impl std::fmt::Display for DeviceMatcher {
    /// The matcher as a person would write it: the path, or `usb 046d:0825, serial "1234"`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DeviceMatcher::Path(path) => write!(f, "{}", path.display()),
            DeviceMatcher::Match { usb, serial, card, bus } => {
                let usb = usb.map(|(vendor, product)| format!("usb {vendor:04x}:{product:04x}"));
                let quoted =
                    |key: &str, value: &Option<String>| value.as_ref().map(|v| format!("{key} \"{v}\""));
                let parts = [usb, quoted("serial", serial), quoted("card", card), quoted("bus", bus)];
                let parts: Vec<String> = parts.into_iter().flatten().collect();
                if parts.is_empty() { f.write_str("any camera") } else { f.write_str(&parts.join(", ")) }
            }
        }
    }
}

/// What is asked of a device; what it really gives is negotiated.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The size wanted; `None`: the smallest that is at least as large as the model's input.
    pub size: Option<Size>,
    /// The rate wanted; `None`: the slowest on offer that is no less than `enough_fps`.
    pub fps: Option<f32>,
    /// Frames a second that will be looked at, at most: where no rate is asked for, what a device gives beyond it is
    /// captured only to be thrown away. Above 0.
    pub enough_fps: f32,
    /// The pixel format to insist on; `None`: the one that is cheapest to turn into a tensor.
    pub format: Option<PixelFormat>,
    /// No frame for so long is a stall, and the device is reopened.
    pub stall_after: Duration,
}

/// What a source agreed to give.
#[derive(Clone, Debug, PartialEq)]
pub struct Negotiated {
    /// What was opened, for people: `/dev/video0 (HD Pro Webcam C920, uvcvideo)`, a file, `test card`.
    pub name: String,
    /// The format of its frames. Pictures are decoded as they are read, so theirs is RGB.
    pub format: PixelFormat,
    /// The size of its frames; pictures of a folder, and JPEG frames, may each have their own.
    pub size: Size,
    /// Frames a second, where that is known.
    pub fps: Option<f32>,
}

/// Something that frames come out of.
pub trait Source: Send {
    /// Waits for the next frame, at most about `wait`, and writes it into `frame`, whose buffer is reused.
    ///
    /// `false`: there was none yet. A source never returns `false` before `wait` has passed, so that polling it in a
    /// loop is no spin. Frames that are broken are skipped and counted, see [`Source::counters`].
    ///
    /// # Errors
    /// The source can't go on and must be opened anew; [`Error::kind`] says what kind of trouble it is.
    fn poll(&mut self, frame: &mut Frame, wait: Duration) -> Result<bool, Error>;

    /// What was agreed on when it was opened.
    fn negotiated(&self) -> &Negotiated;

    /// What has gone wrong, and was skipped, since it was opened.
    fn counters(&self) -> Counters {
        Counters::default()
    }

    /// How often it began anew: what is played over and over does so at its end, before it delivers its first frame again.
    fn rounds(&self) -> u64 {
        0
    }

    /// No frame for so long is a stall.
    fn stall_after(&self) -> Duration;

    /// Why no frames come, if the source has an idea.
    fn why_silent(&self) -> Option<String> {
        None
    }

    /// Waits for the next frame until the stall deadline.
    ///
    /// # Errors
    /// As [`Source::poll`], and [`ErrorKind::Stalled`] when the deadline passes.
    fn next(&mut self, frame: &mut Frame) -> Result<(), Error> {
        let (wait, before) = (self.stall_after(), self.counters());
        if self.poll(frame, wait)? {
            Ok(())
        } else {
            let why = self.why_silent();
            Err(stalled(&self.negotiated().name, why, self.counters().since(before), wait))
        }
    }
}

/// The error of a source that gave no usable frame for so long; `lost` is what it gave instead.
fn stalled(name: &str, why: Option<String>, lost: Counters, after: Duration) -> Error {
    let broken = lost.broken().map(|broken| format!("; {broken}")).unwrap_or_default();
    let what = format!("{name} gave no usable frame for {:.1} s{broken}", after.as_secs_f32());
    let e = Error::new(ErrorKind::Stalled, what);
    match why {
        Some(why) => e.with_hint(why),
        None => e,
    }
}

/// Opens what `spec` names; `model` is the detector's input size, which decides what is cheapest to capture.
///
/// # Errors
/// There is no such source, it can't be opened, or it offers nothing that can be used; see [`ErrorKind`].
pub fn open(
    spec: &SourceSpec,
    request: &Request,
    model: Size,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn Source>, Error> {
    Ok(match spec {
        SourceSpec::Device(matcher) => v4l2::open(matcher, request, model, clock)?,
        SourceSpec::Pictures { path, fps } => {
            Box::new(Pictures::open(path, *fps, request.stall_after, clock)?)
        }
        SourceSpec::Clip { path, fps } => Box::new(Clip::open(path, *fps, request.stall_after, clock)?),
        SourceSpec::TestCard { fps } => {
            let size = request.size.unwrap_or(TestCard::SIZE);
            Box::new(TestCard::new(size, *fps, request.stall_after, clock))
        }
    })
}

#[cfg(test)]
pub(crate) mod testing;
