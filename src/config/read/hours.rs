//! Times of the day, days of the week, and lists that may be written as their only entry.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use super::name::Choice;
use super::{Located, Node, Read, bad_value, shorten, wrong_type};
use crate::config::report::Problems;
use crate::hours::{Day, Minute};

/// A time of the day, `"07:30"`, up to `"24:00"`.
#[derive(Clone, Copy, Debug)]
pub struct TimeOfDay(pub Minute);

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for TimeOfDay {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TimeOfDay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(([01]?[0-9]|2[0-3]):[0-5][0-9]|24:00)$" })
    }
}

impl Read for TimeOfDay {
    fn expects() -> Cow<'static, str> {
        "a time of the day in quotes, from \"00:00\" to \"24:00\"".into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<TimeOfDay> {
        let DeValue::String(text) = node.get_ref() else { return wrong_type(node, path, problems) };
        match Minute::parse(text) {
            Some(minute) => Some(TimeOfDay(minute)),
            None => bad_value(node, path, problems, format!("{:?} is no time of the day", shorten(text))),
        }
    }
}

impl Choice for Day {
    const CHOICES: &'static [(&'static str, Day)] = &{
        let mut choices = [("", Day::Mon); Day::ALL.len()];
        let mut i = 0;
        while i < choices.len() {
            choices[i] = (Day::ALL[i].name(), Day::ALL[i]);
            i += 1;
        }
        choices
    };

    const ALIASES: &'static [(&'static str, &'static str)] = &[
        ("monday", "mon"),
        ("tuesday", "tue"),
        ("wednesday", "wed"),
        ("thursday", "thu"),
        ("friday", "fri"),
        ("saturday", "sat"),
        ("sunday", "sun"),
    ];
}

/// A list, or its only entry without the brackets.
#[derive(Clone, Debug)]
pub struct OneOrMany<T>(pub Vec<Located<T>>);

impl<T: Serialize> Serialize for OneOrMany<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

impl<T: Read> Read for OneOrMany<T> {
    fn expects() -> Cow<'static, str> {
        format!("{}, or a list of such", T::expects()).into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<Self> {
        match node.get_ref() {
            DeValue::Array(_) => Vec::read(node, path, problems).map(OneOrMany),
            DeValue::Table(_) => Located::read(node, path, problems).map(|one| OneOrMany(vec![one])),
            _ => wrong_type(node, path, problems),
        }
    }
}
