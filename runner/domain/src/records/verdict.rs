//! What the detectors together say of a named object.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The detectors' joint word on one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The object's canonical name.
    pub name: String,
    /// What was decided.
    pub standing: Standing,
    /// The candidate sentences of this step that name it, ascending.
    pub candidates: Vec<u32>,
    /// Detectors that found it, in their order; none when it was decided at an earlier step.
    pub found_by: Vec<String>,
    /// Detectors that know it and did not find it, in their order; none when it was decided at an earlier step.
    pub missed_by: Vec<String>,
}

/// Factual, uncertain or hallucinated (SENTINEL §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// The detectors agree that it is there.
    Factual,
    /// They disagree.
    Uncertain,
    /// They agree that it is not.
    Hallucinated,
}
