//! Logs through the `log` façade: journald priorities under systemd, plain lines elsewhere, levels by module.

use std::io::Write as _;

use env_logger::{Builder, Env, Target};
use log::Level;

/// The environment variable that sets levels, for instance `VIGIE_LOG=info,vigie::mqtt=debug`.
pub const VARIABLE: &str = "VIGIE_LOG";

/// The client's library has a line for each message where ours has one for each kind of trouble.
const QUIET: &str = "rumqttc=off";

/// Sets the program's logger up; `default` stands where [`VARIABLE`] says nothing. A second call changes nothing.
pub fn init(default: &str) {
    let mut builder = Builder::from_env(Env::new().filter_or(VARIABLE, format!("{QUIET},{default}")));
    builder.target(Target::Stderr);
    if under_journald() {
        // sd-daemon(3): a line that starts with <N> gets that priority; journald adds time and unit itself.
        builder.format(|out, record| {
            let priority = priority(record.level());
            let text = record.args().to_string();
            for line in text.lines() {
                writeln!(out, "<{priority}>{}: {line}", short(record.target()))?;
            }
            Ok(())
        });
    } else {
        builder.format(|out, record| {
            let (level, now) = (record.level(), jiff::Timestamp::now());
            let style = out.default_level_style(level);
            writeln!(out, "[{now:.3} {style}{level:<5}{style:#} {}] {}", record.target(), record.args())
        });
    }
    let _ = builder.try_init();
}

/// Whether standard error goes to the journal: systemd says so by device and inode numbers in `JOURNAL_STREAM`.
fn under_journald() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let Ok(stat) = rustix::fs::fstat(std::io::stderr()) else { return false };
    stream.to_string_lossy() == format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// syslog(3) priorities.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// `vigie::capture::v4l2` says `capture::v4l2`: whose program it is, the journal knows.
fn short(target: &str) -> &str {
    target.strip_prefix("vigie::").unwrap_or(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_syslogs() {
        assert_eq!([Level::Error, Level::Warn, Level::Info, Level::Debug].map(priority), [3, 4, 6, 7]);
    }

    #[test]
    fn the_programs_own_prefix_is_left_out() {
        assert_eq!(short("vigie::mqtt::client"), "mqtt::client");
        assert_eq!(short("tract"), "tract");
    }
}
