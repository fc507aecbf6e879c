//! x
pub const JPEG_COLOUR: crate::frame::Colour =
    crate::frame::Colour { matrix: crate::frame::Matrix::Bt601, range: crate::frame::Range::Full };
