//! `vigie cameras`: which cameras are there, what can they do, how are they named in the configuration?

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use serde_json::{Value, json};

use super::{Outcome, output};
use crate::capture::negotiate::{Rates, Sizes};
use crate::capture::v4l2::{Listing, Report, survey};
use crate::config::defaults;
use crate::geometry::Size;

/// Lists the video devices, what they offer, and why one can't be used.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Prints each device as a JSON object on a line of its own.
    #[arg(long)]
    json: bool,
}

/// The input size of the shipped model, for which the choice is shown.
const MODEL: Size = Size::new(320, 320);

/// Runs the command.
pub fn run(args: Args) -> Outcome {
    let reports = survey();
    if args.json {
        for report in &reports {
            output::json_line(&to_json(report))?;
        }
    } else {
        let colour =
            std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        output::text(&to_text(&reports, Style { colour }))?;
    }
    if reports.is_empty() {
        for line in NO_NODES {
            output::say(line);
        }
    }
    Ok(())
}

const NO_NODES: [&str; 6] = [
    "no video device: there is no /dev/video* on this system",
    "  a USB camera: plug it in, then see `lsusb` and `dmesg | tail`; the kernel module is uvcvideo",
    "  a CSI camera: enable its overlay (Raspberry Pi: camera_auto_detect=1 in /boot/firmware/config.txt)",
    "  a container: pass the device in, for instance with --device /dev/video0 --group-add video",
    "  to try without a camera: source = { testcard = true }, or { pictures = \"DIR\", fps = 2 }",
    "  or `vigie demo`",
];

fn to_json(report: &Report) -> Value {
    let usb = report.node.usb.as_ref();
    let verdict = report.verdict.as_ref().err();
    json!({
        "path": report.node.path,
        "links": report.node.links,
        "card": report.card,
        "driver": report.driver,
        "bus": report.bus,
        "usb": usb.map(|usb| format!("{:04x}:{:04x}", usb.id.0, usb.id.1)),
        "serial": usb.and_then(|usb| usb.serial.as_ref()),
        "usable": verdict.is_none(),
        "kind": verdict.map(|e| e.kind().name()),
        "reason": verdict.map(ToString::to_string),
        "hint": verdict.and_then(|e| e.hint()),
        "holders": report.holders.iter().map(|h| json!({"pid": h.pid, "name": h.name})).collect::<Vec<_>>(),
        "choice": report.choice(MODEL, defaults::MAX_FPS).map(|c| {
            json!({
                "format": c.format.name(),
                "width": c.size.width,
                "height": c.size.height,
                "fps": c.fps.map(rounded),
            })
        }),
        "formats": report.formats.iter().map(format_json).collect::<Vec<_>>(),
    })
}

fn format_json(listing: &Listing) -> Value {
    let size = |(sizes, rates): &(Sizes, Rates)| {
        let fps = match rates {
            Rates::Unknown => Value::Null,
            Rates::List(list) => json!(list.iter().copied().map(rounded).collect::<Vec<_>>()),
            Rates::Range(min, max) => json!({"min": rounded(*min), "max": rounded(*max)}),
        };
        match sizes {
            Sizes::One(size) => json!({"width": size.width, "height": size.height, "fps": fps}),
            Sizes::Range { min, max, step } => json!({
                "min": [min.width, min.height],
                "max": [max.width, max.height],
                "step": [step.width, step.height],
                "fps": fps,
            }),
        }
    };
    json!({
        "fourcc": listing.fourcc,
        "description": listing.description,
        "format": listing.format.map(|format| format.name()),
        "sizes": listing.sizes.iter().map(size).collect::<Vec<_>>(),
    })
}

/// A rate with two decimals; JSON shows 29.97 and not 29.969999313354492.
fn rounded(fps: f32) -> f64 {
    (f64::from(fps) * 100.0).round() / 100.0
}

/// Colours, on a terminal.
#[derive(Clone, Copy)]
struct Style {
    colour: bool,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }
}

fn to_text(reports: &[Report], style: Style) -> String {
    let (usable, other): (Vec<&Report>, Vec<&Report>) = reports.iter().partition(|r| r.verdict.is_ok());
    let mut text = String::new();
    for report in usable {
        camera(&mut text, report, style);
    }
    if !other.is_empty() {
        text += &style.dim("Video devices that can't be used as they are:");
        text += "\n\n";
    }
    for report in other {
        unusable(&mut text, report, style);
    }
    text
}

