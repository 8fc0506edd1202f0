//! The sandbox: components are compiled once, checked to import nothing, and called in fresh instances under limits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sentinel_core::digest::Digest;
use sentinel_core::stage::Fault;
use sentinel_domain::ports::PluginSpec;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

use crate::PluginError;
use crate::limits::{Cell, Limits, fault};
use crate::manifest::{self, Manifest};

/// Engine and version: enters the keys of plugin stages. The second number counts changes of this crate that change an answer.
pub const ENGINE: &str = "wasmtime 48.0.8, host 1";

/// Compiles plugins and keeps them.
pub(crate) struct Sandbox {
    engine: Engine,
    limits: Limits,
    compiled: Mutex<BTreeMap<Digest, Component>>,
}

/// Shares the sandbox with what it opened.
pub(crate) type Shared = Arc<Sandbox>;

/// A plugin ready to be called, in one world.
pub(crate) struct Opened {
    pub(crate) component: Component,
    pub(crate) linker: Linker<Cell>,
    pub(crate) manifest: Manifest,
}

impl Sandbox {
    pub(crate) fn new(limits: Limits) -> Result<Self, PluginError> {
        let mut config = Config::new();
        // What is left to an implementation's choice is chosen, so that every machine computes the same.
        config.consume_fuel(true).cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
        let engine = Engine::new(&config).map_err(|error| PluginError::Sandbox(error.to_string()))?;
        Ok(Self { engine, limits, compiled: Mutex::default() })
    }

    /// Opens a plugin that must be of this world.
    pub(crate) fn open(&self, plugin: &PluginSpec, world: &str) -> Result<Opened, PluginError> {
        let (bytes, manifest) = manifest::read(&plugin.path)?;
        let fail = |reason: String| PluginError::Format { path: plugin.path.clone(), reason };
        if manifest.world != world {
            return Err(fail(format!("it is of world `{}`, and `{world}` is needed", manifest.world)));
        }
        let component = self.compile(&bytes).map_err(|error| fail(format!("{error:#}")))?;
        Ok(Opened { component, linker: Linker::new(&self.engine), manifest })
    }

    /// Compiles a component, or finds what it was compiled to; whoever asks meanwhile waits.
    fn compile(&self, bytes: &[u8]) -> wasmtime::Result<Component> {
        let mut compiled = self.compiled.lock().expect("no holder of the lock panics");
        let digest = Digest::of(bytes);
        if let Some(component) = compiled.get(&digest) {
            return Ok(component.clone());
        }
        tracing::debug!(plugin = %digest, bytes = bytes.len(), "compile");
        let component = Component::new(&self.engine, bytes)?;
        compiled.insert(digest, component.clone());
        Ok(component)
    }

    /// Calls a plugin in a fresh instance, for work of so many rows.
    pub(crate) fn call<T>(
        &self,
        rows: usize,
        call: impl FnOnce(&mut Store<Cell>) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        let mut store = Store::new(&self.engine, Cell::new(&self.limits));
        store.limiter(|cell| cell);
        store.set_hostcall_fuel(self.limits.copied);
        store.set_fuel(self.limits.fuel_of(rows)).and_then(|()| call(&mut store)).map_err(|error| fault(&error))
    }
}
