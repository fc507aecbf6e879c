//! What a driver's refusal means: the device is busy, the bus full, its input untimed, or it is gone.

use std::io;

use super::driver::Driver as _;
use super::holder::{self, Holder, holders};
use super::nodes::{self, Node, Roots};
use super::open::Handle;
use super::unfinished;
use crate::capture::{Error, ErrorKind};

/// The error of a step that the driver refused.
pub(super) fn refused(what: &str, handle: &Handle, e: io::Error) -> Error {
    let own = 1;
    let node = &handle.node;
    match e.raw_os_error() {
        Some(libc::EBUSY) => {
            busy(node, &holders(&node.path, own, &Roots::system()))
        }
        Some(libc::ENOSPC) => Error::io(format!("cannot {what} on {}", node.path.display()), e).with_hint(
            "the USB bus has no bandwidth left: ask for a smaller size or rate, for MJPG, or plug the camera into another port",
        ),
        // What an input says whose signal is another than it was told, and a receiver whose pipeline nobody has set up.
        Some(libc::EINVAL | libc::EPIPE | libc::ENOLINK | libc::ENODATA | libc::ERANGE)
            if handle.input().is_some_and(|input| input.wants_timings) =>
        {
            unfinished::untimed(what, node, &handle.capability, e)
        }
        Some(libc::EINVAL | libc::EPIPE | libc::ENOLINK)
            if handle.capability.driver.contains("unicam")
                || handle.capability.driver.starts_with("rp1-cfe") =>
        {
            unfinished::camera_port(node, &handle.capability, &nodes::subdevices(&Roots::system()))
        }
        _ => Error::io(format!("cannot {what} on {}", node.path.display()), e),
    }
}

/// The error of a device that streamed: it went away, or something else happened.
pub(super) fn lost_or(path: &str, e: io::Error) -> Error {
    match e.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => Error::new(ErrorKind::Lost, format!("{path} went away")),
        _ => Error::io(format!("cannot take a frame from {path}"), e),
    }
}

/// The error of a device that somebody else captures from.
pub(super) fn busy(node: &Node, holders: &[Holder]) -> Error {
    let what = format!("{} is in use, {}", node.path.display(), holder::words(holders));
    let way = match holders {
        [] => format!(
            "`sudo fuser -v {}` names the other one, on the host if this is a container",
            node.path.display()
        ),
        _ => "stop the other one".to_owned(),
    };
    Error::new(ErrorKind::Busy, what).with_hint(format!("a V4L2 camera serves one program at a time: {way}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_it_is_named_or_how_to_find_out() {
        let node = Node { path: "/dev/video3".into(), name: String::new(), usb: None, links: Vec::new() };
        let motion = Holder { pid: 7, name: "motion".into() };
        let seen = busy(&node, &[motion]);
        assert_eq!(seen.to_string(), "/dev/video3 is in use, held by motion (pid 7)");
        assert!(seen.hint().unwrap().ends_with("stop the other one"));
        let unseen = busy(&node, &[]);
        assert_eq!(unseen.kind(), ErrorKind::Busy);
        assert!(unseen.hint().unwrap().contains("`sudo fuser -v /dev/video3`"), "{unseen}");
    }
}
