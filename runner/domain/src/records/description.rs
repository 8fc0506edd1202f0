//! A description: a picture, a question, and what has been said of it so far. It is what `read` and `scenes` yield, what the
//! sentence loop carries and what `caption` completes (the per-image state of `spec`: SENTINEL's `DataState`).

use schemars::JsonSchema;
use sentinel_core::digest::Digest;
use serde::{Deserialize, Serialize};

use super::Standing;

/// A picture, its question, and the description grown so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The record's id; unique in its file.
    pub id: String,
    /// Digest of the encoded picture.
    pub picture: Digest,
    /// The picture's path as the data wrote it; a label for converters, never opened by a stage.
    pub image_path: String,
    /// What the model is asked, for example `Describe this image.`
    pub question: String,
    /// The sentences said so far, in order; tokenised piece by piece.
    #[serde(default)]
    pub context: Vec<String>,
    /// Objects named in the context so far, canonical, in order of first mention.
    #[serde(default)]
    pub named: Vec<String>,
    /// Verdicts of earlier steps; an object once decided is not asked again.
    #[serde(default)]
    pub memory: Memory,
    /// Set when the description is complete and leaves the loop; a description that leaves it without was cut at the step limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// Verdicts by canonical object name, sorted, over the whole description.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// Confirmed by the detectors.
    pub factual: Vec<String>,
    /// The detectors disagree.
    pub uncertain: Vec<String>,
    /// Rejected by the detectors.
    pub hallucinated: Vec<String>,
}

impl Memory {
    /// Returns what was decided about an object.
    pub fn standing(&self, name: &str) -> Option<Standing> {
        let lists = [
            (&self.factual, Standing::Factual),
            (&self.uncertain, Standing::Uncertain),
            (&self.hallucinated, Standing::Hallucinated),
        ];
        lists.into_iter().find(|(names, _)| names.iter().any(|other| other == name)).map(|(_, standing)| standing)
    }

    /// Remembers what was decided about an object, unless something was decided before.
    pub fn remember(&mut self, name: &str, standing: Standing) {
        if self.standing(name).is_some() {
            return;
        }
        let names = match standing {
            Standing::Factual => &mut self.factual,
            Standing::Uncertain => &mut self.uncertain,
            Standing::Hallucinated => &mut self.hallucinated,
        };
        let place = names.partition_point(|other| other.as_str() < name);
        names.insert(place, name.to_owned());
    }
}

/// Why a description is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The model ended it (the stop rule held).
    Finished,
    /// No sentence fit to extend the context was left.
    NothingTruthful,
}

impl Description {
    /// Says of a serialised description whether it leaves the loop.
    pub fn row_ends_loop(row: &str) -> bool {
        serde_json::from_str::<Self>(row).is_ok_and(|description| description.end.is_some())
    }
}
