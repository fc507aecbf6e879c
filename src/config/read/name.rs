//! Words with rules: parts of topics, choices from a list, USB ids, and tables whose keys are the user's own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use log::LevelFilter;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use super::{Located, Node, Read, Table, bad_value, join, shorten, wrong_type};
use crate::config::report::{Problems, nearest};
use crate::frame::PixelFormat;
use crate::mqtt::{Protocol, topics};

/// One level of a topic: the name of a device, a camera or a zone.
#[derive(Clone, Debug, Serialize)]
pub struct TopicPart(pub String);

impl TopicPart {
    /// The most characters; Home Assistant and file names made of it get along with so many.
    pub const MAX: usize = 64;

    pub fn allows(c: char) -> bool {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
    }
}

impl JsonSchema for TopicPart {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TopicPart".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" })
    }
}

impl Read for TopicPart {
    fn expects() -> Cow<'static, str> {
        "1 to 64 letters (a-z, A-Z), digits, `_` or `-`: it becomes a level of MQTT topics".into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<TopicPart> {
        let DeValue::String(text) = node.get_ref() else { return wrong_type(node, path, problems) };
        if text.is_empty() || text.len() > TopicPart::MAX {
            return bad_value(node, path, problems, format!("has {} characters", text.chars().count()));
        }
        match text.chars().find(|c| !TopicPart::allows(*c)) {
            Some(wrong) => {
                bad_value(node, path, problems, format!("{:?} has {wrong:?} in it", shorten(text)))
            }
            None => Some(TopicPart(text.to_string())),
        }
    }
}

/// The first levels of every topic.
#[derive(Clone, Debug, Serialize)]
pub struct TopicPrefix(pub String);

impl JsonSchema for TopicPrefix {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TopicPrefix".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[^/+#$\\s][^/+#\\s]*(/[^/+#\\s]+)*$", "maxLength": 256 })
    }
}

impl Read for TopicPrefix {
    fn expects() -> Cow<'static, str> {
        "one or more levels separated by `/`, such as \"vigie\" or \"home/vigie\"".into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<TopicPrefix> {
        let DeValue::String(text) = node.get_ref() else { return wrong_type(node, path, problems) };
        let wrong = |c: &char| matches!(c, '+' | '#') || c.is_whitespace() || c.is_control();
        if text.len() > 256 {
            bad_value(node, path, problems, "is longer than 256 bytes")
        } else if let Some(wrong) = text.chars().find(wrong) {
            bad_value(node, path, problems, format!("{:?} has {wrong:?} in it", shorten(text)))
        } else if text.starts_with('$') {
            bad_value(node, path, problems, "topics that begin with `$` belong to the broker")
        } else if text.split('/').any(str::is_empty) {
            bad_value(node, path, problems, format!("{:?} has an empty level", shorten(text)))
        } else if let Err(error) = topics::check_prefix(text) {
            bad_value(node, path, problems, error.to_string())
        } else {
            Some(TopicPrefix(text.to_string()))
        }
    }
}

/// A vendor and a product id in hexadecimal.
#[derive(Clone, Copy, Debug)]
pub struct UsbId(pub u16, pub u16);

impl Serialize for UsbId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:04x}:{:04x}", self.0, self.1))
    }
}

impl JsonSchema for UsbId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "UsbId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}$", "examples": ["046d:0825"] })
    }
}

impl Read for UsbId {
    fn expects() -> Cow<'static, str> {
        "vendor and product id as `lsusb` shows them, such as \"046d:0825\"".into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<UsbId> {
        let DeValue::String(text) = node.get_ref() else { return wrong_type(node, path, problems) };
        let id = |text: &str| {
            let hex = text.len() == 4 && text.chars().all(|c| c.is_ascii_hexdigit());
            hex.then(|| u16::from_str_radix(text, 16).ok()).flatten()
        };
        match text.split_once(':').and_then(|(vendor, product)| Some(UsbId(id(vendor)?, id(product)?))) {
            Some(usb) => Some(usb),
            None => bad_value(node, path, problems, format!("{:?} is no USB id", shorten(text))),
        }
    }
}

/// One of a list of words.
pub trait Choice: Copy + PartialEq + 'static {
    /// The words and what they stand for.
    const CHOICES: &'static [(&'static str, Self)];

    /// Other people's words for the same things; they are not taken, but understood.
    const ALIASES: &'static [(&'static str, &'static str)] = &[];
}

