//! A [`Tally`]: how many objects of each class have crossed each line, each way.

use super::objects::Crossed;
use super::zones::Direction;

/// The crossings of a camera's lines since the start.
#[derive(Clone, Debug)]
pub struct Tally {
    /// By line, what has crossed it; a class that never has is not there.
    lines: Vec<Vec<Kind>>,
    /// What was counted and not fetched yet.
    pub(super) latest: Vec<Crossing>,
}

/// How many of a class went each way.
#[derive(Clone, Copy, Debug)]
struct Kind {
    class_id: u16,
    inwards: u64,
    outwards: u64,
}

/// An object has crossed a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Which line, and which way.
    pub crossed: Crossed,
    /// The object's class.
    pub class_id: u16,
    /// How many of its class have crossed that line that way, it included.
    pub total: u64,
}

impl Tally {
    /// Nothing has crossed any of so many lines.
    pub fn new(lines: usize) -> Tally {
        Tally { lines: vec![Vec::new(); lines], latest: Vec::new() }
    }

    /// An object of a class has crossed a line.
    pub fn count(&mut self, crossed: Crossed, class_id: u16) {
        let Some(kinds) = self.lines.get_mut(crossed.line) else { return };
        let place = kinds.iter().position(|kind| kind.class_id == class_id).unwrap_or_else(|| {
            kinds.push(Kind { class_id, inwards: 0, outwards: 0 });
            kinds.len() - 1
        });
        let total = match crossed.direction {
            Direction::In => &mut kinds[place].inwards,
            Direction::Out => &mut kinds[place].outwards,
        };
        *total += 1;
        self.latest.push(Crossing { crossed, class_id, total: *total });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_class_and_way_has_a_total_of_its_own() {
        let mut tally = Tally::new(2);
        let to = |line, direction| Crossed { line, direction };
        for (crossed, class_id) in [
            (to(0, Direction::In), 0),
            (to(0, Direction::In), 0),
            (to(0, Direction::Out), 0),
            (to(0, Direction::In), 3),
            (to(1, Direction::In), 0),
            (to(7, Direction::In), 0),
        ] {
            tally.count(crossed, class_id);
        }
        let totals: Vec<u64> = tally.latest.iter().map(|crossing| crossing.total).collect();
        assert_eq!(totals, [1, 2, 1, 1, 1], "and a line that there is not counts nothing");
    }
}
