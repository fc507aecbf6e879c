//! Frames from a V4L2 camera, from pictures, from a clip or from a test card; the newest frame wins.
//!
//! Blocking, plain Rust: no tokio, no MQTT, no TOML. Time comes from a [`crate::clock::Clock`].

use std::path::PathBuf;
use std::time::Duration;

use crate::frame::PixelFormat;
use crate::geometry::Size;

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

/// What is asked of a device; what it really gives is negotiated.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The size wanted; `None`: the smallest that is at least as large as the model's input.
    pub size: Option<Size>,
    /// The rate wanted; `None`: the device's own.
    pub fps: Option<f32>,
    /// The pixel format to insist on; `None`: the one that is cheapest to turn into a tensor.
    pub format: Option<PixelFormat>,
    /// No frame for so long is a stall, and the device is reopened.
    pub stall_after: Duration,
}
