//! V4L2 devices: found by name or by what they are, negotiated with, and streamed from.
//!
//! From below: `ioctl.rs` binds request codes to their structures; `sys.rs` has the calls that agree with a device on a
//! format, `buffers.rs` those that stream; `open.rs` makes a handle of a node; `resolve.rs` finds the node, `probe.rs` looks
//! at all of them. `ring.rs` sees to it that a buffer is read only while the driver doesn't own it, and knows of the kernel
//! no more than `driver.rs` says; everything above is safe code. The crate `v4l` gives the interface's structures and its
//! ioctl layer.

mod buffers;
mod device;
mod driver;
#[cfg(test)]
mod fake;
mod holder;
mod ioctl;
mod layout;
mod listing;
mod nodes;
mod open;
mod probe;
mod refusal;
mod resolve;
mod ring;
mod sys;
mod unfinished;
mod verdict;

use std::sync::Arc;

use crate::capture::{DeviceMatcher, Error, Request, Source};
use crate::clock::Clock;
use crate::geometry::Size;

pub use holder::Holder;
pub use listing::Listing;
pub use nodes::{Node, Usb};
pub use probe::{Report, survey};

/// Finds a device, agrees with it on what is cheapest to turn into a tensor of size `model`, and starts it.
///
/// # Errors
/// It is not there, is no camera, is in use, offers nothing that can be used, or its driver fails.
pub(super) fn open(
    matcher: &DeviceMatcher,
    request: &Request,
    model: Size,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn Source>, Error> {
    Ok(Box::new(device::Device::open(matcher, request, model, clock)?))
}
