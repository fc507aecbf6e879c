//! The text around a problem, made fit to be shown.

use std::ops::Range;

use miette::NamedSource;

use super::mask::mask;

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

/// The text as messages may quote it: as long as it is, byte for byte, but without secrets and control characters.
pub(in crate::config) fn quoted(name: &str, text: &str) -> NamedSource<String> {
    NamedSource::new(name, mask(text))
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
    fn endless_lines_are_not_quoted() {
        let long = format!("a = 1\nb = \"{}\"\nc = 3\nd = 4\n", "x".repeat(1000));
        assert!(!quotable(&long, &(6..7)));
        assert!(!quotable(&long, &(0..1)), "the line after is quoted too");
        assert!(quotable(&long, &(long.len() - 6..long.len() - 5)));
    }
}
