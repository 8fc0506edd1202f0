//! The sandbox: components are compiled once, checked to import nothing, and called in fresh instances under limits. Whether a call
//! stays inside its limits depends on what it does, never on how fast the machine is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sentinel_core::digest::Digest;
use sentinel_core::stage::Fault;
use sentinel_domain::ports::PluginSpec;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store, StoreLimits, StoreLimitsBuilder, Trap};

use crate::PluginError;
use crate::manifest::{self, Manifest};

/// Engine and version: enters the keys of plugin stages.
pub const ENGINE: &str = "wasmtime 48.0.8";

/// What one call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Instructions of a call, about a billion a second.
    pub fuel: u64,
    /// Instructions more for each row of the call.
    pub fuel_a_row: u64,
    /// Bytes of memory.
    pub memory: usize,
    /// Bytes that may cross the border in a call, both ways together.
    pub copied: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { fuel: 2_000_000_000, fuel_a_row: 50_000_000, memory: 1 << 30, copied: 1 << 30 }
    }
}

/// Compiles plugins and keeps them.
pub(crate) struct Sandbox {
    engine: Engine,
    limits: Limits,
    compiled: Mutex<BTreeMap<Digest, Component>>,
}

/// What an instance lives in.
pub(crate) struct Cell {
    limits: StoreLimits,
}

/// A plugin ready to be called, in one world.
pub(crate) struct Opened {
    pub(crate) component: Component,
    pub(crate) linker: Linker<Cell>,
    pub(crate) manifest: Manifest,
}

impl Sandbox {
    pub(crate) fn new(limits: Limits) -> Result<Self, PluginError> {
        let mut config = Config::new();
        config.consume_fuel(true).cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
        let engine = Engine::new(&config).map_err(|error| PluginError::Sandbox(error.to_string()))?;
        Ok(Self { engine, limits, compiled: Mutex::default() })
    }

    /// Opens a plugin that must be of this world.
    pub(crate) fn open(&self, plugin: &PluginSpec, world: &str) -> Result<Opened, PluginError> {
        let manifest = manifest::read(&plugin.path)?;
        let fail = |reason: String| PluginError::Format { path: plugin.path.clone(), reason };
        if manifest.world != world {
            return Err(fail(format!("it is of world `{}`, and `{world}` is needed", manifest.world)));
        }
        let bytes = manifest::read_component(&plugin.path)?;
        let digest = Digest::of(&bytes);
        let mut compiled = self.compiled.lock().expect("no holder of the lock panics");
        let component = match compiled.get(&digest) {
            Some(component) => component.clone(),
            None => {
                tracing::debug!(plugin = plugin.name, "compile");
                let component = Component::new(&self.engine, &bytes).map_err(|error| fail(format!("{error:#}")))?;
                compiled.insert(digest, component.clone());
                component
            }
        };
        let imports: Vec<String> =
            component.component_type().imports(&self.engine).map(|(name, _)| format!("`{name}`")).collect();
        if !imports.is_empty() {
            return Err(PluginError::Imports { path: plugin.path.clone(), imports: imports.join(", ") });
        }
        Ok(Opened { component, linker: Linker::new(&self.engine), manifest })
    }

    /// Calls a plugin in a fresh instance, for work of so many rows.
    pub(crate) fn call<T>(
        &self,
        rows: usize,
        call: impl FnOnce(&mut Store<Cell>) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        let limits = StoreLimitsBuilder::new().memory_size(self.limits.memory).trap_on_grow_failure(true).build();
        let mut store = Store::new(&self.engine, Cell { limits });
        store.limiter(|cell| &mut cell.limits);
        store.set_hostcall_fuel(self.limits.copied);
        let fuel = self.limits.fuel.saturating_add(self.limits.fuel_a_row.saturating_mul(rows as u64));
        store.set_fuel(fuel).and_then(|()| call(&mut store)).map_err(|error| fault(&error))
    }
}

/// Says in one stable word why a call failed, and the whole story.
fn fault(error: &wasmtime::Error) -> Fault {
    let detail = format!("{error:#}");
    let reason = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => "plugin-too-slow",
        Some(_) => "plugin-trap",
        None if detail.contains("memory") || detail.contains("hostcalls") => "plugin-too-large",
        None => "plugin-failed",
    };
    let short: String = detail.chars().take(2000).collect();
    Fault { reason: reason.to_owned(), detail: short }
}

/// Returns the fault of a record the plugin itself refuses.
pub(crate) fn refused(detail: String) -> Fault {
    Fault { reason: "plugin-refused".to_owned(), detail: detail.chars().take(2000).collect() }
}

/// Shares the sandbox with what it opened.
pub(crate) type Shared = Arc<Sandbox>;
