//! Zones, lines and ways on pictures, for people to look at.

use super::annotate::{Style, draw_label};
use super::canvas::Canvas;
use super::error::Error;
use crate::frame::Frame;
use crate::geometry::BBox;

/// Something that is drawn with straight lines; points are in fractions of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Stroke {
    /// From point to point.
    pub points: Vec<[f32; 2]>,
    /// Whether the last point is joined to the first.
    pub closed: bool,
    /// Whether it ends in a dot: where something is now.
    pub dot: bool,
    /// Whether it is only dashes: what did not count.
    pub dashed: bool,
    /// What its plate says; empty: it has none.
    pub text: String,
    /// Its colour, R G B.
    pub colour: [u8; 3],
}

/// How long a dash is, in widths of the line.
const DASH: f32 = 3.0;

/// Draws strokes and their labels on an RGB frame; the first is the most important one, and is drawn last.
///
/// # Errors
/// When the frame isn't RGB.
pub fn draw(frame: &mut Frame, strokes: &[Stroke]) -> Result<(), Error> {
    let size = frame.size;
    let mut canvas = Canvas::of(frame)?;
    let style = Style::of(size);
    for stroke in strokes.iter().rev() {
        trace(&mut canvas, stroke, style.line);
    }
    let mut taken = Vec::with_capacity(strokes.len());
    for stroke in strokes.iter().filter(|stroke| !stroke.text.is_empty()) {
        let at = pixel(&canvas, stroke.points.last().copied().unwrap_or_default());
        let place =
            if stroke.closed { bounds(&canvas, stroke) } else { BBox::new(at[0], at[1], at[0], at[1]) };
        taken.extend(draw_label(&mut canvas, &style, &place, &stroke.text, stroke.colour, &taken));
    }
    Ok(())
}

fn pixel(canvas: &Canvas<'_>, point: [f32; 2]) -> [f32; 2] {
    [point[0] * canvas.size.width as f32, point[1] * canvas.size.height as f32]
}

fn bounds(canvas: &Canvas<'_>, stroke: &Stroke) -> BBox {
    let mut bounds = BBox::new(f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY);
    for [x, y] in stroke.points.iter().map(|&point| pixel(canvas, point)) {
        bounds = BBox::new(bounds.x1.min(x), bounds.y1.min(y), bounds.x2.max(x), bounds.y2.max(y));
    }
    bounds.clamp(canvas.size)
}

fn trace(canvas: &mut Canvas<'_>, stroke: &Stroke, width: f32) {
    let closing = stroke.closed.then(|| stroke.points.first()).flatten();
    let points: Vec<[f32; 2]> =
        stroke.points.iter().chain(closing).map(|&point| pixel(canvas, point)).collect();
    // A thin shade keeps the line visible on a ground of its own colour.
    for (wide, colour, opacity) in [(1.6 * width + 1.0, [0; 3], 0.45), (width, stroke.colour, 1.0)] {
        for pair in points.windows(2) {
            if stroke.dashed {
                dashes(canvas, pair[0], pair[1], wide, colour, opacity);
            } else {
                canvas.segment(pair[0], pair[1], wide, colour, opacity);
            }
        }
        if let Some(&end) = points.last().filter(|_| stroke.dot || points.len() == 1) {
            canvas.segment(end, end, wide + 2.0 * width, colour, opacity);
        }
    }
}

fn dashes(canvas: &mut Canvas<'_>, from: [f32; 2], to: [f32; 2], width: f32, colour: [u8; 3], opacity: f32) {
    let length = (to[0] - from[0]).hypot(to[1] - from[1]);
    let count = (length / (2.0 * DASH * width)).ceil().clamp(1.0, 1000.0);
    let at = |part: f32| [from[0] + part * (to[0] - from[0]), from[1] + part * (to[1] - from[1])];
    for n in 0..count as u32 {
        let begin = n as f32 / count;
        canvas.segment(at(begin), at(begin + 0.5 / count), width, colour, opacity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};
    use crate::frame::PixelFormat;
    use crate::geometry::Size;

    fn lit(stroke: Stroke) -> usize {
        let mut frame = Frame::packed(PixelFormat::Rgb3, Size::new(400, 300), SystemClock.now());
        draw(&mut frame, &[stroke]).unwrap();
        frame.data.chunks(3).filter(|pixel| pixel.iter().any(|&p| p > 60)).count()
    }

    fn stroke(points: &[[f32; 2]]) -> Stroke {
        let (closed, dot, dashed) = (false, false, false);
        Stroke { points: points.to_vec(), closed, dot, dashed, text: String::new(), colour: [250, 200, 20] }
    }

    #[test]
    fn what_is_drawn_is_as_long_as_it_should_be() {
        let line = stroke(&[[0.1, 0.5], [0.9, 0.5]]);
        let whole = lit(line.clone());
        assert!((320..700).contains(&whole), "{whole} pixels of a line 320 long");
        let dashed = lit(Stroke { dashed: true, ..line.clone() });
        assert!(dashed * 10 > whole * 4 && dashed * 10 < whole * 9, "{dashed} of {whole}");
        assert!(lit(Stroke { dot: true, ..line.clone() }) > whole);
        let corner = stroke(&[[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]);
        assert!(lit(Stroke { closed: true, ..corner.clone() }) > lit(corner));
        assert!(lit(Stroke { text: "person 3".into(), ..line.clone() }) > whole + 500, "a plate");
        assert!(lit(stroke(&[[0.5, 0.5]])) > 0, "a way of one point is a dot");
        assert_eq!(lit(stroke(&[])), 0);
        assert_eq!(lit(stroke(&[[-3.0, -3.0], [-2.0, -3.0]])), 0, "outside");
    }

    #[test]
    fn what_is_not_rgb_is_refused() {
        let mut grey = Frame::packed(PixelFormat::Grey, Size::new(8, 8), SystemClock.now());
        assert!(draw(&mut grey, &[]).unwrap_err().to_string().contains("RGB"));
    }
}
