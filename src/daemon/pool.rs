//! A [`Pool`] of frames: copies for another thread, in memory that comes back. Where none is free none is made, so that a
//! thread that is slow holds nobody up, and nothing is allocated once each has grown to a frame's size.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use crate::clock::Moment;
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;

/// The side that makes copies.
pub struct Pool {
    free: Receiver<Frame>,
    /// A copy's memory, at hand.
    spare: Option<Frame>,
}

impl Pool {
    /// So many frames, and where they come back to.
    pub fn new(frames: usize) -> (Pool, SyncSender<Frame>) {
        let (give_back, free) = sync_channel(frames);
        let now = Moment { monotonic: Duration::ZERO, wall: SystemTime::UNIX_EPOCH };
        for _ in 0..frames {
            // There is room for all of them.
            let _ = give_back.try_send(Frame::packed(PixelFormat::Grey, Size::default(), now));
        }
        (Pool { free, spare: None }, give_back)
    }

    /// Whether a copy can be made now.
    pub fn is_free(&mut self) -> bool {
        if self.spare.is_none() {
            self.spare = self.free.try_recv().ok();
        }
        self.spare.is_some()
    }

    /// A copy, if one can be made now.
    pub fn copy(&mut self, frame: &Frame) -> Option<Frame> {
        if !self.is_free() {
            return None;
        }
        let mut data = self.spare.take()?.data;
        data.clear();
        data.extend_from_slice(&frame.data);
        let Frame { format, size, planes, colour, sequence, captured, .. } = *frame;
        Some(Frame { data, format, size, planes, colour, sequence, captured })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_copies_and_their_memory_comes_back() {
        let (mut pool, give_back) = Pool::new(2);
        let now = Moment { monotonic: Duration::from_secs(5), wall: SystemTime::UNIX_EPOCH };
        let mut frame = Frame::packed(PixelFormat::Yuyv, Size::new(64, 48), now);
        (frame.sequence, frame.data[7]) = (9, 3);
        let copies = [pool.copy(&frame).unwrap(), pool.copy(&frame).unwrap()];
        assert!(!pool.is_free() && pool.copy(&frame).is_none());
        let memory = copies[1].data.as_ptr();
        for copy in copies {
            let whole = (copy.format, copy.size, copy.sequence, copy.captured);
            assert_eq!(whole, (frame.format, frame.size, 9, now));
            assert_eq!((copy.planes, &copy.data), (frame.planes, &frame.data));
            give_back.try_send(copy).unwrap();
        }
        assert!(pool.is_free());
        pool.copy(&frame).unwrap();
        assert_eq!(pool.copy(&frame).unwrap().data.as_ptr(), memory);
    }
}
