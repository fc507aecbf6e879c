//! Labelled boxes and written pictures. The pictures stay in the build's temporary folder, to be looked at.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use vigie::clock::Moment;
use vigie::frame::{Frame, PixelFormat};
use vigie::geometry::{BBox, Size};
use vigie::vision::annotate::{Mark, class_colour, draw};
use vigie::vision::{ErrorKind, encode, picture};

fn demo(name: &str) -> Frame {
    picture::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/pictures").join(name)).unwrap()
}

fn output(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn plain(size: Size, value: u8) -> Frame {
    let nowhen = Moment { monotonic: Duration::ZERO, wall: SystemTime::UNIX_EPOCH };
    let mut frame = Frame::packed(PixelFormat::Rgb3, size, nowhen);
    frame.data.fill(value);
    frame
}

fn mark(class: usize, text: &str, bbox: [f32; 4]) -> Mark {
    let [x1, y1, x2, y2] = bbox;
    Mark { bbox: BBox::new(x1, y1, x2, y2), text: text.into(), colour: class_colour(class) }
}

fn pixel(frame: &Frame, x: u32, y: u32) -> [u8; 3] {
    let at = ((y * frame.size.width + x) * 3) as usize;
    [frame.data[at], frame.data[at + 1], frame.data[at + 2]]
}

#[test]
fn the_box_has_its_colour_and_leaves_its_inside_alone() {
    let before = plain(Size::new(640, 480), 90);
    let mut after = before.clone();
    let mark = mark(14, "person 87 %", [100.0, 120.0, 300.0, 400.0]);
    draw(&mut after, std::slice::from_ref(&mark)).unwrap();
    for (x, y) in [(101, 260), (298, 260), (200, 398)] {
        assert_eq!(pixel(&after, x, y), mark.colour, "at {x}, {y}");
    }
    assert_eq!(pixel(&after, 200, 260), [90; 3]);
    assert_eq!(pixel(&after, 90, 260), [90; 3]);
    assert_eq!(pixel(&after, 103, 115), mark.colour, "the label's plate is above the box");
}

#[test]
fn labels_stay_in_the_picture_and_do_not_cover_each_other() {
    // In the corners there is no room above; on top of each other there is none for two.
    let size = Size::new(640, 480);
    let mut frame = plain(size, 60);
    let marks = [
        mark(0, "aeroplane 55 %", [0.0, 0.0, 100.0, 100.0]),
        mark(1, "bicycle 55 %", [600.0, 0.0, 640.0, 480.0]),
        mark(6, "car 91 %", [200.0, 200.0, 400.0, 300.0]),
        mark(20, "truck 44 %", [200.0, 200.0, 400.0, 301.0]),
        mark(11, "dog 44 %", [0.0, 470.0, 640.0, 480.0]),
    ];
    draw(&mut frame, &marks).unwrap();
    encode::save(&frame, &output("corners.png")).unwrap();
    for m in &marks {
        let count = pixels_of(&frame, m.colour);
        assert!(count > 900, "the plate of {} shows only {count} pixels", m.text);
    }
}

/// How many pixels of a picture have exactly that colour.
fn pixels_of(frame: &Frame, colour: [u8; 3]) -> usize {
    frame.data.chunks(3).filter(|p| *p == colour).count()
}

#[test]
fn pictures_to_look_at_show_each_mark_in_its_colour_at_every_size() {
    let horses = demo("horses.jpg");
    let (w, h) = (horses.size.width as f32, horses.size.height as f32);
    let marks = |w: f32, h: f32| {
        [
            mark(12, "horse 91 %", [0.58 * w, 0.28 * h, 0.89 * w, 0.78 * h]),
            mark(12, "horse 85 %", [0.11 * w, 0.27 * h, 0.48 * w, 0.78 * h]),
            mark(12, "horse 41 %", [0.48 * w, 0.36 * h, 0.63 * w, 0.76 * h]),
            mark(14, "person 40 %", [0.0, 0.0, 0.1 * w, 0.3 * h]),
        ]
    };
    let mut frame = horses.clone();
    draw(&mut frame, &marks(w, h)).unwrap();
    for mark in marks(w, h) {
        let (before, after) = (pixels_of(&horses, mark.colour), pixels_of(&frame, mark.colour));
        assert!(after > before + 1000, "{}: {before} pixels before, {after} after", mark.text);
    }
    encode::save(&frame, &output("horses.jpg")).unwrap();
    for (name, side) in [("horses-160.png", 160), ("horses-320.png", 320)] {
        let mut tensor = vigie::vision::Tensor::new(Size::new(side, side));
        vigie::vision::Preprocessor::new(tensor.size).prepare(&horses, &mut tensor).unwrap();
        let mut frame = plain(tensor.size, 0);
        frame.data = tensor.data;
        let before = frame.clone();
        draw(&mut frame, &marks(side as f32, side as f32)).unwrap();
        for mark in marks(side as f32, side as f32) {
            let (old, new) = (pixels_of(&before, mark.colour), pixels_of(&frame, mark.colour));
            assert!(new > old + 100, "{name}, {}: {old} pixels before, {new} after", mark.text);
        }
        encode::save(&frame, &output(name)).unwrap();
    }
    let mut crowd = demo("musicians.jpg");
    let (w, h) = (crowd.size.width as f32, crowd.size.height as f32);
    let all: Vec<Mark> = (0..21)
        .map(|k| {
            let (x, y) = (k % 7, k / 7);
            let (x, y) = (x as f32 * w / 7.0, y as f32 * h / 3.0);
            mark(k, &format!("class {k} 50 %"), [x + 8.0, y + 30.0, x + w / 7.0 - 8.0, y + h / 3.0 - 4.0])
        })
        .collect();
    draw(&mut crowd, &all).unwrap();
    for mark in &all {
        assert!(pixels_of(&crowd, mark.colour) > 500, "{} shows too little of its colour", mark.text);
    }
    encode::save(&crowd, &output("classes.png")).unwrap();
    let again = picture::load(&output("classes.png")).unwrap();
    assert_eq!(again.data, crowd.data);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_box_on_any_picture_is_drawn_without_panic(
        width in 1u32..200, height in 1u32..200, stride in 0usize..7, class: usize, text in "\\PC{0,40}",
        corners in prop::array::uniform4(prop_oneof![-300f32..600.0, Just(f32::NAN), Just(f32::INFINITY), Just(-1e30)]),
    ) {
        let mut frame = plain(Size::new(width, height), 120);
        frame.planes[0].stride += stride;
        frame.data = vec![7; frame.planes[0].stride * height as usize];
        let mark = mark(class, &text, corners);
        draw(&mut frame, &[mark.clone(), mark]).unwrap();
        for row in frame.data.chunks(frame.planes[0].stride) {
            prop_assert!(row[3 * width as usize..].iter().all(|&b| b == 7), "the padding was drawn on");
        }
    }
}

#[test]
fn every_format_becomes_rgb_at_full_size() {
    for format in PixelFormat::ALL {
        let nowhen = plain(Size::new(1, 1), 0).captured;
        let mut frame = Frame { sequence: 42, ..Frame::packed(format, Size::new(67, 45), nowhen) };
        frame.data.fill(128);
        if format == PixelFormat::Mjpeg {
            frame.data = encode::jpeg(&plain(Size::new(67, 45), 130), 95).unwrap();
        }
        let rgb = encode::to_rgb(&frame).unwrap();
        assert_eq!((rgb.format, rgb.size, rgb.sequence), (PixelFormat::Rgb3, frame.size, 42), "{format}");
        assert!(rgb.data.iter().all(|b| (127..=131).contains(b)), "{format}: {:?}", &rgb.data[..6]);
    }
}

#[test]
fn written_pictures_can_be_read() {
    let cat = demo("chelsea.jpg");
    let jpeg = picture::decode(&encode::jpeg(&cat, 90).unwrap()).unwrap();
    let error: u64 = jpeg.data.iter().zip(&cat.data).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(error as f64 / (cat.data.len() as f64) < 4.0);
    assert_eq!(picture::decode(&encode::png(&cat).unwrap()).unwrap().data, cat.data);
    assert!(encode::jpeg(&cat, 20).unwrap().len() < encode::jpeg(&cat, 90).unwrap().len() / 2);

    let error = encode::save(&cat, Path::new("/no/such/folder/cat.jpg")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().starts_with("cannot write picture /no/such/folder/cat.jpg: "), "{error}");
    let grey = Frame::packed(PixelFormat::Grey, Size::new(4, 4), cat.captured);
    assert_eq!(encode::jpeg(&grey, 90).unwrap_err().kind(), ErrorKind::Layout);
    let wide = plain(Size::new(70_000, 1), 0);
    assert_eq!(encode::jpeg(&wide, 90).unwrap_err().kind(), ErrorKind::Encode, "JPEG cannot be that wide");
}
