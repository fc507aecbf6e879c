//! In steady state a frame costs no heap allocation, from its source through the capture thread to whoever takes it.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use vigie::capture::{Camera, Request, SourceSpec};
use vigie::clock::{Clock, SystemClock};
use vigie::frame::{Frame, PixelFormat};
use vigie::geometry::Size;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is handed to the system's allocator as it came; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Allocations of the whole process while `count` frames are taken, after a warm-up.
fn allocations(spec: SourceSpec, count: u64) -> u64 {
    let (wake, woken) = mpsc::sync_channel(1);
    let request = Request { size: None, fps: None, format: None, stall_after: Duration::from_secs(5) };
    let wake = Arc::new(move || {
        let _ = wake.try_send(());
    });
    let camera = Camera::spawn("test", spec, request, Size::new(320, 320), Arc::new(SystemClock), wake);
    let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), SystemClock.now());
    let (mut taken, mut before) = (0, 0);
    while taken < count + 10 {
        woken.recv_timeout(Duration::from_secs(20)).expect("a frame");
        taken += u64::from(camera.take(&mut frame));
        if taken <= 10 {
            before = ALLOCATIONS.load(Ordering::Relaxed);
        }
    }
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

// One test, so that nothing else runs in the process while it counts.
#[test]
fn no_frame_costs_an_allocation() {
    assert_eq!(allocations(SourceSpec::TestCard { fps: 400.0 }, 200), 0, "the test card");

    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("clip.y4m");
    let picture = [b"FRAME\n".as_slice(), &[7; 64 * 64 * 2]].concat();
    let clip = [b"YUV4MPEG2 W64 H64 F400:1 C422\n".as_slice(), &picture, &picture, &picture].concat();
    std::fs::write(&path, clip).expect("a clip");
    assert_eq!(
        allocations(SourceSpec::Clip { path, fps: None }, 200),
        0,
        "a Y4M clip, played round and round"
    );
}
