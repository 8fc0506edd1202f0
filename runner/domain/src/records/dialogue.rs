//! A question about a picture and its answer: rows for next-token training.

use schemars::JsonSchema;
use sentinel_core::digest::Digest;
use serde::{Deserialize, Serialize};

/// A question about a picture and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dialogue {
    /// The row's id.
    pub id: String,
    /// Digest of the encoded picture.
    pub picture: Digest,
    /// The picture's path as the data wrote it.
    pub image_path: String,
    /// What is asked.
    pub question: String,
    /// What is answered, as a list of sentences tokenised piece by piece.
    pub answer: Vec<String>,
    /// The group a curriculum weighs, for example `describe`.
    pub group: String,
}
