//! Types shared by `with:` blocks: references to models and plugins, and paths. Their schemas carry the marks by which the
//! runner resolves names, confines paths and digests contents (see `sentinel_core::stage::mark`).

use std::borrow::Cow;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use sentinel_core::stage::mark;
use serde::{Deserialize, Serialize};

macro_rules! asset_name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $text:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", (mark::ASSET): $kind, "description": $text })
            }
        }
    };
}

asset_name!(/** Names a vision-language model. */ VlmName, "vlm", "The name of an entry of `models:` of kind `vlm`.");
asset_name!(/** Names an object detector. */ DetectorName, "detector", "The name of an entry of `models:` of kind `detector`.");
asset_name!(/** Names an extractor plugin. */ ExtractorName, "plugin/extractor", "The name of an extractor in `plugins:`.");
asset_name!(/** Names a filter plugin. */ FilterName, "plugin/filter", "The name of a filter in `plugins:`.");
asset_name!(/** Names a converter plugin. */ ConverterName, "plugin/converter", "The name of a converter in `plugins:`.");

macro_rules! path {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $text:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub PathBuf);

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", (mark::PATH): $kind, "description": $text })
            }
        }
    };
}

path!(/** A file of the user's. */ FilePath, "file", "A file, relative to the workflow.");
path!(/** A directory of the user's, all of it. */ DirPath, "dir", "A directory, relative to the workflow.");
path!(/** A directory of the user's of which only some files are used. */ ShelfPath, "shelf", "A directory, relative to the workflow.");
