//! What is no configuration at all, or a damaged one: refused, soon and in words.

use proptest::prelude::*;

use super::*;

#[test]
fn noise_is_refused_soon_and_in_few_words() {
    let place = Place::new();
    let noise = |pattern: &str| pattern.repeat(MAX_BYTES as usize / pattern.len());
    let keys: String = (0..90_000).map(|i| format!("k{i} = 1\n")).collect();
    let patterns = [
        "[",
        "a.",
        "[[camera]]\n",
        "[camera.source]\n",
        "= \n",
        "\"",
        "a = [",
        "{",
        "x",
        "\u{1b}[31m",
        "é = 1\n",
    ];
    // The suite for ARM runs under an emulator.
    let soon = Duration::from_secs(if cfg!(target_arch = "aarch64") { 60 } else { 10 });
    for text in patterns.map(noise).into_iter().chain([keys]) {
        let start = std::time::Instant::now();
        let parsed = Config::parse("noise", &text);
        let error = parsed.expect_err("noise is no configuration");
        let shown = format!("{:?}", miette::Report::new(error));
        assert!(shown.len() < 100_000, "{} bytes about {:.20}", shown.len(), text);
        assert!(!shown.contains("\u{1b}[31m"));
        assert!(start.elapsed() < soon, "{:?} for {:.20}", start.elapsed(), text);
    }
    assert!(place.path().exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens to the file: a configuration, or problems with a place, or the lack of something.
    #[test]
    fn damaged_configurations_are_refused_in_words(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        drops in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        twice in prop::collection::vec(any::<prop::sample::Index>(), 0..2),
        source in prop::sample::select(vec![DOCUMENTED, EVERYTHING]),
    ) {
        let mut lines: Vec<&str> = source.lines().filter(|line| !line.starts_with("# ")).collect();
        for index in &drops {
            lines.remove(index.index(lines.len()));
        }
        for index in &twice {
            lines.push(lines[index.index(lines.len())]);
        }
        let mut bytes = lines.join("\n").into_bytes();
        for (index, byte) in &flips {
            let at = index.index(bytes.len());
            bytes[at] = *byte;
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Err(error) = Config::parse("damaged", &text) {
            prop_assert!(!error.problems().is_empty());
            for problem in error.problems() {
                let lacks = matches!(problem.kind(), Kind::MissingKey | Kind::File);
                prop_assert!(problem.position().is_some() || lacks, "no place: {problem}");
                prop_assert!(!problem.message().is_empty());
            }
            let shown = format!("{:?}", miette::Report::new(error));
            prop_assert!(shown.contains("damaged"));
        }
    }
}
