//! Anti-aliased shapes and text on an RGB picture.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};

use super::error::Error;
use super::rows::Picture;
use crate::frame::{Frame, PixelFormat};
use crate::geometry::{BBox, Size};

static FONT: LazyLock<Option<FontRef<'static>>> = LazyLock::new(|| {
    // Part of the program; a test shows that it can be read.
    FontRef::try_from_slice(include_bytes!("fonts/inter-semibold-subset.otf")).ok()
});

/// RGB pixels that can be drawn on.
pub(super) struct Canvas<'a> {
    pub pixels: &'a mut [u8],
    pub size: Size,
    pub stride: usize,
}

impl<'a> Canvas<'a> {
    /// An RGB frame's pixels.
    ///
    /// # Errors
    /// When the frame isn't RGB, or its plane doesn't fit its size.
    pub fn of(frame: &'a mut Frame) -> Result<Canvas<'a>, Error> {
        let (format, size, plane) = (frame.format, frame.size, frame.planes[0]);
        if format != PixelFormat::Rgb3 {
            let detail = "only RGB frames can be drawn on; convert it first".into();
            return Err(Error::Layout { format, size, detail });
        }
        Picture::of(frame)?;
        Ok(Canvas { pixels: &mut frame.data[plane.offset..], size, stride: plane.stride })
    }
}

impl Canvas<'_> {
    /// Mixes a colour into a pixel, as far as `coverage` (0…1) says. The pixel lies inside the picture.
    fn blend(&mut self, x: u32, y: u32, colour: [u8; 3], coverage: f32) {
        let at = y as usize * self.stride + x as usize * 3;
        for (p, c) in self.pixels[at..at + 3].iter_mut().zip(colour) {
            let old = f32::from(*p);
            *p = (old + (f32::from(c) - old) * coverage).round() as u8;
        }
    }

    /// The whole pixels that an area touches.
    fn pixels_of(&self, area: &BBox) -> (std::ops::Range<u32>, std::ops::Range<u32>) {
        let a = area.clamp(self.size);
        (a.x1.floor() as u32..a.x2.ceil() as u32, a.y1.floor() as u32..a.y2.ceil() as u32)
    }

    /// Fills a rectangle with rounded corners.
    pub fn fill(&mut self, area: &BBox, radius: f32, colour: [u8; 3], opacity: f32) {
        let shape = Rounded::new(area, radius);
        let (columns, rows) = self.pixels_of(area);
        for y in rows {
            for x in columns.clone() {
                let inside = (0.5 - shape.distance(x, y)).clamp(0.0, 1.0);
                if inside > 0.0 {
                    self.blend(x, y, colour, inside * opacity);
                }
            }
        }
    }

    /// Draws a line of that width along the inside of a rectangle with rounded corners.
    pub fn outline(&mut self, area: &BBox, radius: f32, width: f32, colour: [u8; 3], opacity: f32) {
        let shape = Rounded::new(area, radius);
        let (columns, rows) = self.pixels_of(area);
        // What is further inside than the corners and the line needs no look.
        let margin = radius.max(width) + 1.0;
        let hollow = BBox::new(area.x1 + margin, area.y1 + margin, area.x2 - margin, area.y2 - margin);
        for y in rows {
            let within =
                (y as f32) > hollow.y1 && ((y + 1) as f32) < hollow.y2 && hollow.x2 - hollow.x1 > 2.0;
            let mut x = columns.start;
            while x < columns.end {
                if within && (x as f32) > hollow.x1 && (x as f32) < hollow.x2 - 1.0 {
                    x = hollow.x2 as u32;
                }
                if x >= columns.end {
                    break;
                }
                let d = shape.distance(x, y);
                let line = (0.5 - d).clamp(0.0, 1.0) * (d + width + 0.5).clamp(0.0, 1.0);
                if line > 0.0 {
                    self.blend(x, y, colour, line * opacity);
                }
                x += 1;
            }
        }
    }

    /// Draws a straight line of that width with round ends.
    pub fn segment(&mut self, from: [f32; 2], to: [f32; 2], width: f32, colour: [u8; 3], opacity: f32) {
        let reach = 0.5 * width + 1.0;
        let (left, right) = (from[0].min(to[0]) - reach, from[0].max(to[0]) + reach);
        let (top, bottom) = (from[1].min(to[1]) - reach, from[1].max(to[1]) + reach);
        let (columns, rows) = self.pixels_of(&BBox::new(left, top, right, bottom));
        let along = [to[0] - from[0], to[1] - from[1]];
        let square = along[0] * along[0] + along[1] * along[1];
        for y in rows {
            for x in columns.clone() {
                let point = [x as f32 + 0.5 - from[0], y as f32 + 0.5 - from[1]];
                let dot = point[0] * along[0] + point[1] * along[1];
                let part = if square > 0.0 { (dot / square).clamp(0.0, 1.0) } else { 0.0 };
                let distance = (point[0] - part * along[0]).hypot(point[1] - part * along[1]);
                let inside = (0.5 * width + 0.5 - distance).clamp(0.0, 1.0);
                if inside > 0.0 {
                    self.blend(x, y, colour, inside * opacity);
                }
            }
        }
    }

