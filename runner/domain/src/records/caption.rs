//! A whole caption of a picture.

use schemars::JsonSchema;
use sentinel_core::digest::Digest;
use serde::{Deserialize, Serialize};

/// A caption, sentence by sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Caption {
    /// The description's id.
    pub id: String,
    /// Digest of the encoded picture.
    pub picture: Digest,
    /// The picture's path as the data wrote it.
    pub image_path: String,
    /// The question.
    pub question: String,
    /// The sentences in order.
    pub sentences: Vec<String>,
    /// Whether it was cut at the token or sentence limit.
    pub cut: bool,
    /// Generated tokens.
    pub tokens: u32,
}
