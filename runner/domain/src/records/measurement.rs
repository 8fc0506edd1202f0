//! One measured number of an evaluation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A named number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// The record's id: the metric's name, for example `chair_s`.
    pub id: String,
    /// What people read, for example `CHAIR_s`.
    pub label: String,
    /// The value; shares are 0 to 1.
    pub value: f64,
    /// How many cases it stands on.
    pub cases: u64,
    /// `share`, `count` or `mean`.
    pub unit: String,
    /// Whether less is better; `None` when neither.
    pub lower_is_better: Option<bool>,
}
