//! V4L2 devices: found by name or by what they are, negotiated with, and streamed from.
//!
//! All ioctls and mapped memory are in `sys.rs`; everything above it is safe code. The crate `v4l` gives the interface's
//! structures and its ioctl layer.

mod device;
mod holder;
mod layout;
mod nodes;
mod probe;
mod resolve;
mod ring;
mod sys;

pub use device::Device;
pub use holder::Holder;
pub use nodes::{Node, Usb};
pub use probe::{Listing, Report, survey};
