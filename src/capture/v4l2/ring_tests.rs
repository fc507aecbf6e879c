//! The ring against a driver that fills, breaks and fails on command.

use super::*;
use crate::capture::v4l2::fake::{CAPACITY, Call, FakeDriver, broken};

const NOW: Duration = Duration::ZERO;

fn started() -> (Arc<FakeDriver>, Ring<FakeDriver>) {
    let driver = Arc::new(FakeDriver::default());
    let ring = Ring::start(Arc::clone(&driver)).unwrap();
    (driver, ring)
}

/// The newest picture's number and bytes, given back at once.
fn newest(ring: &mut Ring<FakeDriver>) -> io::Result<Option<(u64, Vec<u8>)>> {
    let Some(taken) = ring.newest(NOW)? else { return Ok(None) };
    let got = (taken.sequence, taken.planes()[0].to_vec());
    taken.give_back()?;
    Ok(Some(got))
}

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|e| e.raw_os_error())
}

#[test]
fn every_buffer_is_the_drivers_from_the_start_and_freed_at_the_end() {
    let (driver, ring) = started();
    assert_eq!(driver.has(), BUFFERS as usize);
    drop(ring);
    assert!(driver.is_idle());
}

#[test]
fn a_start_that_fails_frees_what_it_had() {
    for (call, buffers) in
        [(Call::RequestBuffers, true), (Call::Map, true), (Call::Queue, true), (Call::StreamOn, false)]
    {
        let driver = Arc::new(FakeDriver::default());
        driver.refuse(call, libc::ENOSPC);
        let e = Ring::start(Arc::clone(&driver)).err().unwrap();
        let (e, was_buffers) = match e {
            StartError::Buffers(e) => (e, true),
            StartError::Streaming(e) => (e, false),
        };
        assert_eq!((e.raw_os_error(), was_buffers), (Some(libc::ENOSPC), buffers), "{call:?}");
        assert!(driver.is_idle(), "{call:?}");
    }
    let driver = FakeDriver::with_buffers(1);
    let e = Ring::start(Arc::clone(&driver)).err().unwrap();
    assert!(matches!(e, StartError::Buffers(e) if e.kind() == io::ErrorKind::OutOfMemory));
    assert!(driver.is_idle());
}

#[test]
fn the_newest_is_handed_out_and_the_older_ones_go_back() {
    let (driver, mut ring) = started();
    for (sequence, picture) in [(7, b"first"), (8, b"other"), (9, b"third")] {
        driver.fill(sequence, picture);
    }
    let taken = ring.newest(NOW).unwrap().unwrap();
    assert_eq!((taken.sequence, taken.planes()[0]), (2, &b"third"[..]));
    assert_eq!(driver.has(), 3, "all but the one in our hands");
    taken.give_back().unwrap();
    assert_eq!(driver.has(), 4);
    assert_eq!(ring.losses(), Losses { stale: 2, ..Losses::default() });
}

#[test]
fn silence_gives_nothing_back_twice() {
    let (driver, mut ring) = started();
    driver.fill(0, b"one");
    assert!(newest(&mut ring).unwrap().is_some());
    for _ in 0..3 {
        // The driver of the tests panics at a buffer that it has already.
        assert_eq!(newest(&mut ring).unwrap(), None);
    }
    assert_eq!(driver.has(), 4);
    driver.fill(1, b"two");
    assert_eq!(newest(&mut ring).unwrap(), Some((1, b"two".to_vec())));
}

#[test]
fn it_waits_no_longer_than_it_was_told() {
    let (_driver, mut ring) = started();
    let before = Instant::now();
    assert!(ring.newest(Duration::from_millis(30)).unwrap().is_none());
    assert!(before.elapsed() >= Duration::from_millis(30));
}

