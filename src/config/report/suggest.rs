//! Did you mean …? The nearest of the words that would have been right.

/// A hint for a word that is not among the known ones: the nearest one, or else all of them.
pub(in crate::config) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// The known word that the given one is most likely a slip of; `None` if it is like none of them.
pub(in crate::config) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = plain(word);
    if word.len() > 64 {
        return None;
    }
    let distance = |other: &str| strsim::damerau_levenshtein(&word, &plain(other));
    let allowed = (word.chars().count() / 3).max(1);
    let close = known.iter().map(|other| (distance(other), *other)).min()?;
    let extended = || {
        let longer =
            |other: &&&str| word.len() >= 3 && (plain(other).contains(&word) || word.contains(&plain(other)));
        known.iter().find(longer).copied()
    };
    if close.0 <= allowed { Some(close.1) } else { extended() }
}

/// Case and the choice between `-` and `_` are the most common slips of all.
fn plain(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_nothing_else() {
        let known = ["max_fps", "thresholds", "detections_rate"];
        assert_eq!(nearest("max-fps", &known), Some("max_fps"));
        assert_eq!(nearest("treshold", &known), Some("thresholds"));
        assert_eq!(nearest("MAX_FSP", &known), Some("max_fps"));
        assert_eq!(nearest("password", &["username", "password_file"]), Some("password_file"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest(&"x".repeat(100_000), &known), None);
        assert_eq!(did_you_mean("colour", known), "known here: max_fps, thresholds, detections_rate");
    }
}
