//! An object named in a candidate sentence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An object named in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mention {
    /// The candidate sentence it stands in.
    pub candidate: u32,
    /// The canonical object name, for example `dog`.
    pub name: String,
    /// The words as written, for example `puppies`.
    pub surface: String,
    /// Byte offset of the first byte of the surface in the sentence.
    pub start: u32,
    /// Byte offset one past its last byte.
    pub end: u32,
}
