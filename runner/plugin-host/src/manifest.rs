//! What a plugin says of itself: a TOML text in a custom section of the component, so that one file is the plugin. Reading it runs
//! nothing and compiles nothing.

use std::path::Path;

use sentinel_core::workflow;
use serde::Deserialize;
use wasmparser::{Encoding, Parser, Payload};

use crate::{PluginError, WORLDS};

/// The section that holds the manifest.
pub const SECTION: &str = "sentinel:manifest";
/// The interface plugins are written against, `major.minor` of `plugins/wit`.
pub const API: &str = "0.1";
/// The largest plugin.
pub const BYTES_MAX: u64 = 64 << 20;
/// The largest manifest.
const MANIFEST_BYTES_MAX: usize = 64 << 10;

/// A manifest: `plugin.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it implements, one of [`WORLDS`].
    pub world: String,
    /// The interface it was written against.
    pub api: String,
    /// Of a filter: over what it decides; by default one record's rows.
    pub scope: Option<Scope>,
    /// One sentence.
    pub summary: String,
    /// The JSON Schema of its `config:` block; without it, there is nothing to configure.
    pub config: Option<serde_json::Value>,
}

/// Over what a filter decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One record's rows at a time.
    Unit,
    /// All rows at once.
    Whole,
}

impl From<Manifest> for workflow::Manifest {
    fn from(manifest: Manifest) -> Self {
        let nothing = || serde_json::json!({ "type": "object", "additionalProperties": false });
        let Manifest { name, version, world, summary, config, .. } = manifest;
        Self { name, version, world, summary, config_schema: config.unwrap_or_else(nothing) }
    }
}

/// Reads the manifest of a plugin.
pub fn read(path: &Path) -> Result<Manifest, PluginError> {
    let bytes = read_component(path)?;
    let fail = |reason: String| PluginError::Format { path: path.to_owned(), reason };
    let text = section(&bytes).map_err(&fail)?;
    let manifest: Manifest = toml::from_str(&text).map_err(|error| fail(format!("its manifest: {error}")))?;
    if !WORLDS.contains(&manifest.world.as_str()) {
        return Err(fail(format!("its world is `{}`; there are {}", manifest.world, WORLDS.join(", "))));
    }
    if manifest.api != API {
        let api = &manifest.api;
        return Err(fail(format!("it is written against interface {api}; this program has {API}")));
    }
    if manifest.scope.is_some() && manifest.world != "filter" {
        return Err(fail(format!("`scope` is a filter's, and it is of world `{}`", manifest.world)));
    }
    Ok(manifest)
}

/// Reads a plugin's bytes.
pub(crate) fn read_component(path: &Path) -> Result<Vec<u8>, PluginError> {
    let fail = |source| PluginError::Read { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(fail)?.len();
    if bytes > BYTES_MAX {
        return Err(PluginError::TooLarge { path: path.to_owned(), bytes, limit: BYTES_MAX });
    }
    std::fs::read(path).map_err(fail)
}

/// Finds the manifest's text in the component or in a module inside it.
fn section(bytes: &[u8]) -> Result<String, String> {
    let mut found: Option<String> = None;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| error.message().to_owned())? {
            Payload::Version { encoding: Encoding::Module, range, .. } if range.start == 0 => {
                return Err("it is a core module, and a component is needed".to_owned());
            }
            Payload::CustomSection(section) if section.name() == SECTION => {
                if section.data().len() > MANIFEST_BYTES_MAX {
                    return Err(format!("its manifest is longer than {MANIFEST_BYTES_MAX} bytes"));
                }
                let text = std::str::from_utf8(section.data()).map_err(|_| "its manifest is not UTF-8".to_owned())?;
                if found.replace(text.to_owned()).is_some() {
                    return Err("it has two manifests".to_owned());
                }
            }
            _ => {}
        }
    }
    found.ok_or_else(|| format!("it has no section `{SECTION}` with a manifest"))
}
