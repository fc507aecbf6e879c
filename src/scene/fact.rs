//! What a scene has to say. A [`Fact`] knows no topic and no JSON: those are a dialect's business.

use super::objects::{Happened, Object};

/// Something that is so from now on, or that happened, about one camera.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// So many objects of a class are there.
    Count {
        /// Index into the model's names.
        class_id: u16,
        /// How many.
        count: u32,
    },
    /// Whether there is any object of a class.
    Occupancy {
        /// Index into the model's names.
        class_id: u16,
        /// At least one.
        occupied: bool,
    },
    /// Something happened to an object.
    Object {
        /// What.
        happened: Happened,
        /// The object, as it is now; in a box, for it happens seldom and is large.
        object: Box<Object>,
    },
}
