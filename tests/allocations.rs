//! In steady state a frame costs no heap allocation from capture to detections, on one thread and on several. What tract
//! and rayon allocate for themselves is counted apart from ours, and bounded.
//!
//! Every thread of the process counts, so nothing else may happen meanwhile: this test has no harness, whose own thread
//! allocates too.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rayon::{ThreadPool, ThreadPoolBuilder};
use tract_onnx::prelude::{Framework, InferenceModelExt, IntoTValue, Tensor as Array};
use vigie::capture::{Camera, Request, SourceSpec, Take};
use vigie::clock::{Clock, Moment, SystemClock, Trust};
use vigie::config::{Record, Store};
use vigie::daemon::record::{self, Recorder};
use vigie::detector::int8::exec::{Input, Output};
use vigie::detector::int8::{self, Region};
use vigie::detector::{Detection, Detector, Options, Thresholds};
use vigie::frame::{Frame, PixelFormat};
use vigie::geometry::{BBox, Size};
use vigie::mqtt::Site;
use vigie::scene::{Scene, objects};
use vigie::tracker::{self, Tracker};
use vigie::vision::{Mask, Preprocessor, Tensor, picture};

/// The system's allocator, counting what any thread allocates.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static OF_THIS_THREAD: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending counts no more.
    let _ = OF_THIS_THREAD.try_with(|count| count.set(count.get() + 1));
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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

/// How often the process allocated while this was done.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    work();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// How often this thread allocated while this was done.
fn allocations_here(work: impl FnOnce()) -> u64 {
    let before = OF_THIS_THREAD.get();
    work();
    OF_THIS_THREAD.get() - before
}

/// The suite for this architecture runs under an emulator, where a frame takes seconds: fewer of them have to do.
const EMULATED: bool = cfg!(target_arch = "aarch64");

/// Frames before the first that counts: threads and libraries set up what they keep.
const WARM: usize = if EMULATED { 2 } else { 4 };

/// Frames that count.
const FRAMES: usize = if EMULATED { 2 } else { 16 };

/// What tract allocates at most for the list of an operation's results, a run: past four they are on the heap.
const TRACTS_A_LIST: u64 = 1;

/// What tract allocates for itself, a run of the whole graph: lists of values as they go from node to node.
const TRACTS_A_FRAME: u64 = 2;

/// What rayon allocates at most for itself in so few frames: blocks of its queue, one in some sixty calls.
const RAYONS: u64 = 2;

fn model() -> String {
    format!("{}/models/vigie-xxs-320-int8.onnx", env!("CARGO_MANIFEST_DIR"))
}

/// How often some frames allocate; on the pool's threads, if there is one.
fn of_frames(pool: Option<&ThreadPool>, mut frame: impl FnMut() + Send) -> u64 {
    let mut counted = move || {
        (0..WARM).for_each(|_| frame());
        allocations(|| (0..FRAMES).for_each(|_| frame()))
    };
    match pool {
        Some(pool) => pool.install(counted),
        None => counted(),
    }
}

fn frames() -> Vec<Frame> {
    let now = SystemClock.now();
    let size = Size::new(1280, 720);
    let mut frames: Vec<Frame> = PixelFormat::ALL
        .into_iter()
        .filter(|&format| format != PixelFormat::Mjpeg && (!EMULATED || format == PixelFormat::Yuyv))
        .map(|format| Frame::packed(format, size, now))
        .collect();
    for frame in &mut frames {
        frame.data.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 7 % 251) as u8);
    }
    let photograph = format!("{}/demo/pictures/dog.jpg", env!("CARGO_MANIFEST_DIR"));
    let jpeg = std::fs::read(photograph).expect("a bundled photograph");
    frames.push(picture::undecoded(jpeg).expect("a whole JPEG"));
    frames
}

fn main() {
    taking_a_frame_from_a_camera();
    following_a_crowd();
    handing_frames_to_a_recorder();
    for threads in [1, 2] {
        the_engine(threads);
        from_frame_to_detections(threads);
    }
    eprintln!("test a_frame_costs_no_allocation_of_ours ... ok");
}

