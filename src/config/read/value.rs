//! The values that stand in a configuration file: durations, sizes, rates, fractions, names.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use super::{Node, Read, bad_value, shorten, wrong_type};
use crate::config::report::Problems;

/// A [`JsonSchema`] that stands where it is used.
macro_rules! inline_schema {
    ([$($generics:tt)*] $Type:ty, $schema:expr) => {
        impl<$($generics)*> JsonSchema for $Type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($Type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

impl Read for bool {
    fn expects() -> Cow<'static, str> {
        "`true` or `false`".into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<bool> {
        node.get_ref().as_bool().or_else(|| wrong_type(node, path, problems))
    }
}

/// A string that is not empty and has no control characters.
#[derive(Clone, Debug, Serialize)]
pub struct Text(pub String);

inline_schema!([] Text, json_schema!({ "type": "string", "minLength": 1 }));

impl Read for Text {
    fn expects() -> Cow<'static, str> {
        "a string that is not empty, without control characters".into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<Text> {
        match node.get_ref() {
            DeValue::String(text) if text.is_empty() => bad_value(node, path, problems, "is empty"),
            // Not the text itself: it may be a password at the wrong place.
            DeValue::String(text) if text.chars().any(char::is_control) => {
                bad_value(node, path, problems, "has a control character in it")
            }
            DeValue::String(text) if text.len() > 4096 => bad_value(node, path, problems, "is too long"),
            DeValue::String(text) => Some(Text(text.to_string())),
            _ => wrong_type(node, path, problems),
        }
    }
}

/// The path of a file, a folder or a device.
#[derive(Clone, Debug, Serialize)]
pub struct FilePath(pub PathBuf);

inline_schema!([] FilePath, json_schema!({ "type": "string", "minLength": 1 }));

impl Read for FilePath {
    fn expects() -> Cow<'static, str> {
        "a path; a relative one starts at the working directory".into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<FilePath> {
        match node.get_ref() {
            DeValue::String(text) if text.is_empty() => bad_value(node, path, problems, "is empty"),
            DeValue::String(text) if text.contains('\0') => {
                bad_value(node, path, problems, "has a NUL in it")
            }
            DeValue::String(text) if text.starts_with("~/") => bad_value(
                node,
                path,
                problems,
                "`~` is a shell's word for the home directory; write the whole path",
            ),
            DeValue::String(text) => Some(FilePath(PathBuf::from(text.as_ref()))),
            _ => wrong_type(node, path, problems),
        }
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Count<const MIN: u64, const MAX: u64>(pub u64);

inline_schema!([const MIN: u64, const MAX: u64] Count<MIN, MAX>,
    json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX }));

impl<const MIN: u64, const MAX: u64> Read for Count<MIN, MAX> {
    fn expects() -> Cow<'static, str> {
        format!("a whole number from {MIN} to {MAX}").into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<Self> {
        let DeValue::Integer(integer) = node.get_ref() else { return wrong_type(node, path, problems) };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(count) if (MIN..=MAX).contains(&count) => Some(Count(count)),
            _ => {
                bad_value(node, path, problems, format!("{} is out of range", shorten(&integer.to_string())))
            }
        }
    }
}

/// A number; TOML's integers are numbers too.
fn number(node: Node<'_, '_>) -> Option<f32> {
    match node.get_ref() {
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|i| i as f32)
        }
        DeValue::Float(float) => float.as_str().parse().ok(),
        _ => None,
    }
}

/// Defines a number within bounds.
macro_rules! bounded_number {
    ($(#[doc = $doc:literal])+ $Name:ident, $bounds:expr, $expects:literal) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Serialize)]
        pub struct $Name(pub f32);

        inline_schema!([] $Name, json_schema!({
            "type": "number", "minimum": $bounds.start(), "maximum": $bounds.end()
        }));

        impl Read for $Name {
            fn expects() -> Cow<'static, str> {
                $expects.into()
            }

            fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<Self> {
                match number(node) {
                    Some(number) if $bounds.contains(&number) => Some($Name(number)),
                    Some(number) => bad_value(node, path, problems, format!("{number} is out of range")),
                    None => wrong_type(node, path, problems),
                }
            }
        }
    };
}

bounded_number! {
    /// Something from nothing to all: a score, an overlap.
    Fraction, (0.0..=1.0), "a number from 0 to 1"
}

bounded_number! {
    /// So many a second, at least one in 1000 seconds.
    Rate, (0.001..=1000.0), "a number a second, from 0.001 to 1000"
}

bounded_number! {
    /// So many a second at most; none at all is allowed.
    RateOrNever, (0.0..=1000.0), "a number a second, from 0 (never) to 1000"
}

bounded_number! {
    /// How many times as large as something else.
    Ratio, (0.0..=1000.0), "a number from 0 to 1000"
}

bounded_number! {
    /// A coordinate: a fraction of the picture, or pixels.
    Coordinate, (-100_000.0..=100_000.0), "a coordinate"
}

/// A duration, `"500ms"` or `"24h"`, within bounds in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Time<const MIN_MS: u64, const MAX_MS: u64>(pub Duration);

