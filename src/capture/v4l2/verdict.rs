//! Whether pictures can be captured from a node; if not, what it is instead, or what it wants first.

use v4l::FourCC;
use v4l::v4l_sys as raw;

use super::layout::is_raw_sensor;
use super::listing::Listing;
use super::nodes::{self, Node, Roots};
use super::sys::{Capability, Family};
use super::unfinished::camera_port;
use crate::capture::{Error, ErrorKind};
use crate::frame::PixelFormat;

/// Drivers that offer capture nodes behind which there is no camera: image processors and codecs of boards.
const PROCESSORS: [&str; 6] =
    ["bcm2835-isp", "bcm2835-codec", "pispbe", "hantro-vpu", "rkvdec", "rockchip-rga"];

/// How pictures are captured from a node; the error says what it is instead.
pub(super) fn family_of(node: &Node, c: &Capability) -> Result<Family, Error> {
    let path = node.path.display();
    let has = |bits| c.caps & bits != 0;
    let not = |what: &str| Err(Error::new(ErrorKind::NotCapture, format!("{path} ({}) {what}", c.card)));
    if has(raw::V4L2_CAP_VIDEO_M2M | raw::V4L2_CAP_VIDEO_M2M_MPLANE)
        || PROCESSORS.contains(&c.driver.as_str())
    {
        return not("is a codec or an image processor, not a camera");
    }
    let single = has(raw::V4L2_CAP_VIDEO_CAPTURE);
    if !single && !has(raw::V4L2_CAP_VIDEO_CAPTURE_MPLANE) {
        return not(if has(raw::V4L2_CAP_META_CAPTURE) {
            "carries a camera's metadata, not its pictures"
        } else if has(raw::V4L2_CAP_VIDEO_OUTPUT | raw::V4L2_CAP_VIDEO_OUTPUT_MPLANE) {
            "is an output: programs write pictures into it (a loopback turns into a camera when one does)"
        } else if has(raw::V4L2_CAP_TOUCH) {
            "is a touch sensor, not a camera"
        } else {
            "captures no video"
        });
    }
    if !has(raw::V4L2_CAP_STREAMING) {
        let what = format!("{path} ({}) can't stream", c.card);
        return Err(Error::new(ErrorKind::Unsupported, what));
    }
    Ok(if single { Family::Single } else { Family::Multi })
}

/// Whether something on offer can be used.
pub(super) fn judge(node: &Node, c: &Capability, listings: &[Listing]) -> Result<(), Error> {
    let understood = listings.iter().any(|listing| listing.format.is_some());
    // A receiver that leaves everything to the media controller lists every format there is, and streams none of them
    // before somebody has set up its pipeline.
    let unprocessed = c.driver.starts_with("rp1-cfe") && c.caps & raw::V4L2_CAP_IO_MC != 0;
    if understood && !unprocessed {
        return Ok(());
    }
    let path = node.path.display();
    let raw = listings
        .iter()
        .any(|l| l.fourcc.as_bytes().try_into().is_ok_and(|repr| is_raw_sensor(FourCC { repr })));
    if raw || unprocessed || c.driver.contains("unicam") {
        return Err(camera_port(node, c, &nodes::subdevices(&Roots::system())));
    }
    let what = match listings {
        [] => format!("{path} ({}) offers no pixel format", c.card),
        some => {
            let codes: Vec<&str> = some.iter().map(|l| l.fourcc.as_str()).collect();
            format!("{path} ({}) offers only {}, which Vigie doesn't understand", c.card, codes.join(", "))
        }
    };
    let known: Vec<&str> = PixelFormat::ALL.iter().map(|format| format.name()).collect();
    Err(Error::new(ErrorKind::Unsupported, what).with_hint(format!("it understands {}", known.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::negotiate::{Rates, Sizes};
    use crate::capture::v4l2::layout::meaning;
    use crate::capture::v4l2::listing::code;
    use crate::geometry::Size;

    fn node() -> Node {
        Node { path: "/dev/video3".into(), name: String::new(), usb: None, links: Vec::new() }
    }

    fn capability(driver: &str, caps: u32) -> Capability {
        Capability { driver: driver.into(), card: "a card".into(), bus: "a bus".into(), caps }
    }

    fn listing(fourcc: &[u8; 4]) -> Listing {
        let fourcc = FourCC::new(fourcc);
        Listing {
            fourcc: code(fourcc),
            description: String::new(),
            format: meaning(fourcc).map(|m| m.format),
            sizes: vec![(Sizes::One(Size::new(640, 480)), Rates::Unknown)],
        }
    }

    #[test]
    fn what_is_no_camera_says_what_it_is() {
        let streaming = raw::V4L2_CAP_STREAMING;
        let words = |driver: &str, caps| {
            family_of(&node(), &capability(driver, caps)).map_err(|e| (e.kind(), e.to_string()))
        };
        assert_eq!(words("uvcvideo", streaming | raw::V4L2_CAP_VIDEO_CAPTURE), Ok(Family::Single));
        assert_eq!(words("vivid", streaming | raw::V4L2_CAP_VIDEO_CAPTURE_MPLANE), Ok(Family::Multi));
        for (driver, caps, word) in [
            ("uvcvideo", raw::V4L2_CAP_META_CAPTURE, "metadata"),
            ("v4l2 loopback", raw::V4L2_CAP_VIDEO_OUTPUT, "output"),
            ("bcm2835-codec", raw::V4L2_CAP_VIDEO_M2M_MPLANE, "codec"),
            ("pispbe", raw::V4L2_CAP_VIDEO_CAPTURE_MPLANE, "image processor"),
            ("tuner", raw::V4L2_CAP_RADIO, "no video"),
        ] {
            let (kind, text) = words(driver, streaming | caps).unwrap_err();
            assert_eq!(kind, ErrorKind::NotCapture);
            assert!(text.contains(word) && text.contains("/dev/video3"), "{text}");
        }
        let (kind, _) = words("old", raw::V4L2_CAP_VIDEO_CAPTURE).unwrap_err();
        assert_eq!(kind, ErrorKind::Unsupported);
    }

    #[test]
    fn a_bare_sensor_gets_the_way_out() {
        let verdict = |driver: &str, caps, codes: &[&[u8; 4]]| {
            let listings: Vec<Listing> = codes.iter().map(|code| listing(code)).collect();
            judge(&node(), &capability(driver, caps), &listings)
        };
        for e in [
            verdict("unicam", 0, &[b"pRAA", b"RG10"]).unwrap_err(),
            verdict("rp1-cfe", raw::V4L2_CAP_IO_MC, &[b"YUYV", b"pBAA"]).unwrap_err(),
            verdict("rkcif", 0, &[b"BG12"]).unwrap_err(),
        ] {
            assert_eq!(e.kind(), ErrorKind::Unsupported);
            assert!(e.hint().unwrap().contains("v4l2loopback"), "{e}");
        }
        // A bridge from HDMI on the same port gives pictures.
        assert!(verdict("unicam", 0, &[b"UYVY"]).is_ok());
        let e = verdict("uvcvideo", 0, &[b"H264"]).unwrap_err();
        assert!(e.to_string().contains("only H264"), "{e}");
        assert!(verdict("uvcvideo", 0, &[]).unwrap_err().to_string().contains("no pixel format"));
    }
}
