//! The ways in which everything is said, and what each of them wants to know.

use crate::config::defaults;
use crate::config::read::{DialectName, Located, OneOf, Text, TopicPrefix, raw};
use crate::config::report::{Kind, Problem, Problems};
use crate::mqtt::homeassistant::Options;

/// What Home Assistant is told; `None`: it is not among the dialects.
pub(super) fn homeassistant(file: &raw::File, problems: &mut Problems) -> Option<Options> {
    let named = named(file);
    named_once(named, problems);
    let speaks = named.iter().any(|dialect| dialect.value.0 == DialectName::HomeAssistant);
    let table = file.homeassistant.as_ref();
    if !speaks {
        refuse_unread(table, "Home Assistant", "homeassistant", problems);
    }
    let empty = raw::HomeAssistant::default();
    let table = table.map_or(&empty, |table| &table.value);
    if let Some(labels) = table.labels.as_ref().filter(|labels| labels.value.is_empty())
        && !problems.touch(&labels.path)
    {
        let problem = Problem::with(Kind::BadValue, labels, "is empty, so no label would get an entity");
        problems.add(problem.hint("name labels, or leave it out for those of zones, or common ones"));
    }
    let topic = |topic: &Option<Located<TopicPrefix>>, default: &str| {
        topic.as_ref().map_or(default.to_owned(), |topic| topic.value.0.clone())
    };
    let payload = |Located { value: Text(payload), .. }: &Located<Text>| payload.clone();
    speaks.then(|| Options {
        discovery_prefix: topic(&table.discovery_prefix, defaults::DISCOVERY_PREFIX),
        birth_topic: topic(&table.birth_topic, defaults::BIRTH_TOPIC),
        birth_payload: table.birth_payload.as_ref().map_or(defaults::BIRTH_PAYLOAD.to_owned(), payload),
        labels: table
            .labels
            .as_ref()
            .map(|labels| labels.value.iter().map(|label| label.value.0.clone()).collect()),
    })
}

/// The prefix of Frigate's topics; `None`: it is not among the dialects.
pub(super) fn frigate(file: &raw::File, problems: &mut Problems) -> Option<String> {
    let speaks = named(file).iter().any(|dialect| dialect.value.0 == DialectName::Frigate);
    let table = file.frigate.as_ref();
    if !speaks {
        refuse_unread(table, "Frigate", "frigate", problems);
        return None;
    }
    let prefix = table.and_then(|table| table.value.prefix.as_ref());
    Some(prefix.map_or(defaults::FRIGATE_PREFIX.to_owned(), |prefix| prefix.value.0.clone()))
}

fn named(file: &raw::File) -> &[Located<OneOf<DialectName>>] {
    let named = file.mqtt.as_ref().and_then(|mqtt| mqtt.value.dialects.as_ref());
    named.map_or(&[], |dialects| &dialects.value)
}

/// Writes down a dialect's table where the dialect is not spoken.
fn refuse_unread<T>(table: Option<&Located<T>>, name: &str, word: &str, problems: &mut Problems) {
    if let Some(table) = table.filter(|_| !problems.touch("mqtt.dialects")) {
        let message = format!("nobody reads this table: {name} is not among the dialects");
        let hint = format!("add `dialects = [\"native\", \"{word}\"]` to [mqtt], or drop the table");
        problems.add(Problem::with(Kind::Conflict, table, message).hint(hint));
    }
}

/// Writes down every dialect that was named before.
fn named_once(named: &[Located<OneOf<DialectName>>], problems: &mut Problems) {
    for (index, dialect) in named.iter().enumerate() {
        if let Some(first) = named[..index].iter().find(|first| first.value.0 == dialect.value.0) {
            let problem = Problem::new(Kind::Conflict, &dialect.path, "is named twice");
            let problem = problem.label(dialect.span.clone(), "again");
            problems.add(problem.label(first.span.clone(), "first here").hint("name each dialect once"));
        }
    }
}
