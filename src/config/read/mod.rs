//! A TOML document becomes typed values, and every problem on the way is written down instead of being the last one.
//!
//! serde would stop at the first wrong value. [`Read`] does not stop: a value that cannot be read is a [`Problem`] and a
//! `None`, and its neighbours are read all the same. The macro [`section!`](section::section) makes a table's
//! type, its reader and its JSON Schema from one definition.

mod file;
mod hours;
mod name;
pub mod raw;
mod schema;
mod section;
mod value;

use std::borrow::Cow;
use std::ops::Range;

use schemars::JsonSchema;
use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{Kind, Problem, Problems, did_you_mean};

pub use file::{MAX_BYTES, predicate, text};
pub use hours::{OneOrMany, TimeOfDay};
pub use name::{DialectName, Map, OneOf, TopicPart, TopicPrefix, Unit, UsbId};
pub use schema::schema;
pub use value::WidthHeight;
pub use value::{
    Bytes, Coordinate, Count, FilePath, Fraction, HeightWidth, Pair, Rate, RateOrNever, Ratio, Text, Time,
};

/// A TOML value and its place in the text.
pub type Node<'a, 'i> = &'a Spanned<DeValue<'i>>;

/// What can be read from a TOML value.
pub trait Read: Sized + Serialize + JsonSchema {
    /// What is expected, to go after the word "expected".
    fn expects() -> Cow<'static, str>;

    /// Reads it; a problem that was written down is a `None`.
    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<Self>;
}

/// A value that was read, with its place and the key that led to it.
#[derive(Clone, Debug, Default)]
pub struct Located<T> {
    pub value: T,
    pub span: Range<usize>,
    pub path: String,
}

impl<T> Located<T> {
    /// A value that comes from nowhere in the text.
    pub fn nowhere(value: T) -> Located<T> {
        Located { value, span: 0..0, path: String::new() }
    }
}

impl<T: Serialize> Serialize for Located<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

impl<T: Read> Read for Located<T> {
    fn expects() -> Cow<'static, str> {
        T::expects()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<Self> {
        let value = T::read(node, path, problems)?;
        Some(Located { value, span: node.span(), path: path.to_owned() })
    }
}

/// The most entries of a list; what is compared each with each needs a bound.
const MOST_ENTRIES: usize = 1000;

/// A list in which each entry has its place. One that cannot be read is left out: the problem is written down.
impl<T: Read> Read for Vec<Located<T>> {
    fn expects() -> Cow<'static, str> {
        format!("a list, each entry {}", T::expects()).into()
    }

    fn read(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<Self> {
        let DeValue::Array(entries) = node.get_ref() else { return wrong_type::<Self>(node, path, problems) };
        if entries.len() > MOST_ENTRIES {
            let message = format!("has {} entries; {MOST_ENTRIES} is the most", entries.len());
            return bad_value(node, path, problems, message);
        }
        let entry = |(index, entry)| Located::read(entry, &format!("{path}[{index}]"), problems);
        Some(entries.iter().enumerate().filter_map(entry).collect())
    }
}

/// Writes down that the value is not of the type that is wanted.
pub fn wrong_type<T: Read>(node: Node<'_, '_>, path: &str, problems: &mut Problems) -> Option<T> {
    let found = match node.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let message = format!("expected {}, found {found}", T::expects());
    problems.add(Problem::new(Kind::WrongType, path, message).label(node.span(), "of the wrong type"));
    None
}

/// Writes down that the value is of the right type but cannot be used, and what would be.
pub fn bad_value<T: Read>(
    node: Node<'_, '_>,
    path: &str,
    problems: &mut Problems,
    message: impl Into<String>,
) -> Option<T> {
    let problem = Problem::new(Kind::BadValue, path, message).label(node.span(), "not usable");
    problems.add(problem.hint(format!("expected {}", T::expects())));
    None
}

/// A table whose keys are being read.
pub struct Table<'a, 'i> {
    entries: &'a DeTable<'i>,
    span: Range<usize>,
    path: &'a str,
}

impl<'a, 'i> Table<'a, 'i> {
    /// The value as a table.
    pub fn of<T: Read>(node: Node<'a, 'i>, path: &'a str, problems: &mut Problems) -> Option<Table<'a, 'i>> {
        match node.get_ref() {
            DeValue::Table(entries) => Some(Table { entries, span: node.span(), path }),
            _ => {
                wrong_type::<T>(node, path, problems);
                None
            }
        }
    }

    /// Reads the value of a key; `None` also if there is none.
    pub fn get<T: Read>(&self, key: &str, problems: &mut Problems) -> Option<Located<T>> {
        Located::read(self.entries.get(key)?, &join(self.path, key), problems)
    }

    /// Writes down that a key is missing, if it is.
    pub fn require(&self, key: &str, expects: &str, problems: &mut Problems) {
        if !self.entries.contains_key(key) {
            let message = format!("`{key}` is missing");
            let problem =
                Problem::new(Kind::MissingKey, self.path, message).label(self.span.clone(), "in this table");
            problems.add(problem.hint(format!("add `{key} = …`: {expects}")));
        }
    }

    /// Writes down every key that is none of the known ones.
    pub fn refuse_unknown(&self, known: &[&str], problems: &mut Problems) {
        for (key, _) in self.entries.iter().filter(|(key, _)| !known.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref();
            let hint = match name.as_ref() {
                "password" if known.contains(&"password_file") => {
                    "secrets do not belong into this file: name a file with `password_file`, or a systemd credential \
                     with `credential`"
                        .to_owned()
                }
                name => did_you_mean(name, known.iter().copied()),
            };
            let message = format!("unknown key `{}`", shorten(name));
            let problem =
                Problem::new(Kind::UnknownKey, self.path, message).label(key.span(), "nobody reads this");
            problems.add(problem.hint(hint));
        }
    }

    /// The keys and their values.
    pub fn entries(&self) -> &'a DeTable<'i> {
        self.entries
    }
}

/// The path of a key in a table.
pub fn join(path: &str, key: &str) -> String {
    let key = shorten(key);
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let key = if bare { key } else { Cow::Owned(format!("{key:?}")) };
    if path.is_empty() { key.into_owned() } else { format!("{path}.{key}") }
}

/// The text, or as much of it as a message can bear.
pub fn shorten(text: &str) -> Cow<'_, str> {
    const MOST: usize = 60;
    let clean =
        |text: &str| text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => Cow::Owned(clean(&text[..end]) + "…"),
        None if text.chars().any(char::is_control) => Cow::Owned(clean(text)),
        None => Cow::Borrowed(text),
    }
}
