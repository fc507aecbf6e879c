//! A moving scene for the demonstration, made from photographs: the camera pans over one after the other, and its shutter
//! is closed in between. No camera cuts from one place to another: whose picture does has dogs that turn into cows.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::cli::Failure;
use crate::cli::pictures::cannot;
use crate::clock::{Clock as _, SystemClock};
use crate::frame::{Frame, PixelFormat, Plane};
use crate::geometry::Size;
use crate::vision::{encode, picture};

/// The size of the frames: four to three.
pub const SIZE: Size = Size::new(640, 480);
/// Frames a second.
pub const FPS: f32 = 8.0;
/// The part of a photograph's width that is seen at once, at most.
const SEEN: f32 = 0.85;
/// How long the shutter is closed behind each photograph, in frames: so long that nobody takes what is in the next one for
/// what was in it.
const SHUT: u64 = 8;

/// Photographs, and how long the camera pans over each.
pub struct Scene {
    photographs: Vec<PathBuf>,
    /// Frames of one pan.
    frames: u64,
    /// Frames behind each in which the shutter is closed.
    shut: u64,
}

impl Scene {
    /// A pan of so many seconds over each.
    pub fn new(photographs: Vec<PathBuf>, seconds: f32) -> Scene {
        let shut = if photographs.len() > 1 { SHUT } else { 0 };
        Scene { photographs, frames: (seconds * FPS).round().max(2.0) as u64, shut }
    }

    /// Frames from one photograph to the next.
    fn each(&self) -> u64 {
        self.frames + self.shut
    }

    /// How many frames there are.
    pub fn frames(&self) -> u64 {
        self.each() * self.photographs.len() as u64
    }

    /// The frames of each photograph.
    pub fn pans(&self) -> impl Iterator<Item = (&PathBuf, Range<u64>)> {
        let pan = |n: usize| n as u64 * self.each()..n as u64 * self.each() + self.frames;
        self.photographs.iter().enumerate().map(move |(n, photograph)| (photograph, pan(n)))
    }

    /// Writes all frames as a bare Motion-JPEG stream.
    ///
    /// # Errors
    /// When a photograph can't be read, or the file not be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let file = File::create(path).map_err(|error| cannot("write", path, error))?;
        let mut file = BufWriter::new(file);
        for (photograph, pan) in self.pans() {
            let mut photograph = picture::load(photograph).map_err(Failure::runtime)?;
            for n in 0..self.each() {
                let frame = if n < pan.end - pan.start {
                    self.cut(&mut photograph, n).map_err(Failure::runtime)?
                } else {
                    dark()
                };
                let jpeg = encode::jpeg(&frame, encode::GOOD_QUALITY).map_err(Failure::runtime)?;
                file.write_all(&jpeg).map_err(|error| cannot("write", path, error))?;
            }
        }
        file.flush().map_err(|error| cannot("write", path, error))
    }

    /// One frame.
    ///
    /// # Errors
    /// When the photograph can't be read.
    pub fn frame(&self, number: u64) -> Result<Frame, Failure> {
        let (index, n) = (number / self.each(), number % self.each());
        if n >= self.frames {
            return Ok(dark());
        }
        let photograph = &self.photographs[index as usize % self.photographs.len()];
        let mut photograph = picture::load(photograph).map_err(Failure::runtime)?;
        self.cut(&mut photograph, n).map_err(Failure::runtime)
    }

    /// The `n`th frame of a photograph: from its left edge to its right, slowly at both.
    fn cut(&self, photograph: &mut Frame, n: u64) -> Result<Frame, crate::vision::Error> {
        let (whole, stride) = (photograph.size, photograph.planes[0].stride);
        // Of the frames' own shape, to the pixel, so that there are no bars; in fours and threes.
        let unit = ((whole.width as f32 * SEEN) as u32 / 4).min(whole.height / 3).max(1);
        let [w, h] = [(4 * unit).min(whole.width), (3 * unit).min(whole.height)];
        let part = n as f32 / (self.frames - 1) as f32;
        let eased = 0.5 - 0.5 * (std::f32::consts::PI * part).cos();
        let x = ((whole.width - w) as f32 * eased).round() as usize;
        // Heads and feet are to be seen.
        let y = (whole.height - h) as usize / 2;
        photograph.size = Size::new(w, h);
        photograph.planes[0] = Plane { offset: y * stride + 3 * x, stride };
        let frame = encode::fit(photograph, SIZE);
        photograph.size = whole;
        photograph.planes[0] = Plane { offset: 0, stride };
        frame
    }
}

/// What is seen while the shutter is closed.
fn dark() -> Frame {
    Frame::packed(PixelFormat::Rgb3, SIZE, SystemClock.now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pan_goes_from_the_left_edge_to_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ramp.png");
        let size = Size::new(400, 200);
        let mut ramp = Frame { size, ..picture_of(size) };
        for (i, pixel) in ramp.data.chunks_mut(3).enumerate() {
            pixel.fill((i % 400 * 255 / 399) as u8);
        }
        encode::save(&ramp, &path).unwrap();
        let scene = Scene::new(vec![path.clone(), path], 2.0);
        assert_eq!(scene.frames(), 48);
        assert_eq!(scene.pans().map(|(_, pan)| pan).collect::<Vec<_>>(), [0..16, 24..40]);
        let row = |n: u64| {
            let frame = scene.frame(n).unwrap();
            assert_eq!(frame.size, SIZE);
            let row = &frame.data[240 * 640 * 3..][..640 * 3];
            (row[0], row[640 * 3 - 1])
        };
        let (first, last) = (row(0), row(15));
        assert!(first.0 < 5 && (160..190).contains(&first.1), "{first:?}");
        assert!(last.1 > 250 && (70..95).contains(&last.0), "{last:?}");
        assert_eq!((row(16), row(23), row(47)), ((0, 0), (0, 0), (0, 0)), "the shutter is closed");
        assert_eq!(
            (row(24), row(48)),
            (first, first),
            "the next photograph begins anew, and so does the next round"
        );
        let clip = folder.path().join("clip.mjpeg");
        scene.write(&clip).unwrap();
        let bytes = std::fs::read(&clip).unwrap();
        assert_eq!(bytes.windows(3).filter(|bytes| bytes == &[0xff, 0xd8, 0xff]).count(), 48, "pictures");
    }

    fn picture_of(size: Size) -> Frame {
        Frame::packed(PixelFormat::Rgb3, size, SystemClock.now())
    }
}
