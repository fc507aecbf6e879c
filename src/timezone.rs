//! A [`Timezone`]: what the clock on the wall of a place shows at an instant. The rules are the system's where it has them
//! (`/usr/share/zoneinfo`), or else those that the program brings along: a small board may have none.

use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase, db};

use crate::hours::{Day, Local, Minute};

/// Where a system says which time zone is its own.
const LOCALTIME: &str = "/etc/localtime";

/// See the module's words.
#[derive(Clone, Debug)]
pub struct Timezone {
    rules: TimeZone,
    doubt: Option<String>,
}

/// Time zones are the same if their rules are, wherever they were found.
impl PartialEq for Timezone {
    fn eq(&self, other: &Timezone) -> bool {
        self.rules == other.rules
    }
}

impl Timezone {
    /// The one of that name; `None`: there is none.
    pub fn named(name: &str) -> Option<Timezone> {
        let rules = db().get(name).or_else(|_| TimeZoneDatabase::bundled().get(name)).ok()?;
        Some(Timezone { rules, doubt: None })
    }

    /// The host's own: as the environment variable `TZ` says, or else `/etc/localtime`; where neither says anything that can
    /// be used it is UTC, and in doubt.
    pub fn of_the_host() -> Timezone {
        if let Ok(rules) = TimeZone::try_system() {
            return Timezone { rules, doubt: None };
        }
        let variable = std::env::var("TZ").ok();
        let link = std::fs::read_link(LOCALTIME).ok();
        Timezone::guessed(variable.as_deref(), link.as_deref())
    }

    /// By the name alone: of a system that names a time zone and lacks its rules.
    fn guessed(variable: Option<&str>, link: Option<&Path>) -> Timezone {
        let linked = link.and_then(Path::to_str);
        let told = variable.map(|value| value.trim_start_matches(':')).or(linked);
        let name = told.map(|told| told.rsplit_once("zoneinfo/").map_or(told, |(_, name)| name));
        if let Some(found) = name.and_then(Timezone::named) {
            return found;
        }
        let doubt = match (variable, linked) {
            (Some(value), _) => format!("the environment variable TZ is {value:?}, which is no time zone"),
            (None, Some(link)) => format!("{LOCALTIME} leads to {link}, where no time zone is"),
            (None, None) => {
                format!("the system does not say which one is its own ({LOCALTIME} can't be read)")
            }
        };
        Timezone { rules: TimeZone::UTC, doubt: Some(doubt) }
    }

    /// The names that there are.
    pub fn names() -> Vec<String> {
        let bundled = TimeZoneDatabase::bundled();
        let mut names: Vec<String> =
            db().available().chain(bundled.available()).map(|name| name.as_str().to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Its name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.rules.iana_name()
    }

    /// Why it may be the wrong one.
    pub fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }

    /// What the clock on the wall shows at an instant; `None`: no calendar goes that far.
    pub fn local(&self, instant: SystemTime) -> Option<Local> {
        let shown = self.rules.to_datetime(Timestamp::try_from(instant).ok()?);
        let day = Day::ALL[usize::try_from(shown.weekday().to_monday_zero_offset()).ok()?];
        let minute = Minute::new(u16::try_from(shown.hour()).ok()?, u16::try_from(shown.minute()).ok()?)?;
        Some(Local { day, minute })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hours::{Days, Hours, Span};

    fn paris() -> Timezone {
        Timezone::named("Europe/Paris").unwrap()
    }

    fn instant(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).unwrap()
    }

    fn hours(from: &str, to: &str) -> Hours {
        let minute = |text| Minute::parse(text).unwrap();
        Hours(vec![Span { days: Days::ALL, from: minute(from), to: minute(to) }])
    }

    /// How many minutes of a day that begins at that instant and has so many hours are in the span.
    fn minutes(hours: &Hours, midnight: &str, long: u64) -> usize {
        let start = instant(midnight);
        let at = |n| paris().local(start + Duration::from_secs(60 * n)).unwrap();
        assert_eq!(at(0).minute, Minute::FIRST);
        assert_eq!(at(60 * long).minute, Minute::FIRST, "and there it ends");
        (0..60 * long).filter(|&n| hours.have(at(n))).count()
    }

    #[test]
    fn the_wall_of_a_place_shows_its_own_time() {
        let at = paris().local(instant("2026-07-03T21:30:59.9Z")).unwrap();
        assert_eq!(at, Local { day: Day::Fri, minute: Minute::new(23, 30).unwrap() });
        let at = paris().local(instant("2026-07-03T22:00:00Z")).unwrap();
        assert_eq!(at, Local { day: Day::Sat, minute: Minute::FIRST });
        assert_eq!(Timezone::named("europe/paris"), Some(paris()), "capitals or not");
        assert_eq!(paris().name(), Some("Europe/Paris"));
    }

    #[test]
    fn a_day_of_23_hours_lacks_an_hour_of_the_night() {
        // On 29 March 2026 two o'clock is three o'clock.
        let midnight = "2026-03-28T23:00:00Z";
        assert_eq!(minutes(&hours("00:00", "24:00"), midnight, 23), 23 * 60);
        assert_eq!(minutes(&hours("02:00", "03:00"), midnight, 23), 0, "an hour that there is not");
        assert_eq!(minutes(&hours("01:30", "02:30"), midnight, 23), 30);
        assert_eq!(minutes(&hours("02:30", "03:30"), midnight, 23), 30);
        assert_eq!(minutes(&hours("22:00", "24:00"), midnight, 23), 120);
    }

    #[test]
    fn a_day_of_25_hours_has_an_hour_of_the_night_twice() {
        // On 25 October 2026 three o'clock is two o'clock again.
        let midnight = "2026-10-24T22:00:00Z";
        assert_eq!(minutes(&hours("00:00", "24:00"), midnight, 25), 25 * 60);
        assert_eq!(minutes(&hours("02:00", "03:00"), midnight, 25), 120);
        assert_eq!(minutes(&hours("01:30", "02:30"), midnight, 25), 90);
        assert_eq!(minutes(&hours("03:00", "04:00"), midnight, 25), 60);
        assert_eq!(minutes(&hours("22:00", "24:00"), midnight, 25), 120);
    }

    #[test]
    fn a_system_that_lacks_the_rules_is_taken_by_its_word() {
        let link = |path| Timezone::guessed(None, Some(Path::new(path)));
        assert_eq!(link("/usr/share/zoneinfo/Europe/Paris"), paris());
        assert_eq!(link("../usr/share/zoneinfo/Europe/Paris").doubt(), None);
        assert_eq!(Timezone::guessed(Some(":Europe/Paris"), None), paris());
        let unknown =
            Timezone::guessed(Some("Mars/Base"), Some(Path::new("/usr/share/zoneinfo/Europe/Paris")));
        assert_eq!(unknown.name(), Some("UTC"));
        assert!(unknown.doubt().unwrap().contains("\"Mars/Base\""), "{unknown:?}");
        assert!(link("/nowhere").doubt().unwrap().contains("/nowhere"));
        assert!(Timezone::guessed(None, None).doubt().is_some());
    }

    #[test]
    fn what_no_calendar_has_is_no_time() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(paris().local(far), None);
        assert!(paris().local(SystemTime::UNIX_EPOCH).is_some());
    }

    #[test]
    fn there_are_names_whatever_the_system_has() {
        let names = Timezone::names();
        assert!(names.len() > 300 && names.iter().any(|name| name == "Europe/Paris"));
    }
}
