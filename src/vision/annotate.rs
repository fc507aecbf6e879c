//! Labelled boxes on pictures, for people to look at.

use super::canvas::{Canvas, Line};
use super::error::Error;
pub use super::palette::class_colour;
use super::palette::text_colour;
use crate::frame::Frame;
use crate::geometry::{BBox, Size};

/// One box with its label.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Where it is, in pixels of the picture.
    pub bbox: BBox,
    /// What its plate says, for instance `person 87 %`.
    pub text: String,
    /// Its colour, R G B; see [`class_colour`].
    pub colour: [u8; 3],
}

/// Lengths that go with the picture's size.
pub(super) struct Style {
    pub line: f32,
    radius: f32,
    font: f32,
    padding: f32,
}

impl Style {
    /// Of font sizes that can still be read, the smallest.
    const SMALLEST_FONT: f32 = 9.0;

    pub fn of(size: Size) -> Style {
        // Wide and tall pictures are looked at as large as square ones: their area counts.
        let side = (size.area() as f32).sqrt();
        let line = (side / 280.0).clamp(1.0, 24.0).round();
        let font = (side / 40.0).clamp(Style::SMALLEST_FONT + 2.0, 160.0);
        Style { line, radius: 2.0 * line, font, padding: (font * 0.32).round() }
    }
}

/// Draws boxes and their labels on an RGB frame. The first mark is the most important one: it is drawn last, and its
/// label is placed first.
///
/// Line width and type size follow the picture's size. A label stands above its box, or where there is room.
pub fn draw(frame: &mut Frame, marks: &[Mark]) -> Result<(), Error> {
    let size = frame.size;
    let mut canvas = Canvas::of(frame)?;
    let style = Style::of(size);
    for mark in marks.iter().rev() {
        draw_box(&mut canvas, &style, &mark.bbox.clamp(size), mark.colour);
    }
    let mut taken: Vec<BBox> = Vec::with_capacity(marks.len());
    for mark in marks {
        if let Some(plate) = draw_label(&mut canvas, &style, &mark.bbox, &mark.text, mark.colour, &taken) {
            taken.push(plate);
        }
    }
    Ok(())
}

fn draw_box(canvas: &mut Canvas<'_>, style: &Style, area: &BBox, colour: [u8; 3]) {
    // A thin shade on both sides keeps the line visible on a ground of its own colour.
    let shade = (style.line / 2.0).max(1.0);
    let outer = BBox::new(area.x1 - shade, area.y1 - shade, area.x2 + shade, area.y2 + shade);
    canvas.outline(&outer, style.radius + shade, style.line + 2.0 * shade, [0; 3], 0.35);
    canvas.outline(area, style.radius, style.line, colour, 1.0);
}

/// Draws a label and gives the place that it takes, unless the picture is too small for one.
pub(super) fn draw_label(
    canvas: &mut Canvas<'_>,
    style: &Style,
    of: &BBox,
    text: &str,
    colour: [u8; 3],
    taken: &[BBox],
) -> Option<BBox> {
    let (width, height) = (canvas.size.width as f32, canvas.size.height as f32);
    let limit = width - 2.0 * style.padding;
    let mut font = style.font;
    let mut line = Line::new(text, font, f32::INFINITY);
    if line.width > limit {
        font = (font * limit / line.width).max(Style::SMALLEST_FONT);
        line = Line::new(text, font, limit);
    }
    let plate = (line.width + 2.0 * style.padding, (line.cap_height + 2.0 * style.padding).ceil());
    if text.is_empty() || plate.0 > width || plate.1 > height {
        return None;
    }
    let area = of.clamp(canvas.size);
    let place = place(plate, &area, style, (width, height), taken);
    canvas.fill(&place, style.radius.min(plate.1 / 3.0), colour, 1.0);
    let baseline = (place.y1 + (plate.1 + line.cap_height) / 2.0).round();
    canvas.text(&line, place.x1 + style.padding, baseline, text_colour(colour));
    Some(place)
}

/// Where a plate stands: above the box, inside at its top, below it, inside at its bottom; the first that lies in the
/// picture and covers no other plate, or else the first that lies in the picture.
fn place(plate: (f32, f32), area: &BBox, style: &Style, picture: (f32, f32), taken: &[BBox]) -> BBox {
    let left = area.x1.min(picture.0 - plate.0).max(0.0).round();
    let tops = [area.y1 - plate.1 + style.line, area.y1, area.y2 - style.line, area.y2 - plate.1];
    let at = |top: f32| BBox::new(left, top.round(), left + plate.0, top.round() + plate.1);
    let inside = |b: &BBox| b.y1 >= 0.0 && b.y2 <= picture.1;
    let free = |b: &BBox| taken.iter().all(|t| t.iou(b) == 0.0);
    let places = || tops.into_iter().map(at);
    places()
        .find(|b| inside(b) && free(b))
        .or_else(|| places().find(inside))
        .unwrap_or_else(|| at((area.y1).min(picture.1 - plate.1).max(0.0)))
}
