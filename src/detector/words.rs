//! Words from a model file, made fit for a terminal and a log: a file may hold any bytes, and any number of them.

/// The label of a class, or its number where a model names it not.
pub fn label_of(names: &[String], class_id: u16) -> std::borrow::Cow<'_, str> {
    match names.get(usize::from(class_id)) {
        Some(name) => name.into(),
        None => class_id.to_string().into(),
    }
}

/// Replaces what moves a terminal's cursor or ends a line by its escape (`\u{1b}`), and cuts at `most` characters.
pub fn printable(text: &str, most: usize) -> String {
    let mut words = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == most {
            words.push('…');
            break;
        }
        if is_printable(c) {
            words.push(c);
        } else {
            words.extend(c.escape_debug());
        }
    }
    words
}

/// The first `most` of a list, and how many there are besides.
pub fn listed<'a>(items: impl ExactSizeIterator<Item = &'a str>, most: usize) -> String {
    let more = items.len().saturating_sub(most);
    let mut list: Vec<&str> = items.take(most).collect();
    let rest = format!("… and {more} more");
    if more > 0 {
        list.push(&rest);
    }
    list.join(", ")
}

/// Whether a character stays where it is put: neither a control character nor one that turns the direction of writing.
pub fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_letters() {
        assert_eq!(printable("a\u{1b}[31m\0é\n", 40), "a\\u{1b}[31m\\0é\\n");
        assert_eq!(printable("\u{202e}abc", 3), "\\u{202e}ab…");
        assert_eq!(printable("abc", 3), "abc");
    }

    #[test]
    fn a_long_list_is_counted() {
        assert_eq!(listed(["a", "b", "c"].into_iter(), 2), "a, b, … and 1 more");
        assert_eq!(listed(["a", "b"].into_iter(), 2), "a, b");
    }
}
