//! What a video node is, what it offers, and whether pictures can be captured from it; if not, why, and the way out.

use std::fs::File;
use std::os::fd::AsFd;
use std::time::Duration;

use v4l::FourCC;
use v4l::v4l_sys as raw;

use super::holder::{Holder, holders};
use super::layout::{is_raw_sensor, meaning};
use super::nodes::{self, Node, Roots};
use super::resolve::open_node;
use super::sys::{self, Capability, Kind};
use super::unfinished::camera_port;
use crate::capture::negotiate::{Choice, Offer, Rates, Sizes, choose};
use crate::capture::{Error, ErrorKind, Request};
use crate::frame::PixelFormat;
use crate::geometry::Size;

/// Everything that is known of a video node.
#[derive(Debug)]
pub struct Report {
    /// The node and its names.
    pub node: Node,
    /// The driver's name; empty where the node can't be opened.
    pub driver: String,
    /// The card's name.
    pub card: String,
    /// The bus.
    pub bus: String,
    /// What it offers, understood or not.
    pub formats: Vec<Listing>,
    /// The processes that have it open, as far as they can be seen.
    pub holders: Vec<Holder>,
    /// Whether it can be used as a camera.
    pub verdict: Result<(), Error>,
}

impl Report {
    /// What would be asked of the device where the configuration asks for nothing; `model` is the detector's input size,
    /// `enough_fps` how many frames a second are looked at.
    pub fn choice(&self, model: Size, enough_fps: f32) -> Option<Choice> {
        self.verdict.as_ref().ok()?;
        let offers: Vec<Offer> = offers(&self.formats).into_iter().map(|(_, offer)| offer).collect();
        let request = Request { size: None, fps: None, enough_fps, format: None, stall_after: Duration::MAX };
        choose(&offers, &request, model).ok().map(|choices| choices.best)
    }
}

/// A pixel format that a node offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// V4L2's code.
    pub fourcc: String,
    /// The driver's words.
    pub description: String,
    /// Which of ours it is; `None`: not understood.
    pub format: Option<PixelFormat>,
    /// The sizes, each with its rates.
    pub sizes: Vec<(Sizes, Rates)>,
}

/// Looks at every video node of the system.
pub fn survey() -> Vec<Report> {
    let roots = Roots::system();
    nodes::list(&roots).into_iter().map(|node| report(node, &roots)).collect()
}

fn report(node: Node, roots: &Roots) -> Report {
    let holders = holders(&node.path, 0, roots);
    let none = |node: Node, verdict| Report {
        card: node.name.clone(),
        node,
        driver: String::new(),
        bus: String::new(),
        formats: Vec::new(),
        holders: holders.clone(),
        verdict: Err(verdict),
    };
    let opened = open_node(&node.path).and_then(|file| Ok((sys_capability(&node, &file)?, file)));
    let (capability, file) = match opened {
        Ok(opened) => opened,
        Err(e) => return none(node, e),
    };
    let mut formats = Vec::new();
    let mut verdict = kind_of(&node, &capability).map(|kind| formats = listings(&file, kind));
    if verdict.is_ok() {
        verdict =
            judge(&node, &capability, &formats).and_then(|()| if_free(&node, &file, &capability, &holders));
    }
    let Capability { driver, card, bus, .. } = capability;
    Report { node, driver, card, bus, formats, holders, verdict }
}

pub(super) fn sys_capability(node: &Node, file: &File) -> Result<Capability, Error> {
    sys::capability(file.as_fd()).map_err(|e| {
        let e = Error::io(format!("{} is no V4L2 device", node.path.display()), e);
        match e.kind() {
            ErrorKind::Lost => e,
            _ => e.with_kind(ErrorKind::NotCapture),
        }
    })
}

/// Drivers that offer capture nodes behind which there is no camera: image processors and codecs of boards.
const PROCESSORS: [&str; 6] =
    ["bcm2835-isp", "bcm2835-codec", "pispbe", "hantro-vpu", "rkvdec", "rockchip-rga"];

/// How pictures are captured from a node; the error says what it is instead.
pub(super) fn kind_of(node: &Node, c: &Capability) -> Result<Kind, Error> {
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
    Ok(if single { Kind::Single } else { Kind::Multi })
}

