//! A record that a filter left out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A record that a filter left out, and why.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// Why, as a short stable word.
    pub reason: String,
    /// The record as it came in, byte for byte.
    #[schemars(with = "serde_json::Value")]
    pub record: Box<RawValue>,
}
