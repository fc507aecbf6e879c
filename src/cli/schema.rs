//! `vigie schema`: the JSON Schemas of what goes in and out.

use clap::builder::PossibleValuesParser;

use super::{Failure, Outcome, output};
use crate::daemon::record::about;
use crate::{config, mqtt};

/// A document's name on the command line, and its schema.
type Entry = (&'static str, fn() -> schemars::Schema);

/// Every document that has a schema: the configuration, what lies beside a clip, and each kind of message.
fn schemas() -> impl Iterator<Item = Entry> {
    let files: [Entry; 2] = [("config", config::schema), ("clip", about::schema)];
    files.into_iter().chain(mqtt::schema::all().iter().copied())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_schemas_are_current() {
        for (name, schema) in schemas() {
            let path = match name {
                "config" => "config/vigie.schema.json".to_owned(),
                name => format!("docs/schema/{name}.json"),
            };
            let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
            let text = mqtt::schema::to_text(&schema());
            if std::env::var_os("UPDATE_SCHEMAS").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            let shipped = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(shipped, text, "{path} is old: UPDATE_SCHEMAS=1 cargo test --lib cli::schema");
        }
    }
}
