//! One sampled candidate for the next sentence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A candidate next sentence, as sampled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sentence {
    /// The candidate's number, from 0; with the record id and the step it names a random stream.
    pub candidate: u32,
    /// The text without surrounding white space; empty when the model ended at once.
    pub text: String,
    /// Whether the model emitted its end-of-sequence token in this candidate.
    pub ended: bool,
    /// Whether it was cut at the token limit before its end.
    pub cut: bool,
    /// Generated tokens, end-of-sequence included.
    pub tokens: u32,
}
