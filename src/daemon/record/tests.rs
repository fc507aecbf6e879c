//! Frames and objects in, files out: what is in them, and what becomes of trouble.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use super::operator::Operator;
use super::*;
use crate::capture::testing::FakeClock;
use crate::capture::{Clip as Film, Source as _};
use crate::clock::Trust;
use crate::config::{Record, Store};
use crate::frame::PixelFormat;
use crate::scene::objects::{Happened, Reason};
use crate::vision::{encode, picture};

const SIZE: Size = Size::new(64, 48);
const FPS: f32 = 5.0;

fn moment(ms: u64) -> Moment {
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    Moment { monotonic: Duration::from_millis(50_000 + ms), wall: wall + Duration::from_millis(ms) }
}

fn site() -> Arc<Site> {
    Arc::new(Site {
        prefix: "vigie".to_owned(),
        device: "porch".to_owned(),
        boot_id: "b00t".to_owned(),
        run_id: "run".to_owned(),
        model: "m".to_owned(),
        labels: vec!["person".to_owned(), "traffic light".to_owned()],
        cameras: Vec::new(),
        trust: Trust::default(),
        commands: false,
    })
}

/// What a recorder into a folder is made of.
fn parts(directory: &Path) -> Parts {
    let store = Store { directory: directory.to_owned(), bytes: 64 << 20, age: Duration::from_secs(3600) };
    Parts {
        site: site(),
        camera: "front".to_owned(),
        max_fps: FPS,
        options: Record {
            before: Duration::from_secs(1),
            after: Duration::from_secs(1),
            ..Record::into(store)
        },
        classes: Vec::new(),
        everything: false,
        masks: Vec::new(),
        figures: Arc::default(),
        clock: Arc::new(FakeClock::new()),
        on_clip: None,
    }
}

/// A frame whose brightness is its time in fifths of a second.
fn frame(ms: u64, size: Size) -> Frame {
    let mut frame = Frame::packed(PixelFormat::Rgb3, size, moment(ms));
    frame.data.fill((ms / 200 % 50) as u8 * 5);
    frame
}

fn film(operator: &mut Operator, ms: std::ops::Range<u64>) {
    ms.step_by(200).for_each(|ms| operator.frame(&frame(ms, SIZE), Size::default()));
}

fn told(ms: u64, happened: Happened, number: u64) -> Told {
    let (first_seen, last_seen) = (moment(ms), moment(ms));
    let member = Member { number, class_id: (number % 2) as u16, resting: false, first_seen, last_seen };
    Told { happened, at: moment(ms).monotonic, member }
}

const END: Happened = Happened::End(Reason::Left);

/// The clips in a folder, by their names.
fn clips(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(clips(&path)),
            path if path.extension().is_some_and(|ending| ending != "json") => found.push(path),
            _ => {}
        }
    }
    found.sort();
    found
}

fn about(clip: &Path) -> About {
    serde_json::from_slice(&fs::read(clip.with_extension("json")).unwrap()).unwrap()
}

/// The times of a clip's frames since the operator's first, in milliseconds.
fn times(clip: &Path) -> Vec<u64> {
    let start = moment(0).monotonic.as_nanos() as u64;
    about(clip).captured_monotonic_ns.iter().map(|ns| (ns - start) / 1_000_000).collect()
}

/// The frames of a clip, decoded.
fn frames(clip: &Path) -> Vec<Frame> {
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::new());
    let mut film = Film::open(clip, None, Duration::from_secs(5), Arc::clone(&clock)).unwrap();
    let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), clock.now());
    let count = about(clip).frames;
    let next = |_| {
        film.next(&mut frame).unwrap();
        picture::decode(&frame.data).unwrap()
    };
    (0..count).map(next).collect()
}

#[test]
fn a_clip_shows_what_was_before_an_object_and_what_was_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let parts = parts(folder.path());
    let figures = Arc::clone(&parts.figures);
    let mut operator = Operator::new(parts);
    film(&mut operator, 0..4000);
    assert!(clips(folder.path()).is_empty(), "nothing happened, and nothing is written");
    operator.told(told(3900, Happened::New, 3));
    film(&mut operator, 4000..5000);
    let written = clips(folder.path());
    assert!(written[0].to_string_lossy().ends_with(".avi.part"), "{written:?}");
    operator.told(told(4700, END, 3));
    operator.told(told(5000, Happened::New, 4));
    film(&mut operator, 5000..6000);
    operator.told(told(6000, END, 4));
    film(&mut operator, 6000..9000);
    let written = clips(folder.path());
    assert_eq!(
        written,
        [folder.path().join("front/2023-11-14/221322-run.3-traffic_light.avi")],
        "one for both"
    );
    let clip = &written[0];
    assert_eq!(times(clip), (2800..=7000).step_by(200).collect::<Vec<u64>>());
    let brightness = |frame: &Frame| (frame.data[0] as f32 / 5.0).round() as u64 * 200;
    assert_eq!(frames(clip).iter().map(brightness).collect::<Vec<u64>>(), times(clip));
    let known = about(clip);
    let objects: Vec<(&str, &str, bool)> = known
        .objects
        .iter()
        .map(|seen| (seen.id.as_str(), seen.label.as_str(), seen.last_seen.is_some()))
        .collect();
    assert_eq!(objects, [("run.front.3", "traffic light", true), ("run.front.4", "person", true)]);
    assert_eq!((known.captured.as_str(), known.seconds), ("2023-11-14T22:13:22.800000Z", 4.2));
    assert_eq!((known.width, known.height, known.fps, known.complete), (64, 48, 5.0, true));
    let counted = figures.read();
    let bytes = [clip.clone(), clip.with_extension("json")].map(|file| file.metadata().unwrap().len());
    assert_eq!((counted.clips, counted.frames, counted.bytes), (1, 22, bytes.iter().sum()));
    assert_eq!((counted.dropped, counted.failures), (0, 0));
}

