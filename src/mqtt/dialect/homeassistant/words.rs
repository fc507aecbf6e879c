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

/// The id of a device in its discovery topic, where letters, digits, `_` and `-` alone are allowed: the levels of its
/// topics joined by `-`. `_` begins an escape, so that no two devices share an id whose topics differ.
pub fn object_id(prefix: &str, levels: &[&str]) -> String {
    let mut id = String::new();
    for level in prefix.split('/').chain(levels.iter().copied()) {
        if !id.is_empty() {
            id.push('-');
        }
        for byte in level.bytes() {
            match byte {
                b'_' => id.push_str("__"),
                b'-' => id.push_str("_-"),
                _ if byte.is_ascii_alphanumeric() => id.push(char::from(byte)),
                // Writing to a string can't fail.
                _ => drop(write!(id, "_{byte:02x}")),
            }
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
        assert_eq!(object_id("vigie", &["porch", "front"]), "vigie-porch-front");
        assert_eq!(object_id("home/vigie", &["a_b-c"]), "home-vigie-a__b_-c");
        assert_eq!(object_id("é", &[]), "_c3_a9");
    }

    proptest::proptest! {
        #[test]
        fn whose_levels_differ_has_another_id(
            one in proptest::collection::vec("[ab_é-]{1,3}", 1..4),
            other in proptest::collection::vec("[ab_é-]{1,3}", 1..4),
        ) {
            let id = |levels: &[String]| {
                object_id(&levels[0], &levels[1..].iter().map(String::as_str).collect::<Vec<_>>())
            };
            proptest::prop_assert_eq!(one == other, id(&one) == id(&other));
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            proptest::prop_assert!(id(&one).chars().all(allowed));
        }
    }
}
