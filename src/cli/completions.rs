//! `vigie completions SHELL`.

use super::{Outcome, output};

/// Arguments of `vigie completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell; for instance `vigie completions bash > /etc/bash_completion.d/vigie`
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints the script.
pub fn run(args: Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "vigie", &mut script);
    Ok(output::text(&String::from_utf8_lossy(&script))?)
}
