//! A driver for tests: it fills buffers when it is told to, misbehaves on demand, and notices a reader who breaks the rules.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use v4l::v4l_sys as raw;

use super::driver::{Driver, Filled, Input, MOST_PLANES, Memory, Payload, Waited};

/// Bytes of a buffer, which has one memory plane.
pub(super) const CAPACITY: usize = 4096;

/// A driver in memory, streaming as soon as it is asked to.
#[derive(Default)]
pub(super) struct FakeDriver(Mutex<State>);

#[derive(Default)]
struct State {
    /// Memory that is mapped; the ring must have let go of it before it is freed.
    buffers: Vec<Arc<Plane>>,
    /// The buffers that the driver owns and may write into.
    owned: VecDeque<u32>,
    /// What comes out next.
    ready: VecDeque<io::Result<Filled>>,
    streaming: bool,
    trouble: bool,
    /// How many buffers it gives, where it gives fewer than asked for.
    at_most: Option<u32>,
    refusals: Vec<(Call, i32)>,
    input: Option<Input>,
}

/// A call that can be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    RequestBuffers,
    Map,
    Queue,
    StreamOn,
}

/// A memory plane that both sides see.
struct Plane(UnsafeCell<[u8; CAPACITY]>);

// SAFETY: the driver writes only into buffers that it owns, and the ring reads only others: what the tests check.
unsafe impl Sync for Plane {}
// SAFETY: plain bytes.
unsafe impl Send for Plane {}

/// The ring's end of a [`Plane`].
pub(super) struct FakeMemory(Arc<Plane>);

impl Memory for FakeMemory {
    unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: the caller vouches for it that the driver doesn't own the buffer.
        unsafe { &*self.0.0.get() }
    }
}

impl FakeDriver {
    /// One that gives no more buffers than that.
    pub(super) fn with_buffers(at_most: u32) -> Arc<FakeDriver> {
        let driver = FakeDriver::default();
        driver.state().at_most = Some(at_most);
        Arc::new(driver)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Refuses a call from now on with an error number; 0: no more.
    pub(super) fn refuse(&self, call: Call, errno: i32) {
        let refusals = &mut self.state().refusals;
        refusals.retain(|(refused, _)| *refused != call);
        if errno != 0 {
            refusals.push((call, errno));
        }
    }

    /// Writes a picture into the next buffer that it owns, as a driver does.
    pub(super) fn fill(&self, sequence: u32, picture: &[u8]) {
        self.fill_as(sequence, picture, |_| {});
    }

    /// As [`FakeDriver::fill`], with something that is not as usual.
    pub(super) fn fill_as(&self, sequence: u32, picture: &[u8], unusual: impl FnOnce(&mut Filled)) {
        let mut state = self.state();
        assert!(state.streaming, "a driver that doesn't stream fills nothing");
        let index = state.owned.pop_front().expect("the driver has a buffer to fill");
        // SAFETY: the buffer was the driver's until now, so that nobody reads it.
        let memory = unsafe { &mut *state.buffers[index as usize].0.get() };
        memory[..picture.len()].copy_from_slice(picture);
        let mut payloads = [Payload::default(); MOST_PLANES];
        payloads[0] = Payload { start: 0, end: picture.len() as u32 };
        let mut filled = Filled { index, flags: 0, sequence, stamp: Duration::ZERO, payloads };
        unusual(&mut filled);
        state.ready.push_back(Ok(filled));
    }

    /// Answers the next question for a buffer, after those that are filled, with an error number.
    pub(super) fn fail(&self, errno: i32) {
        self.state().ready.push_back(Err(io::Error::from_raw_os_error(errno)));
    }

    /// Signals trouble at every wait from now on.
    pub(super) fn signal_trouble(&self) {
        self.state().trouble = true;
    }

    /// Says this of its input from now on.
    pub(super) fn set_input(&self, input: Input) {
        self.state().input = Some(input);
    }

    /// How many buffers it owns, those that are filled and not yet taken included.
    pub(super) fn has(&self) -> usize {
        let state = self.state();
        state.owned.len() + state.ready.iter().filter(|ready| ready.is_ok()).count()
    }

    /// Whether everything was given back and freed.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        !state.streaming && state.buffers.is_empty()
    }
}

impl State {
    fn check(&self, call: Call) -> io::Result<()> {
        let refused = self.refusals.iter().find(|(refused, _)| *refused == call);
        refused.map_or(Ok(()), |&(_, errno)| Err(io::Error::from_raw_os_error(errno)))
    }
}

impl Driver for FakeDriver {
    type Memory = FakeMemory;

    fn request_buffers(&self, count: u32) -> io::Result<u32> {
        let mut state = self.state();
        if count == 0 {
            assert!(!state.streaming, "buffers are freed only after the stream was stopped");
            let mapped = state.buffers.iter().filter(|plane| Arc::strong_count(plane) > 1).count();
            assert_eq!(mapped, 0, "buffers are freed only after they were unmapped");
            state.buffers.clear();
            return Ok(0);
        }
        state.check(Call::RequestBuffers)?;
        let count = state.at_most.map_or(count, |at_most| count.min(at_most));
        state.buffers = (0..count).map(|_| Arc::new(Plane(UnsafeCell::new([0; CAPACITY])))).collect();
        Ok(count)
    }

    fn map(&self, index: u32) -> io::Result<Vec<FakeMemory>> {
        let state = self.state();
        state.check(Call::Map)?;
        Ok(vec![FakeMemory(Arc::clone(&state.buffers[index as usize]))])
    }

    unsafe fn queue(&self, index: u32) -> io::Result<()> {
        let mut state = self.state();
        state.check(Call::Queue)?;
        assert!((index as usize) < state.buffers.len(), "buffer {index} was never the driver's");
        assert!(!state.owned.contains(&index), "buffer {index} is given back twice");
        let taken = state.ready.iter().flatten().all(|filled| filled.index != index);
        assert!(taken, "buffer {index} is given back though it was never taken");
        state.owned.push_back(index);
        Ok(())
    }

    fn dequeue(&self) -> io::Result<Option<Filled>> {
        self.state().ready.pop_front().transpose()
    }

    fn stream(&self, on: bool) -> io::Result<()> {
        let mut state = self.state();
        if on {
            state.check(Call::StreamOn)?;
        } else {
            state.owned.clear();
            state.ready.clear();
        }
        state.streaming = on;
        Ok(())
    }

    fn wait(&self, at_most: Duration) -> io::Result<Waited> {
        let state = self.state();
        if state.trouble {
            return Ok(Waited::Trouble);
        }
        if state.ready.is_empty() {
            drop(state);
            std::thread::sleep(at_most);
        }
        Ok(Waited::Over)
    }

    fn input(&self) -> Option<Input> {
        self.state().input
    }
}

/// Marks a buffer as broken, as drivers do after an error on the bus.
pub(super) fn broken(filled: &mut Filled) {
    filled.flags |= raw::V4L2_BUF_FLAG_ERROR;
}

/// Stamps a buffer by the monotonic clock.
pub(super) fn stamped(stamp: Duration) -> impl FnOnce(&mut Filled) {
    move |filled| {
        filled.flags |= raw::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        filled.stamp = stamp;
    }
}
