//! What a scene has to say. A [`Fact`] knows no topic and no JSON: those are a dialect's business.

/// Something that is so from now on, about one camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}
