//! A camera whose driver is one for tests: what becomes of its pictures, good and bad.

use super::*;
use crate::capture::ErrorKind;
use crate::capture::jpeg::tests::picture;
use crate::capture::testing::FakeClock;
use crate::capture::v4l2::driver::Input;
use crate::capture::v4l2::fake::{Call, FakeDriver, broken, stamped};
use crate::capture::v4l2::sys::Format;

const SIZE: Size = Size::new(16, 16);
const NOW: Duration = Duration::ZERO;

/// A camera that gives pictures of 16 × 16 in that format.
fn camera(fourcc: &[u8; 4]) -> (Arc<FakeDriver>, Device<FakeDriver>) {
    let driver = Arc::new(FakeDriver::default());
    let ring = Ring::start(Arc::clone(&driver)).unwrap();
    let set = Format {
        fourcc: FourCC::new(fourcc),
        size: SIZE,
        field: v4l::v4l_sys::v4l2_field_V4L2_FIELD_NONE,
        colorspace: v4l::v4l_sys::v4l2_colorspace_V4L2_COLORSPACE_SRGB,
        ycbcr_enc: 0,
        quantization: 0,
        planes: vec![(0, 0)],
    };
    let layout = FrameLayout::of(&set).unwrap();
    let negotiated =
        Negotiated { name: "/dev/video3".into(), format: layout.format, size: SIZE, fps: Some(30.0) };
    let device = Device {
        ring,
        layout,
        negotiated,
        path: "/dev/video3".into(),
        stall_after: Duration::from_millis(20),
        clock: Arc::new(FakeClock::new()),
        truncated: 0,
        unreadable: 0,
        other_size: None,
    };
    (driver, device)
}

fn empty() -> Frame {
    Frame::packed(PixelFormat::Grey, Size::default(), FakeClock::new().now())
}

#[test]
fn a_whole_picture_is_copied_and_its_buffer_given_back() {
    let (driver, mut device) = camera(b"GREY");
    let mut frame = empty();
    driver.fill_as(5, &[7; 256], stamped(Duration::from_millis(999_950)));
    assert!(device.poll(&mut frame, NOW).unwrap());
    assert_eq!((frame.size, frame.data.len(), frame.data[255]), (SIZE, 256, 7));
    assert_eq!(frame.captured.monotonic, Duration::from_millis(999_950));
    assert_eq!(driver.has(), 4);
    assert!(!device.poll(&mut frame, NOW).unwrap(), "there is no other");
    assert_eq!(device.counters(), Counters::default());
}

#[test]
fn a_stamp_that_can_not_be_is_replaced_by_now() {
    let (driver, mut device) = camera(b"GREY");
    let mut frame = empty();
    let now = FakeClock::new().now().monotonic;
    for wrong in [now + Duration::from_millis(1), now - Duration::from_secs(10), Duration::ZERO] {
        driver.fill_as(0, &[7; 256], stamped(wrong));
        assert!(device.poll(&mut frame, NOW).unwrap());
        assert_eq!(frame.captured.monotonic, now, "{wrong:?}");
    }
    driver.fill_as(0, &[7; 256], |filled| filled.stamp = now - Duration::from_secs(1));
    assert!(device.poll(&mut frame, NOW).unwrap());
    assert_eq!(frame.captured.monotonic, now, "a stamp of no clock that we know");
}

#[test]
fn what_is_broken_is_counted_by_its_reason() {
    let (driver, mut device) = camera(b"MJPG");
    let mut frame = empty();
    let jpeg = picture(16, 16);
    let mut poll = |bytes: &[u8]| {
        driver.fill(0, bytes);
        device.poll(&mut frame, NOW).unwrap().then(|| frame.data.clone())
    };
    assert_eq!(poll(&jpeg[..jpeg.len() - 9]), None, "cut short");
    assert_eq!(poll(&[]), None, "nothing at all");
    assert_eq!(poll(b"no JPEG"), None);
    assert_eq!(poll(&picture(32, 16)), None, "another size");
    let behind = [&jpeg[..], b"what was in the buffer before"].concat();
    assert_eq!(poll(&behind).unwrap(), jpeg);
    driver.fill_as(0, &jpeg, broken);
    assert!(!device.poll(&mut frame, NOW).unwrap());
    let counted = Counters { truncated: 2, unreadable: 2, error_flagged: 1, ..Counters::default() };
    assert_eq!(device.counters(), counted);
    assert_eq!(driver.has(), 4, "broken ones are given back too");
    let why = device.why_silent().unwrap();
    assert!(why.starts_with("its JPEGs are 32x16 though 16x16 was agreed on"), "{why}");
}

#[test]
fn a_short_raw_picture_is_skipped_and_the_next_one_taken() {
    let (driver, mut device) = camera(b"YUYV");
    let mut frame = empty();
    driver.fill(0, &[7; 511]);
    assert!(!device.poll(&mut frame, NOW).unwrap());
    driver.fill(1, &[8; 512]);
    assert!(device.poll(&mut frame, NOW).unwrap());
    assert_eq!((frame.sequence, frame.data.len(), device.counters().truncated), (1, 512, 1));
}

#[test]
fn a_camera_that_is_unplugged_is_lost() {
    let (driver, mut device) = camera(b"GREY");
    let mut frame = empty();
    driver.fail(libc::ENODEV);
    let e = device.poll(&mut frame, NOW).unwrap_err();
    assert_eq!((e.kind(), e.to_string()), (ErrorKind::Lost, "/dev/video3 went away".to_owned()));
    driver.fail(libc::EIO);
    let e = device.poll(&mut frame, NOW).unwrap_err();
    assert!(e.to_string().starts_with("cannot take a frame from /dev/video3"), "{e}");
    driver.fill(0, &[7; 256]);
    driver.refuse(Call::Queue, libc::ENODEV);
    assert_eq!(device.poll(&mut frame, NOW).unwrap_err().kind(), ErrorKind::Lost, "as the buffer goes back");
}

#[test]
fn a_camera_that_is_silent_says_what_its_driver_knows() {
    let (driver, mut device) = camera(b"GREY");
    let mut frame = empty();
    driver.set_input(Input { trouble: Some("its input has no signal"), wants_timings: false });
    let e = device.next(&mut frame).unwrap_err();
    assert_eq!((e.kind(), e.hint()), (ErrorKind::Stalled, Some("its input has no signal")));
}
