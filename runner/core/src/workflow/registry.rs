//! What may stand in a workflow: stage kinds, asset kinds, artifact kinds, and how a plugin's manifest is read. The binary makes
//! the one real registry, tests make small ones; nothing here opens a model or runs a plugin.

use std::path::Path;

use schemars::Schema;
use serde_json::Value;

use crate::artifact::KindInfo;
use crate::stage::StageKind;

/// Everything a workflow may name.
pub struct Registry<'a> {
    /// The stage kinds, sorted by name.
    pub stages: Vec<Box<dyn StageKind + 'a>>,
    /// What `kind:` may be in `models:`, sorted by name.
    pub assets: &'a [AssetKind],
    /// The artifact kinds, sorted by name.
    pub kinds: &'a [KindInfo],
    /// Reads the manifest inside a plugin.
    pub plugins: &'a dyn PluginManifests,
}

/// An entry of the table of asset kinds: something heavy that is named once in `models:` and opened late.
pub struct AssetKind {
    /// The word after `kind:`; fields of `with:` blocks marked [`ASSET`](crate::stage::mark::ASSET) name it.
    pub name: &'static str,
    /// One sentence for `sentinel list` and the docs.
    pub summary: &'static str,
    /// The JSON Schema of the entry without `kind`; paths carry [`PATH`](crate::stage::mark::PATH).
    pub schema: fn() -> Schema,
}

/// Reads what a plugin says of itself, without running any of it.
pub trait PluginManifests: Send + Sync {
    /// Returns the manifest inside the component at `path`; the error is one sentence for a diagnostic.
    fn manifest(&self, path: &Path) -> Result<Manifest, String>;
    /// Returns what the plugins say that are shipped with the program, sorted by name: editors complete their `config:` blocks.
    fn bundled(&self) -> Vec<Manifest>;
}

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it implements: `extractor`, `filter`, `converter`. The entry's asset kind is `plugin/<world>`.
    pub world: String,
    /// One sentence.
    pub summary: String,
    /// The JSON Schema of its `config:` block.
    pub config_schema: Value,
}

impl<'a> Registry<'a> {
    /// Returns the stage kind of this name.
    pub fn stage(&self, name: &str) -> Option<&(dyn StageKind + 'a)> {
        self.stages.iter().find(|kind| kind.name() == name).map(AsRef::as_ref)
    }

    /// Returns the asset kind of this name.
    pub fn asset(&self, name: &str) -> Option<&AssetKind> {
        self.assets.iter().find(|kind| kind.name == name)
    }

    /// Returns what is known of an artifact kind.
    pub fn kind(&self, name: &str) -> Option<&KindInfo> {
        self.kinds.iter().find(|kind| kind.name == name)
    }
}
