//! How many objects of each class are there, in all of the picture and in each zone, told only when it changes, and never
//! on the word of one frame.

use std::time::Duration;

use super::objects::Object;
use super::zones::applies;
use super::{Fact, Place};

/// So many looks must agree that there are fewer, however long they take: at one look in ten seconds a single miss would
/// otherwise outlast any hold.
const LOOKS: u32 = 3;

/// The counts of one camera.
///
/// More objects count at once. Fewer count when no look of the last `hold` showed more, and at least three looks
/// agreed; then the count falls to the most that was seen in that time.
///
/// After a start nothing is told of a place until it has been looked at for `hold`, and for as long as an object takes to
/// count there; then everything is told once, so that a restart with a person in view is no arrival, and no leaving either.
/// After a loss nothing falls until then.
#[derive(Clone, Debug)]
pub struct Counts {
    hold: Duration,
    areas: Vec<Area>,
}

/// How long an object takes until it counts in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settling {
    /// So many looks…
    pub looks: u32,
    /// …and then so much time.
    pub time: Duration,
}

/// What is counted in one place.
#[derive(Clone, Debug)]
struct Area {
    place: Place,
    /// By class, whether it is told of; empty: all are.
    told: Vec<bool>,
    classes: Vec<Class>,
    settling: Settling,
    trust: Trust,
    /// Whether all was told once.
    introduced: bool,
}

/// Whether looks have gone on for so long that what they don't show isn't there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// There was no look yet, or none since the camera was lost.
    NotLooked,
    /// Looking since then, so many times.
    Looking { since: Duration, looks: u32 },
    /// Enough looks; only time is to pass, until then.
    Waiting { until: Duration },
    /// What isn't seen isn't there.
    Settled,
}

#[derive(Clone, Copy, Debug, Default)]
struct Class {
    all: Count,
    active: Count,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// How many there are.
    count: u32,
    /// What this look shows.
    seen: u32,
    /// What there were fewer of, as long as there were fewer in every look.
    fewer: Option<Fewer>,
}

/// A run of looks that all showed fewer than the count.
#[derive(Clone, Copy, Debug)]
struct Fewer {
    /// The last look that showed the count, or the first one after a loss.
    since: Duration,
    /// How many looks it is long.
    looks: u32,
    /// The most that any of them showed.
    most: u32,
}

impl Counts {
    /// For a model of that many classes, nothing known of any of them; an object counts in the picture after `settling`.
    pub fn new(classes: usize, hold: Duration, settling: Settling) -> Counts {
        let mut counts = Counts { hold, areas: Vec::new() };
        counts.add(Place::Camera, classes, settling, Vec::new());
        counts
    }

    /// With a zone, the next by its index, in which an object counts after `settling`; `told` says by class what is told of
    /// it, empty: everything.
    pub fn with_zone(mut self, settling: Settling, told: Vec<bool>) -> Counts {
        let (zone, classes) = (self.areas.len() - 1, self.areas[0].classes.len());
        self.add(Place::Zone(zone), classes, settling, told);
        self
    }

    fn add(&mut self, place: Place, classes: usize, settling: Settling, told: Vec<bool>) {
        let looks = settling.looks.max(LOOKS);
        self.areas.push(Area {
            place,
            told,
            classes: vec![Class::default(); classes],
            settling: Settling { looks, ..settling },
            trust: Trust::NotLooked,
            introduced: false,
        });
    }

    /// Takes in which objects were there after a look at a frame captured at `at` on the monotonic clock. Classes that the
    /// model does not have are ignored.
    pub fn look<'a>(
        &mut self,
        at: Duration,
        objects: impl Iterator<Item = &'a Object>,
        facts: &mut Vec<Fact>,
    ) {
        for class in self.areas.iter_mut().flat_map(|area| &mut area.classes) {
            (class.all.seen, class.active.seen) = (0, 0);
        }
        for object in objects {
            self.areas[0].see(object);
            for &zone in &object.zones {
                if let Some(area) = self.areas.get_mut(zone + 1) {
                    area.see(object);
                }
            }
        }
        for area in &mut self.areas {
            area.look(at, self.hold, facts);
        }
    }

    /// The camera is away. The counts stay: they are old, not wrong. Time that nobody looked counts for nothing.
    pub fn lost(&mut self) {
        for area in &mut self.areas {
            area.trust = Trust::NotLooked;
            for class in &mut area.classes {
                (class.all.fewer, class.active.fewer) = (None, None);
            }
        }
    }

    /// A zone is closed: nothing is there, by definition and not by any look, and that is told at once.
    pub fn close(&mut self, zone: usize, facts: &mut Vec<Fact>) {
        if let Some(area) = self.areas.get_mut(zone + 1) {
            area.close(facts);
        }
    }

    /// Whether looks have gone on for so long that what they don't show isn't there, anywhere.
    pub fn is_settled(&self) -> bool {
        self.areas.iter().all(|area| area.trust == Trust::Settled)
    }

    /// Tells everything once when the camera has been looked at for long enough.
    pub fn tick(&mut self, now: Duration, facts: &mut Vec<Fact>) {
        for area in &mut self.areas {
            area.tick(now, facts);
        }
    }
}

