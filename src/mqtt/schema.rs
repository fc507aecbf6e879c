//! The JSON Schemas of the payloads, generated from their types; `docs/schema/` holds them as files.

use schemars::{Schema, schema_for};

use super::payload::{Detections, DeviceStats, Event, Gap, Refused};

/// A payload's name and the maker of its schema.
pub type Entry = (&'static str, fn() -> Schema);

/// Every payload's schema.
pub fn all() -> &'static [Entry] {
    &[
        ("detections", || schema_for!(Detections<'static>)),
        ("error", || schema_for!(Refused<'static>)),
        ("event", || schema_for!(Event<'static>)),
        ("gap", || schema_for!(Gap<'static>)),
        ("stats", || schema_for!(DeviceStats<'static>)),
    ]
}

/// A schema as it is shipped and printed.
pub fn to_text(schema: &Schema) -> String {
    format!("{:#}\n", schema.as_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_schemas_are_current() {
        for (name, schema) in all() {
            let path = format!("{}/docs/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
            let text = to_text(&schema());
            if std::env::var_os("UPDATE_SCHEMAS").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            let shipped = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(shipped, text, "{path} is old: UPDATE_SCHEMAS=1 cargo test --lib mqtt::schema");
        }
    }
}
