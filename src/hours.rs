//! [`Hours`]: the spans of a week in which something is active. They are spans of the wall time of a place, so that a day of
//! 23 or 25 hours needs no rule of its own: what the clock on the wall shows is in a span, or it is not.

use std::fmt;

/// A minute of a day, from midnight to the midnight after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minute(u16);

impl Minute {
    /// `00:00`.
    pub const FIRST: Minute = Minute(0);
    /// `24:00`, when the day is over.
    pub const END: Minute = Minute(24 * 60);

    /// The minute that a clock shows; `None`: no clock does.
    pub fn new(hour: u16, minute: u16) -> Option<Minute> {
        let fits = hour < 24 && minute < 60;
        (fits || (hour, minute) == (24, 0)).then_some(Minute(60 * hour + minute))
    }

    /// Reads `H:MM` or `HH:MM`.
    pub fn parse(text: &str) -> Option<Minute> {
        let (hour, minute) = text.split_once(':')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let fits = matches!(hour.len(), 1 | 2) && minute.len() == 2 && digits(hour) && digits(minute);
        if fits { Minute::new(hour.parse().ok()?, minute.parse().ok()?) } else { None }
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they say it themselves")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    /// All of them, in their order.
    pub const ALL: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];

    /// Its name in three letters.
    pub const fn name(self) -> &'static str {
        ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][self as usize]
    }

    /// The day after it.
    pub fn next(self) -> Day {
        Day::ALL[(self as usize + 1) % 7]
    }
}

/// Some days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days([bool; 7]);

impl Days {
    /// Every day.
    pub const ALL: Days = Days([true; 7]);

    /// Those that are named.
    pub fn new(days: impl IntoIterator<Item = Day>) -> Days {
        let mut named = [false; 7];
        days.into_iter().for_each(|day| named[day as usize] = true);
        Days(named)
    }

    /// Whether a day is among them.
    pub fn has(self, day: Day) -> bool {
        self.0[day as usize]
    }

    /// Those that are among them, in their order.
    pub fn named(self) -> impl Iterator<Item = Day> {
        Day::ALL.into_iter().filter(move |day| self.has(*day))
    }
}

/// A span of some days, from a minute on and up to another, which is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The days.
    pub days: Days,
    /// From this minute on…
    pub from: Minute,
    /// …and before this one.
    pub to: Minute,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != Days::ALL {
            let days: Vec<&str> = self.days.named().map(Day::name).collect();
            write!(f, "{} ", days.join(", "))?;
        }
        write!(f, "{} to {}", self.from, self.to)
    }
}

/// What a clock on the wall shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// The day.
    pub day: Day,
    /// The minute.
    pub minute: Minute,
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.day.name(), self.minute)
    }
}

/// See the module's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours(pub Vec<Span>);

impl Hours {
    /// Whether one of the spans has that time in it.
    pub fn have(&self, local: Local) -> bool {
        let has =
            |span: &Span| span.days.has(local.day) && span.from <= local.minute && local.minute < span.to;
        self.0.iter().any(has)
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spans: Vec<String> = self.0.iter().map(Span::to_string).collect();
        f.write_str(&spans.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(text: &str) -> Minute {
        Minute::parse(text).unwrap()
    }

    #[test]
    fn a_minute_is_what_a_clock_shows() {
        for text in ["00:00", "07:05", "23:59", "24:00"] {
            assert_eq!(minute(text).to_string(), text);
        }
        assert_eq!(minute("7:05"), minute("07:05"));
        for text in
            ["", ":", "7", "7:5", "24:01", "25:00", "12:60", "-1:00", "+1:00", "012:00", "1:000", "1:0a"]
        {
            assert_eq!(Minute::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_span_has_its_first_minute_and_not_its_last() {
        let night = Span { days: Days::new([Day::Fri]), from: minute("22:00"), to: Minute::END };
        let morning = Span { days: Days::new([Day::Sat]), from: Minute::FIRST, to: minute("06:00") };
        let hours = Hours(vec![night, morning]);
        let at = |day, text| hours.have(Local { day, minute: minute(text) });
        assert!(!at(Day::Fri, "21:59") && at(Day::Fri, "22:00") && at(Day::Fri, "23:59"));
        assert!(at(Day::Sat, "00:00") && at(Day::Sat, "05:59") && !at(Day::Sat, "06:00"));
        assert!(!at(Day::Thu, "23:00") && !at(Day::Sun, "00:00"));
        assert_eq!(hours.to_string(), "fri 22:00 to 24:00; sat 00:00 to 06:00");
        assert_eq!(Span { days: Days::ALL, ..night }.to_string(), "22:00 to 24:00");
    }

    #[test]
    fn days_follow_each_other() {
        assert_eq!((Day::Mon.next(), Day::Sun.next()), (Day::Tue, Day::Mon));
        assert!(Day::ALL.iter().all(|&day| Days::new([day]).named().eq([day])));
    }
}
