//! In steady state a frame costs no heap allocation from capture to detections, tract's own aside: those are counted
//! separately and named.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use vigie::capture::{Camera, Request, SourceSpec, Take};
use vigie::clock::{Clock, SystemClock};
use vigie::detector::{Detector, Options, Thresholds};
use vigie::frame::{Frame, PixelFormat};
use vigie::geometry::Size;
use vigie::scene::Scene;
use vigie::vision::{Mask, Preprocessor, Tensor};

/// The system's allocator, counting what the thread that asks allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is going away has no counter any more.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: every call is handed on to the system's allocator with the caller's own arguments; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is the one that `System` asks for.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`, and the caller's promise about `size` is the one that `System` asks for.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often this thread allocated while it worked.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

fn frames() -> Vec<Frame> {
    let now = SystemClock.now();
    let size = Size::new(1280, 720);
    let mut frames: Vec<Frame> = PixelFormat::ALL
        .into_iter()
        .filter(|&format| format != PixelFormat::Mjpeg)
        .map(|format| Frame::packed(format, size, now))
        .collect();
    for frame in &mut frames {
        frame.data.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 7 % 251) as u8);
    }
    let photograph = format!("{}/demo/pictures/dog.jpg", env!("CARGO_MANIFEST_DIR"));
    let jpeg = std::fs::read(photograph).expect("a bundled photograph");
    frames.push(Frame { data: jpeg, format: PixelFormat::Mjpeg, ..frames[6].clone() });
    frames
}

#[test]
fn a_frame_costs_no_allocation_of_ours() {
    let model = format!("{}/models/vigie-xxs-320-int8.onnx", env!("CARGO_MANIFEST_DIR"));
    let mut detector = Detector::load(&Options::new(model)).expect("the shipped model");
    let names = detector.contract().names.clone();
    // So low that there is something to decode, suppress and count in any picture.
    let thresholds = Thresholds { default: 0.001, labels: Vec::new() }.resolve(&names).expect("no labels");
    let size = detector.contract().size;
    let (mut tensor, mut found) = (Tensor::new(size), Vec::new());
    let (mut mask, mut scene) = (Mask::new(Vec::new()), Scene::new(names.len(), Duration::from_secs(2)));
    let mut facts = Vec::with_capacity(2 * names.len());
    let mut cameras: Vec<(Frame, Preprocessor)> =
        frames().into_iter().map(|frame| (frame, Preprocessor::new(size))).collect();
    let mut prepared = None;
    for round in 0..2 {
        for (frame, preprocessor) in &mut cameras {
            let prepare = allocations(|| {
                let p = preprocessor.prepare(frame, &mut tensor).expect("a good frame");
                mask.apply(&mut tensor, &p.letterbox);
                prepared = Some(p);
            });
            let letterbox = prepared.expect("prepared").letterbox;
            let tract = allocations(|| detector.infer(&tensor).expect("a run"));
            let decode = allocations(|| detector.decode(&letterbox, &thresholds, &mut found));
            facts.clear();
            let counting = allocations(|| scene.look(Duration::from_secs(round), &found, &mut facts));
            if round == 1 {
                println!(
                    "{}: prepare {prepare}, tract {tract}, decode and NMS {decode}, counts {counting}",
                    frame.format
                );
                assert_eq!(prepare, 0, "preparing {}", frame.format);
                assert_eq!(decode, 0, "decoding and suppressing");
                assert_eq!(counting, 0, "counting");
            }
        }
    }
}

#[test]
fn taking_a_frame_from_a_camera_costs_no_allocation() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let request = Request { size: None, fps: None, format: None, stall_after: Duration::from_secs(5) };
    let card = SourceSpec::TestCard { fps: 100.0 };
    let camera = Camera::spawn("card", card, request, Size::new(320, 320), clock, Arc::new(|| {}));
    let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), SystemClock.now());
    let mut take = || {
        while camera.take(&mut frame) != Take::Frame {
            SystemClock.sleep(Duration::from_millis(1));
        }
    };
    (0..10).for_each(|_| take());
    assert_eq!(allocations(|| (0..20).for_each(|_| take())), 0);
}
