//! Why a plugin cannot be used.

use std::path::PathBuf;

use sentinel_domain::ports::EngineError;

/// Why a plugin cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The file cannot be read.
    #[error("cannot read the plugin `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is larger than plugins may be.
    #[error("the plugin `{path}` has more than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most a plugin may have.
        limit: u64,
    },
    /// The file is no component, or not one of ours.
    #[error("`{path}` is no plugin: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The plugin wants something it cannot have.
    #[error("the plugin `{path}` imports {imports}; plugins import nothing")]
    Imports {
        /// The file.
        path: PathBuf,
        /// What it imports.
        imports: String,
    },
    /// The sandbox itself cannot be made.
    #[error("the sandbox cannot be made: {0}")]
    Sandbox(String),
}

impl From<PluginError> for EngineError {
    fn from(error: PluginError) -> Self {
        match error {
            PluginError::Sandbox(_) => Self::World(error.to_string()),
            error => Self::Refused(error.to_string()),
        }
    }
}
