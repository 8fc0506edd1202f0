//! A preference pair: two next sentences in the same context, one truthful, one hallucinated (SENTINEL eq. 4).

use schemars::JsonSchema;
use sentinel_core::digest::Digest;
use serde::{Deserialize, Serialize};

/// A chosen and a rejected sentence in the same context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The description it came from.
    pub id: String,
    /// The loop step it was made at.
    pub step: u32,
    /// Digest of the encoded picture.
    pub picture: Digest,
    /// The picture's path as the data wrote it.
    pub image_path: String,
    /// The question.
    pub question: String,
    /// The sentences before it, in order.
    pub context: Vec<String>,
    /// The truthful sentence.
    pub chosen: String,
    /// The hallucinated sentence.
    pub rejected: String,
    /// Objects of the chosen sentence.
    pub objects_of_chosen: Vec<String>,
    /// Hallucinated objects of the rejected sentence.
    pub hallucinated_in_rejected: Vec<String>,
    /// All objects confirmed in this picture so far.
    pub factual: Vec<String>,
    /// Objects the context names.
    pub named: Vec<String>,
    /// Hallucinated objects the context names.
    #[serde(default)]
    pub named_hallucinated: Vec<String>,
    /// Whether the description ended at this step.
    pub is_last: bool,
    /// Whether the chosen sentence takes up the context.
    #[serde(rename = "type")]
    pub pair_type: PairType,
}

/// How the chosen sentence stands to the context (SENTINEL §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum PairType {
    /// Context-coherent: it names something the context named.
    #[serde(rename = "y+")]
    Coherent,
    /// Context-agnostic: it names only new objects.
    #[serde(rename = "y-")]
    Agnostic,
}
