//! The [`Director`] says when a clip begins and when it ends. It knows no file and no clock: times come with what it is told.
//!
//! A clip begins with an object and goes on while one is there, and `after` beyond the last of them. One that is as long as
//! it may be ends; it goes on in another one if something moves, and not for the sake of what rests, or a car that is parked
//! would be recorded for days. What rested and moves on begins a clip as if it were new.

use std::time::Duration;

use crate::clock::Moment;
use crate::scene::objects::{Happened, Object};

/// A clip tells of so many objects at most.
const MOST: usize = 1000;

/// When clips begin and end.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How long one goes on when the last object has gone.
    pub after: Duration,
    /// How long one is, at most.
    pub longest: Duration,
    /// By class, whether it begins one; empty: each does.
    pub classes: Vec<bool>,
    /// Everything is recorded, whatever happens and however long it takes.
    pub everything: bool,
}

/// What happened to an object, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// What.
    pub happened: Happened,
    /// When, on the monotonic clock.
    pub at: Duration,
    /// The object.
    pub member: Member,
}

/// An object in a clip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member {
    /// Its number.
    pub number: u64,
    /// What it is.
    pub class_id: u16,
    /// Whether it has not moved for long.
    pub resting: bool,
    /// When it was first seen.
    pub first_seen: Moment,
    /// And when last.
    pub last_seen: Moment,
}

impl From<&Object> for Member {
    fn from(object: &Object) -> Member {
        Member {
            number: object.id,
            class_id: object.class_id,
            resting: object.stationary,
            first_seen: object.first_seen,
            last_seen: object.last_seen,
        }
    }
}

/// Why a clip ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// There is nothing more to be seen.
    Over,
    /// It is as long as it may be.
    Longest,
    /// What comes does not fit into it.
    Split,
}

/// See the module's words.
pub struct Director {
    rules: Rules,
    /// Who is there, and who has gone since the clip began.
    cast: Vec<(Member, bool)>,
    /// When the first frame of the clip was captured.
    since: Option<Duration>,
    /// Until when it goes on after the last one has gone.
    until: Option<Duration>,
}

impl Director {
    /// Nothing has happened yet.
    pub fn new(rules: Rules) -> Director {
        Director { rules, cast: Vec::new(), since: None, until: None }
    }

    /// Something happened to an object.
    pub fn told(&mut self, told: Told) {
        let Told { happened, at, member } = told;
        let known = self.cast.iter_mut().find(|(other, _)| other.number == member.number);
        let matters = self.rules.classes.is_empty()
            || self.rules.classes.get(usize::from(member.class_id)).copied().unwrap_or(false);
        match (happened, known) {
            (Happened::End(_), Some(known)) => {
                *known = (member, true);
                if self.cast.iter().all(|(_, gone)| *gone) {
                    self.until = Some(at + self.rules.after);
                }
            }
            (Happened::End(_), None) => {}
            (_, Some(known)) => *known = (member, false),
            (Happened::New, None) if matters => self.enter(member),
            (Happened::Update, None) if matters && !member.resting => self.enter(member),
            _ => {}
        }
    }

    fn enter(&mut self, member: Member) {
        self.cast.push((member, false));
        if self.cast.len() > MOST
            && let Some(gone) = self.cast.iter().position(|(_, gone)| *gone)
        {
            self.cast.remove(gone);
        }
    }

    /// Something that happened was not heard: nobody can be waited for any more.
    pub fn forget(&mut self, at: Duration) {
        self.cast.iter_mut().for_each(|(_, gone)| *gone = true);
        self.until = Some(at + self.rules.after);
    }

    /// Whether what is captured at that time is recorded.
    pub fn rolls(&self, at: Duration) -> bool {
        self.rules.everything
            || self.cast.iter().any(|(_, gone)| !gone)
            || self.until.is_some_and(|until| at <= until)
    }

    /// Whether the clip ends before what is captured at that time.
    pub fn cut(&self, at: Duration) -> Option<Cut> {
        let since = self.since?;
        if !self.rolls(at) {
            return Some(Cut::Over);
        }
        let is_long = !self.rules.everything && at.saturating_sub(since) >= self.rules.longest;
        is_long.then_some(Cut::Longest)
    }

    /// A clip has begun with a frame of that time.
    pub fn began(&mut self, since: Duration) {
        self.since = Some(since);
    }

    /// Who is in the clip, in the order in which they came, and whether they have gone.
    pub fn cast(&self) -> &[(Member, bool)] {
        &self.cast
    }

