//! Plugins in a sandbox: WebAssembly components on wasmtime, behind the ports `Extractor`, `Filter` and `Converter`. A plugin imports
//! nothing, so it has no file, no network, no clock, no randomness; every call runs in a fresh instance with its own fuel and
//! memory, so what it says of a record depends on that record alone, and on no machine's speed.
//!
//! Reading order: [`manifest`] (what a plugin says of itself; nothing is run), `sandbox` (compiling, one call), `limits` (what a call
//! may use), `worlds` (one file a world: what crosses the border).

mod error;
mod limits;
pub mod manifest;
mod sandbox;
mod worlds;

use std::path::Path;
use std::sync::Arc;

use sentinel_core::workflow::{Manifest, PluginManifests};
use sentinel_domain::ports::{Converter, EngineError, Extractor, Filter, FilterScope, PluginSpec};

pub use error::PluginError;
pub use limits::Limits;
pub use sandbox::ENGINE;
use sandbox::Sandbox;

/// What a plugin can implement, sorted.
pub const WORLDS: &[&str] = &["converter", "extractor", "filter"];

/// Opens plugins; the same content is compiled once.
pub struct PluginHost {
    sandbox: Arc<Sandbox>,
}

impl PluginHost {
    /// Makes a host whose plugins have these limits.
    pub fn new(limits: Limits) -> Result<Self, PluginError> {
        Ok(Self { sandbox: Arc::new(Sandbox::new(limits)?) })
    }

    /// Opens an extractor.
    pub fn extractor(&self, plugin: &PluginSpec) -> Result<Arc<dyn Extractor>, EngineError> {
        Ok(Arc::new(worlds::extractor::Plugin::open(&self.sandbox, plugin)?))
    }

    /// Opens a filter.
    pub fn filter(&self, plugin: &PluginSpec) -> Result<Arc<dyn Filter>, EngineError> {
        Ok(Arc::new(worlds::filter::Plugin::open(&self.sandbox, plugin)?))
    }

    /// Opens a converter.
    pub fn converter(&self, plugin: &PluginSpec) -> Result<Arc<dyn Converter>, EngineError> {
        Ok(Arc::new(worlds::converter::Plugin::open(&self.sandbox, plugin)?))
    }
}

/// Returns over what a filter decides, as its manifest says.
pub fn filter_scope(plugin: &PluginSpec) -> Result<FilterScope, EngineError> {
    let (_, manifest) = manifest::read(&plugin.path)?;
    Ok(match manifest.scope {
        Some(manifest::Scope::Whole) => FilterScope::Whole,
        Some(manifest::Scope::Unit) | None => FilterScope::Unit,
    })
}

/// The manifests of the plugins shipped with the program, as they stand inside them, sorted.
const BUNDLED: [&str; 4] = [
    include_str!("../../../plugins/bundled/coco-objects/plugin.toml"),
    include_str!("../../../plugins/bundled/hadpo/plugin.toml"),
    include_str!("../../../plugins/bundled/llama-factory/plugin.toml"),
    include_str!("../../../plugins/bundled/pair-filter/plugin.toml"),
];

/// Reads manifests for the runner.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manifests;

impl PluginManifests for Manifests {
    fn manifest(&self, path: &Path) -> Result<Manifest, String> {
        manifest::read(path).map(|(_, manifest)| manifest.into()).map_err(|error| error.to_string())
    }
    fn bundled(&self) -> Vec<Manifest> {
        let read = |text| toml::from_str::<manifest::Manifest>(text).expect("tests read them").into();
        BUNDLED.into_iter().map(read).collect()
    }
}
