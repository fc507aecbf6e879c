//! The capture room from outside: a camera of every kind of file, on the system's clock.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect shall fail")]

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use vigie::capture::{Camera, DeviceMatcher, ErrorKind, Request, SourceSpec, State, Take, open};
use vigie::clock::{Clock, SystemClock};
use vigie::frame::{Frame, PixelFormat};
use vigie::geometry::Size;

const MODEL: Size = Size::new(320, 320);

fn request() -> Request {
    Request { size: None, fps: None, enough_fps: 10.0, format: None, stall_after: Duration::from_secs(2) }
}

fn empty() -> Frame {
    Frame::packed(PixelFormat::Grey, Size::default(), SystemClock.now())
}

/// A camera, and a channel that says when to look at it.
fn spawn(spec: SourceSpec) -> (Camera, mpsc::Receiver<()>) {
    let (wake, woken) = mpsc::sync_channel(1);
    let wake = Arc::new(move || {
        let _ = wake.try_send(());
    });
    (Camera::spawn("test", spec, request(), MODEL, Arc::new(SystemClock), wake), woken)
}

/// Frames until there are `count`; gives their sequence numbers.
fn frames(camera: &Camera, woken: &mpsc::Receiver<()>, count: usize) -> (Vec<u64>, Frame) {
    let (mut numbers, mut frame) = (Vec::new(), empty());
    while numbers.len() < count {
        woken.recv_timeout(Duration::from_secs(10)).expect("a frame within ten seconds");
        if camera.take(&mut frame, Duration::ZERO) == Take::Frame {
            numbers.push(frame.sequence);
        }
    }
    (numbers, frame)
}

#[test]
fn a_camera_delivers_the_test_card_and_stops_at_once() {
    let (mut camera, woken) = spawn(SourceSpec::TestCard { fps: 100.0 });
    let (numbers, frame) = frames(&camera, &woken, 20);
    assert!(numbers.windows(2).all(|n| n[0] < n[1]), "{numbers:?}");
    assert_eq!((frame.format, frame.size), (PixelFormat::Yuyv, Size::new(640, 480)));
    let health = camera.health();
    assert_eq!(health.state, State::Online);
    assert_eq!(
        health.counters.frames - health.counters.dropped,
        20,
        "taken or dropped, nothing else: {health:?}"
    );
    let before = SystemClock.now().monotonic;
    camera.stop();
    assert!(SystemClock.now().monotonic - before < Duration::from_secs(1));
}

#[test]
fn pictures_appear_when_the_folder_does() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("later");
    let (camera, woken) = spawn(SourceSpec::Pictures { path: folder.clone(), fps: 50.0 });
    woken.recv_timeout(Duration::from_secs(10)).unwrap();
    let health = camera.health();
    assert_eq!((health.state, health.kind), (State::Offline, Some(ErrorKind::NotFound)), "{health:?}");
    // Built aside and moved in whole, as a careful program does.
    let aside = dir.path().join("aside");
    std::fs::create_dir(&aside).unwrap();
    write_png(&aside.join("a.png"), 24, 16);
    write_png(&aside.join("b.png"), 40, 16);
    std::fs::write(aside.join("c.png"), b"not a picture").unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    let (_, frame) = frames(&camera, &woken, 5);
    assert_eq!(frame.format, PixelFormat::Rgb3);
    assert!([24, 40].contains(&frame.size.width));
    let health = camera.health();
    assert_eq!((health.state, health.reason), (State::Online, None));
    assert!(health.counters.unreadable > 0);
}

fn write_png(path: &Path, width: u32, height: u32) {
    let file = std::fs::File::create(path).unwrap();
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![90; (width * height * 3) as usize]).unwrap();
}

#[test]
fn a_clip_that_is_replaced_by_nonsense_goes_offline_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.y4m");
    let clip = |luma: u8| [b"YUV4MPEG2 W8 H8 F50:1 Cmono\nFRAME\n".as_slice(), &[luma; 64]].concat();
    std::fs::write(&path, clip(7)).unwrap();
    let (camera, woken) = spawn(SourceSpec::Clip { path: path.clone(), fps: None });
    let (numbers, frame) = frames(&camera, &woken, 3);
    assert_eq!(frame.data, [7; 64]);
    std::fs::write(&path, b"nonsense").unwrap();
    while camera.health().state != State::Offline {
        woken.recv_timeout(Duration::from_secs(10)).unwrap();
    }
    assert_eq!(camera.health().kind, Some(ErrorKind::BadInput));
    std::fs::write(&path, clip(9)).unwrap();
    let (again, frame) = frames(&camera, &woken, 1);
    assert!(again[0] > numbers[2], "the numbers go on");
    assert!([7, 9].contains(&frame.data[0]));
    assert_eq!(camera.health().counters.reopened, 1);
}

#[test]
fn a_device_that_is_none_says_what_it_is_and_what_to_do() {
    let kinds = |path: &str| {
        let spec = SourceSpec::Device(DeviceMatcher::Path(path.into()));
        let e = open(&spec, &request(), MODEL, Arc::new(SystemClock)).err().expect("no camera");
        assert!(e.hint().is_some(), "{e}");
        assert!(e.to_string().contains(path), "{e}");
        e.kind()
    };
    assert_eq!(kinds("/dev/video-that-is-not-there"), ErrorKind::NotFound);
    assert_eq!(kinds("/dev/null"), ErrorKind::NotCapture);
}
