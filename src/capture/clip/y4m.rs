//! Y4M (YUV4MPEG2): a line of text, then raw pictures, each after a `FRAME` line.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use super::{Header, Input, LARGEST_FRAME, Next, fill};
use crate::capture::{Error, ErrorKind};
use crate::frame::{Colour, Frame, Matrix, PixelFormat, Range, packed_planes};
use crate::geometry::Size;

/// The file.
pub(super) struct Y4m {
    input: Input,
    first: u64,
    size: Size,
    chroma: Chroma,
    colour: Colour,
    /// A 4:2:2 picture as it stands in the file, before it is interleaved.
    planar: Vec<u8>,
    /// The line before a picture.
    line: Vec<u8>,
}

/// What the file's header calls its colour space: which planes a picture has, and how its chroma is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chroma {
    /// Planes of Y, U, V; the chroma halved both ways.
    C420,
    /// Planes of Y, U, V; the chroma halved across: handed on as YUYV.
    C422,
    /// Luma alone.
    Mono,
}

/// The longest header or frame line that is read; real ones have about sixty bytes.
const LONGEST_LINE: u64 = 1024;

impl Y4m {
    pub(super) fn open(mut input: Input) -> Result<(Y4m, Header), Error> {
        let mut line = Vec::new();
        if !read_line(&mut input, &mut line).map_err(|e| Error::io("cannot read the Y4M header", e))? {
            return Err(bad("its header line never ends"));
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        let (mut width, mut height, mut fps, mut colour) = (0, 0, None, Colour::default());
        let mut chroma = Chroma::C420;
        for field in text.split(' ').skip(1).filter(|field| !field.is_empty()) {
            let value = field.get(1..).unwrap_or_default();
            match field.as_bytes()[0] {
                b'W' => width = value.parse().map_err(|_| bad(format!("its width is \"{value}\"")))?,
                b'H' => height = value.parse().map_err(|_| bad(format!("its height is \"{value}\"")))?,
                b'F' => fps = rate(value),
                b'C' => chroma = chroma_of(value)?,
                b'X' if value.eq_ignore_ascii_case("COLORRANGE=FULL") => colour.range = Range::Full,
                _ => {}
            }
        }
        let size = Size::new(width, height);
        let largest = LARGEST_FRAME as u64 / 3;
        if size.area() == 0 || width > 1 << 15 || height > 1 << 15 || size.area() > largest {
            return Err(bad(format!("its size is {size}")));
        }
        // Y4M has no word for the matrix; players go by the size, and so do the cameras that recorded it.
        colour.matrix = if height >= 720 { Matrix::Bt709 } else { Matrix::Bt601 };
        let first = input.stream_position().map_err(|e| Error::io("cannot read the Y4M header", e))?;
        let format = match chroma {
            Chroma::C420 => PixelFormat::Yu12,
            Chroma::C422 => PixelFormat::Yuyv,
            Chroma::Mono => PixelFormat::Grey,
        };
        Ok((
            Y4m { input, first, size, chroma, colour, planar: Vec::new(), line },
            Header { format, size, fps },
        ))
    }

    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.input.seek(SeekFrom::Start(self.first)).map(|_| ())
    }

    pub(super) fn read(&mut self, frame: &mut Frame) -> io::Result<Next> {
        // Without its line there is no telling where the next picture begins.
        if !read_line(&mut self.input, &mut self.line)? || !self.line.starts_with(b"FRAME") {
            return Ok(Next::End);
        }
        let (w, h) = (self.size.width as usize, self.size.height as usize);
        let (format, whole) = match self.chroma {
            Chroma::C422 => {
                let whole = fill(&mut self.input, &mut self.planar, (w + 2 * w.div_ceil(2)) * h)?;
                if whole {
                    interleave(&self.planar, w, h, &mut frame.data);
                }
                (PixelFormat::Yuyv, whole)
            }
            Chroma::C420 | Chroma::Mono => {
                let format = if self.chroma == Chroma::Mono { PixelFormat::Grey } else { PixelFormat::Yu12 };
                let len = packed_planes(format, self.size).1;
                (format, fill(&mut self.input, &mut frame.data, len)?)
            }
        };
        if !whole {
            return Ok(Next::Broken);
        }
        frame.format = format;
        frame.size = self.size;
        frame.planes = packed_planes(format, self.size).0;
        frame.colour = self.colour;
        Ok(Next::Frame)
    }
}

/// Planes of Y, U, V with halved columns of chroma become Y0 U Y1 V; an odd last column is doubled.
fn interleave(planar: &[u8], w: usize, h: usize, yuyv: &mut Vec<u8>) {
    let cw = w.div_ceil(2);
    let (luma, chroma) = planar.split_at(w * h);
    let (u, v) = chroma.split_at(cw * h);
    yuyv.clear();
    for row in 0..h {
        let (y, u, v) = (&luma[row * w..][..w], &u[row * cw..][..cw], &v[row * cw..][..cw]);
        for (pair, (u, v)) in y.chunks(2).zip(u.iter().zip(v)) {
            yuyv.extend_from_slice(&[pair[0], *u, pair[pair.len() - 1], *v]);
        }
    }
}

fn chroma_of(value: &str) -> Result<Chroma, Error> {
    match value {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(Chroma::C420),
        "422" => Ok(Chroma::C422),
        "mono" => Ok(Chroma::Mono),
        other => Err(bad(format!("its colour space is C{other}")).with_hint(
            "C420, C422 and Cmono with 8 bits are understood; ffmpeg's -pix_fmt yuv420p gives the first",
        )),
    }
}

/// A rate as a fraction; `0:0` means unknown.
fn rate(value: &str) -> Option<f32> {
    let (over, under) = value.split_once(':')?;
    let fps = over.parse::<f32>().ok()? / under.parse::<f32>().ok()?;
    (fps.is_finite() && fps > 0.0).then_some(fps)
}

/// Reads a line without its end; `false`: the file ends, or the line is none.
fn read_line(input: &mut Input, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    input.take(LONGEST_LINE).read_until(b'\n', line)?;
    Ok(line.pop() == Some(b'\n'))
}

fn bad(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadInput, what)
}
