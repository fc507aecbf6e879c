//! A moving test card: colour bars, a ramp, a box that wanders, and the frame's number, drawn as YUYV.
//!
//! It moves so that motion gates open and a frozen picture is seen, and it is numbered so that losses are.

use std::sync::Arc;
use std::time::Duration;

use super::pace::Pace;
use super::{Error, Negotiated, Source};
use crate::clock::Clock;
use crate::frame::{Colour, Frame, Matrix, PixelFormat, Range, packed_planes};
use crate::geometry::Size;

/// Y, Cb, Cr in BT.601, limited range.
type Ink = [u8; 3];

/// The bars of 75 % colour, in the order that everybody knows: grey, yellow, cyan, green, magenta, red, blue.
const BARS: [Ink; 7] = [
    [180, 128, 128],
    [162, 44, 142],
    [131, 156, 44],
    [112, 72, 58],
    [84, 184, 198],
    [65, 100, 212],
    [35, 212, 114],
];
const WHITE: Ink = [235, 128, 128];
const BLACK: Ink = [16, 128, 128];
const ORANGE: Ink = [150, 58, 184];

/// Digits 0…9, five rows of three dots, the leftmost dot the highest bit.
const DIGITS: [[u8; 5]; 10] = [
    [0b111, 0b101, 0b101, 0b101, 0b111],
    [0b010, 0b110, 0b010, 0b010, 0b111],
    [0b111, 0b001, 0b111, 0b100, 0b111],
    [0b111, 0b001, 0b111, 0b001, 0b111],
    [0b101, 0b101, 0b111, 0b001, 0b001],
    [0b111, 0b100, 0b111, 0b001, 0b111],
    [0b111, 0b100, 0b111, 0b101, 0b111],
    [0b111, 0b001, 0b010, 0b010, 0b010],
    [0b111, 0b101, 0b111, 0b101, 0b111],
    [0b111, 0b101, 0b111, 0b001, 0b111],
];

/// The test card as a source.
pub struct TestCard {
    negotiated: Negotiated,
    stall_after: Duration,
    background: Vec<u8>,
    pace: Pace,
    clock: Arc<dyn Clock>,
    sequence: u64,
}

impl TestCard {
    /// The size where none is asked for.
    pub const SIZE: Size = Size::new(640, 480);

    /// A card of that size (at least 16 × 16; an odd width is rounded up), `fps` times a second.
    pub fn new(size: Size, fps: f32, stall_after: Duration, clock: Arc<dyn Clock>) -> TestCard {
        let size = Size::new(size.width.max(16).next_multiple_of(2), size.height.max(16));
        let negotiated =
            Negotiated { name: "test card".to_owned(), format: PixelFormat::Yuyv, size, fps: Some(fps) };
        TestCard {
            negotiated,
            stall_after,
            background: background(size),
            pace: Pace::new(fps),
            clock,
            sequence: 0,
        }
    }
}

impl Source for TestCard {
    fn poll(&mut self, frame: &mut Frame, wait: Duration) -> Result<bool, Error> {
        if !self.pace.wait(self.clock.as_ref(), wait) {
            return Ok(false);
        }
        let size = self.negotiated.size;
        frame.data.clear();
        frame.data.extend_from_slice(&self.background);
        draw_moving(&mut frame.data, size, self.sequence);
        frame.format = PixelFormat::Yuyv;
        frame.size = size;
        frame.planes = packed_planes(PixelFormat::Yuyv, size).0;
        frame.colour = Colour { matrix: Matrix::Bt601, range: Range::Limited };
        frame.sequence = self.sequence;
        frame.captured = self.clock.now();
        self.sequence += 1;
        Ok(true)
    }

    fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    fn stall_after(&self) -> Duration {
        self.stall_after
    }
}

/// What never moves: bars above, a ramp from black to white below, a dark field for the number.
fn background(size: Size) -> Vec<u8> {
    let mut card = vec![0; packed_planes(PixelFormat::Yuyv, size).1];
    let (w, h) = (size.width, size.height);
    let (bars, ramp) = (h * 2 / 3, h * 5 / 6);
    for i in 0..7 {
        let (left, right) = (w * i / 7, w * (i + 1) / 7);
        fill(&mut card, size, (left, 0), (right - left, bars), BARS[i as usize]);
    }
    for x in 0..w {
        let luma = 16 + (219 * x / (w - 1)) as u8;
        fill(&mut card, size, (x, bars), (1, ramp - bars), [luma, 128, 128]);
    }
    fill(&mut card, size, (0, ramp), (w, h - ramp), BLACK);
    card
}