/// Columns that the text may fill.
const WIDTH: usize = 100;
/// Columns of the keys at the left.
const INDENT: usize = 11;

fn camera(text: &mut String, report: &Report, style: Style) {
    heading(text, report, style.paint("32", "●"), style);
    let mut row = |key: &str, value: &str| {
        for (i, line) in wrap(value, WIDTH - INDENT).into_iter().enumerate() {
            let key = style.dim(&format!("{:<8} ", if i == 0 { key } else { "" }));
            let _ = writeln!(text, "  {key}{line}");
        }
    };
    row("driver", &format!("{} at {}", report.driver, report.bus));
    if let Some(usb) = &report.node.usb {
        let serial = usb.serial.as_ref().map(|serial| format!(", serial {serial}")).unwrap_or_default();
        row("usb", &format!("{:04x}:{:04x}{serial}", usb.id.0, usb.id.1));
    }
    for (i, link) in report.node.links.iter().enumerate() {
        row(if i == 0 { "names" } else { "" }, &link.display().to_string());
    }
    let (known, unknown): (Vec<&Listing>, Vec<&Listing>) =
        report.formats.iter().partition(|l| l.format.is_some());
    for (i, (codes, sizes)) in alike(&known).into_iter().enumerate() {
        row(if i == 0 { "formats" } else { "" }, &format!("{codes}  {sizes}"));
    }
    if !unknown.is_empty() {
        let codes: Vec<&str> = unknown.iter().map(|l| l.fourcc.as_str()).collect();
        row("unused", &codes.join(" "));
    }
    if !report.holders.is_empty() {
        let names: Vec<String> = report.holders.iter().map(ToString::to_string).collect();
        row("open in", &names.join(", "));
    }
    if let Some(choice) = report.choice(MODEL, defaults::MAX_FPS) {
        row("chosen", &format!("{choice} for a model of {MODEL}, where nothing else is asked for"));
    }
    row("source", &source_line(report));
    text.push('\n');
}

/// What to write into the configuration: what lasts longest.
fn source_line(report: &Report) -> String {
    match &report.node.usb {
        Some(usb) => {
            let serial =
                usb.serial.as_ref().map(|serial| format!(", serial = {serial:?}")).unwrap_or_default();
            format!("{{ usb = \"{:04x}:{:04x}\"{serial} }}", usb.id.0, usb.id.1)
        }
        None => format!("{{ device = {:?} }}", report.node.links.first().unwrap_or(&report.node.path)),
    }
}

fn unusable(text: &mut String, report: &Report, style: Style) {
    heading(text, report, style.paint("33", "○"), style);
    let Err(e) = &report.verdict else { return };
    // The heading has said which device it is.
    let reason = e.to_string();
    let heading = format!("{} ({}) ", report.node.path.display(), report.card);
    for line in wrap(reason.strip_prefix(&heading).unwrap_or(&reason), WIDTH - 2) {
        let _ = writeln!(text, "  {line}");
    }
    for (i, line) in e.hint().into_iter().flat_map(|hint| wrap(hint, WIDTH - 4)).enumerate() {
        let _ = writeln!(text, "  {} {}", if i == 0 { "→" } else { " " }, style.dim(&line));
    }
    text.push('\n');
}

fn heading(text: &mut String, report: &Report, dot: String, style: Style) {
    let _ = writeln!(text, "{dot} {}  {}", style.bold(&report.node.path.display().to_string()), report.card);
}

/// Formats with the same sizes and rates in one row: their codes, and the sizes in words.
fn alike(listings: &[&Listing]) -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = Vec::new();
    for listing in listings {
        let sizes = sizes_in_words(listing);
        match rows.iter_mut().find(|(_, known)| *known == sizes) {
            Some((codes, _)) => {
                codes.push(' ');
                codes.push_str(&listing.fourcc);
            }
            None => rows.push((listing.fourcc.clone(), sizes)),
        }
    }
    rows
}