    /// Writes a line of text whose left end is at `x` and whose base line is at `baseline`.
    pub fn text(&mut self, text: &Line, x: f32, baseline: f32, colour: [u8; 3]) {
        let Some(font) = FONT.as_ref() else { return };
        for &(glyph, at) in &text.glyphs {
            let placed = glyph.with_scale_and_position(text.scale, point(x + at, baseline));
            let Some(outline) = font.outline_glyph(placed) else { continue };
            let bounds = outline.px_bounds();
            let (left, top) = (bounds.min.x as i64, bounds.min.y as i64);
            outline.draw(|dx, dy, coverage| {
                let (x, y) = (left + i64::from(dx), top + i64::from(dy));
                let inside = (0..i64::from(self.size.width)).contains(&x)
                    && (0..i64::from(self.size.height)).contains(&y);
                if inside {
                    self.blend(x as u32, y as u32, colour, coverage.clamp(0.0, 1.0));
                }
            });
        }
    }
}

/// A line of text that has been laid out.
pub(super) struct Line {
    scale: PxScale,
    glyphs: Vec<(GlyphId, f32)>,
    /// How wide it is, in pixels.
    pub width: f32,
    /// How high its capitals are, in pixels.
    pub cap_height: f32,
}

impl Line {
    /// Lays text out at that font size, and cuts it with an ellipsis if it is wider than `limit`.
    pub fn new(text: &str, size: f32, limit: f32) -> Line {
        // Of Inter's capitals, in parts of the font size.
        const CAP_HEIGHT: f32 = 0.727;
        let mut line = Line {
            scale: PxScale::from(size),
            glyphs: Vec::new(),
            width: 0.0,
            cap_height: size * CAP_HEIGHT,
        };
        let Some(font) = FONT.as_ref() else { return line };
        // ab_glyph scales by the line's height; a font size is the length of an em.
        if let Some(units) = font.units_per_em() {
            line.scale = PxScale::from(size * font.height_unscaled() / units);
        }
        let scaled = font.as_scaled(line.scale);
        let ellipsis = font.glyph_id('…');
        let reserve = scaled.h_advance(ellipsis);
        let mut cut = None;
        for c in text.chars().filter(|c| !c.is_control()) {
            let glyph = font.glyph_id(c);
            if line.width + reserve <= limit {
                cut = Some((line.glyphs.len(), line.width));
            }
            line.glyphs.push((glyph, line.width));
            line.width += scaled.h_advance(glyph);
        }
        if let (true, Some((count, width))) = (line.width > limit, cut) {
            line.glyphs.truncate(count);
            line.glyphs.push((ellipsis, width));
            line.width = width + reserve;
        }
        line
    }
}

/// A rectangle with rounded corners, as a distance to its edge: negative inside.
struct Rounded {
    centre: (f32, f32),
    half: (f32, f32),
    radius: f32,
}

impl Rounded {
    fn new(area: &BBox, radius: f32) -> Rounded {
        let half = (area.width() / 2.0, area.height() / 2.0);
        let centre = (area.x1 + half.0, area.y1 + half.1);
        Rounded { centre, half, radius: radius.min(half.0).min(half.1) }
    }

    /// How far the pixel's centre lies outside.
    fn distance(&self, x: u32, y: u32) -> f32 {
        let dx = (x as f32 + 0.5 - self.centre.0).abs() - self.half.0 + self.radius;
        let dy = (y as f32 + 0.5 - self.centre.1).abs() - self.half.1 + self.radius;
        dx.max(0.0).hypot(dy.max(0.0)) + dx.max(dy).min(0.0) - self.radius
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_the_letters_of_europe() {
        let font = FONT.as_ref().unwrap();
        for c in "AZaz09 %.,:äéñøßÿŁžŞçΑωЖяї–…€".chars() {
            assert_ne!(font.glyph_id(c), GlyphId(0), "{c}");
        }
        let line = Line::new("person 87 %", 20.0, 1000.0);
        assert!((90.0..150.0).contains(&line.width), "{}", line.width);
    }

    #[test]
    fn a_segment_covers_its_length_and_its_ends() {
        let size = Size::new(60, 40);
        let mut pixels = vec![0; 60 * 40 * 3];
        let mut canvas = Canvas { pixels: &mut pixels, size, stride: 180 };
        canvas.segment([10.0, 10.0], [40.0, 30.0], 4.0, [200; 3], 1.0);
        canvas.segment([-50.0, 5.0], [-10.0, 5.0], 4.0, [200; 3], 1.0);
        let sum: f32 = pixels.iter().map(|&p| f32::from(p)).sum::<f32>() / 3.0 / 200.0;
        let area = 4.0 * 30.0_f32.hypot(20.0) + std::f32::consts::PI * 4.0;
        assert!((sum - area).abs() < 3.0, "{sum} pixels of {area}");
    }

    #[test]
    fn long_text_is_cut_to_its_limit() {
        let whole = Line::new("a very long name of a class", 20.0, 1000.0);
        let cut = Line::new("a very long name of a class", 20.0, 80.0);
        assert!(cut.width <= 80.0 && cut.glyphs.len() < whole.glyphs.len() && cut.glyphs.len() > 3);
    }

    #[test]
    fn a_filled_shape_covers_its_area() {
        let size = Size::new(40, 30);
        let mut pixels = vec![0; 40 * 30 * 3];
        let mut canvas = Canvas { pixels: &mut pixels, size, stride: 120 };
        canvas.fill(&BBox::new(5.0, 5.0, 25.5, 15.0), 0.0, [200; 3], 1.0);
        let sum: f32 = pixels.iter().map(|&p| f32::from(p)).sum::<f32>() / 3.0 / 200.0;
        assert!((sum - 205.0).abs() < 1.0, "{sum} pixels");
    }
}