/// What moves: a framed box that bounces between the edges, and the number.
fn draw_moving(card: &mut [u8], size: Size, sequence: u64) {
    let side = (size.width.min(size.height) / 5).max(4) & !1;
    let x = bounce(sequence * u64::from((size.width / 96).max(1)), size.width - side);
    let y = bounce(
        sequence * u64::from((size.height / 120).max(1)),
        size.height * 2 / 3 - side.min(size.height * 2 / 3),
    );
    let edge = (side / 10).max(1);
    fill(card, size, (x, y), (side, side), WHITE);
    fill(card, size, (x + edge, y + edge), (side - 2 * edge, side - 2 * edge), ORANGE);

    let dot = ((size.height / 6) / 7).min(size.width / 36).max(1);
    let (mut left, top) = (2 * dot, size.height - size.height / 12 - 5 * dot / 2);
    for place in (0..8).rev() {
        let digit = DIGITS[(sequence / 10_u64.pow(place) % 10) as usize];
        for (row, dots) in (0..).zip(digit) {
            for column in (0..3).filter(|column| dots & (0b100 >> column) != 0) {
                fill(card, size, (left + column * dot, top + row * dot), (dot, dot), WHITE);
            }
        }
        left += 4 * dot;
    }
}

/// A position that runs from 0 to `limit` and back.
fn bounce(way: u64, limit: u32) -> u32 {
    let limit = u64::from(limit.max(1));
    let at = way % (2 * limit);
    at.min(2 * limit - at) as u32
}

/// Fills a rectangle, clipped to the card. Two pixels share their colour, so chroma changes at even columns only.
fn fill(card: &mut [u8], size: Size, (left, top): (u32, u32), (width, height): (u32, u32), ink: Ink) {
    let (right, bottom) = ((left + width).min(size.width), (top + height).min(size.height));
    let stride = size.width as usize * 2;
    for row in card.chunks_exact_mut(stride).take(bottom as usize).skip(top as usize) {
        for x in left..right {
            let at = x as usize * 2;
            row[at] = ink[0];
            row[at / 4 * 4 + 1] = ink[1];
            row[at / 4 * 4 + 3] = ink[2];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::testing::FakeClock;

    fn frames(size: Size, count: usize) -> (Vec<Frame>, Duration) {
        let clock = Arc::new(FakeClock::new());
        let mut card = TestCard::new(size, 10.0, Duration::from_secs(5), clock.clone());
        let mut frame = Frame::packed(PixelFormat::Grey, Size::default(), clock.now());
        let frames = (0..count).map(|_| {
            card.next(&mut frame).unwrap();
            frame.clone()
        });
        (frames.collect(), clock.elapsed())
    }

    #[test]
    fn it_moves_counts_and_keeps_the_rate() {
        let (frames, elapsed) = frames(TestCard::SIZE, 11);
        assert_eq!(elapsed, Duration::from_secs(1));
        assert!(frames.windows(2).all(|f| f[0].data != f[1].data && f[0].sequence + 1 == f[1].sequence));
        let first = &frames[0];
        assert_eq!((first.format, first.data.len()), (PixelFormat::Yuyv, 640 * 480 * 2));
        let pixel = |x: usize, y: usize| &first.data[(y * 640 + x) * 2..][..4];
        assert_eq!(pixel(630, 10), [35, 212, 35, 114], "the last bar is blue");
        assert_eq!(pixel(638, 350)[2], 235, "the ramp ends in white");
    }

    #[test]
    fn any_size_can_be_drawn() {
        for (w, h) in [(0, 0), (1, 1), (17, 16), (16, 999), (999, 16), (321, 241), (1920, 1080)] {
            let (frames, _) = frames(Size::new(w, h), 40);
            let frame = &frames[39];
            assert_eq!(frame.data.len(), packed_planes(PixelFormat::Yuyv, frame.size).1);
        }
    }
}
