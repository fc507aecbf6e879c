//! Memory for activations and packed weights: cache-line aligned, with readable slack behind the end.
#![allow(unsafe_code)]

use std::fmt;

/// Bytes that may be read (never meaningfully) behind a buffer's logical end: vector loads of the last pixel run over.
pub const SLACK: usize = 64;

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

/// A buffer of bytes, seen as `u8`, `i8` or `f32`; aligned to 64 bytes, [`SLACK`] bytes longer than asked for.
#[derive(Clone, Default)]
pub struct Buffer {
    lines: Vec<Line>,
}

impl Buffer {
    /// A zeroed buffer of at least `bytes` + [`SLACK`] bytes.
    pub fn new(bytes: usize) -> Buffer {
        Buffer { lines: vec![Line([0; 64]); (bytes + SLACK).div_ceil(64)] }
    }

    /// All bytes, the slack included.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `Line` is 64 plain bytes without padding, and the vector owns `len` of them in one allocation.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * 64) }
    }

    /// All bytes, the slack included.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * 64) }
    }

    /// The same memory as signed bytes.
    pub fn s8(&self) -> &[i8] {
        // SAFETY: `i8` has the size, alignment and validity of `u8`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * 64) }
    }

    /// The same memory as signed bytes.
    pub fn s8_mut(&mut self) -> &mut [i8] {
        // SAFETY: as in `s8`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * 64) }
    }

    /// The same memory as floats.
    pub fn f32(&self) -> &[f32] {
        // SAFETY: 64-byte lines are aligned for `f32`, hold 16 of them, and every bit pattern is an `f32`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * 16) }
    }

    /// The same memory as floats.
    pub fn f32_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `f32`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * 16) }
    }

    /// Bytes held.
    pub fn len(&self) -> usize {
        self.lines.len() * 64
    }

    /// Whether nothing is held (a buffer that was taken out).
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.len())
    }
}
