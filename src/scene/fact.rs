//! What a scene has to say. A [`Fact`] knows no topic and no JSON: those are a dialect's business.

use super::objects::{Happened, Object};
use super::zones::Direction;

/// Something that is so from now on, or that happened, about one camera.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// So many objects of a class are there.
    Count {
        /// Where.
        place: Place,
        /// Index into the model's names.
        class_id: u16,
        /// How many.
        count: u32,
    },
    /// So many of them move, or have moved of late.
    Active {
        /// Where.
        place: Place,
        /// Index into the model's names.
        class_id: u16,
        /// How many.
        count: u32,
    },
    /// Whether there is any object of a class.
    Occupancy {
        /// Where.
        place: Place,
        /// Index into the model's names.
        class_id: u16,
        /// At least one.
        occupied: bool,
    },
    /// So many objects of a class have crossed a line since the start; told at each crossing.
    Crossings {
        /// Index of the line.
        line: usize,
        /// Index into the model's names.
        class_id: u16,
        /// Which way.
        direction: Direction,
        /// How many went that way, this one included.
        total: u64,
    },
    /// Whether anything moves in the picture; told only where a motion gate watches.
    Motion {
        /// Something does, or has of late.
        moving: bool,
    },
    /// Whether it is within the hours of the camera or of a zone; told only of what has hours.
    Hours {
        /// Whose.
        place: Place,
        /// It is.
        within: bool,
    },
    /// Something happened to an object.
    Object {
        /// What.
        happened: Happened,
        /// The object, as it is now; in a box, for it happens seldom and is large.
        object: Box<Object>,
    },
}

/// Which part of the picture something is said of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// All of it.
    Camera,
    /// A zone, by its index.
    Zone(usize),
}
