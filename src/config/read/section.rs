//! The macro that makes of one definition a table's type, its reader, its JSON Schema and its TOML.

/// Defines a table of the configuration file.
///
/// ```text
/// section! {
///     /// What the table is for.
///     Name {
///         /// What the key means: documentation, and the description in the JSON Schema.
///         key: Type,
///         /// Its default, for the schema.
///         other: Type = 5.0,
///         /// Must be there.
///         third: Type [required],
///     }
/// }
/// ```
///
/// A key can't be known to the reader and unknown to the schema, or the other way round. Every field is an `Option`:
/// that a required one is missing is a problem that is written down, and the rest is read all the same.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $Section:ident {
            $( $(#[doc = $doc:literal])+ $key:ident: $Type:ty $([$required:ident])? $(= $default:expr)?, )*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, Default, serde::Serialize)]
        pub struct $Section {
            $(
                $(#[doc = $doc])+
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $key: Option<$crate::config::read::Located<$Type>>,
            )*
        }

        impl $crate::config::read::Read for $Section {
            fn expects() -> std::borrow::Cow<'static, str> {
                concat!("a table with ", $("`", stringify!($key), "`, ",)* "as the documentation says").into()
            }

            fn read(
                node: $crate::config::read::Node<'_, '_>,
                path: &str,
                problems: &mut $crate::config::report::Problems,
            ) -> Option<Self> {
                let table = $crate::config::read::Table::of::<Self>(node, path, problems)?;
                let section = $Section { $( $key: table.get(stringify!($key), problems), )* };
                $($(
                    let _ = stringify!($required);
                    table.require(stringify!($key), &<$Type as $crate::config::read::Read>::expects(), problems);
                )?)*
                table.refuse_unknown(&[$( stringify!($key) ),*], problems);
                Some(section)
            }
        }

        impl schemars::JsonSchema for $Section {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($Section).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut properties = serde_json::Map::new();
                $(
                    let schema = generator.subschema_for::<$Type>();
                    let default: Option<serde_json::Value> = None $( .or(Some(serde_json::json!($default))) )?;
                    let described = $crate::config::read::section::describe(schema, &[$($doc),+], default);
                    properties.insert(stringify!($key).to_owned(), described.to_value());
                )*
                let required: &[&str] = &[$($( { let _ = stringify!($required); stringify!($key) }, )?)*];
                let mut table = schemars::json_schema!({
                    "type": "object",
                    "properties": properties,
                    "additionalProperties": false,
                });
                if !required.is_empty() {
                    table.insert("required".to_owned(), serde_json::json!(required));
                }
                $crate::config::read::section::describe(table, &[$($about),+], None)
            }
        }
    };
}

pub(super) use section;

/// A schema with the description that stands in the source, and the default.
pub fn describe(
    mut schema: schemars::Schema,
    doc: &[&str],
    default: Option<serde_json::Value>,
) -> schemars::Schema {
    let description = doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    schema.insert("description".to_owned(), description.into());
    if let Some(default) = default {
        // Numbers are f32 here: 0.8 is to stand there as 0.8, not as the f64 next to it.
        let shortest = default.as_f64().filter(|_| default.is_f64());
        let shortest = shortest.and_then(|number| (number as f32).to_string().parse::<f64>().ok());
        schema.insert("default".to_owned(), shortest.map_or(default, Into::into));
    }
    schema
}
