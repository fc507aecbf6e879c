//! The text around a problem, made fit to be shown.

use std::ops::Range;

use miette::NamedSource;

/// A line of more bytes is not quoted.
const MAX_QUOTED_LINE: usize = 400;

/// Line and column (in characters) of a byte, both from 1.
pub(in crate::config) fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(byte)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

/// Whether the lines that would be quoted around a place are short enough for a terminal.
pub(in crate::config) fn quotable(text: &str, span: &Range<usize>) -> bool {
    let start = text.floor_char_boundary(span.start);
    let end = text.floor_char_boundary(span.end).max(start);
    let before = text[..start].rsplitn(3, '\n').take(2).all(|line| line.len() <= MAX_QUOTED_LINE);
    let inside = text[start..end].len() <= 4 * MAX_QUOTED_LINE;
    let after = text[end..].splitn(3, '\n').take(2).all(|line| line.len() <= MAX_QUOTED_LINE);
    before && inside && after
}

/// The text as messages may quote it: of the same length, byte for byte, but without control characters (they would
/// reach the terminal) and without anything that looks like a secret (it would reach the journal).
pub(in crate::config) fn quoted(name: &str, text: &str) -> NamedSource<String> {
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
