//! Why a run ends early.

use std::path::PathBuf;

use crate::cache::store::StoreError;
use crate::report::record::Quarantined;
use crate::report::wording::named;
use crate::stage::StageError;

/// Why a run ends early. What was computed is kept in every case.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A stage stopped.
    #[error("stage `{stage}`: {error}")]
    Stage {
        /// Which; `loop/stage` in a loop's body.
        stage: String,
        /// Why.
        #[source]
        error: StageError,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A unit was at fault, and its stage stops at the first.
    #[error("stage `{}`: record `{}`{} is at fault: {}: {}", .0.stage, .0.record, at_step(.0.step), .0.reason, .0.detail)]
    Fault(Box<Quarantined>),
    /// Too many records were set aside.
    #[error(transparent)]
    Quarantine(#[from] TooMany),
    /// A unit would have had to be computed.
    #[error("stage `{stage}` would run: {} is not in the store", wanted(.record, *.step))]
    Miss {
        /// Which stage.
        stage: String,
        /// Which record; empty for a stage that works on everything at once.
        record: String,
        /// The loop step.
        step: u32,
    },
    /// The user asked to stop.
    #[error("interrupted; what was done is kept")]
    Interrupted,
    /// The user asked twice.
    #[error("aborted")]
    Aborted,
    /// Results could not be put in their place.
    #[error("cannot write `{path}`: {source}")]
    Output {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something is asked for that is not there.
    #[error("{0}")]
    Unknown(String),
}

/// More records of a stage were set aside than may be.
#[derive(Debug, thiserror::Error)]
#[error(
    "stage `{stage}`: {faults} of {of} records were set aside, and more than {percent} % is too many: {}; the first: {}",
    named(told.iter().map(|unit| unit.record.as_str())), story(told)
)]
pub struct TooMany {
    /// Which stage.
    pub stage: String,
    /// How many.
    pub faults: u64,
    /// Of how many.
    pub of: u64,
    /// What is allowed.
    pub percent: u64,
    /// The first of them, at most [`QUARANTINE_TOLD_MAX`](crate::report::record::QUARANTINE_TOLD_MAX).
    pub told: Vec<Quarantined>,
    /// The file that lists them, once it is written.
    pub list: Option<PathBuf>,
}

/// How a run ended, for exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything is done.
    Done,
    /// Everything is done, and some records were set aside.
    Quarantined,
    /// A stage, the store or the disk failed.
    Failed,
    /// The user asked to stop.
    Interrupted,
    /// A unit would have had to be computed, and that was forbidden.
    Missed,
    /// We are wrong.
    Bug,
}

impl RunError {
    /// Returns how a run that ended with this has ended.
    pub fn ending(&self) -> Ending {
        match self {
            Self::Stage { error: StageError::Bug(_), .. } => Ending::Bug,
            Self::Stage { error: StageError::Cancelled, .. } | Self::Interrupted | Self::Aborted => Ending::Interrupted,
            Self::Miss { .. } => Ending::Missed,
            _ => Ending::Failed,
        }
    }
}

/// Returns what was lost, if that is why this happened: it is made anew when the run looks again.
pub(crate) fn lost(error: &RunError) -> Option<String> {
    match error {
        RunError::Store(StoreError::Lost(what)) => Some(what.clone()),
        RunError::Stage { error, .. } if is_lost(error) => Some(error.to_string()),
        _ => None,
    }
}

/// Whether a stage was stopped by the loss of something kept.
pub(crate) fn is_lost(error: &StageError) -> bool {
    let StageError::World(_, Some(source)) = error else { return false };
    source.downcast_ref().is_some_and(|source| matches!(source, StoreError::Lost(_)))
}

fn story(told: &[Quarantined]) -> String {
    told.first().map(|unit| format!("{}: {}", unit.reason, unit.detail)).unwrap_or_default()
}

fn wanted(record: &str, step: u32) -> String {
    if record.is_empty() { "its result".into() } else { format!("record `{record}`{}", at_step(step)) }
}

fn at_step(step: u32) -> String {
    if step == 0 { String::new() } else { format!(" at step {step}") }
}
