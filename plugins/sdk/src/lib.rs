//! What a plugin of sentinel is written with: the types of `wit/plugin.wit`, a macro that exports one function, and one that puts the
//! manifest into the component. Choose the feature of the world the plugin implements: `extractor`, `filter` or `converter`.
//!
//! ```ignore
//! sentinel_plugin::manifest!("../plugin.toml");
//! sentinel_plugin::extractor!(extract);
//!
//! fn extract(config: &str, sentences: Vec<Sentence>) -> Result<Vec<Mention>, Error> { … }
//! ```

use serde::de::DeserializeOwned;

/// Puts a manifest, a path relative to the file that calls it, into the component.
#[macro_export]
macro_rules! manifest {
    ($path:literal) => {
        #[used]
        #[unsafe(link_section = "sentinel:manifest")]
        static MANIFEST: [u8; include_bytes!($path).len()] = *include_bytes!($path);
    };
}

/// Reads a row or a configuration; the error says where it is wrong.
pub fn parse<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

/// The world of extractors.
#[cfg(feature = "extractor")]
pub mod extractor {
    wit_bindgen::generate!({
        path: "../wit",
        world: "extractor-plugin",
        pub_export_macro: true,
        default_bindings_module: "sentinel_plugin::extractor",
    });
    pub use exports::sentinel::plugin::extractor::{Error, Guest, Mention, Sentence};
}

/// Exports a function as the extractor.
#[cfg(feature = "extractor")]
#[macro_export]
macro_rules! extractor {
    ($extract:path) => {
        struct Plugin;
        impl $crate::extractor::Guest for Plugin {
            fn extract(
                config: String,
                sentences: Vec<$crate::extractor::Sentence>,
            ) -> Result<Vec<$crate::extractor::Mention>, $crate::extractor::Error> {
                $extract(&config, sentences)
            }
        }
        $crate::extractor::export!(Plugin);
    };
}

/// The world of filters.
#[cfg(feature = "filter")]
pub mod filter {
    wit_bindgen::generate!({
        path: "../wit",
        world: "filter-plugin",
        pub_export_macro: true,
        default_bindings_module: "sentinel_plugin::filter",
    });
    pub use exports::sentinel::plugin::filter::{Decision, Error, Guest};
}

/// Exports a function as the filter.
#[cfg(feature = "filter")]
#[macro_export]
macro_rules! filter {
    ($decide:path) => {
        struct Plugin;
        impl $crate::filter::Guest for Plugin {
            fn decide(
                config: String,
                rows: Vec<String>,
            ) -> Result<Vec<$crate::filter::Decision>, $crate::filter::Error> {
                $decide(&config, rows)
            }
        }
        $crate::filter::export!(Plugin);
    };
}

/// The world of converters.
#[cfg(feature = "converter")]
pub mod converter {
    wit_bindgen::generate!({
        path: "../wit",
        world: "converter-plugin",
        pub_export_macro: true,
        default_bindings_module: "sentinel_plugin::converter",
    });
    pub use exports::sentinel::plugin::converter::{Error, File, Guest};
}

/// Exports a function as the converter.
#[cfg(feature = "converter")]
#[macro_export]
macro_rules! converter {
    ($convert:path) => {
        struct Plugin;
        impl $crate::converter::Guest for Plugin {
            fn convert(
                config: String,
                rows: Vec<String>,
            ) -> Result<Vec<$crate::converter::File>, $crate::converter::Error> {
                $convert(&config, rows)
            }
        }
        $crate::converter::export!(Plugin);
    };
}
