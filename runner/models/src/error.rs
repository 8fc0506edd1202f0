//! Why a model cannot be opened or run.

use std::path::PathBuf;

/// Why a model cannot be opened or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file of the checkpoint does not say what it must.
    #[error("`{path}`: {message}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A tensor is not in the checkpoint.
    #[error("the checkpoint has no tensor `{0}`")]
    Missing(String),
    /// A tensor has the wrong shape.
    #[error("tensor `{name}` has shape {found:?}, the configuration asks for {expected:?}")]
    Shape {
        /// Its canonical name.
        name: String,
        /// What the configuration asks for.
        expected: Vec<usize>,
        /// What the file holds.
        found: Vec<usize>,
    },
    /// A logit is NaN or infinite, so that no token can be chosen.
    #[error("the model gives token {token} the logit {logit}: its weights or its adapter overflow")]
    Logit {
        /// The first such token.
        token: usize,
        /// Its logit.
        logit: f32,
    },
    /// A model or option this build does not support.
    #[error("{0}")]
    Unsupported(String),
    /// The tensor library failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}
