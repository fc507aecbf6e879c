//! Hours, and the time zone that they are of.

use crate::config::read::{Located, OneOrMany, raw, shorten};
use crate::config::report::{Kind, Problem, Problems, nearest};
use crate::config::validate::Surroundings;
use crate::hours::{Days, Hours, Minute, Span};
use crate::timezone::Timezone;

/// The time zone that is named, or the host's.
pub(super) fn timezone(
    device: Option<&Located<raw::Device>>,
    around: &Surroundings,
    problems: &mut Problems,
) -> Timezone {
    let Some(named) = device.and_then(|device| device.value.timezone.as_ref()) else {
        return around.timezone.clone();
    };
    let name = &named.value.0;
    if let Some(timezone) = Timezone::named(name) {
        return timezone;
    }
    let names = Timezone::names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let message = format!("there is no time zone of the name {:?}", shorten(name));
    let hint = match nearest(name, &names) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "a name such as \"Europe/Paris\"; `timedatectl list-timezones` shows them all".to_owned(),
    };
    problems.add(Problem::with(Kind::BadValue, named, message).hint(hint));
    around.timezone.clone()
}

/// The hours that are given; a span that can't be one is a problem.
pub(super) fn hours(raw: Option<&Located<OneOrMany<raw::Hours>>>, problems: &mut Problems) -> Option<Hours> {
    let raw = raw?;
    if raw.value.0.is_empty() && !problems.touch(&raw.path) {
        let problem = Problem::with(Kind::BadValue, raw, "is empty, so nobody would ever look");
        problems
            .add(problem.hint(
                "write spans such as { from = \"08:00\", to = \"18:00\" }, or leave it out for always",
            ));
    }
    let spans: Vec<Span> = raw.value.0.iter().filter_map(|span| self::span(span, problems)).collect();
    Some(Hours(spans))
}

fn span(place: &Located<raw::Hours>, problems: &mut Problems) -> Option<Span> {
    let raw = &place.value;
    // Of a span that could not be read nothing more can be said.
    if problems.touch(&place.path) {
        return None;
    }
    let days = match &raw.days {
        None => Days::ALL,
        Some(days) if days.value.is_empty() => {
            let problem = Problem::with(Kind::BadValue, days, "is empty, so it would never begin");
            problems.add(problem.hint("name days, or leave it out for every day"));
            return None;
        }
        Some(days) => Days::new(days.value.iter().map(|day| day.value.0)),
    };
    let span = Span {
        days,
        from: raw.from.as_ref().map_or(Minute::FIRST, |from| from.value.0),
        to: raw.to.as_ref().map_or(Minute::END, |to| to.value.0),
    };
    if span.from < span.to {
        return Some(span);
    }
    let (message, hint) = fault(&span);
    let mut problem = Problem::new(Kind::Conflict, &place.path, message);
    let ends = [
        (raw.to.as_ref().map(|to| &to.span), "ends here"),
        (raw.from.as_ref().map(|from| &from.span), "begins here"),
    ];
    for (end, words) in ends {
        if let Some(end) = end {
            problem = problem.label(end.clone(), words);
        }
    }
    problems.add(problem.hint(hint));
    None
}

/// What is wrong with a span that does not end after it begins, and what was perhaps meant.
fn fault(span: &Span) -> (String, String) {
    let Span { from, to, .. } = *span;
    if from == Minute::END {
        let message = "begins at 24:00, when the day is over".to_owned();
        return (message, "the day after it begins at \"00:00\"".to_owned());
    }
    if from == to {
        let message = format!("begins and ends at {from}, so it is empty");
        return (message, "a whole day is from \"00:00\" to \"24:00\"".to_owned());
    }
    let message = format!("ends at {to}, before it begins at {from}");
    let evening = written(&Span { to: Minute::END, ..*span });
    if to == Minute::FIRST {
        return (message, format!("the midnight at the end of a day is \"24:00\": {evening}"));
    }
    let days =
        if span.days == Days::ALL { Days::ALL } else { Days::new(span.days.named().map(|day| day.next())) };
    let morning = written(&Span { days, from: Minute::FIRST, to });
    let two = format!("hours = [\n  {evening},\n  {morning},\n]");
    (message, format!("a span is of one day; one over midnight is written as two:\n\n{two}"))
}

/// A span as it stands in the file.
fn written(span: &Span) -> String {
    let days: Vec<String> = span.days.named().map(|day| format!("\"{}\"", day.name())).collect();
    let days = if span.days == Days::ALL { String::new() } else { format!(", days = [{}]", days.join(", ")) };
    format!("{{ from = \"{}\", to = \"{}\"{days} }}", span.from, span.to)
}
