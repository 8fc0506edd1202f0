//! What one detector found in one picture.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Boxes one detector found in a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Detection {
    /// The detector's family, numbered from the second of a family on: `yolo`, `yolo-2`.
    pub detector: String,
    /// The names it can see at all; `None` for an open vocabulary, where every asked phrase was looked for.
    pub vocabulary: Option<Vec<String>>,
    /// What it found, best first.
    pub boxes: Vec<FoundBox>,
}

/// A labelled box.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FoundBox {
    /// The object's canonical name.
    pub name: String,
    /// Confidence, 0 to 1.
    pub score: f32,
    /// Left, top, right, bottom in pixels of the picture as stored.
    pub xyxy: [f32; 4],
}
