//! How well an object can be seen: which of its looks is worth a picture.

use crate::clock::Moment;
use crate::geometry::{BBox, Size};

/// A look at an object that is kept as a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// When the frame was captured.
    pub captured: Moment,
    /// Where the object was in it, in pixels.
    pub bbox: BBox,
    /// The detector's score.
    pub score: f32,
    /// What it is worth, see [`worth`].
    pub worth: f32,
}

/// Says how sharp a part of the frame that is looked at is, in mean differences between neighbours (0…255); `None`: no
/// picture can be kept now.
pub type Sharpness<'a> = &'a dyn Fn(&BBox) -> Option<f32>;

/// A view must be better than the one that there is by this factor: a picture costs time and a message.
const BETTER: f32 = 1.15;
/// An object that takes this part of the picture is as large as need be.
const LARGE: f32 = 0.15;
/// Half as sharp as need be.
const SHARP: f32 = 4.0;
/// What is cut off by the picture's edge is worth this.
const CUT: f32 = 0.5;

/// What a view is worth, 0…1: the product of how sure the detector is, how large the object is (the root of its part of the
/// picture, 1 from 15 % on), how sharp it is (`s / (s + 4)`), and a half if the picture's edge cuts it off.
pub fn worth(score: f32, bbox: &BBox, size: Size, sharpness: f32) -> f32 {
    let inside = bbox.clamp(size);
    let part = inside.area() / size.area().max(1) as f32;
    let large = (part / LARGE).sqrt().min(1.0);
    let sharp = sharpness / (sharpness + SHARP);
    let (x, y) = (0.005 * size.width as f32, 0.005 * size.height as f32);
    let (right, lower) = (size.width as f32 - x, size.height as f32 - y);
    let cut = bbox.x1 < x || bbox.y1 < y || bbox.x2 > right || bbox.y2 > lower;
    score * large * sharp * if cut { CUT } else { 1.0 }
}

/// Whether something worth `new` is clearly better than what there is.
pub fn is_better(new: f32, old: Option<&View>) -> bool {
    old.is_none_or(|old| new > BETTER * old.worth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_view_is_the_surer_larger_sharper_and_the_whole_one() {
        let size = Size::new(640, 480);
        let bbox = BBox::new(300.0, 200.0, 360.0, 320.0);
        let plain = worth(0.6, &bbox, size, 6.0);
        assert!(plain > 0.0 && plain < 0.6);
        assert!(worth(0.8, &bbox, size, 6.0) > plain);
        assert!(worth(0.6, &BBox::new(280.0, 180.0, 380.0, 340.0), size, 6.0) > plain);
        assert!(worth(0.6, &bbox, size, 12.0) > plain);
        let cut = BBox::new(0.0, 200.0, 60.0, 320.0);
        assert!((worth(0.6, &cut, size, 6.0) - plain / 2.0).abs() < 1e-6);
        assert_eq!(worth(0.6, &bbox, size, 0.0), 0.0, "nothing is to be seen in an even grey");
        let whole = BBox::new(5.0, 5.0, 630.0, 470.0);
        assert!(worth(1.0, &whole, size, 1e6) <= 1.0);
    }

    #[test]
    fn a_little_better_is_not_worth_it() {
        let captured =
            Moment { monotonic: std::time::Duration::ZERO, wall: std::time::SystemTime::UNIX_EPOCH };
        let old = View { captured, bbox: BBox::default(), score: 0.5, worth: 0.4 };
        assert!(is_better(0.01, None));
        assert!(!is_better(0.45, Some(&old)) && is_better(0.47, Some(&old)));
    }
}