/// The sizes of a format, those with the same fastest rate together: `640x480 640x360 at 30 fps, 1280x720 at 10 fps`.
fn sizes_in_words(listing: &Listing) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (sizes, rates) in &listing.sizes {
        let size = match sizes {
            Sizes::One(size) => size.to_string(),
            Sizes::Range { min, max, .. } => format!("{min} to {max}"),
        };
        let rate = match rates {
            Rates::Unknown => String::new(),
            Rates::List(list) => format!(" at {} fps", rounded(list.iter().copied().fold(0.0, f32::max))),
            Rates::Range(_, max) => format!(" at {} fps", rounded(*max)),
        };
        match groups.iter_mut().find(|(known, _)| *known == rate) {
            Some((_, sizes)) => sizes.push(size),
            None => groups.push((rate, vec![size])),
        }
    }
    let words: Vec<String> = groups.into_iter().map(|(rate, sizes)| sizes.join(" ") + &rate).collect();
    words.join(", ")
}

/// Breaks a text at blanks into lines of at most `width` columns; a longer word gets a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines
            .last_mut()
            .filter(|line| line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::v4l2::{Node, Usb};
    use crate::capture::{Error, ErrorKind};
    use crate::frame::PixelFormat;

    fn webcam() -> Report {
        let sizes = |list: &[(u32, u32, f32)]| -> Vec<(Sizes, Rates)> {
            list.iter()
                .map(|&(w, h, fps)| (Sizes::One(Size::new(w, h)), Rates::List(vec![fps, 5.0])))
                .collect()
        };
        let listing = |fourcc: &str, format, list: &[(u32, u32, f32)]| Listing {
            fourcc: fourcc.into(),
            description: "words".into(),
            format,
            sizes: sizes(list),
        };
        Report {
            node: Node {
                path: "/dev/video0".into(),
                name: "C920".into(),
                usb: Some(Usb { id: (0x046d, 0x082d), serial: Some("A1".into()) }),
                links: vec!["/dev/v4l/by-id/usb-C920-video-index0".into()],
            },
            driver: "uvcvideo".into(),
            card: "HD Pro Webcam C920".into(),
            bus: "usb-0000:01:00.0-1.2".into(),
            formats: vec![
                listing(
                    "YUYV",
                    Some(PixelFormat::Yuyv),
                    &[(640, 480, 30.0), (640, 360, 30.0), (1280, 720, 10.0)],
                ),
                listing("H264", None, &[(1920, 1080, 30.0)]),
            ],
            holders: Vec::new(),
            verdict: Ok(()),
        }
    }

    #[test]
    fn a_camera_is_shown_with_the_line_for_the_configuration() {
        let shown = to_text(&[webcam()], Style { colour: false });
        let expected = "\
● /dev/video0  HD Pro Webcam C920
  driver   uvcvideo at usb-0000:01:00.0-1.2
  usb      046d:082d, serial A1
  names    /dev/v4l/by-id/usb-C920-video-index0
  formats  YUYV  640x480 640x360 at 30 fps, 1280x720 at 10 fps
  unused   H264
  chosen   YUYV 640x360 at 5 fps for a model of 320x320, where nothing else is asked for
  source   { usb = \"046d:082d\", serial = \"A1\" }

";
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_can_not_be_used_says_why_and_what_to_do() {
        let verdict =
            Err(Error::new(ErrorKind::Busy, "/dev/video0 is in use, held by motion (pid 7)")
                .with_hint("stop it"));
        let report = Report { verdict, ..webcam() };
        let shown = to_text(std::slice::from_ref(&report), Style { colour: false });
        assert!(shown.contains("can't be used"), "{shown}");
        assert!(
            shown.ends_with("  /dev/video0 is in use, held by motion (pid 7)\n  → stop it\n\n"),
            "{shown}"
        );
        let value = to_json(&report);
        assert_eq!((&value["usable"], &value["kind"]), (&json!(false), &json!("busy")));
    }

    #[test]
    fn json_has_what_a_script_needs() {
        let value = to_json(&webcam());
        assert_eq!(value["usb"], "046d:082d");
        assert_eq!(
            value["formats"][0]["sizes"][2],
            json!({"width": 1280, "height": 720, "fps": [10.0, 5.0]})
        );
        assert_eq!(value["choice"], json!({"format": "YUYV", "width": 640, "height": 360, "fps": 5.0}));
    }

    #[test]
    fn long_lines_are_broken_at_blanks() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensibilities a", 5), ["incomprehensibilities", "a"]);
    }
}
