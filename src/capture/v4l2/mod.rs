//! V4L2 devices: found by name or by what they are, negotiated with, and streamed from.
//!
//! `ioctl.rs` binds request codes to their structures, `sys.rs` has the calls and the mapped memory, `ring.rs` sees to it
//! that a buffer is read only while the driver doesn't own it; everything above these is safe code. The crate `v4l` gives
//! the interface's structures and its ioctl layer.

mod device;
mod holder;
mod ioctl;
mod layout;
mod nodes;
mod probe;
mod resolve;
mod ring;
mod sys;
mod unfinished;

pub use device::Device;
pub use holder::Holder;
pub use nodes::{Node, Usb};
pub use probe::{Listing, Report, survey};
