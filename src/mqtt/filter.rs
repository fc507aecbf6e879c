//! Topic filters: `+` stands for one level, `#` at the end for all that follow.

/// Whether it is a filter at all.
pub fn is_valid(filter: &str) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    let last = levels.len() - 1;
    !filter.is_empty()
        && levels.iter().enumerate().all(|(index, level)| match *level {
            "+" => true,
            "#" => index == last,
            level => !level.contains(['+', '#']),
        })
}

/// Whether a valid filter lets a topic through.
pub fn matches(filter: &str, topic: &str) -> bool {
    // Topics that begin with $ are the broker's own; a wildcard does not mean them.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true;
        }
        match topic.next() {
            Some(name) if level == "+" || level == name => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a", false),
            ("a", "a/b", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/b/c", false),
            ("+/+", "/b", true),
            ("a/#", "a/b/c", true),
            ("a/#", "a", true),
            ("#", "a/b", true),
            ("#", "$SYS/version", false),
            ("+/version", "$SYS/version", false),
            ("$SYS/#", "$SYS/version", true),
        ] {
            assert!(is_valid(filter), "{filter}");
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn wildcards_stand_alone_in_their_level() {
        for filter in ["", "a#", "#/a", "a/+b", "a/#/b", "++"] {
            assert!(!is_valid(filter), "{filter}");
        }
    }
}
