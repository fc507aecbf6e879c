//! How what happens is recorded.

use std::time::Duration;

use super::scenery::labels;
use crate::config::read::raw;
use crate::config::report::{Kind, Problem, Problems};
use crate::config::{Record, Store, defaults};

pub(super) fn record(raw: &raw::Record, problems: &mut Problems) -> Option<Record> {
    let labels = labels(raw.labels.as_ref(), problems);
    let usual = Record::into(Store {
        directory: raw.directory.as_ref()?.value.0.clone(),
        bytes: raw.keep_bytes.as_ref().map_or(defaults::RECORD_BYTES, |bytes| bytes.value.0),
        age: raw.keep_age.as_ref().map_or(defaults::KEEP_AGE, |age| age.value.0),
    });
    let record = Record {
        before: raw.before.as_ref().map_or(usual.before, |before| before.value.0),
        after: raw.after.as_ref().map_or(usual.after, |after| after.value.0),
        longest: raw.longest.as_ref().map_or(usual.longest, |longest| longest.value.0),
        fps: raw.fps.as_ref().map(|fps| fps.value.0),
        quality: raw.quality.as_ref().map_or(usual.quality, |quality| quality.value.0 as u8),
        labels,
        ..usual
    };
    refuse_nothing_but_before(raw, record.before, record.longest, problems);
    Some(record)
}

/// A clip that is full before its object is there shows nothing of it.
fn refuse_nothing_but_before(
    raw: &raw::Record,
    before: Duration,
    longest: Duration,
    problems: &mut Problems,
) {
    let given = raw.before.as_ref().map(|before| (&before.path, &before.span));
    let given = given.or(raw.longest.as_ref().map(|longest| (&longest.path, &longest.span)));
    if let Some((path, span)) = given.filter(|_| before >= longest) {
        let [before, longest] = [before, longest].map(humantime::format_duration);
        let message = format!("a clip would be full with what was before: {before} of {longest} at most");
        let problem = Problem::new(Kind::Conflict, path, message).label(span.clone(), "here");
        problems.add(problem.hint("make `before` shorter, or `longest` longer"));
    }
}
