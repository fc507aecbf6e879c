//! The text of a configuration file: read with a bound, and made fit to be quoted in messages.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

use miette::NamedSource;

use super::files;

/// A larger file is no configuration but an accident.
pub const MAX_BYTES: u64 = 1 << 20;

/// A line of more bytes is not quoted.
const MAX_QUOTED_LINE: usize = 400;

/// Why the text could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("{}", files::predicate(.0))]
    Io(#[from] io::Error),
    #[error("is larger than {} MiB, the most that a configuration file may have", MAX_BYTES >> 20)]
    TooLarge,
    #[error("is not UTF-8 text: there is the byte 0x{byte:02x}")]
    NotUtf8 { byte: u8, position: (usize, usize) },
}

impl ReadError {
    /// Line and column, where there is one.
    pub(super) fn position(&self) -> Option<(usize, usize)> {
        match self {
            ReadError::NotUtf8 { position, .. } => Some(*position),
            _ => None,
        }
    }

    pub(super) fn hint(&self) -> &'static str {
        match self {
            ReadError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "name the file with `--config FILE`; the documented default is config/vigie.toml in the sources"
            }
            ReadError::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "run as the service's user, or let this user read it"
            }
            ReadError::Io(_) => "name a TOML file with `--config FILE`",
            ReadError::TooLarge => "is that the file you meant?",
            ReadError::NotUtf8 { .. } => "is that the file you meant? if it is: save it as UTF-8",
        }
    }
}

/// Reads a whole configuration file; devices and pipes too, but never more than [`MAX_BYTES`].
pub(super) fn read(path: &Path) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let good = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        ReadError::NotUtf8 { byte: error.as_bytes()[valid], position: position(&good, valid) }
    })
}

/// Line and column (in characters) of a byte, both from 1.
pub(super) fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(byte)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

/// Whether the lines that would be quoted around a place are short enough for a terminal.
pub(super) fn quotable(text: &str, span: &Range<usize>) -> bool {
    let start = text.floor_char_boundary(span.start);
    let end = text.floor_char_boundary(span.end).max(start);
    let before = text[..start].rsplitn(3, '\n').take(2).all(|line| line.len() <= MAX_QUOTED_LINE);
    let inside = text[start..end].len() <= 4 * MAX_QUOTED_LINE;
    let after = text[end..].splitn(3, '\n').take(2).all(|line| line.len() <= MAX_QUOTED_LINE);
    before && inside && after
}

/// The text as messages may quote it: of the same length, byte for byte, but without control characters (they would
/// reach the terminal) and without anything that looks like a secret (it would reach the journal).
pub(super) fn quoted(name: &str, text: &str) -> NamedSource<String> {
    let mut bytes = Vec::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let secret = secret_in(line);
        for (at, c) in line.char_indices() {
            if secret.contains(&at) && !c.is_whitespace() {
                bytes.resize(bytes.len() + c.len_utf8(), b'*');
            } else if c.is_control() && !matches!(c, '\n' | '\t') {
                bytes.resize(bytes.len() + c.len_utf8(), b' ');
            } else {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
    NamedSource::new(name, String::from_utf8(bytes).unwrap_or_default())
}

/// Where a line holds a secret: the value of a key such as `password`, or the password of a URL.
fn secret_in(line: &str) -> Range<usize> {
    for (equals, _) in line.match_indices('=') {
        let key = line[..equals].rsplit(['.', '{', ',', '#', '=']).next().unwrap_or_default();
        let key = key.trim().trim_matches(['"', '\'']).to_lowercase();
        if ["password", "passwd", "pass", "secret", "token"].contains(&key.as_str()) {
            return equals + 1..line.len();
        }
    }
    let Some((scheme, rest)) = line.split_once("://") else { return 0..0 };
    let authority = rest.split(['/', '?', '#', '"', '\'', ' ']).next().unwrap_or_default();
    match (authority.find(':'), authority.rfind('@')) {
        (Some(colon), Some(at)) if colon < at => {
            let start = scheme.len() + 3;
            start + colon + 1..start + at
        }
        _ => 0..0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        assert_eq!(position("a\nöx", 0), (1, 1));
        assert_eq!(position("a\nöx", 4), (2, 2));
        assert_eq!(position("a\nöx", 99), (2, 3));
    }

    #[test]
    fn what_is_quoted_has_no_secrets_and_no_control_characters() {
        let quote = |text: &str| quoted("x", text).inner().clone();
        assert_eq!(quote("password = \"hünter\" # x\n"), "password = ********* * *\n");
        assert_eq!(
            quote("mqtt = { url = \"a\", password = \"b\" }\n"),
            "mqtt = { url = \"a\", password = *** *\n"
        );
        assert_eq!(quote("url = \"mqtt://me:se@cret@host\"\n"), "url = \"mqtt://me:*******@host\"\n");
        assert_eq!(
            quote("url = \"mqtt://[::1]:1883\" # me@home\n"),
            "url = \"mqtt://[::1]:1883\" # me@home\n"
        );
        assert_eq!(quote("a\x1b[31m\u{85}b"), "a [31m  b");
        assert_eq!(quote("password_file = \"/etc/p\""), "password_file = \"/etc/p\"");
    }

    #[test]
    fn endless_lines_are_not_quoted() {
        let long = format!("a = 1\nb = \"{}\"\nc = 3\nd = 4\n", "x".repeat(1000));
        assert!(!quotable(&long, &(6..7)));
        assert!(!quotable(&long, &(0..1)), "the line after is quoted too");
        assert!(quotable(&long, &(long.len() - 6..long.len() - 5)));
    }
}