inline_schema!([const MIN: u64, const MAX: u64] Time<MIN, MAX>, json_schema!({
    "type": "string", "pattern": "^\\s*([0-9]+\\s*[a-zµ]+\\s*)+$", "examples": ["500ms", "5s", "1m 30s", "24h"]
}));

impl<const MIN: u64, const MAX: u64> Serialize for Time<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl<const MIN: u64, const MAX: u64> Read for Time<MIN, MAX> {
    fn expects() -> Cow<'static, str> {
        let show = |ms| humantime::format_duration(Duration::from_millis(ms)).to_string();
        format!("a duration such as \"500ms\", \"5s\" or \"24h\", from {} to {}", show(MIN), show(MAX)).into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<Self> {
        let DeValue::String(text) = node.get_ref() else { return wrong_type(node, path, problems) };
        let bounds = Duration::from_millis(MIN)..=Duration::from_millis(MAX);
        match humantime::parse_duration(text) {
            Ok(time) if bounds.contains(&time) => Some(Time(time)),
            Ok(_) => bad_value(node, path, problems, format!("{} is out of range", shorten(text))),
            Err(error) => {
                let reason = error.to_string().to_lowercase();
                bad_value(node, path, problems, format!("\"{}\" is no duration: {reason}", shorten(text)))
            }
        }
    }
}

/// A number of bytes, `"64 MiB"`, within bounds.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<const MIN: u64, const MAX: u64>(pub u64);

/// The units of [`Bytes`], the largest binary ones first.
const UNITS: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("KB", 1000),
];

inline_schema!([const MIN: u64, const MAX: u64] Bytes<MIN, MAX>, json_schema!({
    "type": "string", "pattern": "^[0-9]+ ?(B|[KMG]iB|[kKMG]B)$", "examples": ["512 KiB", "64 MiB"]
}));

/// Shows a number of bytes in the largest unit that fits it without a remainder.
fn show_bytes(bytes: u64) -> String {
    let unit = UNITS.iter().find(|(_, size)| bytes.is_multiple_of(*size) && bytes > 0).unwrap_or(&("B", 1));
    format!("{} {}", bytes / unit.1, unit.0)
}

fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = text[digits..].trim_start();
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
    text[..digits].parse::<u64>().ok()?.checked_mul(*size)
}

impl<const MIN: u64, const MAX: u64> Serialize for Bytes<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&show_bytes(self.0))
    }
}

impl<const MIN: u64, const MAX: u64> Read for Bytes<MIN, MAX> {
    fn expects() -> Cow<'static, str> {
        format!("a size such as \"512 KiB\" or \"64 MiB\", from {} to {}", show_bytes(MIN), show_bytes(MAX))
            .into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<Self> {
        let DeValue::String(text) = node.get_ref() else { return wrong_type(node, path, problems) };
        match parse_bytes(text) {
            Some(bytes) if (MIN..=MAX).contains(&bytes) => Some(Bytes(bytes)),
            Some(_) => bad_value(node, path, problems, format!("{} is out of range", shorten(text))),
            None => bad_value(node, path, problems, format!("\"{}\" is no size in bytes", shorten(text))),
        }
    }
}

/// Two numbers: a width and a height, or the coordinates of a point.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pair<T>(pub T, pub T);

impl<T: JsonSchema> JsonSchema for Pair<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Pair_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({ "type": "array", "items": item, "minItems": 2, "maxItems": 2 })
    }
}

impl<T: Read> Read for Pair<T> {
    fn expects() -> Cow<'static, str> {
        format!("two values in brackets, each {}", T::expects()).into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<Self> {
        let (first, second) = two::<T, Self>(node, path, problems)?;
        Some(Pair(first, second))
    }
}

/// The two values of a list that shall become a `P`.
fn two<T: Read, P: Read>(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<(T, T)> {
    let DeValue::Array(entries) = node.get_ref() else {
        return wrong_type::<P>(node, path, problems).and(None);
    };
    let [first, second] = &entries[..] else {
        let message = format!("has {} values instead of two", entries.len());
        return bad_value::<P>(node, path, problems, message).and(None);
    };
    let (first, second) = (T::read(first, path, problems), T::read(second, path, problems));
    Some((first?, second?))
}

/// Defines a size in pixels, the sides in that order.
macro_rules! sides {
    ($(#[doc = $doc:literal])+ $Name:ident, $MIN:literal..=$MAX:literal, $expects:literal) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Serialize)]
        pub struct $Name(pub Count<$MIN, $MAX>, pub Count<$MIN, $MAX>);

        impl JsonSchema for $Name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($Name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                Pair::<Count<$MIN, $MAX>>::json_schema(generator)
            }
        }

        impl Read for $Name {
            fn expects() -> Cow<'static, str> {
                $expects.into()
            }

            fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<Self> {
                let (first, second) = two::<_, Self>(node, path, problems)?;
                Some($Name(first, second))
            }
        }
    };
}

sides! {
    /// The size of a camera's pictures, as everybody writes it.
    WidthHeight, 16..=16384, "width, then height in pixels, such as [1280, 720]"
}

sides! {
    /// The size of a model's input, as the metadata of models have it.
    HeightWidth, 32..=4096, "height, then width in pixels, such as [256, 320]"
}