#[test]
fn a_clip_ends_without_frames_too_and_when_the_program_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut operator = Operator::new(parts(folder.path()));
    film(&mut operator, 0..1000);
    operator.told(told(900, Happened::New, 1));
    operator.told(told(900, END, 1));
    operator.settle(moment(1800).monotonic);
    assert!(clips(folder.path())[0].to_string_lossy().ends_with(".part"));
    operator.settle(moment(1901).monotonic);
    assert_eq!(times(&clips(folder.path())[0]), [0, 200, 400, 600, 800]);
    film(&mut operator, 3000..4000);
    operator.told(told(4000, Happened::New, 2));
    operator.end();
    let both = clips(folder.path());
    assert_eq!(both.len(), 2);
    assert_eq!(about(&both[1]).objects[0].last_seen, None, "it is still there");
}

#[test]
fn a_clip_that_follows_soon_shows_what_was_before_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut operator = Operator::new(parts(folder.path()));
    film(&mut operator, 0..1000);
    operator.told(told(1000, Happened::New, 2));
    operator.told(told(1000, END, 2));
    film(&mut operator, 1000..2600);
    operator.told(told(2600, Happened::New, 4));
    film(&mut operator, 2600..3000);
    operator.end();
    let both: Vec<Vec<u64>> = clips(folder.path()).iter().map(|clip| times(clip)).collect();
    assert_eq!(both[0], (0..=2000).step_by(200).collect::<Vec<u64>>());
    assert_eq!(both[1], (1400..=2800).step_by(200).collect::<Vec<u64>>(), "a second before");
}

#[test]
fn nothing_is_longer_than_it_may_be_and_what_moves_goes_on_in_another_clip() {
    let folder = tempfile::tempdir().unwrap();
    let mut parts = parts(folder.path());
    parts.options.longest = Duration::from_secs(5);
    let mut operator = Operator::new(parts);
    film(&mut operator, 0..1000);
    operator.told(told(1000, Happened::New, 2));
    film(&mut operator, 1000..11_000);
    operator.end();
    let spans: Vec<(u64, u64)> =
        clips(folder.path()).iter().map(|clip| (times(clip)[0], *times(clip).last().unwrap())).collect();
    assert_eq!(spans, [(0, 4800), (5000, 9800), (10_000, 10_800)], "nothing is missing between them");
}

#[test]
fn frames_of_another_size_are_another_clip() {
    let folder = tempfile::tempdir().unwrap();
    let mut operator = Operator::new(parts(folder.path()));
    operator.told(told(0, Happened::New, 2));
    let other = Size::new(32, 32);
    for (ms, size) in [(0, SIZE), (200, SIZE), (400, other), (600, other)] {
        operator.frame(&frame(ms, size), Size::default());
    }
    operator.end();
    let sizes: Vec<(u32, u64)> =
        clips(folder.path()).iter().map(|clip| (about(clip).width, about(clip).frames)).collect();
    let mut sorted = sizes.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [(32, 2), (64, 2)], "in the same second, so one has a number behind its name");
}

#[test]
fn what_is_masked_is_black_in_every_frame_and_the_rest_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut parts = parts(folder.path());
    parts.masks = vec![Polygon::new(vec![[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]).unwrap()];
    let mut operator = Operator::new(parts);
    operator.told(told(0, Happened::New, 2));
    let size = Size::new(320, 240);
    let mut white = Frame::packed(PixelFormat::Rgb3, size, moment(0));
    white.data.fill(255);
    let jpeg = encode::jpeg(&white, 90).unwrap();
    for ms in [0, 200] {
        // As it comes from a camera that compresses, and from one that doesn't.
        let compressed = Frame { captured: moment(ms), ..picture::undecoded(jpeg.clone()).unwrap() };
        operator.frame(&compressed, Size::new(16, 16));
        operator.frame(&Frame { captured: moment(ms + 100), ..white.clone() }, Size::default());
    }
    operator.end();
    let shown = frames(&clips(folder.path())[0]);
    assert_eq!(shown.len(), 4);
    for frame in shown {
        for row in frame.data.chunks(3 * 320) {
            assert!(row[3 * 160..].iter().all(|&byte| byte < 8), "light on the right");
            assert!(row[..3 * 120].iter().all(|&byte| byte > 240), "and none on the left");
        }
    }
}

