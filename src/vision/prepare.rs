//! From a camera's frame to the detector's tensor: decompressed, scaled, converted, letterboxed.

use std::time::{Duration, Instant};

use super::axis::Axis;
use super::error::Error;
use super::jpeg::Decoder;
use super::resample::Resampler;
use super::rows::Picture;
use super::{Letterbox, Tensor};
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Size;

/// Makes tensors of one size from frames of any kind. Keeps its buffers: a steady stream allocates nothing.
#[derive(Debug)]
pub struct Preprocessor {
    size: Size,
    resampler: Resampler,
    jpeg: Decoder,
}

/// How a tensor was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prepared {
    /// Where the picture lies in the tensor.
    pub letterbox: Letterbox,
    /// How long decompression took; zero for frames that are not compressed.
    pub decode: Duration,
    /// How long scaling and colour conversion took.
    pub prepare: Duration,
    /// How far what a pixel shows may have spread before the picture was decompressed, in pixels of the picture: over
    /// the whole block that it was compressed with; zero for frames that are not compressed.
    pub spread: Size,
}

impl Preprocessor {
    /// A preprocessor for a model's input size.
    pub fn new(size: Size) -> Preprocessor {
        Preprocessor { size, resampler: Resampler::new(), jpeg: Decoder::new() }
    }

    /// The instruction set of its loops over pixels, for instance `avx2` or `neon`.
    pub fn kernels(&self) -> &'static str {
        self.resampler.kernels()
    }

    /// Fills the tensor with the frame's picture: scaled with an area filter when it shrinks and bilinearly when it
    /// grows, converted by the frame's colour matrix and range, centred on grey.
    ///
    /// Grey frames are taken as full range whatever they say, like every other program does. A JPEG is shrunk while
    /// it is decompressed where that leaves enough pixels. On an error the tensor's contents are unspecified.
    ///
    /// # Errors
    /// The frame's bytes are not all there, make no sense, or are too many; or its JPEG is truncated, corrupt, or of
    /// another size than the frame.
    pub fn prepare(&mut self, frame: &Frame, tensor: &mut Tensor) -> Result<Prepared, Error> {
        if tensor.size != self.size || tensor.data.len() as u64 != self.size.area() * 3 {
            *tensor = Tensor::new(self.size);
        }
        let start = Instant::now();
        if frame.format != PixelFormat::Mjpeg {
            let picture = Picture::of(frame)?;
            let letterbox = self.letterbox(frame, picture.size())?;
            fill(&mut self.resampler, &picture, &letterbox, tensor);
            let (decode, spread) = (Duration::ZERO, Size::default());
            return Ok(Prepared { letterbox, decode, prepare: start.elapsed(), spread });
        }
        let header = self.jpeg.header(&frame.data)?;
        // Before anything is allocated: in a damaged header the size may be anything.
        header.check(frame.size)?;
        let letterbox = self.letterbox(frame, header.size)?;
        let denominator = header.denominator_for(letterbox.inner);
        let (pixels, size) = self.jpeg.decode(&frame.data, &header, denominator)?;
        let decode = start.elapsed();
        fill(&mut self.resampler, &Picture::rgb(pixels, size), &letterbox, tensor);
        Ok(Prepared { letterbox, decode, prepare: start.elapsed() - decode, spread: header.block })
    }

    fn letterbox(&self, frame: &Frame, picture: Size) -> Result<Letterbox, Error> {
        let longest = |s: Size| s.width.max(s.height);
        if longest(picture) > Axis::LONGEST_SOURCE {
            return Err(Error::TooLarge { size: picture, limit: "65535 pixels a side" });
        }
        if self.size.area() == 0 || longest(self.size) > Axis::LONGEST_TARGET {
            let detail = format!("a tensor of {} cannot hold it", self.size);
            return Err(Error::Layout { format: frame.format, size: picture, detail });
        }
        Ok(Letterbox::new(picture, self.size))
    }
}

fn fill(resampler: &mut Resampler, picture: &Picture<'_>, letterbox: &Letterbox, tensor: &mut Tensor) {
    let stride = letterbox.tensor.width as usize * 3;
    let (left, top) = (letterbox.left as usize, letterbox.top as usize);
    let (width, height) = (letterbox.inner.width as usize, letterbox.inner.height as usize);
    tensor.data[..top * stride].fill(Tensor::PAD);
    tensor.data[(top + height) * stride..].fill(Tensor::PAD);
    for row in tensor.data.chunks_exact_mut(stride).skip(top).take(height) {
        row[..3 * left].fill(Tensor::PAD);
        row[3 * (left + width)..].fill(Tensor::PAD);
    }
    resampler.run(picture, letterbox, &mut tensor.data);
}
