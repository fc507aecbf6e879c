//! What is written is read again, at its own times, and whatever became of the file.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::capture::clip::{Clip, recorded};
use crate::capture::jpeg::tests::picture;
use crate::capture::testing::FakeClock;
use crate::capture::{Counters, Source as _};
use crate::clock::Clock as _;
use crate::frame::{Frame, PixelFormat};

const FPS: f32 = 5.0;
const STALL: Duration = Duration::from_secs(5);

fn moment(ms: u64) -> Moment {
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    Moment { monotonic: Duration::from_millis(7000 + ms), wall: wall + Duration::from_millis(ms) }
}

fn write(path: &Path, times: &[u64]) -> Writer {
    let mut writer = Writer::create(path, Size::new(32, 16), FPS).unwrap();
    for &time in times {
        writer.frame(&picture(32, 16), moment(time)).unwrap();
    }
    writer
}

/// The times of the frames since the first, in milliseconds, as a source delivers them.
fn read(path: &Path, count: usize, fps: Option<f32>) -> (Vec<u128>, Counters) {
    let clock = Arc::new(FakeClock::new());
    let mut clip = Clip::open(path, fps, STALL, Arc::clone(&clock) as _).unwrap();
    let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), clock.now());
    let start = clock.now().monotonic;
    let next = |_| {
        clip.next(&mut frame).unwrap();
        assert_eq!(frame.data, picture(32, 16));
        (frame.captured.monotonic - start).as_millis()
    };
    ((0..count).map(next).collect(), clip.counters())
}

#[test]
fn a_recording_is_played_at_its_own_times() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.avi");
    let writer = write(&path, &[0, 190, 420, 1400, 9000, 9210]);
    let promised = writer.bytes();
    assert_eq!(writer.span().unwrap(), (moment(0), moment(9210)));
    assert_eq!(writer.finish().unwrap(), promised);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), promised);
    let (times, counters) = read(&path, 8, None);
    assert_eq!(times, [0, 190, 420, 1400, 9000, 9210, 9440, 9630], "and over again, after the usual 230 ms");
    assert_eq!(counters, Counters::default());
    assert_eq!(recorded(&path), Some(moment(0).wall));
    assert_eq!(read(&path, 3, Some(10.0)).0, [0, 100, 200], "unless another rate is asked for");
}

#[test]
fn players_find_ticks_and_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.avi");
    write(&path, &[0, 190, 420, 1000]).finish().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let number = |at: usize| u32_at(&bytes, at);
    assert_eq!(number(4) as usize, bytes.len() - 8, "RIFF");
    assert_eq!((number(RATE - 4), number(RATE), number(RATE + 8)), (1000, 5000, 6), "six ticks of 200 ms");
    assert_eq!((number(WIDTH), number(WIDTH + 4)), (32, 16));
    let movi = bytes.windows(4).position(|word| word == b"movi").unwrap();
    let index = bytes.windows(4).rposition(|word| word == b"idx1").unwrap();
    assert_eq!(movi + number(movi - 4) as usize, index, "the list ends where the index begins");
    let entries: Vec<&[u8]> = bytes[index + 8..].chunks(16).collect();
    let lengths: Vec<u32> = entries.iter().map(|entry| u32_at(entry, 12)).collect();
    let jpeg = picture(32, 16).len() as u32;
    assert_eq!(lengths, [jpeg, jpeg, jpeg, 0, 0, jpeg], "nothing came at 600 and 800 ms");
    for entry in entries {
        let at = movi + u32_at(entry, 8) as usize;
        assert_eq!((&bytes[at..at + 4], u32_at(&bytes, at + 4)), (&b"00dc"[..], u32_at(entry, 12)));
    }
}

#[test]
fn what_a_power_cut_leaves_plays_and_is_taken_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.part");
    let jpeg = picture(32, 16).len() as u64;
    let writer = write(&path, &[0, 200, 800, 1600]);
    assert!(Writer::resume(&path).unwrap().is_none(), "somebody is at it");
    drop(writer);
    let whole = std::fs::metadata(&path).unwrap().len();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(whole - jpeg / 2).unwrap();
    assert_eq!(read(&path, 4, None).0, [0, 200, 800, 1400], "the last frame is half there, and passed over");
    let (writer, times) = Writer::resume(&path).unwrap().unwrap();
    assert_eq!(times, [0, 200, 800].map(moment));
    assert_eq!(
        (writer.size(), writer.fps(), writer.span()),
        (Size::new(32, 16), FPS, Some((moment(0), moment(800))))
    );
    let length = writer.finish().unwrap();
    let other = folder.path().join("other.avi");
    assert_eq!(write(&other, &[0, 200, 800]).finish().unwrap(), length);
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&other).unwrap(), "as if nothing had happened");
    std::fs::write(&path, [0; 600]).unwrap();
    assert!(Writer::resume(&path).is_err(), "none of ours");
    let nothing = folder.path().join("nothing.avi");
    write(&nothing, &[]);
    assert!(Writer::resume(&nothing).unwrap().unwrap().1.is_empty());
}

#[test]
fn a_long_pause_costs_a_bounded_number_of_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.avi");
    let hour = 3_600_000;
    let length = write(&path, &[0, hour, hour + 200]).finish().unwrap();
    assert!(length < 700 * 24 + 3 * 1024, "{length} bytes");
    assert_eq!(read(&path, 3, None).0, [0, u128::from(hour), u128::from(hour) + 200]);
}

#[test]
fn a_full_disk_leaves_the_frames_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.avi");
    let mut writer = write(&path, &[0, 200]);
    let before = writer.bytes();
    // A file that is open for reading alone takes nothing, like a full disk.
    let usual = std::mem::replace(&mut writer.file, File::open(&path).unwrap());
    assert!(writer.frame(&picture(32, 16), moment(400)).is_err());
    writer.file = usual;
    assert_eq!(writer.bytes(), before);
    writer.file.seek(SeekFrom::Start(writer.bytes)).unwrap();
    writer.frame(&picture(32, 16), moment(600)).unwrap();
    writer.finish().unwrap();
    assert_eq!(read(&path, 3, None).0, [0, 200, 600]);
}
