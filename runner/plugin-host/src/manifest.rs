//! What a plugin says of itself: a TOML text in a custom section of the component, so that one file is the plugin. Reading it runs
//! nothing and compiles nothing.

use std::fs::File;
use std::io::Read;
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

/// Reads a plugin and its manifest.
pub(crate) fn read(path: &Path) -> Result<(Vec<u8>, Manifest), PluginError> {
    let bytes = read_component(path)?;
    let fail = |reason: String| PluginError::Format { path: path.to_owned(), reason };
    let Outside { manifest, imports } = outside(&bytes).map_err(&fail)?;
    if !imports.is_empty() {
        return Err(PluginError::Imports { path: path.to_owned(), imports: imports.join(", ") });
    }
    let manifest: Manifest = toml::from_str(&manifest).map_err(|error| fail(format!("its manifest: {error}")))?;
    if !WORLDS.contains(&manifest.world.as_str()) {
        return Err(fail(format!("its world is `{:.80}`; there are {}", manifest.world, WORLDS.join(", "))));
    }
    if manifest.api != API {
        return Err(fail(format!("it is written against interface {:.80}; this program has {API}", manifest.api)));
    }
    if manifest.scope.is_some() && manifest.world != "filter" {
        return Err(fail(format!("`scope` is a filter's, and it is of world `{}`", manifest.world)));
    }
    Ok((bytes, manifest))
}

/// Reads a plugin's bytes: no more than a plugin may have, whatever the file says of its size.
fn read_component(path: &Path) -> Result<Vec<u8>, PluginError> {
    let fail = |source| PluginError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(fail)?;
    if !file.metadata().map_err(fail)?.is_file() {
        return Err(PluginError::Format { path: path.to_owned(), reason: "it is no file".to_owned() });
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(PluginError::TooLarge { path: path.to_owned(), limit: BYTES_MAX });
    }
    Ok(bytes)
}

/// What can be seen of a component without compiling it.
struct Outside {
    manifest: String,
    imports: Vec<String>,
}

/// Looks at a component: its manifest, which may stand in a module inside it, and what it imports itself.
fn outside(bytes: &[u8]) -> Result<Outside, String> {
    if !bytes.starts_with(b"\0asm") {
        return Err("it is no WebAssembly".to_owned());
    }
    let (mut manifests, mut imports, mut depth) = (Vec::new(), Vec::new(), 0);
    for payload in Parser::new(0).parse_all(bytes) {
        let wrong = |error: wasmparser::BinaryReaderError| format!("{} at byte {:#x}", error.message(), error.offset());
        match payload.map_err(wrong)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err("it is a core module, and a component is needed".to_owned());
            }
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(format!("`{:.200}`", import.map_err(wrong)?.name.name));
                }
            }
            Payload::CustomSection(section) if section.name() == SECTION => manifests.push(text(section.data())?),
            _ => {}
        }
    }
    match (manifests.pop(), manifests.is_empty()) {
        (Some(manifest), true) => Ok(Outside { manifest, imports }),
        (Some(_), false) => Err("it has more than one manifest".to_owned()),
        (None, _) => Err(format!("it has no section `{SECTION}` with a manifest")),
    }
}

fn text(data: &[u8]) -> Result<String, String> {
    if data.len() > MANIFEST_BYTES_MAX {
        return Err(format!("its manifest has {} bytes; {MANIFEST_BYTES_MAX} are the limit", data.len()));
    }
    Ok(std::str::from_utf8(data).map_err(|_| "its manifest is not UTF-8".to_owned())?.to_owned())
}
