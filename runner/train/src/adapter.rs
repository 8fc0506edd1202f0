//! A trained adapter as PEFT writes it: `adapter_config.json` and `adapter_model.safetensors`, with the module names
//! transformers 4.52 and later use for LLaVA.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use serde_json::json;

use crate::TrainError;
use crate::lora::LoraVars;

/// What stands before `layers.N…` in the keys.
const PREFIX: &str = "base_model.model.model.language_model.";

/// Matches the language model's linears and not the vision tower's linears of the same names.
const TARGET_MODULES: &str = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)";

/// Writes the adapter into an empty directory; `base` is recorded as the base model's name.
pub fn write(dir: &Path, lora: &LoraVars, base: &str) -> Result<(), TrainError> {
    let tensors: BTreeMap<String, Tensor> =
        lora.vars.iter().map(|(name, var)| (format!("{PREFIX}{name}.weight"), var.as_tensor().clone())).collect();
    let path = dir.join("adapter_model.safetensors");
    safetensors::serialize_to_file(&tensors, None, &path).map_err(|error| file(&path, &error))?;
    let config = json!({
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "lora_alpha": lora.shape().alpha,
        "lora_dropout": 0.0,
        "modules_to_save": null,
        "peft_type": "LORA",
        "r": lora.shape().rank,
        "target_modules": TARGET_MODULES,
        "task_type": "CAUSAL_LM",
        "use_dora": false,
        "use_rslora": false,
    });
    let path = dir.join("adapter_config.json");
    std::fs::write(&path, format!("{config:#}\n")).map_err(|error| file(&path, &error))
}

fn file(path: &Path, error: &dyn std::fmt::Display) -> TrainError {
    TrainError::File { path: path.to_owned(), message: error.to_string() }
}
