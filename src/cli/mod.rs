//! The command line: one file a subcommand, nothing but arguments in and words out.
//!
//! Machine-readable results go to standard output (`--json`: one object a line), words for people to standard error.
//! Exit codes: 0; 1 for what failed at run time and may heal by itself; 2 for what the user must mend: usage, configuration,
//! a model, secret or certificate that is missing or unusable.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::daemon;

pub mod bench;
mod cameras;
mod check;
mod coco_results;
pub mod completions;
#[cfg(feature = "demo")]
pub mod demo;
pub mod detect;
mod eval;
pub mod man;
mod model;
mod model_args;
pub mod output;
pub mod pictures;
mod record;
mod replay;
pub mod run;
mod schema;
mod story;

/// Why a command did not do what it was asked; decides the exit code.
#[derive(Debug)]
pub enum Failure {
    /// The user must mend something: exit code 2.
    Usage(miette::Report),
    /// Something failed at run time, and may heal by itself: exit code 1.
    Runtime(miette::Report),
    /// Whoever reads standard output went away (`vigie … | head`): not a failure of ours.
    ClosedPipe,
}

impl Failure {
    /// A run-time failure from any error, its causes included.
    pub fn runtime(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
        Failure::Runtime(report(error))
    }

    /// A usage failure from any error, its causes included.
    pub fn usage(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
        Failure::Usage(report(error))
    }
}

/// A plain error as a diagnostic.
fn report(error: impl std::error::Error + Send + Sync + 'static) -> miette::Report {
    use miette::IntoDiagnostic as _;
    let result: Result<(), _> = Err(error);
    match result.into_diagnostic() {
        Err(report) => report,
        Ok(()) => unreachable!("an Err stays one"),
    }
}

/// The same failure has the same exit code from every command that runs the daemon or loads what it would.
impl From<daemon::Error> for Failure {
    fn from(error: daemon::Error) -> Failure {
        if error.is_for_the_user() { Failure::usage(error) } else { Failure::runtime(error) }
    }
}

/// Writing to standard output is all that the commands do by way of I/O of their own.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::runtime(error),
        }
    }
}

/// What a subcommand returns.
pub type Outcome = Result<(), Failure>;

/// Watches cameras with a neural network and says over MQTT what it sees.
#[derive(Debug, Parser)]
#[command(name = "vigie", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: cameras in, MQTT out
    Run(run::Args),
    /// Check a configuration: every mistake at once, with line and caret
    Check(check::Args),
    /// List the video devices, what they offer, and why one can't be used
    Cameras(cameras::Args),
    /// Find and box objects in pictures
    Detect(detect::Args),
    /// Measure how fast this machine is, stage by stage
    Bench(bench::Args),
    /// Show the whole way on bundled photographs, with a broker of its own
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Score a model on labelled pictures: COCO's mean average precision
    Eval(eval::Args),
    /// Look into a model file: contract, layers, and how they run on this machine
    Model(model::Args),
    /// Record clips around what happens into a folder, without a broker, until Ctrl-C
    Record(record::Args),
    /// Look at a clip or a folder of frames as at a camera, in its own time
    Replay(replay::Args),
    /// The same, and why something that the model saw became no object
    Explain(replay::Args),
    /// Print the JSON Schema of the configuration or of a message
    Schema(schema::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print the manual page
    Man(man::Args),
}

/// The command line as clap describes it; completions and the manual page are made from it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Cameras(args) => cameras::run(args),
        Command::Detect(args) => detect::run(args),
        Command::Bench(args) => bench::run(args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Model(args) => model::run(args),
        Command::Record(args) => record::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Explain(args) => replay::explain(args),
        Command::Schema(args) => schema::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    };
    let (code, report) = match outcome {
        Ok(()) | Err(Failure::ClosedPipe) => return ExitCode::SUCCESS,
        Err(Failure::Runtime(report)) => (1, report),
        Err(Failure::Usage(report)) => (2, report),
    };
    output::error(&report);
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