#[test]
fn frames_flagged_as_broken_are_counted_and_never_handed_out() {
    let (driver, mut ring) = started();
    driver.fill_as(0, b"broken", broken);
    assert_eq!(newest(&mut ring).unwrap(), None);
    driver.fill(1, b"good");
    driver.fill_as(2, b"broken", broken);
    assert_eq!(newest(&mut ring).unwrap(), Some((1, b"good".to_vec())), "the newest good one");
    assert_eq!(ring.losses(), Losses { flagged: 2, ..Losses::default() });
    assert_eq!(driver.has(), 4);
}

#[test]
fn holes_in_the_numbering_are_frames_that_never_came() {
    let (driver, mut ring) = started();
    for sequence in [u32::MAX, 2, 3] {
        driver.fill(sequence, b"picture");
        assert!(newest(&mut ring).unwrap().is_some());
    }
    driver.fill_as(6, b"broken", broken);
    driver.fill(7, b"picture");
    assert_eq!(newest(&mut ring).unwrap().unwrap().0, 8);
    assert_eq!(ring.losses(), Losses { gaps: 2 + 2, flagged: 1, stale: 0 });
}

#[test]
fn only_the_bytes_that_were_filled_are_handed_out() {
    let (driver, mut ring) = started();
    driver.fill(0, &[1; 100]);
    assert_eq!(newest(&mut ring).unwrap().unwrap().1.len(), 100);
    let mut payload = |start, end| {
        driver.fill_as(0, &[2; 100], |filled| {
            (filled.payloads[0].start, filled.payloads[0].end) = (start, end);
        });
        newest(&mut ring).unwrap().unwrap().1.len()
    };
    assert_eq!(payload(0, 60), 60, "a picture that was cut short");
    assert_eq!(payload(16, 100), 84, "a header of the driver's before it");
    assert_eq!(payload(0, 0), 0);
    assert_eq!(payload(100, 60), 0, "a driver's nonsense");
    assert_eq!(payload(0, u32::MAX), CAPACITY, "never beyond the memory");
    assert_eq!(payload(u32::MAX, u32::MAX), 0);
}

#[test]
fn an_error_is_passed_on_but_what_was_taken_before_it_is_good() {
    let (driver, mut ring) = started();
    driver.fill(0, b"last");
    driver.fail(libc::ENODEV);
    driver.fail(libc::ENODEV);
    assert_eq!(newest(&mut ring).unwrap(), Some((0, b"last".to_vec())));
    assert_eq!(errno(newest(&mut ring)), Some(libc::ENODEV));
    driver.fail(libc::EIO);
    assert_eq!(errno(newest(&mut ring)), Some(libc::EIO));
}

#[test]
fn trouble_that_no_buffer_explains_is_an_error_and_no_spin() {
    let (driver, mut ring) = started();
    driver.fill(0, b"last");
    driver.signal_trouble();
    assert!(newest(&mut ring).unwrap().is_some(), "a picture is a picture");
    let before = Instant::now();
    assert_eq!(errno(ring.newest(Duration::from_secs(60)).map(|_| ())), Some(libc::EIO));
    assert!(before.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_buffer_that_there_is_not_is_an_error() {
    let (driver, mut ring) = started();
    driver.fill_as(0, b"", |filled| filled.index = BUFFERS);
    assert_eq!(errno(newest(&mut ring)), Some(libc::EIO));
}

#[test]
fn a_driver_that_takes_no_buffer_back_is_an_error() {
    let (driver, mut ring) = started();
    driver.fill(0, b"one");
    let taken = ring.newest(NOW).unwrap().unwrap();
    driver.refuse(Call::Queue, libc::ENODEV);
    assert_eq!(errno(taken.give_back()), Some(libc::ENODEV));
    driver.fill(1, b"two");
    driver.fill(2, b"three");
    assert_eq!(errno(newest(&mut ring)), Some(libc::ENODEV), "nor an older one");
}

#[test]
fn numbers_rise_whatever_the_driver_counts() {
    let mut numbering = Numbering::default();
    let all = [u32::MAX - 1, u32::MAX, 0, 3, 3, 1, 2].map(|raw| numbering.next(raw));
    assert_eq!(all, [(0, 0), (1, 0), (2, 0), (5, 2), (6, 0), (7, 0), (8, 0)]);
}
