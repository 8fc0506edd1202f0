//! Why training stopped.

use std::path::PathBuf;

/// Why training stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The user asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// A reading is no longer a number; the data or the learning rate is to blame.
    #[error("training diverged: the {reading} is {value} at step {step}; a lower learning rate may help")]
    Diverged {
        /// The optimiser step, from 0.
        step: u32,
        /// `loss` or `gradient norm`.
        reading: &'static str,
        /// The value.
        value: f64,
    },
    /// A file cannot be written or read.
    #[error("`{path}`: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// What failed.
        message: String,
    },
    /// The outside world failed; it may pass.
    #[error("{0}")]
    World(String),
    /// A row that cannot be trained on.
    #[error("{0}")]
    Row(String),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] sentinel_models::ModelError),
    /// The tensor library failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}
