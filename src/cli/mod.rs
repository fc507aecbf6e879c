//! The command line: one file a subcommand, nothing but arguments in and words out.

mod check;
mod schema;

use std::process::ExitCode;

use clap::Parser as _;

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

/// Watches cameras and publishes what it sees over MQTT.
#[derive(Debug, clap::Parser)]
#[command(name = "vigie", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(check::Args),
    Schema(schema::Args),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Check(args) => check::run(args),
        Command::Schema(args) => schema::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(report)) => {
            eprintln!("{report:?}");
            ExitCode::from(2)
        }
        Err(Failure::Runtime(report)) => {
            eprintln!("{report:?}");
            ExitCode::FAILURE
        }
    }
}
