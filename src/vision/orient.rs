//! EXIF orientation: cameras and phones store the sensor's rows and say which way is up.

use std::io::Cursor;

use crate::geometry::Size;

/// How the stored picture has to be turned to stand upright: first transposed, then mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orientation {
    transpose: bool,
    mirror_x: bool,
    mirror_y: bool,
}

/// What a picture file's EXIF data say; upright if they say nothing or cannot be read.
pub(super) fn of(file: &[u8]) -> Orientation {
    let exif = match exif::Reader::new().continue_on_error(true).read_from_container(&mut Cursor::new(file)) {
        Ok(exif) => exif,
        Err(exif::Error::PartialResult(partial)) => partial.into_inner().0,
        Err(_) => return Orientation::default(),
    };
    let field = exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY);
    field.and_then(|f| f.value.get_uint(0)).map_or(Orientation::default(), Orientation::from_tag)
}

impl Orientation {
    /// The meaning of the tag's values 1 to 8; others stand for upright.
    fn from_tag(tag: u32) -> Orientation {
        let (transpose, mirror_x, mirror_y) = match tag {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Orientation { transpose, mirror_x, mirror_y }
    }

    /// Turns RGB pixels upright.
    pub fn apply(self, pixels: Vec<u8>, size: Size) -> (Vec<u8>, Size) {
        if self == Orientation::default() {
            return (pixels, size);
        }
        let upright = if self.transpose { Size::new(size.height, size.width) } else { size };
        let (w, h) = (upright.width as usize, upright.height as usize);
        let stored_w = size.width as usize;
        let (source, _) = pixels.as_chunks::<3>();
        let mut out = Vec::with_capacity(pixels.len());
        for y in 0..h {
            let y = if self.mirror_y { h - 1 - y } else { y };
            for x in 0..w {
                let x = if self.mirror_x { w - 1 - x } else { x };
                out.extend_from_slice(
                    &source[if self.transpose { x * stored_w + y } else { y * stored_w + x }],
                );
            }
        }
        (out, upright)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The letter F, four wide and six high, as a camera that was held in each of the eight ways would store it.
    #[test]
    fn every_orientation_stands_upright() {
        let upright = ["####", "#...", "###.", "#...", "#...", "#..."];
        let pixel = |c: char| if c == '#' { [0u8; 3] } else { [255; 3] };
        let at = |x: usize, y: usize| pixel(upright[y].as_bytes()[x] as char);
        let (w, h) = (4, 6);
        type Stored = fn(usize, usize, usize, usize) -> (usize, usize);
        // Where the stored pixel (column, row) comes from, by the EXIF standard's table of "0th row, 0th column".
        let stored: [(bool, Stored); 8] = [
            (false, |c, r, _, _| (c, r)),
            (false, |c, r, w, _| (w - 1 - c, r)),
            (false, |c, r, w, h| (w - 1 - c, h - 1 - r)),
            (false, |c, r, _, h| (c, h - 1 - r)),
            (true, |c, r, _, _| (r, c)),
            (true, |c, r, w, _| (w - 1 - r, c)),
            (true, |c, r, w, h| (w - 1 - r, h - 1 - c)),
            (true, |c, r, _, h| (r, h - 1 - c)),
        ];
        let whole: Vec<u8> = (0..h).flat_map(|y| (0..w).flat_map(move |x| at(x, y))).collect();
        for (k, (turned, from)) in stored.into_iter().enumerate() {
            let size = if turned { Size::new(h as u32, w as u32) } else { Size::new(w as u32, h as u32) };
            let pixels: Vec<u8> = (0..size.height as usize)
                .flat_map(|r| (0..size.width as usize).map(move |c| (c, r)))
                .flat_map(|(c, r)| {
                    let (x, y) = from(c, r, w, h);
                    at(x, y)
                })
                .collect();
            let (out, out_size) = Orientation::from_tag(k as u32 + 1).apply(pixels, size);
            assert_eq!((out_size, out), (Size::new(4, 6), whole.clone()), "orientation {}", k + 1);
        }
    }
}
