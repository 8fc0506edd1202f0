//! The worlds: what crosses the border, a file each. All are alike: a plugin is opened and checked against the world's interface,
//! every unit is one call, and what comes back is checked before it is believed.

pub(crate) mod converter;
pub(crate) mod extractor;
pub(crate) mod filter;

use wasmtime::component::{InstancePre, Linker};

use crate::PluginError;
use crate::limits::Cell;
use crate::sandbox::Opened;

/// Links a component that imports nothing.
fn link(opened: &Opened, path: &std::path::Path) -> Result<InstancePre<Cell>, PluginError> {
    let linker: &Linker<Cell> = &opened.linker;
    linker
        .instantiate_pre(&opened.component)
        .map_err(|error| PluginError::Format { path: path.to_owned(), reason: format!("{error:#}") })
}

/// Says that a component does not offer what its manifest promises.
fn misfit(world: &str, path: &std::path::Path, error: &wasmtime::Error) -> PluginError {
    let reason = format!("it does not export the interface of `{world}`: {error:#}");
    PluginError::Format { path: path.to_owned(), reason }
}
