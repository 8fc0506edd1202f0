//! Why a run ends early.

use std::path::PathBuf;

use crate::cache::store::StoreError;
use crate::report::record::Quarantined;
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
    /// Too many units were set aside.
    #[error("stage `{stage}`: {faults} of {of} records were set aside, and more than {percent} % is too many; the first: {}: {}", .first.reason, .first.detail)]
    Quarantine {
        /// Which.
        stage: String,
        /// How many.
        faults: u64,
        /// Of how many.
        of: u64,
        /// What is allowed.
        percent: u64,
        /// The first of them.
        first: Box<Quarantined>,
    },
    /// A unit would have had to be computed.
    #[error("stage `{stage}` would run: record `{record}`{} is not in the store", at_step(*.step))]
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

fn at_step(step: u32) -> String {
    if step == 0 { String::new() } else { format!(" at step {step}") }
}