/// The engine without tract around it, and as tract's operation.
fn the_engine(threads: usize) {
    let mut onnx = tract_onnx::onnx();
    let mut proto = onnx.proto_model_for_path(model()).expect("the shipped model");
    let rewritten = int8::rewrite(&mut proto, &mut onnx, &int8::Options::default()).expect("a sound model");
    let pool = (threads > 1).then(|| ThreadPoolBuilder::new().num_threads(threads).build().expect("threads"));
    let plan = &rewritten.plans[0];
    let bytes: Vec<u8> =
        (0..plan.inputs[0].shape.iter().product()).map(|i: usize| (i * 7 % 251) as u8).collect();
    let mut results: Vec<Vec<f32>> =
        plan.outputs.iter().map(|p| vec![0.0; p.shape.iter().product()]).collect();
    let mut outputs: Vec<Output<'_>> = results.iter_mut().map(|v| Output::F32(v)).collect();
    let mut work = plan.workspace(threads);
    let alone = of_frames(pool.as_ref(), || plan.run(&mut work, &[Input::U8(&bytes)], &mut outputs, None));
    assert_eq!(alone, 0, "a plan on {threads} threads");

    let graph =
        onnx.parse(&proto, None).expect("the rewritten model").model.into_optimized().expect("a graph");
    let region = graph.nodes.iter().find_map(|node| node.op_as::<Region>()).expect("a region");
    let input = Array::from_shape(&plan.inputs[0].shape, &bytes).expect("as the port says").into_tvalue();
    let inputs = [input];
    let operation = of_frames(pool.as_ref(), || drop(region.run(&inputs, None).expect("a run")));
    let most = FRAMES as u64 * TRACTS_A_LIST;
    assert!(operation <= most, "{operation} allocations of an operation on {threads} threads");
}

fn from_frame_to_detections(threads: usize) {
    let options = Options { threads, ..Options::new(model()) };
    let mut detector = Detector::load(&options).expect("the shipped model");
    let names = detector.contract().names.clone();
    // So low that there is something to decode, suppress and count in any picture.
    let thresholds = Thresholds { default: Some(0.001), labels: Vec::new() }
        .resolve(detector.contract())
        .expect("no labels");
    let size = detector.contract().size;
    let (mut tensor, mut found) = (Tensor::new(size), Vec::new());
    let telling = objects::Options {
        filters: Vec::new(),
        zones: Vec::new(),
        lines: Vec::new(),
        ignored: Vec::new(),
        update_every: Duration::from_secs(1),
        stationary_after: Duration::from_secs(10),
    };
    let following = tracker::Options::default();
    let mut scene = Scene::new(names.len(), Duration::from_secs(2), telling, &following);
    let (mut mask, tracker) = (Mask::new(Vec::new()), Tracker::new(following));
    let mut facts = Vec::with_capacity(3 * names.len());
    let mut cameras: Vec<(Frame, Preprocessor)> =
        frames().into_iter().map(|frame| (frame, Preprocessor::new(size))).collect();
    let mut prepared = None;
    let (mut infer, mut frames) = (0, 0);
    for round in 0..if EMULATED { 2 } else { 4 } {
        for (frame, preprocessor) in &mut cameras {
            let prepare = allocations(|| {
                let p = preprocessor.prepare(frame, &mut tensor).expect("a good frame");
                mask.apply(&mut tensor, &p);
                prepared = Some(p);
            });
            let letterbox = prepared.expect("prepared").letterbox;
            let run = allocations(|| detector.infer(&tensor).expect("a run"));
            let decode = allocations(|| detector.decode(&letterbox, &thresholds, &mut found));
            facts.clear();
            let at = Moment { monotonic: Duration::from_secs(round), wall: SystemTime::UNIX_EPOCH };
            let counting = allocations(|| scene.look(at, letterbox.picture, &tracker, &|_| None, &mut facts));
            if round > 0 {
                assert_eq!(prepare, 0, "preparing {}", frame.format);
                assert_eq!(decode, 0, "decoding and suppressing");
                assert_eq!(counting, 0, "counting");
                (infer, frames) = (infer + run, frames + 1);
            }
        }
    }
    eprintln!("{threads} threads: {infer} allocations in {frames} runs");
    let rayons = if threads > 1 { RAYONS } else { 0 };
    assert!(
        infer <= frames * TRACTS_A_FRAME + rayons,
        "{infer} allocations in {frames} runs on {threads} threads"
    );
}

