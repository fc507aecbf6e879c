//! Whether a camera's pictures can be decoded, as those say who look at them.
//!
//! The capture thread sees that a JPEG has a beginning and an end; that it is garbled is known only to who decodes it.
//! So that such a camera is opened anew like one that gives nothing, the verdicts come back to its thread. They say how
//! it fares, and carry no data.

use std::fmt::Display;

/// The verdicts on the pictures that were looked at since the source was opened.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    /// A bit a picture, the newest the lowest; set: it could not be decoded.
    bad: u16,
    /// Why the last of too many could not be.
    hopeless: Option<String>,
    /// The source was given up for its pictures, and none has been decoded since.
    doubted: bool,
}

impl Verdicts {
    /// So many bad pictures of the last sixteen and the source is opened anew. Fewer, as from a poor cable, leave
    /// enough to look at.
    pub(super) const TOO_MANY: u32 = 12;

    /// The source was opened: what was said of its pictures before is forgotten.
    pub(super) fn begin(&mut self) {
        (self.bad, self.hopeless) = (0, None);
    }

    /// A picture was decoded.
    pub(super) fn readable(&mut self) {
        self.bad <<= 1;
        self.doubted = false;
    }

    /// A picture could not be decoded.
    pub(super) fn unreadable(&mut self, why: &dyn Display) {
        self.bad = self.bad << 1 | 1;
        if self.bad.count_ones() >= Verdicts::TOO_MANY {
            self.hopeless = Some(why.to_string());
        }
    }

    /// Too many could not be decoded: takes why, and believes in the source only when one of its pictures is decoded.
    pub(super) fn give_up(&mut self) -> Option<String> {
        let why = self.hopeless.take()?;
        self.doubted = true;
        Some(why)
    }

    /// Whether frames are no sign that the source works.
    pub(super) fn doubted(&self) -> bool {
        self.doubted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_of_four_bad_pictures_are_too_many_and_half_of_them_are_not() {
        let mut verdicts = Verdicts::default();
        for _ in 0..1000 {
            verdicts.readable();
            verdicts.unreadable(&"garbled");
        }
        assert_eq!(verdicts.give_up(), None);
        for _ in 0..4 {
            verdicts.readable();
            (0..3).for_each(|_| verdicts.unreadable(&"garbled"));
        }
        assert_eq!(verdicts.give_up().as_deref(), Some("garbled"));
        assert_eq!(verdicts.give_up(), None, "once is enough");
    }

    #[test]
    fn a_source_that_never_gave_a_good_picture_is_given_up_and_doubted_until_it_does() {
        let mut verdicts = Verdicts::default();
        for _ in 0..3 {
            verdicts.begin();
            (1..Verdicts::TOO_MANY).for_each(|_| verdicts.unreadable(&"cut"));
            assert_eq!(verdicts.give_up(), None);
            verdicts.unreadable(&"garbled");
            assert_eq!(verdicts.give_up().as_deref(), Some("garbled"));
            assert!(verdicts.doubted());
        }
        verdicts.begin();
        assert!(verdicts.doubted(), "opening is no proof");
        verdicts.readable();
        assert!(!verdicts.doubted());
    }
}