impl Area {
    fn see(&mut self, object: &Object) {
        if let Some(class) = self.classes.get_mut(usize::from(object.class_id)) {
            class.all.seen += 1;
            class.active.seen += u32::from(!object.stationary);
        }
    }

    fn look(&mut self, at: Duration, hold: Duration, facts: &mut Vec<Fact>) {
        self.trust = match self.trust {
            Trust::NotLooked => Trust::Looking { since: at, looks: 1 },
            Trust::Looking { since, looks } => Trust::Looking { since, looks: looks.saturating_add(1) },
            enough => enough,
        };
        if let Trust::Looking { since, looks } = self.trust
            && looks >= self.settling.looks
        {
            self.trust = Trust::Waiting { until: (since + hold).max(at + self.settling.time) };
        }
        self.settle(at);
        let settled = self.trust == Trust::Settled;
        let introduced = self.introduced;
        for (class_id, class) in (0u16..).zip(&mut self.classes) {
            let before = (class.all.count, class.active.count);
            class.all.look(at, hold, settled);
            class.active.look(at, hold, settled);
            if introduced && applies(&self.told, class_id) {
                class.tell(self.place, class_id, Some(before), facts);
            }
        }
        self.introduce(facts);
    }

    fn tick(&mut self, now: Duration, facts: &mut Vec<Fact>) {
        self.settle(now);
        self.introduce(facts);
    }

    /// Empties it; everything is told if nothing was before.
    fn close(&mut self, facts: &mut Vec<Fact>) {
        let introduced = std::mem::replace(&mut self.introduced, true);
        for (class_id, class) in (0u16..).zip(&mut self.classes) {
            let before = (class.all.count, class.active.count);
            *class = Class::default();
            if applies(&self.told, class_id) {
                class.tell(self.place, class_id, introduced.then_some(before), facts);
            }
        }
    }

    /// Time has passed.
    fn settle(&mut self, now: Duration) {
        if matches!(self.trust, Trust::Waiting { until } if now >= until) {
            self.trust = Trust::Settled;
        }
    }

    /// Tells everything, once, when it can be told.
    fn introduce(&mut self, facts: &mut Vec<Fact>) {
        if self.introduced || self.trust != Trust::Settled {
            return;
        }
        self.introduced = true;
        for (class_id, class) in
            (0u16..).zip(&self.classes).filter(|(class_id, _)| applies(&self.told, *class_id))
        {
            class.tell(self.place, class_id, None, facts);
        }
    }
}

impl Count {
    /// Takes in what a look shows; what isn't there any more goes only if looks are `settled`.
    fn look(&mut self, at: Duration, hold: Duration, settled: bool) {
        if self.seen >= self.count {
            let fewer = Some(Fewer { since: at, looks: 0, most: 0 });
            *self = Count { count: self.seen, seen: self.seen, fewer };
            return;
        }
        let fewer = self.fewer.get_or_insert(Fewer { since: at, looks: 0, most: 0 });
        fewer.looks += 1;
        fewer.most = fewer.most.max(self.seen);
        if settled && fewer.looks >= LOOKS && at.saturating_sub(fewer.since) >= hold {
            let most = fewer.most;
            let fewer = Some(Fewer { since: at, looks: 0, most: self.seen });
            *self = Count { count: most, seen: self.seen, fewer };
        }
    }
}

impl Class {
    /// Says what is other than it was said `before`; all of it if nothing was said.
    fn tell(&self, place: Place, class_id: u16, before: Option<(u32, u32)>, facts: &mut Vec<Fact>) {
        let (count, active) = (self.all.count, self.active.count);
        if before.is_none_or(|(before, _)| before != count) {
            facts.push(Fact::Count { place, class_id, count });
        }
        if before.is_none_or(|(_, before)| before != active) {
            facts.push(Fact::Active { place, class_id, count: active });
        }
        let occupied = count > 0;
        if before.is_none_or(|(before, _)| (before > 0) != occupied) {
            facts.push(Fact::Occupancy { place, class_id, occupied });
        }
    }
}

#[cfg(test)]
#[path = "counts_tests.rs"]
mod tests;
