//! Words for people on standard error, results on standard output.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Prints one result as a line of JSON on standard output, at once.
///
/// # Errors
/// When standard output cannot be written; a reader that went away is [`std::io::ErrorKind::BrokenPipe`].
pub fn json_line(value: &impl serde::Serialize) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Prints bytes as a line on standard output.
///
/// # Errors
/// As [`json_line`].
pub fn line(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Prints text on standard output as it is.
///
/// # Errors
/// As [`json_line`].
pub fn text(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints a line for people on standard error; nobody listening is no failure.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Prints an error, with its source text and hints where it has them, on standard error.
pub fn error(report: &miette::Report) {
    say(&format!("{report:?}"));
}

/// A progress bar for work of `steps` steps: only on a terminal, and only if there is enough to wait for.
pub fn progress(steps: usize, what: &'static str) -> ProgressBar {
    if steps < 2 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
    // The template is a constant; a wrong one would fail the test below.
    if let Ok(style) = ProgressStyle::with_template(PROGRESS) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

const PROGRESS: &str = "{msg:>12} {bar:30.cyan/dim} {pos}/{len}  {per_sec}  {eta} left";

#[cfg(test)]
mod tests {
    #[test]
    fn the_progress_template_is_valid() {
        assert!(indicatif::ProgressStyle::with_template(super::PROGRESS).is_ok());
    }
}
