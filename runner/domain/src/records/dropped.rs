//! A record that a filter left out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A record that a filter left out, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// Why, as a short stable word.
    pub reason: String,
    /// The record as it came in.
    pub record: Value,
}
