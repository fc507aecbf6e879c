//! Everything that is wrong with a configuration, in one error.

use std::fmt;

use miette::{Diagnostic, NamedSource, SourceCode};

use super::problem::{Problem, Problems};
use super::quote;

/// How many problems are shown; a file with more is no configuration at all.
const SHOWN: usize = 50;

/// Everything that is wrong with a configuration.
///
/// As a [`Diagnostic`] it shows each problem with file, line and caret, and what to do about it.
pub struct Error {
    name: String,
    source: Option<Box<NamedSource<String>>>,
    problems: Vec<Problem>,
    total: usize,
}

impl Error {
    /// The problems of a text, in the order of their places.
    pub(in crate::config) fn of_text(name: &str, content: &str, problems: Problems) -> Error {
        let (mut problems, total) = problems.into_parts();
        problems.sort_by_key(|problem| problem.start().unwrap_or(0));
        problems.truncate(SHOWN);
        let locate = |problem: Problem| {
            let position = problem.start().map(|start| quote::position(content, start));
            let quotable = problem.spans().all(|span| quote::quotable(content, span));
            problem.at(position, quotable)
        };
        let problems = problems.into_iter().map(locate).collect();
        Error { name: name.to_owned(), source: Some(Box::new(quote::quoted(name, content))), problems, total }
    }

    /// The problem with a file whose text is not to be had.
    pub(in crate::config) fn of_file(name: &str, problem: Problem) -> Error {
        Error { name: name.to_owned(), source: None, problems: vec![problem], total: 1 }
    }

    /// The file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The problems, at least one, in the order of their places in the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.problems.len();
        match self.total {
            1 => write!(f, "the configuration {} has a problem", self.name),
            total if total > shown => write!(
                f,
                "the configuration {} has {total} problems, of which these are the first {shown}",
                self.name
            ),
            total => write!(f, "the configuration {} has {total} problems", self.name),
        }
    }
}

/// As a plain error, without carets: one line for each problem.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        self.problems.iter().try_for_each(|problem| match problem.position() {
            Some((line, column)) => write!(f, "\n{}:{line}:{column}: {problem}", self.name),
            None => write!(f, "\n{}: {problem}", self.name),
        })
    }
}

impl std::error::Error for Error {}

impl Diagnostic for Error {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_deref().map(|source| source as &dyn SourceCode)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}
