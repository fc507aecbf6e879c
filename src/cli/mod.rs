//! The command line: one file a subcommand, nothing but arguments in and words out.

use std::process::ExitCode;

/// Why a command did not do what it was asked; decides the exit code.
#[derive(Debug)]
pub enum Failure {
    /// Wrong usage or configuration: exit code 2.
    Usage(miette::Report),
    /// Something failed at run time: exit code 1.
    Runtime(miette::Report),
}

/// What a subcommand returns.
pub type Outcome = Result<(), Failure>;

/// Runs the program.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
