//! `vigie schema`: the JSON Schemas of what goes in and out.

use std::io::{self, Write as _};

use clap::builder::PossibleValuesParser;

use super::{Failure, Outcome};
use crate::config;

/// A document's name on the command line, and its schema.
type Entry = (&'static str, fn() -> schemars::Schema);

/// Every document that has a schema.
const SCHEMAS: &[Entry] = &[("config", config::schema)];

/// Prints the JSON Schema of a document.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which document.
    #[arg(value_name = "DOCUMENT", value_parser = PossibleValuesParser::new(SCHEMAS.iter().map(|(name, _)| *name)))]
    document: String,
}

/// Runs the command.
pub fn run(args: Args) -> Outcome {
    let (_, schema) = SCHEMAS
        .iter()
        .find(|(name, _)| *name == args.document)
        .ok_or_else(|| Failure::Usage(miette::miette!("there is no schema of `{}`", args.document)))?;
    let text = format!("{:#}\n", schema().to_value());
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Runtime(miette::miette!("cannot write to standard output: {error}")))
        }
        // Also where whoever reads has read enough.
        _ => Ok(()),
    }
}
