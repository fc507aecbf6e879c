//! From what a camera is called to an open device; done anew at every open, because numbers move and plugs do too.

use super::nodes::{self, Node, Roots, Usb};
use super::open::{Handle, Opened};
use super::sys::Capability;
use crate::capture::{DeviceMatcher, Error, ErrorKind};

/// Finds and opens a device that pictures can be captured from.
pub(super) fn resolve(matcher: &DeviceMatcher, roots: &Roots) -> Result<Handle, Error> {
    match matcher {
        DeviceMatcher::Path(path) => {
            let opened = Opened::by(path, nodes::describe(path, roots));
            let handle = opened.and_then(Opened::into_handle).map_err(|e| match e.kind() {
                ErrorKind::NotCapture if e.hint().is_none() => {
                    e.with_hint("`vigie cameras` lists the nodes that pictures can be captured from")
                }
                _ => e,
            })?;
            handle.judge()?;
            Ok(handle)
        }
        DeviceMatcher::Match { .. } => search(matcher, nodes::list(roots)),
    }
}

/// Opens the first usable node that fits.
fn search(matcher: &DeviceMatcher, nodes: Vec<Node>) -> Result<Handle, Error> {
    let mut seen = Vec::new();
    let mut trouble = None;
    for node in nodes {
        if !fits_usb(matcher, node.usb.as_ref()) {
            seen.push(name(&node, None));
            continue;
        }
        let attempt = Opened::new(node).and_then(|opened| {
            if !fits_card(matcher, &opened.capability) {
                seen.push(name(&opened.node, Some(&opened.capability)));
                return Ok(None);
            }
            let handle = opened.into_handle()?;
            handle.judge()?;
            Ok(Some(handle))
        });
        match attempt {
            Ok(Some(handle)) => return Ok(handle),
            Ok(None) => {}
            // A camera's metadata node fits as well as its picture node, and is no trouble.
            Err(e) if e.kind() == ErrorKind::NotCapture => {}
            Err(e) => trouble = trouble.or(Some(e)),
        }
    }
    // A device that fits but can't be used is worth more words than that there is none.
    Err(trouble.unwrap_or_else(|| {
        let found = match &seen[..] {
            [] => "there is no camera at all".to_owned(),
            some => format!("found {}", some.join("; ")),
        };
        Error::new(ErrorKind::NotFound, format!("no camera is {matcher}: {found}"))
            .with_hint("is it plugged in? `vigie cameras` lists what is there")
    }))
}

fn name(node: &Node, capability: Option<&Capability>) -> String {
    let card = capability.map_or(node.name.as_str(), |c| c.card.as_str());
    let usb =
        node.usb.as_ref().map(|usb| format!(", usb {:04x}:{:04x}", usb.id.0, usb.id.1)).unwrap_or_default();
    format!("{} ({card}{usb})", node.path.display())
}

/// Whether what sysfs knows fits; needs no opening.
fn fits_usb(matcher: &DeviceMatcher, found: Option<&Usb>) -> bool {
    let DeviceMatcher::Match { usb, serial, .. } = matcher else { return true };
    let id_fits = usb.is_none_or(|id| found.is_some_and(|usb| usb.id == id));
    let serial_fits =
        serial.as_ref().is_none_or(|wanted| found.is_some_and(|usb| usb.serial.as_ref() == Some(wanted)));
    id_fits && serial_fits
}

/// Whether what the device says of itself fits.
fn fits_card(matcher: &DeviceMatcher, capability: &Capability) -> bool {
    let DeviceMatcher::Match { card, bus, .. } = matcher else { return true };
    let card_fits =
        card.as_ref().is_none_or(|part| capability.card.to_lowercase().contains(&part.to_lowercase()));
    card_fits && bus.as_ref().is_none_or(|part| capability.bus.contains(part.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::v4l2::nodes::tests::system;

    fn matcher(
        usb: Option<(u16, u16)>,
        serial: Option<&str>,
        card: Option<&str>,
        bus: Option<&str>,
    ) -> DeviceMatcher {
        let own = |s: Option<&str>| s.map(str::to_owned);
        DeviceMatcher::Match { usb, serial: own(serial), card: own(card), bus: own(bus) }
    }

    #[test]
    fn everything_that_is_given_must_fit() {
        let usb = Usb { id: (0x046d, 0x0825), serial: Some("A1".into()) };
        let fits = |m: &DeviceMatcher| fits_usb(m, Some(&usb));
        assert!(fits(&matcher(Some((0x046d, 0x0825)), None, None, None)));
        assert!(fits(&matcher(Some((0x046d, 0x0825)), Some("A1"), None, None)));
        assert!(!fits(&matcher(Some((0x046d, 0x0825)), Some("A2"), None, None)));
        assert!(!fits(&matcher(Some((0x046d, 0x0826)), None, None, None)));
        assert!(!fits_usb(&matcher(None, Some("A1"), None, None), None));
        let c =
            Capability { driver: "uvcvideo".into(), card: "HD Pro".into(), bus: "usb-1.2".into(), caps: 0 };
        assert!(fits_card(&matcher(None, None, Some("hd p"), Some("1.2")), &c));
        assert!(!fits_card(&matcher(None, None, Some("hd p"), Some("1.3")), &c));
    }

    #[test]
    fn a_camera_that_is_not_there_is_not_found_and_what_is_there_is_told() {
        let (_dir, roots) = system();
        let wanted = matcher(Some((0x1234, 0xABCD)), Some("X"), None, None);
        let e = resolve(&wanted, &roots).err().unwrap();
        assert_eq!(e.kind(), ErrorKind::NotFound);
        let text = e.to_string();
        assert!(text.starts_with("no camera is usb 1234:abcd, serial \"X\": found "), "{text}");
        assert!(text.contains("(HD Webcam, usb 046d:0825)"), "{text}");
        let e = resolve(&wanted, &Roots { sys: "/nowhere".into(), dev: "/nowhere".into(), ..roots })
            .err()
            .unwrap();
        assert!(e.to_string().ends_with("there is no camera at all"), "{e}");
    }

    #[test]
    fn a_path_that_is_no_device_says_so() {
        let kind = |path: &str| {
            let e = resolve(&DeviceMatcher::Path(path.into()), &Roots::system()).err().unwrap();
            assert!(e.hint().is_some(), "{e}");
            (e.kind(), e.to_string())
        };
        assert_eq!(kind("/dev/video-none").0, ErrorKind::NotFound);
        assert!(kind("/dev/null").1.starts_with("/dev/null is no V4L2 device"));
        assert_eq!(kind("/dev/null").0, ErrorKind::NotCapture);
        assert_eq!(kind("/dev").0, ErrorKind::NotCapture);
        let (_dir, roots) = system();
        let file = roots.dev.join("video2");
        assert_eq!(kind(file.to_str().unwrap()).0, ErrorKind::NotCapture, "a plain file");
    }
}