impl Choice for PixelFormat {
    const CHOICES: &'static [(&'static str, PixelFormat)] = &{
        let mut choices = [("", PixelFormat::Yuyv); PixelFormat::ALL.len()];
        let mut i = 0;
        while i < choices.len() {
            choices[i] = (PixelFormat::ALL[i].name(), PixelFormat::ALL[i]);
            i += 1;
        }
        choices
    };

    const ALIASES: &'static [(&'static str, &'static str)] = &[
        ("YUY2", "YUYV"),
        ("YUV422", "YUYV"),
        ("I420", "YU12"),
        ("YUV420", "YU12"),
        ("RGB24", "RGB3"),
        ("BGR24", "BGR3"),
        ("JPEG", "MJPG"),
        ("MJPEG", "MJPG"),
        ("GRAY", "GREY"),
        ("Y8", "GREY"),
    ];
}

impl Choice for LevelFilter {
    const CHOICES: &'static [(&'static str, LevelFilter)] = &[
        ("off", LevelFilter::Off),
        ("error", LevelFilter::Error),
        ("warn", LevelFilter::Warn),
        ("info", LevelFilter::Info),
        ("debug", LevelFilter::Debug),
        ("trace", LevelFilter::Trace),
    ];
}

/// A way of saying facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialectName {
    Native,
    HomeAssistant,
    Frigate,
}

impl Choice for DialectName {
    const CHOICES: &'static [(&'static str, DialectName)] = &[
        ("native", DialectName::Native),
        ("homeassistant", DialectName::HomeAssistant),
        ("frigate", DialectName::Frigate),
    ];

    const ALIASES: &'static [(&'static str, &'static str)] = &[
        ("vigie", "native"),
        ("ha", "homeassistant"),
        ("hass", "homeassistant"),
        ("home assistant", "homeassistant"),
    ];
}

impl Choice for Protocol {
    const CHOICES: &'static [(&'static str, Protocol)] = &[("3.1.1", Protocol::V311), ("5", Protocol::V5)];

    const ALIASES: &'static [(&'static str, &'static str)] =
        &[("3.1", "3.1.1"), ("3", "3.1.1"), ("4", "3.1.1"), ("311", "3.1.1"), ("5.0", "5"), ("v5", "5")];
}

/// What the coordinates of a polygon are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Fraction,
    Pixel,
}

impl Choice for Unit {
    const CHOICES: &'static [(&'static str, Unit)] = &[("fraction", Unit::Fraction), ("px", Unit::Pixel)];
}

/// A value that is written as one of a list of words.
#[derive(Clone, Copy, Debug)]
pub struct OneOf<T>(pub T);

impl<T: Choice> OneOf<T> {
    fn words() -> Vec<&'static str> {
        T::CHOICES.iter().map(|(word, _)| *word).collect()
    }
}

impl<T: Choice> Serialize for OneOf<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let word = T::CHOICES.iter().find(|(_, choice)| *choice == self.0).map_or("", |(word, _)| word);
        serializer.serialize_str(word)
    }
}

impl<T: Choice> JsonSchema for OneOf<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOf_{}", std::any::type_name::<T>()).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": OneOf::<T>::words() })
    }
}

impl<T: Choice> Read for OneOf<T> {
    fn expects() -> Cow<'static, str> {
        format!("one of \"{}\"", Self::words().join("\", \"")).into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<Self> {
        let DeValue::String(text) = node.get_ref() else { return wrong_type(node, path, problems) };
        match T::CHOICES.iter().find(|(word, _)| word == text) {
            Some((_, choice)) => Some(OneOf(*choice)),
            None => {
                let alias = T::ALIASES
                    .iter()
                    .find(|(alias, _)| alias.eq_ignore_ascii_case(text))
                    .map(|(_, word)| *word);
                let near = alias.or_else(|| nearest(text, &Self::words()));
                let near = near.map(|near| format!("; did you mean \"{near}\"?"));
                let message =
                    format!("{:?} is none of the choices{}", shorten(text), near.unwrap_or_default());
                bad_value(node, path, problems, message)
            }
        }
    }
}

/// A table whose keys are the user's own words: labels, modules.
#[derive(Clone, Debug, Serialize)]
pub struct Map<T>(pub BTreeMap<String, Located<T>>);

impl<T: JsonSchema> JsonSchema for Map<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Map_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}

impl<T: Read> Read for Map<T> {
    fn expects() -> Cow<'static, str> {
        format!("a table, each value {}", T::expects()).into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::of::<Self>(node, path, problems)?;
        let entry = |(key, node): (&toml::Spanned<Cow<'_, str>>, Node<'_, '_>)| {
            let value = Located::read(node, &join(path, key.get_ref()), problems)?;
            Some((key.get_ref().to_string(), value))
        };
        Some(Map(table.entries().iter().filter_map(entry).collect()))
    }
}
