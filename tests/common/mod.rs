//! The built program, as a test starts it.

use std::ffi::OsStr;
use std::{env, process::Command};

/// `vigie`, to be run where the sources are.
pub fn vigie() -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_vigie"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// A program that was built for this architecture.
///
/// Tests for another architecture run under an emulator that cargo was told of; a program that such a test starts needs
/// the same emulator in front of it, because the kernel can't run it.
pub fn program(program: impl AsRef<OsStr>) -> Command {
    let runner =
        if cfg!(target_arch = "aarch64") { "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER" } else { "" };
    match env::var(runner).ok().filter(|runner| !runner.trim().is_empty()) {
        Some(runner) => {
            let mut words = runner.split_whitespace();
            let mut command = Command::new(words.next().expect("a runner that is not blank"));
            command.args(words).arg(program);
            command
        }
        None => Command::new(program),
    }
}
