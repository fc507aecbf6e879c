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
