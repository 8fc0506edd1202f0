//! What can go wrong with a detector, and whose fault it is.

use std::path::PathBuf;

use sentinel_core::stage::Fault;
use sentinel_domain::ports::EngineError;
use sentinel_pictures::PictureError;

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
    #[error("the picture cannot be decoded: {0}")]
    Picture(#[from] PictureError),
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
    /// Returns the fault, where the error costs one picture and not the detector.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let reason = match self {
            Self::Picture(_) => "unreadable-picture",
            Self::NotANumber { .. } => "not-a-number",
            _ => return None,
        };
        Some(Fault { reason: reason.to_owned(), detail: self.to_string() })
    }
}

impl From<DetectError> for EngineError {
    fn from(error: DetectError) -> Self {
        match error {
            DetectError::Read { .. } => Self::World(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}
