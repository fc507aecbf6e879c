//! A video node that has been opened: what it is, and, if pictures can be captured from it, a handle for that.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::listing::{Listing, listings};
use super::nodes::Node;
use super::sys::{self, Capability, Family};
use super::verdict::{family_of, judge};
use crate::capture::{Error, ErrorKind};

/// A node that is open and has said what it is; it may be anything yet.
pub(super) struct Opened {
    pub(super) node: Node,
    pub(super) file: File,
    pub(super) capability: Capability,
}

/// A capturing node: all that is known of it, and its one descriptor, which the ring and the negotiation share.
pub(super) struct Handle {
    pub(super) node: Node,
    file: File,
    pub(super) capability: Capability,
    pub(super) family: Family,
    pub(super) listings: Vec<Listing>,
}

impl Opened {
    /// Opens a node and asks what it is; the error says what to do.
    pub(super) fn new(node: Node) -> Result<Opened, Error> {
        let path = node.path.clone();
        Opened::by(&path, node)
    }

    /// Opens a node by another of its names, which is the one that errors give.
    pub(super) fn by(path: &Path, node: Node) -> Result<Opened, Error> {
        let file = open(path)?;
        let capability = sys::capability(file.as_fd()).map_err(|e| {
            let e = Error::io(format!("{} is no V4L2 device", node.path.display()), e);
            match e.kind() {
                ErrorKind::Lost => e,
                _ => e.with_kind(ErrorKind::NotCapture),
            }
        })?;
        Ok(Opened { node, file, capability })
    }

    /// Asks what it offers, if it captures at all.
    pub(super) fn into_handle(self) -> Result<Handle, Error> {
        let family = family_of(&self.node, &self.capability)?;
        let listings = listings(self.file.as_fd(), family);
        let Opened { node, file, capability } = self;
        Ok(Handle { node, file, capability, family, listings })
    }
}

impl Handle {
    /// The descriptor.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Whether something on offer can be used; if not, why, and the way out.
    pub(super) fn judge(&self) -> Result<(), Error> {
        judge(&self.node, &self.capability, &self.listings)
    }
}

fn open(path: &Path) -> Result<File, Error> {
    sys::open(path).map_err(|e| {
        let hint = match e.raw_os_error() {
            Some(libc::ENOENT) if path.starts_with("/dev/v4l") => {
                "is the camera plugged in? `vigie cameras` lists what is there, with lasting names"
            }
            Some(libc::ENOENT) => "`vigie cameras` lists what is there",
            Some(libc::EACCES | libc::EPERM) => {
                "the user must be in the group video: `sudo usermod -aG video USER`; a container needs the device passed in"
            }
            Some(libc::EISDIR) => "a device node is wanted, such as /dev/video0",
            _ => return Error::file("open", path, e),
        };
        let folder = e.raw_os_error() == Some(libc::EISDIR);
        let error = Error::file("open", path, e).with_hint(hint);
        if folder { error.with_kind(ErrorKind::NotCapture) } else { error }
    })
}