#[test]
fn a_jpeg_stays_as_the_camera_gave_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut operator = Operator::new(parts(folder.path()));
    operator.told(told(0, Happened::New, 2));
    let jpeg = encode::jpeg(&frame(600, SIZE), 50).unwrap();
    operator.frame(&Frame { captured: moment(0), ..picture::undecoded(jpeg.clone()).unwrap() }, SIZE);
    operator.end();
    let bytes = fs::read(&clips(folder.path())[0]).unwrap();
    assert!(bytes.windows(jpeg.len()).any(|part| part == jpeg));
}

#[test]
fn the_oldest_clips_give_way_while_one_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut parts = parts(folder.path());
    parts.options.store.bytes = 1 << 20;
    let mut operator = Operator::new(parts);
    let mut noise = fastrand::Rng::with_seed(3);
    for clip in 0..6 {
        operator.told(told(clip * 10_000, Happened::New, clip));
        for ms in (0..4000).step_by(200) {
            let mut frame = frame(clip * 10_000 + ms, Size::new(160, 120));
            frame.data.iter_mut().for_each(|byte| *byte = noise.u8(..));
            operator.frame(&frame, Size::default());
            let all: u64 = clips(folder.path()).iter().map(|file| file.metadata().unwrap().len()).sum();
            assert!(all <= 1 << 20, "{all} bytes");
        }
        operator.told(told(clip * 10_000 + 4000, END, clip));
        operator.settle(moment(clip * 10_000 + 9000).monotonic);
    }
    let left = clips(folder.path());
    assert!((1..6).contains(&left.len()), "{left:?}");
    assert!(left.last().unwrap().to_string_lossy().contains("run.5-"), "{left:?}");
}

#[test]
fn a_folder_that_cannot_be_written_is_told_once_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("front"), "a file").unwrap();
    let mut parts = parts(folder.path());
    let figures = Arc::clone(&parts.figures);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&heard);
    parts.on_clip = Some(Arc::new(move |clip| theirs.lock().unwrap().push(clip.is_ok())));
    let mut operator = Operator::new(parts);
    let said = crate::capture::testing::logged(|| {
        operator.told(told(0, Happened::New, 2));
        film(&mut operator, 0..15_000);
    });
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("WARN cannot keep a clip in ") && said[0].contains("no folder"), "{said:?}");
    let counted = figures.read();
    assert_eq!(
        (counted.frames, counted.dropped, counted.failures),
        (0, 75, 2),
        "after ten seconds it was tried again"
    );
    fs::remove_file(folder.path().join("front")).unwrap();
    film(&mut operator, 15_000..22_000);
    operator.end();
    assert_eq!(figures.read().clips, 1);
    assert_eq!(times(&clips(folder.path())[0])[0], 20_000);
    assert_eq!(*heard.lock().unwrap(), [false, false, true]);
}

#[test]
fn what_a_power_cut_left_becomes_a_clip_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut operator = Operator::new(parts(folder.path()));
    operator.told(told(0, Happened::New, 2));
    film(&mut operator, 0..1000);
    let part = clips(folder.path()).remove(0);
    let mut other = Operator::new(parts(folder.path()));
    other.take_up();
    assert!(part.exists(), "somebody is at it");
    // As if the power went: nothing is finished, and the last frame is not all there.
    let bytes = fs::read(&part).unwrap();
    drop(operator);
    fs::write(&part, &bytes[..bytes.len() - 50]).unwrap();
    fs::write(part.with_file_name("empty.avi.part"), "").unwrap();
    fs::write(part.with_file_name("foreign.avi.part"), [1; 1000]).unwrap();
    let mut operator = Operator::new(parts(folder.path()));
    operator.take_up();
    let names: Vec<String> = clips(folder.path())
        .iter()
        .map(|clip| clip.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["221320-run.2-person.avi", "foreign.avi.part"]);
    let clip = part.with_extension("");
    assert_eq!(times(&clip), [0, 200, 400, 600]);
    assert_eq!(frames(&clip).len(), 4);
    let known = about(&clip);
    assert_eq!((known.complete, known.boot_id, known.objects.len()), (false, None, 0));
}

#[test]
fn a_recorder_takes_what_it_can_and_ends_with_a_whole_clip() {
    let folder = tempfile::tempdir().unwrap();
    let mut parts = parts(folder.path());
    parts.everything = true;
    parts.options.fps = Some(2.0);
    let figures = Arc::clone(&parts.figures);
    let mut recorder = Recorder::start(parts).unwrap();
    for ms in (0..4000).step_by(100) {
        recorder.frame(&frame(ms, SIZE), Size::default());
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(recorder);
    let clip = clips(folder.path()).remove(0);
    assert!(clip.to_string_lossy().ends_with("-run-all.avi"), "{}", clip.display());
    let counted = figures.read();
    assert_eq!((counted.frames + counted.dropped, counted.clips), (8, 1), "two a second");
    assert_eq!(about(&clip).fps, 2.0);
}
