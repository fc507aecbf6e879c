//! In a steady stream the preprocessor allocates nothing. (libjpeg's own memory comes from C and is not counted here.)

#![allow(unsafe_code)] // an allocator that counts

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use vigie::clock::Moment;
use vigie::frame::{Frame, PixelFormat};
use vigie::geometry::Size;
use vigie::vision::{Preprocessor, Tensor, encode};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// The only test in this file: no other thread allocates meanwhile.
#[test]
fn a_steady_stream_allocates_nothing() {
    let nowhen = Moment { monotonic: Duration::ZERO, wall: SystemTime::UNIX_EPOCH };
    let mut tensor = Tensor::new(Size::new(320, 320));
    // A whole ratio, and one that needs wide sums.
    for size in [Size::new(640, 480), Size::new(848, 480)] {
        for format in PixelFormat::ALL {
            let mut frame = Frame::packed(format, size, nowhen);
            if format == PixelFormat::Mjpeg {
                let rgb = Frame::packed(PixelFormat::Rgb3, size, nowhen);
                frame.data = encode::jpeg(&rgb, 85).expect("a black picture");
            }
            let mut preprocessor = Preprocessor::new(tensor.size);
            preprocessor.prepare(&frame, &mut tensor).expect("the first frame");
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            for _ in 0..5 {
                preprocessor.prepare(&frame, &mut tensor).expect("another frame");
            }
            let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
            assert_eq!(allocations, 0, "{format} {size}");
        }
    }
}
