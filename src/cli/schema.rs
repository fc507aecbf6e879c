//! `vigie schema`: the JSON Schemas of what goes in and out.

use clap::builder::PossibleValuesParser;

use super::{Failure, Outcome, output};
use crate::{config, mqtt};

/// A document's name on the command line, and its schema.
type Entry = (&'static str, fn() -> schemars::Schema);

/// Every document that has a schema: the configuration, and each kind of message.
fn schemas() -> impl Iterator<Item = Entry> {
    let config: Entry = ("config", config::schema);
    std::iter::once(config).chain(mqtt::schema::all().iter().copied())
}

/// Arguments of `vigie schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which document
    #[arg(value_name = "DOCUMENT", value_parser = PossibleValuesParser::new(schemas().map(|(name, _)| name)))]
    document: String,
}

/// Prints the schema.
pub fn run(args: Args) -> Outcome {
    let (_, schema) = schemas()
        .find(|(name, _)| *name == args.document)
        .ok_or_else(|| Failure::Usage(miette::miette!("there is no schema of '{}'", args.document)))?;
    Ok(output::text(&mqtt::schema::to_text(&schema()))?)
}
