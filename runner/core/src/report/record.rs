//! The record of a run, `run.json`: what ran, from what, and what came of it. It is written once, when the run ends, and is
//! what later runs compare themselves with. Its JSON Schema is `schemas/run.json`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::Form;
use crate::digest::Digest;

/// The version of this format.
pub const RECORD_VERSION: u32 = 1;

/// Quarantined units told one by one in a record; all are counted.
pub const QUARANTINE_TOLD_MAX: usize = 1000;

/// The record of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// The version of this format.
    pub version: u32,
    /// The version of the program.
    pub program: String,
    /// The workflow's name.
    pub workflow: String,
    /// The workflow's seed.
    pub seed: u64,
    /// Every parameter with its value.
    pub params: Vec<(String, Value)>,
    /// The digest of everything the run's results depend on.
    pub digest: Digest,
    /// Seconds since 1970 when it began.
    pub started: u64,
    /// How long it took, in milliseconds.
    pub wall_ms: u64,
    /// Every stage that ran, in topological order; a loop is followed by the stages of its body.
    pub stages: Vec<StageRecord>,
    /// Stages that did not run, and why.
    pub skipped: Vec<(String, String)>,
    /// Units that were set aside, in stage order; at most [`QUARANTINE_TOLD_MAX`].
    pub quarantine: Vec<Quarantined>,
}

/// What came of one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageRecord {
    /// Its id; `loop/stage` in a loop's body.
    pub id: String,
    /// Its kind; `loop` for a loop.
    pub kind: String,
    /// What it did; `None` for a loop.
    pub fingerprint: Option<Digest>,
    /// What came in, slot by slot.
    pub inputs: Vec<InputRecord>,
    /// What came out.
    pub outputs: Vec<OutputRecord>,
    /// How the work went.
    pub counts: Counts,
    /// How long it took, in milliseconds; of a body's stage, all steps together.
    pub wall_ms: u64,
    /// When it was at work; not told in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// Where the keys of its units are listed, for comparison with later runs.
    pub trace: Option<Digest>,
    /// Of a loop: where the states its records went through are listed.
    pub states: Option<Digest>,
}

/// When a stage was at work, counted from the begin of the run. In between it may have waited: for the device, or in a loop's body
/// for the other stages of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// When it was first asked for something, in milliseconds.
    pub began_ms: u64,
    /// When it gave its last answer, in milliseconds.
    pub ended_ms: u64,
}

/// How the work of one stage went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Counts {
    /// Units, those of all steps together; 1 for a stage that works on everything at once. For a loop, records.
    pub units: u64,
    /// Units found in the store.
    pub hits: u64,
    /// Units computed in this run.
    pub computed: u64,
    /// Units set aside, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Rows left out, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Records a loop let go at its step limit.
    pub cut: u64,
    /// Records without a partner in another input of the stage.
    pub unmatched: u64,
    /// Records that the limit of a pilot held back.
    #[serde(skip_serializing_if = "is_none")]
    pub held_back: u64,
}

/// One input of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputRecord {
    /// The slot; `over` for what a loop runs over.
    pub slot: String,
    /// Where it came from: a stage and its output.
    pub from: (String, String),
    /// Records that came in; files for files.
    pub records: u64,
    /// Rows that came in; files for files.
    pub rows: u64,
}

/// One output of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputRecord {
    /// Its name.
    pub name: String,
    /// The artifact kind.
    pub kind: String,
    /// Rows or files.
    #[schemars(with = "String")]
    pub form: Form,
    /// Records; files for files.
    pub records: u64,
    /// Rows; files for files.
    pub rows: u64,
    /// The digest of its content.
    pub content: Digest,
    /// Where its units are listed in the store.
    pub listing: Digest,
    /// The files it was written to, by path below the run's folder; nothing for stages in a loop's body.
    pub files: BTreeMap<String, crate::artifact::FileEntry>,
}

/// One unit that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quarantined {
    /// The stage.
    pub stage: String,
    /// The root record's id.
    pub record: String,
    /// The loop step.
    pub step: u32,
    /// A short stable word.
    pub reason: String,
    /// The whole story.
    pub detail: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl RunRecord {
    /// Returns the record of a stage.
    pub fn stage(&self, id: &str) -> Option<&StageRecord> {
        self.stages.iter().find(|stage| stage.id == id)
    }

    /// Returns how long ago it began.
    pub fn since(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(Duration::from_secs(self.started))
    }

    /// Returns how many units were set aside.
    pub fn quarantined(&self) -> u64 {
        self.stages.iter().map(|stage| stage.counts.quarantined.values().sum::<u64>()).sum()
    }
}
