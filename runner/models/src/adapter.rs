//! Reads a LoRA adapter from a PEFT directory: `adapter_config.json` and `adapter_model.safetensors`, as PEFT, LLaMA-Factory and
//! `sentinel-train` write them. What an adapter asks for and this build cannot do is refused, never left out.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde_json::Value;

use crate::ModelError;
use crate::config::{LlamaConfig, read_text};
use crate::layers::{Adapter, LayerAdapter, LowRank, TARGETS};
use crate::weights::canonical;

/// What stands before a module's name in every PEFT key.
const PEFT_PREFIX: &str = "base_model.model.";
/// Where a decoder layer's modules begin in canonical names.
const LAYERS: &str = "language_model.layers.";

#[derive(Deserialize)]
struct Config {
    peft_type: String,
    r: u32,
    lora_alpha: f64,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    bias: Option<String>,
    modules_to_save: Option<Vec<String>>,
    #[serde(default)]
    rank_pattern: BTreeMap<String, u32>,
    #[serde(default)]
    alpha_pattern: BTreeMap<String, f64>,
    #[serde(default)]
    init_lora_weights: Value,
    alora_invocation_tokens: Option<Vec<u32>>,
    layer_replication: Option<Value>,
    arrow_config: Option<Value>,
    kasa_config: Option<Value>,
    #[serde(default)]
    use_qalora: bool,
}

impl Config {
    /// Returns what of this configuration is not supported.
    fn unsupported(&self) -> Option<String> {
        let cases = [
            (self.peft_type != "LORA", format!("`peft_type` {}", self.peft_type)),
            (self.r == 0, "`r` 0".to_owned()),
            (self.use_dora, "`use_dora`".to_owned()),
            (self.fan_in_fan_out, "`fan_in_fan_out`".to_owned()),
            (self.bias.as_ref().is_some_and(|bias| bias != "none"), "trained biases".to_owned()),
            (self.modules_to_save.as_ref().is_some_and(|saved| !saved.is_empty()), "`modules_to_save`".to_owned()),
            (!self.rank_pattern.is_empty() || !self.alpha_pattern.is_empty(), "ranks by pattern".to_owned()),
            (
                self.changes_base(),
                format!("`init_lora_weights` {}: it changes the base's weights", self.init_lora_weights),
            ),
            (self.alora_invocation_tokens.is_some(), "`alora_invocation_tokens`".to_owned()),
            (self.layer_replication.is_some(), "`layer_replication`".to_owned()),
            (self.arrow_config.is_some(), "`arrow_config`".to_owned()),
            (self.kasa_config.is_some(), "`kasa_config`".to_owned()),
            (self.use_qalora, "`use_qalora`".to_owned()),
        ];
        cases.into_iter().find_map(|(is, what)| is.then_some(what))
    }

    /// Whether PEFT, when it loads this adapter, takes a part of the base's weights away first.
    fn changes_base(&self) -> bool {
        let harmless = ["gaussian", "eva", "orthogonal"];
        self.init_lora_weights.as_str().is_some_and(|way| !harmless.contains(&way))
    }

    fn scale(&self) -> f64 {
        let rank = f64::from(self.r);
        self.lora_alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }
}

/// One matrix of the pair.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    A,
    B,
}

/// Reads the adapter in `dir` for a decoder of this shape.
pub fn read(dir: &Path, decoder: &LlamaConfig, device: &Device) -> Result<Adapter, ModelError> {
    let path = dir.join("adapter_config.json");
    let fail = |message: String| ModelError::Format { path: path.clone(), message };
    let config: Config = serde_json::from_str(&read_text(&path)?).map_err(|error| fail(error.to_string()))?;
    if let Some(what) = config.unsupported() {
        return Err(fail(format!("{what} is not supported")));
    }
    let path = dir.join("adapter_model.safetensors");
    let fail = |message: String| ModelError::Format { path: path.clone(), message };
    let tensors = candle_core::safetensors::load(&path, device).map_err(|error| fail(error.to_string()))?;
    let tensors: BTreeMap<String, Tensor> = tensors.into_iter().collect();
    let mut halves: BTreeMap<(usize, usize), [Option<Tensor>; 2]> = BTreeMap::new();
    for (name, tensor) in tensors {
        let Some((layer, target, half)) = place(&name) else {
            return Err(fail(format!("`{name}` is no low-rank update of a linear of the language model")));
        };
        if layer >= decoder.layers {
            return Err(fail(format!("`{name}` is of another base: this one has {} layers", decoder.layers)));
        }
        let expected = shape(decoder, target, config.r as usize, half);
        if tensor.dims() != expected {
            let found = tensor.dims();
            return Err(fail(format!("`{name}` has shape {found:?}; this base and rank ask for {expected:?}")));
        }
        halves.entry((layer, target)).or_default()[half as usize] = Some(tensor.to_dtype(DType::F32)?);
    }
    if halves.is_empty() {
        return Err(fail("no tensors".to_owned()));
    }
    let mut layers: Vec<LayerAdapter> = (0..decoder.layers).map(|_| LayerAdapter::default()).collect();
    for ((layer, target), pair) in halves {
        let [Some(a), Some(b)] = pair else {
            return Err(fail(format!("layer {layer}, `{}`: one matrix of the pair is missing", TARGETS[target])));
        };
        layers[layer][target] = Some(LowRank { a, b, scale: config.scale() });
    }
    Ok(Adapter { layers })
}

/// Finds layer, target and half of a PEFT key, in the layouts of transformers before and after 4.52 and of the original LLaVA.
fn place(name: &str) -> Option<(usize, usize, Half)> {
    let name = canonical(name.strip_prefix(PEFT_PREFIX)?);
    let (layer, rest) = name.strip_prefix(LAYERS)?.split_once('.')?;
    let (module, half) = match rest.strip_suffix(".lora_A.weight") {
        Some(module) => (module, Half::A),
        None => (rest.strip_suffix(".lora_B.weight")?, Half::B),
    };
    Some((layer.parse().ok()?, TARGETS.iter().position(|target| *target == module)?, half))
}

fn shape(decoder: &LlamaConfig, target: usize, rank: usize, half: Half) -> [usize; 2] {
    let (c, f) = (decoder.hidden, decoder.intermediate);
    let (queries, keys) = (decoder.heads * decoder.head_dim, decoder.kv_heads * decoder.head_dim);
    let (inputs, outputs) = [(c, queries), (c, keys), (c, keys), (queries, c), (c, f), (c, f), (f, c)][target];
    if half == Half::A { [rank, inputs] } else { [outputs, rank] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_published_layout_are_found() {
        for name in [
            "base_model.model.model.language_model.layers.7.mlp.up_proj.lora_B.weight",
            "base_model.model.language_model.model.layers.7.mlp.up_proj.lora_B.weight",
            "base_model.model.model.layers.7.mlp.up_proj.lora_B.weight",
        ] {
            assert!(matches!(place(name), Some((7, 5, Half::B))), "{name}");
        }
        for name in [
            "base_model.model.model.vision_tower.encoder.layers.7.mlp.fc1.lora_B.weight",
            "model.language_model.layers.7.mlp.up_proj.lora_B.weight",
            "base_model.model.lm_head.lora_A.weight",
        ] {
            assert!(place(name).is_none(), "{name}");
        }
    }
}
