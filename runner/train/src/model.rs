//! A trained model as `llava-hf` publishes it: `model.safetensors` with the names every transformers version reads.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};

use crate::TrainError;
use crate::fit::magnitude;

/// Writes `model.safetensors`, as f16 if `half`; configuration and tokenizer files are the caller's to copy.
pub fn write(dir: &Path, vars: &BTreeMap<String, Var>, half: bool) -> Result<(), TrainError> {
    let dtype = if half { DType::F16 } else { DType::F32 };
    let mut tensors = BTreeMap::new();
    for (name, var) in vars {
        let tensor = var.as_tensor().to_dtype(dtype)?;
        if !magnitude(std::iter::once(&tensor))?.is_finite() {
            return Err(TrainError::Row(format!(
                "`{name}` has numbers too great for half precision; leave out `half`"
            )));
        }
        tensors.insert(published(name), tensor);
    }
    // The tower's last norm is not on LLaVA's path and has not been trained; readers expect it all the same.
    if let Some(width) = vars.get("vision_tower.pre_layrnorm.weight").map(|var| var.elem_count()) {
        let name = |part: &str| published(&format!("vision_tower.post_layernorm.{part}"));
        tensors.insert(name("weight"), Tensor::ones(width, dtype, &Device::Cpu)?);
        tensors.insert(name("bias"), Tensor::zeros(width, dtype, &Device::Cpu)?);
    }
    let path = dir.join("model.safetensors");
    let header = Some(std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]));
    safetensors::serialize_to_file(&tensors, header, &path)
        .map_err(|error| TrainError::File { path, message: error.to_string() })
}

/// Copies what belongs to a model beside its weights: configuration, tokenizer and processor files.
pub fn copy_rest(from: &Path, to: &Path) -> Result<(), TrainError> {
    let fail = |error: std::io::Error| TrainError::File { path: from.to_owned(), message: error.to_string() };
    for entry in std::fs::read_dir(from).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let is_rest = path.extension().is_some_and(|ending| ending == "json" || ending == "jinja" || ending == "model");
        let name = path.file_name().unwrap_or_default();
        if is_rest && path.is_file() && name != "model.safetensors.index.json" {
            std::fs::copy(&path, to.join(name)).map_err(fail)?;
        }
    }
    Ok(())
}

/// Returns the published name of a canonical one.
fn published(name: &str) -> String {
    let rules = [
        ("language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
        ("vision_tower.", "vision_tower.vision_model."),
    ];
    let renamed = rules.iter().find_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(from)?)));
    renamed.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::published;
    use sentinel_models::weights::canonical;

    #[test]
    fn published_names_are_read_back() {
        for name in [
            "language_model.layers.0.mlp.up_proj.weight",
            "language_model.embed_tokens.weight",
            "lm_head.weight",
            "vision_tower.encoder.layers.1.layer_norm1.bias",
            "multi_modal_projector.linear_1.weight",
        ] {
            assert_eq!(canonical(&published(name)), name);
        }
    }
}