/// Twenty who go about and are overlooked now and then: once there were so many, following them costs nothing.
fn following_a_crowd() {
    let size = Size::new(640, 480);
    let mut tracker = Tracker::new(tracker::Options::default());
    let good = [0.4; 4];
    let mut look = |n: u32| {
        let seen: Vec<Detection> = (0..20)
            .filter(|person| !(n + person * 7).is_multiple_of(9))
            .map(|person| {
                let (lane, phase) = ((person % 5) as f32, (n as f32 * 0.1 + person as f32).sin());
                let (x, y) = (300.0 + 250.0 * phase, 60.0 + 80.0 * lane);
                let score = if (n + person).is_multiple_of(4) { 0.2 } else { 0.6 };
                Detection { class_id: (person % 2) as u16, score, bbox: BBox::new(x, y, x + 40.0, y + 100.0) }
            })
            .collect();
        allocations(|| tracker.look(Duration::from_millis(200) * n, size, &seen, &good))
    };
    let _: u64 = (0..200).map(&mut look).sum();
    let counted: u64 = (200..400).map(&mut look).sum();
    assert_eq!(counted, 0, "following in 200 looks");
}

fn taking_a_frame_from_a_camera() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let request = Request {
        size: None,
        fps: None,
        enough_fps: 10.0,
        format: None,
        stall_after: Duration::from_secs(5),
    };
    let card = SourceSpec::TestCard { fps: 100.0 };
    let camera = Camera::spawn("card", card, request, Size::new(320, 320), clock, Arc::new(|| {}));
    let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), SystemClock.now());
    let mut take = || {
        while camera.take(&mut frame, Duration::ZERO) != Take::Frame {
            SystemClock.sleep(Duration::from_millis(1));
        }
    };
    (0..10).for_each(|_| take());
    assert_eq!(allocations(|| (0..20).for_each(|_| take())), 0, "the camera's thread and the one that takes");
}

/// The recorder's own thread compresses and writes, and may allocate; whoever hands it a frame must not.
fn handing_frames_to_a_recorder() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store { directory: folder.path().to_owned(), bytes: 1 << 30, age: Duration::from_secs(3600) };
    let names = ["device", "boot", "run", "model"].map(str::to_owned);
    let [device, boot_id, run_id, model] = names;
    let (prefix, labels, cameras) = ("vigie".to_owned(), Vec::new(), Vec::new());
    let trust = Trust::default();
    let site = Site { prefix, device, boot_id, run_id, model, labels, cameras, trust, commands: false };
    let parts = record::Parts {
        site: Arc::new(site),
        camera: "front".to_owned(),
        max_fps: 100.0,
        options: Record::into(store),
        classes: Vec::new(),
        everything: true,
        masks: Vec::new(),
        figures: Arc::default(),
        clock: Arc::new(SystemClock),
        on_clip: None,
    };
    let figures = Arc::clone(&parts.figures);
    let mut recorder = Recorder::start(parts).expect("a thread");
    let mut frame = Frame::packed(PixelFormat::Yuyv, Size::new(320, 240), SystemClock.now());
    let mut hand = |rest: Duration| {
        frame.captured = SystemClock.now();
        recorder.frame(&frame, Size::default());
        SystemClock.sleep(rest);
    };
    // Every buffer of the pool has been used when more are asked for than there are.
    (0..40).for_each(|_| hand(Duration::ZERO));
    SystemClock.sleep(Duration::from_millis(300));
    let counted = allocations_here(|| (0..20).for_each(|_| hand(Duration::from_millis(10))));
    assert_eq!(counted, 0, "handing over");
    drop(recorder);
    let written = figures.read();
    assert!(written.frames >= 8 && written.clips == 1, "{written:?}");
}
