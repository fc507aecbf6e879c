//! One thing that is wrong with a configuration: where, what, and what to do about it; and the list that collects them.

use std::fmt;
use std::ops::Range;

use miette::{Diagnostic, LabeledSpan};

use crate::config::read::Located;

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    path: String,
    message: String,
    hint: Option<String>,
    labels: Vec<(Range<usize>, String)>,
    /// Line and column, from 1; known once the text is.
    position: Option<(usize, usize)>,
    /// Whether the text around it is fit to be shown.
    quotable: bool,
}

/// What sort of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The text is no TOML.
    Syntax,
    /// A key that nobody reads.
    UnknownKey,
    /// A key that must be there is not.
    MissingKey,
    /// A value of the wrong type.
    WrongType,
    /// A value of the right type that is out of range or malformed.
    BadValue,
    /// Values that are right alone and wrong together: duplicates, contradictions.
    Conflict,
    /// A file that is missing, unreadable or not what it should be.
    File,
    /// A label that the model doesn't have.
    Label,
}

impl Kind {
    /// The kind's name in machine-readable output.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Syntax => "syntax",
            Kind::UnknownKey => "unknown-key",
            Kind::MissingKey => "missing-key",
            Kind::WrongType => "wrong-type",
            Kind::BadValue => "bad-value",
            Kind::Conflict => "conflict",
            Kind::File => "file",
            Kind::Label => "label",
        }
    }
}

impl Problem {
    /// A problem without a place in the text.
    pub(in crate::config) fn new(kind: Kind, path: &str, message: impl Into<String>) -> Problem {
        Problem {
            kind,
            path: path.to_owned(),
            message: message.into(),
            hint: None,
            labels: Vec::new(),
            position: None,
            quotable: true,
        }
    }

    /// A problem with a value that was read.
    pub(in crate::config) fn with<T>(kind: Kind, value: &Located<T>, message: impl Into<String>) -> Problem {
        Problem::new(kind, &value.path, message).label(value.span.clone(), "here")
    }

    /// Points at a place; the first one is where the problem is said to be.
    pub(in crate::config) fn label(mut self, span: Range<usize>, text: impl Into<String>) -> Problem {
        self.labels.push((span, text.into()));
        self
    }

    /// Says what to do about it.
    pub(in crate::config) fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// What sort of problem it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The key it is about, for instance `camera[0].fps`; empty where there is none.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Line and column, both from 1; columns count characters. `None` if no place in the text is to blame.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.position
    }

    /// Where it starts, in bytes.
    pub(in crate::config) fn start(&self) -> Option<usize> {
        self.labels.first().map(|(span, _)| span.start)
    }

    pub(in crate::config) fn spans(&self) -> impl Iterator<Item = &Range<usize>> {
        self.labels.iter().map(|(span, _)| span)
    }

    /// Says where that is in lines and columns, and whether the text there is fit to be shown.
    pub(in crate::config) fn at(self, position: Option<(usize, usize)>, quotable: bool) -> Problem {
        Problem { position, quotable, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some((line, column)), false) = (self.position, self.quotable) {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if !self.quotable || self.labels.is_empty() {
            return None;
        }
        let label = |(index, (span, text)): (usize, &(Range<usize>, String))| {
            let new =
                if index == 0 { LabeledSpan::new_primary_with_span } else { LabeledSpan::new_with_span };
            new(Some(text.clone()), span.clone())
        };
        Some(Box::new(self.labels.iter().enumerate().map(label)))
    }
}

/// The problems found so far. Reading goes on after each, so that all of them are told at once.
#[derive(Debug, Default)]
pub(in crate::config) struct Problems {
    found: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// The most that are kept; the rest is counted. Nobody reads so many, and noise has them by the hundred thousand.
    const MOST: usize = 500;

    pub(in crate::config) fn add(&mut self, problem: Problem) {
        if self.found.len() < Problems::MOST {
            self.found.push(problem);
        } else {
            self.more += 1;
        }
    }

    pub(in crate::config) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether there is a problem with that key or with something in it; then what follows from it needs no words.
    pub(in crate::config) fn touch(&self, path: &str) -> bool {
        self.found.iter().any(|problem| problem.path.starts_with(path))
    }

    /// Those that were kept, and how many there are in all.
    pub(in crate::config) fn into_parts(self) -> (Vec<Problem>, usize) {
        let total = self.found.len() + self.more;
        (self.found, total)
    }
}
