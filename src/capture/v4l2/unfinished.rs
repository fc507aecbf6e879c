//! Nodes that give no finished picture as they are: a bare sensor at a board's camera port, and a bridge (from HDMI, say)
//! that nobody has told the timings of its signal. What each wants is said here.

use std::io;
use std::path::Path;

use super::driver::Input;
use super::nodes::Node;
use super::sys::Capability;
use crate::capture::{Error, ErrorKind};

/// Chips that turn HDMI or SDI into what a camera port takes, by a part of the names of their sub-devices.
const BRIDGES: [&str; 7] = ["tc358743", "adv7604", "adv761", "adv748", "adv7842", "lt6911", "rk628"];

/// A camera port that gives no finished picture; `chips` are the names of the system's sub-devices.
pub(super) fn camera_port(node: &Node, c: &Capability, chips: &[String]) -> Error {
    let bridge = chips.iter().find(|chip| BRIDGES.iter().any(|bridge| chip.contains(bridge)));
    match bridge {
        Some(chip) => bridge_port(node, c, chip),
        None => raw_sensor(node, c),
    }
}

/// A port whose receiver leaves all to the media controller, with a bridge behind it.
fn bridge_port(node: &Node, c: &Capability, chip: &str) -> Error {
    let path = node.path.display();
    let what = format!(
        "{path} ({}, {}) is the port of a bridge ({chip}), which gives no picture before its timings and the media \
         pipeline are set up",
        c.card, c.driver,
    );
    Error::new(ErrorKind::Unsupported, what).with_hint(format!(
        "use a USB capture stick; or tell the bridge its timings (`v4l2-ctl -d /dev/v4l-subdevN --set-edid type=hdmi`, \
         then, with the source switched on, `--set-dv-bt-timings query`), link the pipeline with `media-ctl`, and let \
         `gst-launch-1.0 v4l2src device={path} ! videoconvert ! video/x-raw,format=NV12 ! v4l2sink device=/dev/video10` \
         feed a loopback node (`modprobe v4l2loopback video_nr=10 exclusive_caps=1`); name /dev/video10 as the device"
    ))
}

/// The camera port of a board: what comes out of it is no picture yet.
fn raw_sensor(node: &Node, c: &Capability) -> Error {
    let what = format!(
        "{} ({}, {}) is a bare camera sensor: its raw mosaic becomes a picture only in the board's camera stack",
        node.path.display(),
        c.card,
        c.driver,
    );
    let raspberry = c.driver.contains("unicam") || c.driver.starts_with("rp1-cfe");
    let (stack, source) = if c.driver.contains("tegra") || c.bus.contains("tegra") {
        (
            "NVIDIA's camera stack",
            "nvarguscamerasrc sensor-id=0 ! 'video/x-raw(memory:NVMM),format=NV12,width=1280,height=720' ! nvvidconv ! \
             video/x-raw,format=I420",
        )
    } else if raspberry {
        ("libcamera", "libcamerasrc ! video/x-raw,format=NV12,width=1280,height=720")
    } else {
        (
            "the board's camera stack (libcamera where it knows the board; else the maker's own source in place of \
             libcamerasrc)",
            "libcamerasrc ! video/x-raw,format=NV12,width=1280,height=720",
        )
    };
    Error::new(ErrorKind::Unsupported, what).with_hint(format!(
        "use a USB camera, or let {stack} feed a loopback node: `modprobe v4l2loopback video_nr=10 exclusive_caps=1`, \
         then `gst-launch-1.0 {source} ! v4l2sink device=/dev/video10`, and name /dev/video10 as the device"
    ))
}

/// An input that wants to be told its timings, and refused a step.
pub(super) fn untimed(what: &str, node: &Node, c: &Capability, e: io::Error) -> Error {
    let path = &node.path;
    let what = format!(
        "cannot {what} on {} ({}, {}), an input that must be told the timings of its signal",
        path.display(),
        c.card,
        c.driver,
    );
    Error::io(what, e).with_kind(ErrorKind::Unsupported).with_hint(timings(path))
}

/// Why no frames come, by what the driver says of the input.
pub(super) fn silence(input: Input, node: &Path) -> Option<String> {
    match (input.trouble, input.wants_timings) {
        (Some(trouble), false) => Some(trouble.to_owned()),
        (Some(trouble), true) => Some(format!("{trouble}; {}", timings(node))),
        (None, true) => Some(timings(node)),
        (None, false) => None,
    }
}

fn timings(node: &Path) -> String {
    let path = node.display();
    format!(
        "such an input (HDMI) must be told what to expect: `v4l2-ctl -d {path} --set-edid type=hdmi`, then, with the \
         source switched on, `v4l2-ctl -d {path} --set-dv-bt-timings query`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        Node { path: "/dev/video3".into(), name: String::new(), usb: None, links: Vec::new() }
    }

    fn capability(driver: &str, bus: &str) -> Capability {
        Capability { driver: driver.into(), card: "a card".into(), bus: bus.into(), caps: 0 }
    }

    #[test]
    fn each_board_is_told_its_own_camera_stack() {
        for (driver, bus, source) in [
            ("unicam", "platform:fe801000.csi", "gst-launch-1.0 libcamerasrc !"),
            ("rp1-cfe", "platform:1f00128000.csi", "gst-launch-1.0 libcamerasrc !"),
            ("tegra-video", "platform:tegra-capture-vi:1", "gst-launch-1.0 nvarguscamerasrc "),
            ("rkcif", "platform:rkcif", "the maker's own source"),
        ] {
            let e = camera_port(&node(), &capability(driver, bus), &["imx219 9-0010".to_owned()]);
            let hint = e.hint().unwrap();
            assert_eq!(e.kind(), ErrorKind::Unsupported);
            assert!(e.to_string().contains("bare camera sensor"), "{e}");
            assert!(hint.contains(source) && hint.contains("v4l2loopback"), "{driver}: {hint}");
            assert_eq!(hint.contains("libcamera"), !driver.starts_with("tegra"), "{driver}: {hint}");
        }
    }

    #[test]
    fn a_bridge_is_no_sensor_and_is_told_its_timings() {
        let chips = ["csi2".to_owned(), "tc358743 11-000f".to_owned()];
        let e = camera_port(&node(), &capability("rp1-cfe", "platform:1f00128000.csi"), &chips);
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.to_string().contains("a bridge (tc358743 11-000f)"), "{e}");
        assert!(
            !e.to_string().contains("sensor") && e.hint().unwrap().contains("--set-dv-bt-timings"),
            "{e}"
        );

        let refusal = io::Error::from_raw_os_error(libc::EPIPE);
        let e = untimed("start streaming", &node(), &capability("unicam", ""), refusal);
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        let text =
            "cannot start streaming on /dev/video3 (a card, unicam), an input that must be told the timings";
        assert!(e.to_string().starts_with(text), "{e}");
        assert!(e.hint().unwrap().contains("v4l2-ctl -d /dev/video3 --set-dv-bt-timings query"), "{e}");
    }

    #[test]
    fn silence_is_explained_by_what_the_input_says() {
        let said =
            |trouble, wants_timings| silence(Input { trouble, wants_timings }, Path::new("/dev/video3"));
        assert_eq!(said(None, false), None);
        assert_eq!(said(Some("its input has no power"), false).unwrap(), "its input has no power");
        let hdmi = said(Some("its input has no signal"), true).unwrap();
        assert!(hdmi.starts_with("its input has no signal; ") && hdmi.contains("--set-edid"), "{hdmi}");
        assert!(said(None, true).unwrap().contains("--set-dv-bt-timings"));
    }
}
