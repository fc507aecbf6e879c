//! The JSON Schema of the configuration file, for editors; made from the types that read it.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema as _, Schema};
use serde_json::{Value, json};

use super::raw;
use crate::mqtt::topics::{CAMERA_LEVELS, DEVICE_LEVELS};

/// The JSON Schema of the configuration file, draft 7 (the TOML plug-ins of editors know no later one for sure).
pub fn schema() -> Schema {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let dialect = settings.meta_schema.clone();
    let mut generator = settings.into_generator();
    let mut schema = raw::File::json_schema(&mut generator);
    if let Some(dialect) = dialect {
        schema.insert("$schema".to_owned(), json!(dialect));
    }
    schema.insert("title".to_owned(), json!("Configuration of Vigie"));
    // What types cannot say: a camera there must be, its frames come from one place, and some names are taken.
    schema.insert("required".to_owned(), json!(["camera"]));
    let mut insert = |pointer: &str, key: &str, value: Value| {
        if let Some(Value::Object(object)) = schema.pointer_mut(pointer) {
            object.insert(key.to_owned(), value);
        }
    };
    insert("/properties/camera", "minItems", json!(1));
    let requires = |keys: &[&str]| json!({ "anyOf": keys.iter().map(|key| json!({ "required": [key] })).collect::<Vec<_>>() });
    let ways = [&["device"][..], &["usb", "serial", "card", "bus"], &["pictures"], &["clip"], &["testcard"]];
    let ways: Vec<Value> = ways.into_iter().map(requires).collect();
    insert("/properties/camera/items/properties/source", "oneOf", json!(ways));
    let none_of = |levels: &[&str]| json!({ "enum": levels });
    insert("/properties/camera/items/properties/name", "not", none_of(&DEVICE_LEVELS));
    insert("/properties/camera/items/properties/zone/items/properties/name", "not", none_of(&CAMERA_LEVELS));
    insert("/properties/model/properties/names/items", "not", none_of(&CAMERA_LEVELS));
    schema
}
