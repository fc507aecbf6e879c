//! A frame costs no heap allocation of Vigie's own in the detector; tract's, between its operators, are counted apart and
//! must not grow.
#![allow(unsafe_code, reason = "a global allocator can't be written without")]

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;
use std::path::Path;

use vigie::detector::{ClassThresholds, Detector, Layout, Options, Post, input};
use vigie::geometry::Size;
use vigie::vision::{Letterbox, Tensor};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that is being torn down counts no more.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, at: *mut u8, memory: Memory) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(at, memory) }
    }

    unsafe fn realloc(&self, at: *mut u8, memory: Memory, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(at, memory, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn feeding_decoding_and_suppression_allocate_nothing() {
    let size = Size::new(320, 320);
    let layout = Layout::raw(size, &[8, 16, 32], 16, 21);
    // Every anchor reports something: the worst case.
    let outputs: Vec<Vec<f32>> = [40usize, 20, 10]
        .into_iter()
        .flat_map(|side| {
            [64, 21].map(|channels| (0..channels * side * side).map(|i| (i % 97) as f32 / 9.0).collect())
        })
        .collect();
    let outputs: Vec<&[f32]> = outputs.iter().map(Vec::as_slice).collect();
    let mut post = Post::new(&layout, 0.5, 100);
    let thresholds = ClassThresholds::uniform(0.5, 21);
    let letterbox = Letterbox::new(Size::new(1280, 720), size);
    let mut found = Vec::with_capacity(100);
    let tensor = Tensor::new(size);
    let mut planes = vec![0f32; tensor.data.len()];
    let n = allocations(|| {
        input::planes(&tensor, &mut planes, input::unit);
        post.run(&layout, &outputs, &thresholds, &letterbox, &mut found);
    });
    assert_eq!(n, 0);
    assert!(!found.is_empty());
}

#[test]
fn only_tract_allocates_and_always_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/tiny-raw.onnx");
    let mut detector = Detector::load(&Options::new(path)).expect("the tiny model");
    let tensor = Tensor::new(detector.contract().size);
    let letterbox = Letterbox::new(tensor.size, tensor.size);
    let thresholds = ClassThresholds::uniform(0.1, 3);
    let mut found = Vec::with_capacity(100);
    let mut frame = || {
        allocations(|| {
            detector.detect(&tensor, &letterbox, &thresholds, &mut found).expect("runs");
        })
    };
    let warm = (0..3).map(|_| frame()).max().unwrap_or(0);
    println!("tract allocates {warm} times a frame of the tiny model");
    assert!((0..20).all(|_| frame() <= warm), "allocations grow");
}