/// All that a node offers.
pub(super) fn listings(file: &File, kind: Kind) -> Vec<Listing> {
    let fd = file.as_fd();
    let sizes = |fourcc: FourCC| -> Vec<(Sizes, Rates)> {
        let mut sizes = sys::sizes(fd, fourcc);
        // A driver that doesn't say is taken at the size that it stands at.
        if sizes.is_empty()
            && let Ok(now) = sys::format(fd, kind)
        {
            sizes.push(Sizes::One(now.size));
        }
        let with_rates = |sizes: Sizes| {
            let at = match sizes {
                Sizes::One(size) => size,
                Sizes::Range { max, .. } => max,
            };
            (sizes, sys::rates(fd, fourcc, at))
        };
        sizes.into_iter().map(with_rates).collect()
    };
    let listing = |(fourcc, description): (FourCC, String)| {
        let format = meaning(fourcc).map(|m| m.format);
        Listing { fourcc: code(fourcc), description, format, sizes: sizes(fourcc) }
    };
    sys::formats(fd, kind).into_iter().map(listing).collect()
}

/// V4L2's code as people write it; what can't be printed becomes a dot.
fn code(fourcc: FourCC) -> String {
    let printable = |b: &u8| if b.is_ascii_graphic() { char::from(*b) } else { '.' };
    let trimmed: &[u8] = fourcc.repr.strip_suffix(b" ").unwrap_or(&fourcc.repr);
    trimmed.iter().map(printable).collect()
}

/// What can be negotiated for.
pub(super) fn offers(listings: &[Listing]) -> Vec<(FourCC, Offer)> {
    let mut offers = Vec::new();
    for listing in listings {
        let (Some(format), Ok(repr)) = (listing.format, listing.fourcc.as_bytes().try_into()) else {
            continue;
        };
        for (sizes, rates) in &listing.sizes {
            offers.push((FourCC { repr }, Offer { format, sizes: *sizes, rates: rates.clone() }));
        }
    }
    offers
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

/// Whether nobody else streams from it. Asking for no buffers changes nothing on a device that is free, and fails on one
/// whose buffers somebody else has; loopback devices serve several readers and are not asked.
fn if_free(node: &Node, file: &File, c: &Capability, holders: &[Holder]) -> Result<(), Error> {
    if c.driver.contains("loopback") {
        return Ok(());
    }
    let kind = kind_of(node, c)?;
    match sys::request_buffers(file.as_fd(), kind, 0) {
        Err(e) if e.raw_os_error() == Some(libc::EBUSY) => Err(busy(node, holders)),
        _ => Ok(()),
    }
}

/// The error of a device that somebody else captures from.
pub(super) fn busy(node: &Node, holders: &[Holder]) -> Error {
    let what = format!("{} is in use, {}", node.path.display(), super::holder::words(holders));
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
            sizes: vec![(Sizes::One(crate::geometry::Size::new(640, 480)), Rates::Unknown)],
        }
    }

    #[test]
    fn what_is_no_camera_says_what_it_is() {
        let streaming = raw::V4L2_CAP_STREAMING;
        let words = |driver: &str, caps| {
            kind_of(&node(), &capability(driver, caps)).map_err(|e| (e.kind(), e.to_string()))
        };
        assert_eq!(words("uvcvideo", streaming | raw::V4L2_CAP_VIDEO_CAPTURE), Ok(Kind::Single));
        assert_eq!(words("vivid", streaming | raw::V4L2_CAP_VIDEO_CAPTURE_MPLANE), Ok(Kind::Multi));
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
    fn who_has_it_is_named_or_how_to_find_out() {
        let motion = Holder { pid: 7, name: "motion".into() };
        let seen = busy(&node(), &[motion]);
        assert_eq!(seen.to_string(), "/dev/video3 is in use, held by motion (pid 7)");
        assert!(seen.hint().unwrap().ends_with("stop the other one"));
        let unseen = busy(&node(), &[]);
        assert_eq!(unseen.kind(), ErrorKind::Busy);
        assert!(unseen.hint().unwrap().contains("`sudo fuser -v /dev/video3`"), "{unseen}");
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
