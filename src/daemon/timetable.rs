//! A [`Timetable`]: whether it is within the hours of a camera and of its zones. It is asked with the time that it is, and
//! plans nothing ahead, so that a wall clock that is set cannot confuse it: what is so follows at the next question.

use std::time::SystemTime;

use crate::clock::Trust;
use crate::config::{Camera, Config};
use crate::hours::{Hours, Local};
use crate::scene::Place;
use crate::timezone::Timezone;

/// See the module's words.
#[derive(Clone, Debug)]
pub struct Timetable {
    timezone: Timezone,
    trust: Trust,
    /// Whether the wall clock is right, or once was: it goes on when nobody vouches for it any more.
    is_right: bool,
    /// Whoever has hours, the camera first.
    places: Vec<Entry>,
}

/// One that has hours.
#[derive(Clone, Debug)]
struct Entry {
    place: Place,
    hours: Hours,
    /// What was told.
    told: Option<bool>,
}

impl Timetable {
    /// For a camera of a configuration; `trust` says when the wall clock is known to be right.
    pub fn new(config: &Config, camera: &Camera, trust: Trust) -> Timetable {
        let zones = camera.zones.iter().enumerate().map(|(index, zone)| (Place::Zone(index), &zone.hours));
        let all = std::iter::once((Place::Camera, &camera.hours)).chain(zones);
        let entry = |(place, hours): (Place, &Option<Hours>)| {
            hours.clone().map(|hours| Entry { place, hours, told: None })
        };
        Timetable {
            timezone: config.timezone.clone(),
            trust,
            is_right: config.trust_clock,
            places: all.filter_map(entry).collect(),
        }
    }

    /// It is that time now: tells of each that has hours whether it is within them, at first and when that has changed.
    pub fn news(&mut self, now: SystemTime, mut tell: impl FnMut(Place, bool)) {
        if self.places.is_empty() {
            return;
        }
        self.is_right |= self.trust.is_synced();
        let local = self.timezone.local(now).filter(|_| self.is_right);
        for entry in &mut self.places {
            let within = entry.is_within(local);
            if entry.told.replace(within) != Some(within) {
                tell(entry.place, within);
            }
        }
    }

    /// Whether it was within the camera's hours when it was last asked; a camera without hours always is.
    pub fn is_within(&self) -> bool {
        let camera = self.places.iter().find(|entry| entry.place == Place::Camera);
        camera.and_then(|entry| entry.told).unwrap_or(true)
    }
}

impl Entry {
    /// A clock that may be wrong must blind nobody.
    fn is_within(&self, local: Option<Local>) -> bool {
        local.is_none_or(|local| self.hours.have(local))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hours::{Days, Minute, Span};

    const DAY: u64 = 24 * 3600;

    fn entry(place: Place, from: u16, to: u16) -> Entry {
        let minute = |hour| Minute::new(hour, 0).unwrap();
        let span = Span { days: Days::ALL, from: minute(from), to: minute(to) };
        Entry { place, hours: Hours(vec![span]), told: None }
    }

    /// A camera from ten to twelve, and its second zone from eleven to thirteen, in UTC.
    fn timetable(trust: &Trust) -> Timetable {
        Timetable {
            timezone: Timezone::named("UTC").unwrap(),
            trust: trust.clone(),
            is_right: false,
            places: vec![entry(Place::Camera, 10, 12), entry(Place::Zone(1), 11, 13)],
        }
    }

    fn at(timetable: &mut Timetable, days: u64, minutes: u64) -> Vec<(Place, bool)> {
        let mut news = Vec::new();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(DAY * days + 60 * minutes);
        timetable.news(now, |place, within| news.push((place, within)));
        news
    }

    fn trusted() -> Trust {
        let trust = Trust::default();
        trust.set(true);
        trust
    }

    #[test]
    fn each_is_told_at_first_and_when_it_changes() {
        let mut table = timetable(&trusted());
        let (camera, zone) = (Place::Camera, Place::Zone(1));
        assert!(table.is_within(), "before anybody has asked");
        assert_eq!(at(&mut table, 20_000, 599), [(camera, false), (zone, false)]);
        assert!(!table.is_within());
        assert_eq!(at(&mut table, 20_000, 600), [(camera, true)]);
        assert_eq!(at(&mut table, 20_000, 601), []);
        assert_eq!(at(&mut table, 20_000, 660), [(zone, true)]);
        assert_eq!(at(&mut table, 20_000, 720), [(camera, false)]);
        assert_eq!(at(&mut table, 20_001, 0), [(zone, false)], "over the day's end");
    }

    #[test]
    fn a_wall_clock_that_jumps_is_followed_either_way() {
        let mut table = timetable(&trusted());
        at(&mut table, 20_000, 630);
        assert!(table.is_within());
        at(&mut table, 20_400, 900);
        assert!(!table.is_within(), "a year ahead");
        at(&mut table, 10, 630);
        assert!(table.is_within(), "and back to the beginning of all clocks");
    }

    #[test]
    fn a_clock_that_nobody_vouches_for_blinds_no_camera() {
        let trust = Trust::default();
        let mut table = timetable(&trust);
        let (camera, zone) = (Place::Camera, Place::Zone(1));
        assert_eq!(at(&mut table, 0, 0), [(camera, true), (zone, true)], "a board says 1970");
        trust.set(true);
        assert_eq!(at(&mut table, 20_000, 0), [(camera, false), (zone, false)]);
        trust.set(false);
        assert_eq!(at(&mut table, 20_000, 1), [], "the network is gone, and the clock goes on");
    }

    #[test]
    fn whoever_has_no_hours_is_told_nothing() {
        let mut table = Timetable { places: Vec::new(), ..timetable(&trusted()) };
        assert_eq!(at(&mut table, 20_000, 0), []);
        assert!(table.is_within());
    }
}
