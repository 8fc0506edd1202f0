//! What captions are measured by. Each metric is a pure function of captions and what is really in their pictures.

mod chair;
mod length;
mod truth;

use schemars::JsonSchema;
use sentinel_domain::records::{Caption, Measurement};
use serde::{Deserialize, Serialize};

use crate::lexicon::{self, Mention};
pub(crate) use truth::Truth;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Metric {
    /// Hallucinated objects: shares of captions and of mentions (CHAIR), and recall of the objects that are there.
    Chair,
    /// Recall of the objects that are there and that one would expect in such a place anyway; the annotations must tell which.
    ExpectedRecall,
    /// Length and language: objects, words, captions cut or with a word said twice.
    Length,
}

/// A caption, what it names, and what is in its picture.
pub(crate) struct Told<'a> {
    pub(crate) caption: &'a Caption,
    /// Mentions of each sentence.
    pub(crate) mentions: Vec<Vec<Mention>>,
    pub(crate) scene: &'a truth::Scene,
}

impl<'a> Told<'a> {
    /// Reads a caption.
    pub(crate) fn of(caption: &'a Caption, scene: &'a truth::Scene) -> Self {
        Self {
            caption,
            mentions: caption.sentences.iter().map(|sentence| lexicon::mentions(sentence)).collect(),
            scene,
        }
    }

    /// Returns the names of all objects mentioned, one as often as it is.
    fn named(&self) -> impl Iterator<Item = &str> {
        self.mentions.iter().flatten().map(|mention| mention.name.as_str())
    }

    /// Whether an object is in the picture.
    pub(crate) fn is_there(&self, name: &str) -> bool {
        self.scene.objects.contains(name)
    }
}

/// Returns the measurements of a metric, or what is missing for it.
pub(crate) fn measure(metric: Metric, told: &[Told<'_>]) -> Result<Vec<Measurement>, String> {
    match metric {
        Metric::Chair => Ok(chair::chair(told)),
        Metric::ExpectedRecall => chair::expected_recall(told).map(|measurement| vec![measurement]),
        Metric::Length => Ok(length::length(told)),
    }
}

/// Returns a share; of nothing it is 0.
fn share(id: &str, label: &str, part: usize, whole: usize, lower_is_better: Option<bool>) -> Measurement {
    let value = if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    Measurement {
        id: id.to_owned(),
        label: label.to_owned(),
        value,
        cases: whole as u64,
        unit: "share".to_owned(),
        lower_is_better,
    }
}

/// Returns a mean; of nothing it is 0.
fn mean(id: &str, label: &str, sum: usize, cases: usize) -> Measurement {
    Measurement { unit: "mean".to_owned(), ..share(id, label, sum, cases, None) }
}