    /// The clip has ended.
    pub fn ended(&mut self, why: Cut) {
        self.since = None;
        let rests = |member: &Member| why == Cut::Longest && member.resting;
        self.cast.retain(|(member, gone)| !gone && !rests(member));
        if self.cast.is_empty() && why != Cut::Split {
            self.until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::objects::Reason;
    use std::time::SystemTime;

    const END: Happened = Happened::End(Reason::Left);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn rules() -> Rules {
        Rules { after: at(5), longest: at(60), classes: vec![true, false], everything: false }
    }

    fn told(seconds: u64, happened: Happened, number: u64, class_id: u16, resting: bool) -> Told {
        let seen = Moment { monotonic: at(seconds), wall: SystemTime::UNIX_EPOCH };
        let member = Member { number, class_id, resting, first_seen: seen, last_seen: seen };
        Told { happened, at: at(seconds), member }
    }

    /// What is recorded of a frame each second, and where it is cut, as the recorder asks.
    fn roll(director: &mut Director, seconds: std::ops::Range<u64>) -> String {
        let second = |second: u64| {
            let cut = director.cut(at(second));
            if let Some(cut) = cut {
                director.ended(cut);
            }
            let rolls = director.rolls(at(second));
            if rolls && director.since.is_none() {
                director.began(at(second));
            }
            [if cut.is_some() { "|" } else { "" }, if rolls { "x" } else { "." }].concat()
        };
        seconds.map(second).collect()
    }

    #[test]
    fn a_clip_goes_on_while_somebody_is_there_and_a_while_beyond() {
        let mut director = Director::new(rules());
        assert_eq!(roll(&mut director, 0..3), "...");
        director.told(told(3, Happened::New, 1, 0, false));
        assert_eq!(roll(&mut director, 3..6), "xxx");
        director.told(told(6, Happened::New, 2, 0, false));
        director.told(told(6, END, 1, 0, false));
        assert_eq!(roll(&mut director, 6..20), "xxxxxxxxxxxxxx", "one clip for both");
        director.told(told(20, END, 2, 0, false));
        assert_eq!(roll(&mut director, 20..25), "xxxxx");
        director.told(told(25, Happened::New, 3, 0, false));
        director.told(told(25, END, 3, 0, false));
        assert_eq!(director.cast().iter().map(|(member, _)| member.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(roll(&mut director, 25..33), "xxxxxx|..", "whoever comes meanwhile shares it");
        assert_eq!(director.cast().len(), 0);
    }

    #[test]
    fn what_moves_goes_on_in_another_clip_and_what_rests_does_not() {
        let mut director = Director::new(Rules { longest: at(10), ..rules() });
        director.told(told(0, Happened::New, 1, 0, false));
        assert_eq!(roll(&mut director, 0..15), "xxxxxxxxxx|xxxxx");
        director.told(told(15, Happened::Update, 1, 0, true));
        assert_eq!(roll(&mut director, 15..24), "xxxxx|....");
        director.told(told(24, Happened::Update, 1, 0, true));
        assert_eq!(roll(&mut director, 24..26), "..", "seen better, and at rest");
        director.told(told(26, Happened::Update, 1, 0, false));
        assert_eq!(roll(&mut director, 26..28), "xx", "it moves on");
        director.told(told(28, END, 1, 0, false));
        assert_eq!(roll(&mut director, 28..36), "xxxxxx|..");
        director.told(told(36, END, 1, 0, true));
        assert_eq!(roll(&mut director, 36..38), "..", "nobody knows it any more");
    }

    #[test]
    fn other_labels_begin_nothing_until_they_turn_out_to_be_right() {
        let mut director = Director::new(rules());
        director.told(told(0, Happened::New, 1, 1, false));
        director.told(told(0, Happened::New, 2, 9, false));
        assert_eq!(roll(&mut director, 0..2), "..");
        director.told(told(2, Happened::Update, 1, 0, false));
        assert_eq!(roll(&mut director, 2..4), "xx");
        director.told(told(4, Happened::Update, 1, 1, false));
        assert_eq!(roll(&mut director, 4..6), "xx", "it is the same object");
    }

    #[test]
    fn what_was_not_heard_holds_nothing_up() {
        let mut director = Director::new(rules());
        director.told(told(0, Happened::New, 1, 0, false));
        assert_eq!(roll(&mut director, 0..2), "xx");
        director.forget(at(2));
        assert_eq!(roll(&mut director, 2..9), "xxxxxx|.");
        let mut director = Director::new(rules());
        (0..2 * MOST as u64).for_each(|number| {
            director.told(told(0, Happened::New, number, 0, false));
            director.told(told(0, END, number, 0, false));
        });
        assert_eq!(director.cast().len(), MOST);
    }

    #[test]
    fn everything_is_everything() {
        let mut director = Director::new(Rules { everything: true, longest: at(5), ..rules() });
        assert_eq!(roll(&mut director, 0..12), "xxxxxxxxxxxx");
        director.told(told(12, Happened::New, 1, 0, false));
        director.ended(Cut::Split);
        assert_eq!(roll(&mut director, 12..14), "xx");
        assert_eq!(director.cast().len(), 1, "who is there is in the next one too");
    }
}
