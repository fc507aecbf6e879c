//! Names as people read them, and as discovery topics take them.

use std::fmt::Write as _;

/// A name of the configuration as words: `front_door` is `front door`.
pub fn words(name: &str) -> String {
    let words: Vec<&str> = name.split(['_', '-', ' ']).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// The same at the beginning of a name: `Front door`.
pub fn title(name: &str) -> String {
    let words = words(name);
    let mut rest = words.chars();
    match rest.next() {
        Some(first) => first.to_uppercase().chain(rest).collect(),
        None => words,
    }
}

/// A path of topic levels as an id in a discovery topic, where letters, digits, `_` and `-` alone are allowed: levels are
/// joined by `-`. `_` begins an escape, so that no two paths share an id.
pub fn id(path: &str) -> String {
    let mut id = String::new();
    for byte in path.bytes() {
        match byte {
            b'/' => id.push('-'),
            b'_' => id.push_str("__"),
            b'-' => id.push_str("_-"),
            _ if byte.is_ascii_alphanumeric() => id.push(char::from(byte)),
            // Writing to a string can't fail.
            _ => drop(write!(id, "_{byte:02x}")),
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_well() {
        for (name, read) in
            [("front_door", "Front door"), ("traffic light", "Traffic light"), ("TV", "TV"), ("_", "")]
        {
            assert_eq!(title(name), read);
        }
        assert_eq!(title("été--2"), "Été 2");
    }

    #[test]
    fn ids_have_allowed_characters_and_are_not_shared() {
        assert_eq!(id("vigie/porch"), "vigie-porch");
        assert_eq!(id("home/vigie/a_b-c"), "home-vigie-a__b_-c");
        assert_eq!(id("é"), "_c3_a9");
    }

    proptest::proptest! {
        #[test]
        fn another_path_has_another_id(one in "[ab_é/-]{1,6}", other in "[ab_é/-]{1,6}") {
            proptest::prop_assert_eq!(one == other, id(&one) == id(&other));
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            proptest::prop_assert!(id(&one).chars().all(allowed));
        }
    }
}
