//! What can go wrong with a detector, and whose fault it is.

use std::path::PathBuf;

use sentinel_core::stage::Fault;
use sentinel_domain::ports::EngineError;

/// Why a detector could not be opened or could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// A file cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is larger than we take.
    #[error("`{path}` has {bytes} bytes, more than {limit}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The most we take.
        limit: u64,
    },
    /// The model file is not one this family can serve.
    #[error("`{path}` {reason}")]
    Model {
        /// The ONNX file.
        path: PathBuf,
        /// What is wrong, with values.
        reason: String,
    },
    /// The list of class names does not fit.
    #[error("class names in `{path}`: {reason}")]
    Labels {
        /// The labels file, or the ONNX file that carries names.
        path: PathBuf,
        /// What is wrong, with values.
        reason: String,
    },
    /// No family of that name.
    #[error("unknown detector family `{family}`, expected one of {known}")]
    UnknownFamily {
        /// The name given.
        family: String,
        /// The names there are.
        known: String,
    },
    /// A threshold is out of range.
    #[error("detector `{detector}`: `{field}` is {value}, expected a number from 0 to 1")]
    Threshold {
        /// The detector's name in the workflow.
        detector: String,
        /// `confidence` or `iou`.
        field: &'static str,
        /// The value given.
        value: f32,
    },
    /// The picture is not one.
    #[error("the picture cannot be decoded: {reason}")]
    Picture {
        /// What the decoder says, or which limit is passed.
        reason: String,
    },
    /// The detector answered with something that is no number.
    #[error("output `{output}` holds {value} at {index:?}")]
    NotANumber {
        /// The output's name.
        output: &'static str,
        /// The value, NaN or infinite.
        value: f32,
        /// Where, along the output's axes.
        index: Vec<usize>,
    },
    /// The engine cannot open or run the model.
    #[error("{engine} {action}: {reason}")]
    Engine {
        /// The engine's name.
        engine: &'static str,
        /// What it could not do, with the model's path.
        action: String,
        /// What it says.
        reason: String,
    },
}

impl DetectError {
    /// Splits the errors that cost one picture from those that stop the detector.
    pub(crate) fn into_port(self) -> Result<Fault, EngineError> {
        let detail = self.to_string();
        match self {
            Self::Picture { .. } => Ok(Fault { reason: "unreadable-picture".to_owned(), detail }),
            Self::NotANumber { .. } => Ok(Fault { reason: "not-a-number".to_owned(), detail }),
            Self::Read { .. } => Err(EngineError::World(detail)),
            Self::TooLarge { .. }
            | Self::Model { .. }
            | Self::Labels { .. }
            | Self::UnknownFamily { .. }
            | Self::Threshold { .. }
            | Self::Engine { .. } => Err(EngineError::Refused(detail)),
        }
    }
}
