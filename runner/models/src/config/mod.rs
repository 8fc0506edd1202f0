//! What `config.json` says: the raw files as transformers 4.x and 5.x write them, then the resolved configuration the code uses.
//! [`Config::read`] finds the family by `model_type`; each family reads its own part in a file of its own.

mod clip;
mod llama;
mod llava;
mod llava_next;
mod qwen2_vl;

use std::path::Path;

use serde::Deserialize;

use crate::ModelError;
use crate::families::{FAMILIES, Family};

pub use clip::ClipConfig;
pub use llama::{LlamaConfig, RopeScaling};
pub use llava::LlavaConfig;
pub use llava_next::LlavaNextConfig;
pub(crate) use llava_next::{checked as checked_pinpoints, published as published_pinpoints};
pub use qwen2_vl::{QwenConfig, Windows};

/// Greatest size of a JSON file of a checkpoint, in bytes.
const JSON_BYTES_MAX: u64 = 64 << 20;
/// Greatest size a configuration may name: more than any published model has of anything, and products of two fit easily.
const SIZE_MAX: usize = 1 << 24;

/// A vision-language model: what all families have, and the family's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The language model.
    pub text: LlamaConfig,
    /// The id that holds a picture's place in the prompt; one stands for one image feature.
    pub image_token: u32,
    /// How pictures are seen.
    pub family: Family,
}

impl Config {
    /// Reads `config.json` of a checkpoint directory.
    pub fn read(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("config.json");
        let text = read_text(&path)?;
        Self::parse(&text).map_err(|message| ModelError::Format { path, message })
    }

    /// Reads the text of a `config.json`.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            model_type: Option<String>,
        }
        let head: Head = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let found = head.model_type.unwrap_or_default();
        match FAMILIES.iter().find(|kind| kind.model_type == found) {
            Some(kind) => (kind.parse)(text),
            None => {
                let supported: Vec<&str> = FAMILIES.iter().map(|kind| kind.model_type).collect();
                Err(format!("model type `{found}` is not supported; supported: {}", supported.join(", ")))
            }
        }
    }
}

/// An activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Exact GELU.
    Gelu,
    /// `x · sigmoid(1.702 x)`, CLIP's own.
    QuickGelu,
    /// `x · sigmoid(x)`.
    Silu,
}

/// Checks sizes that must lie between 1 and [`SIZE_MAX`].
fn positive(of: &str, values: &[usize]) -> Result<(), String> {
    match values.iter().find(|size| !(1..=SIZE_MAX).contains(*size)) {
        None => Ok(()),
        Some(0) => Err(format!("`{of}` has a size of zero")),
        Some(size) => Err(format!("`{of}` has a size of {size}, more than the limit of {SIZE_MAX}")),
    }
}

fn divides(name: &str, part: usize, whole: usize) -> Result<(), String> {
    if part == 0 || !whole.is_multiple_of(part) {
        return Err(format!("`{name}` is {part}, which does not divide {whole}"));
    }
    Ok(())
}

/// Reads a JSON file of a checkpoint, within a size limit.
pub(crate) fn read_text(path: &Path) -> Result<String, ModelError> {
    let fail = |source| ModelError::Read { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(fail)?.len();
    if bytes > JSON_BYTES_MAX {
        let message = format!("{bytes} bytes are more than the limit of {JSON_BYTES_MAX}");
        return Err(ModelError::Format { path: path.to_owned(), message });
    }
    std::fs::read_to_string(path).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsupported_type_is_refused_by_name() {
        let message = Config::parse(r#"{"model_type": "qwen9_vl"}"#).unwrap_err();
        let supported: Vec<&str> = crate::families().collect();
        let expected = format!("model type `qwen9_vl` is not supported; supported: {}", supported.join(", "));
        assert_eq!(message, expected);
    }
}
