//! What `config.json` says: the raw file as transformers 4.x and 5.x write it, then the resolved configuration the code uses.
//! Source: `LlavaConfig`, `CLIPVisionConfig`, `LlamaConfig` of transformers.

use std::path::Path;

use serde::Deserialize;

use crate::ModelError;

/// Greatest size of a JSON file of a checkpoint, in bytes.
const JSON_BYTES_MAX: u64 = 64 << 20;

/// A LLaVA model.
#[derive(Debug, Clone, PartialEq)]
pub struct LlavaConfig {
    /// The vision tower.
    pub vision: ClipConfig,
    /// The language model.
    pub text: LlamaConfig,
    /// Which hidden state of the tower is used: an index into embeddings + layer outputs, negative from the end.
    pub vision_feature_layer: i64,
    /// Whether the class token is dropped (`default`) or kept (`full`).
    pub drop_class_token: bool,
    /// The id of `<image>` in the prompt; one stands for one image feature.
    pub image_token: u32,
    /// The projector's activation.
    pub projector_activation: Activation,
    /// Whether the projector's linears have a bias.
    pub projector_bias: bool,
}

/// The CLIP vision transformer.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipConfig {
    /// Width C.
    pub hidden: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Side of the square input in pixels.
    pub image: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Activation of the feed-forward layer.
    pub activation: Activation,
    /// ε of the layer norms.
    pub norm_eps: f64,
}

impl ClipConfig {
    /// Returns the number of patches of a picture.
    pub fn patches(&self) -> usize {
        (self.image / self.patch).pow(2)
    }
}

/// The Llama decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Vocabulary size V.
    pub vocab: usize,
    /// Width C.
    pub hidden: usize,
    /// Width of the feed-forward layer.
    pub intermediate: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads H.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head D.
    pub head_dim: usize,
    /// ε of the RMS norms.
    pub norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Longest sequence.
    pub max_positions: usize,
    /// Whether the output head is the input embedding.
    pub tied: bool,
    /// Whether the attention linears have biases.
    pub attention_bias: bool,
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

#[derive(Deserialize)]
struct RawLlava {
    model_type: String,
    vision_config: RawClip,
    text_config: RawLlama,
    #[serde(default = "minus_two")]
    vision_feature_layer: i64,
    #[serde(default = "select_default")]
    vision_feature_select_strategy: String,
    #[serde(alias = "image_token_id")]
    image_token_index: u32,
    #[serde(default = "gelu")]
    projector_hidden_act: Activation,
    #[serde(default = "yes")]
    multimodal_projector_bias: bool,
    tie_word_embeddings: Option<bool>,
}

#[derive(Deserialize)]
struct RawClip {
    #[serde(default = "clip_type")]
    model_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    image_size: usize,
    patch_size: usize,
    #[serde(default = "quick_gelu")]
    hidden_act: Activation,
    #[serde(default = "clip_eps")]
    layer_norm_eps: f64,
}

/// Fields that are absent take the defaults of transformers' `LlamaConfig`, as older hub files rely on.
#[derive(Deserialize)]
#[serde(default)]
struct RawLlama {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_parameters: Option<RawRope>,
    rope_scaling: Option<RawRope>,
    max_position_embeddings: usize,
    tie_word_embeddings: Option<bool>,
    attention_bias: bool,
}

#[derive(Deserialize, Clone)]
struct RawRope {
    rope_theta: Option<f64>,
    #[serde(alias = "type")]
    rope_type: Option<String>,
}

impl Default for RawLlama {
    fn default() -> Self {
        Self {
            model_type: "llama".into(),
            vocab_size: 32_000,
            hidden_size: 4096,
            intermediate_size: 11_008,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: None,
            head_dim: None,
            rms_norm_eps: 1e-6,
            rope_theta: None,
            rope_parameters: None,
            rope_scaling: None,
            max_position_embeddings: 2048,
            tie_word_embeddings: None,
            attention_bias: false,
        }
    }
}

fn minus_two() -> i64 {
    -2
}
fn select_default() -> String {
    "default".into()
}
fn gelu() -> Activation {
    Activation::Gelu
}
fn quick_gelu() -> Activation {
    Activation::QuickGelu
}
fn clip_type() -> String {
    "clip_vision_model".into()
}
fn clip_eps() -> f64 {
    1e-5
}
fn yes() -> bool {
    true
}

/// Model types this build can run.
pub const SUPPORTED: &[&str] = &["llava"];

impl LlavaConfig {
    /// Reads `config.json` of a checkpoint directory.
    pub fn read(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("config.json");
        let text = read_text(&path)?;
        Self::parse(&text).map_err(|message| ModelError::Format { path, message })
    }

    fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            model_type: Option<String>,
        }
        let head: Head = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let found = head.model_type.unwrap_or_default();
        if !SUPPORTED.contains(&found.as_str()) {
            return Err(format!("model type `{found}` is not supported; supported: {}", SUPPORTED.join(", ")));
        }
        let raw: RawLlava = serde_json::from_str(text).map_err(|error| error.to_string())?;
        debug_assert_eq!(raw.model_type, found);
        let drop_class_token = match raw.vision_feature_select_strategy.as_str() {
            "default" => true,
            "full" => false,
            other => {
                return Err(format!("`vision_feature_select_strategy` is `{other}`; `default` or `full` expected"));
            }
        };
        let vision = resolve_clip(raw.vision_config)?;
        let states = vision.layers as i64 + 1;
        if !(-states..states).contains(&raw.vision_feature_layer) {
            let layer = raw.vision_feature_layer;
            return Err(format!("`vision_feature_layer` is {layer}, but the tower has {states} hidden states"));
        }
        Ok(Self {
            vision,
            text: resolve_llama(raw.text_config, raw.tie_word_embeddings)?,
            vision_feature_layer: raw.vision_feature_layer,
            drop_class_token,
            image_token: raw.image_token_index,
            projector_activation: raw.projector_hidden_act,
            projector_bias: raw.multimodal_projector_bias,
        })
    }

    /// Returns how many features, and so `<image>` tokens, a picture has.
    pub fn image_tokens(&self) -> usize {
        self.vision.patches() + usize::from(!self.drop_class_token)
    }
}

fn resolve_clip(raw: RawClip) -> Result<ClipConfig, String> {
    if raw.model_type != "clip_vision_model" {
        return Err(format!("vision tower `{}` is not supported; supported: clip_vision_model", raw.model_type));
    }
    let sizes = [raw.hidden_size, raw.intermediate_size, raw.num_hidden_layers, raw.patch_size, raw.image_size];
    positive("vision_config", &sizes)?;
    divides("vision_config.num_attention_heads", raw.num_attention_heads, raw.hidden_size)?;
    divides("vision_config.patch_size", raw.patch_size, raw.image_size)?;
    Ok(ClipConfig {
        hidden: raw.hidden_size,
        intermediate: raw.intermediate_size,
        layers: raw.num_hidden_layers,
        heads: raw.num_attention_heads,
        image: raw.image_size,
        patch: raw.patch_size,
        activation: raw.hidden_act,
        norm_eps: raw.layer_norm_eps,
    })
}

fn resolve_llama(raw: RawLlama, outer_tied: Option<bool>) -> Result<LlamaConfig, String> {
    if raw.model_type != "llama" {
        return Err(format!("language model `{}` is not supported; supported: llama", raw.model_type));
    }
    for rope in [&raw.rope_parameters, &raw.rope_scaling].into_iter().flatten() {
        if let Some(kind) = rope.rope_type.as_deref().filter(|kind| *kind != "default") {
            return Err(format!("rotary scaling `{kind}` is not supported; supported: default"));
        }
    }
    divides("text_config.num_attention_heads", raw.num_attention_heads, raw.hidden_size)?;
    let head_dim = raw.head_dim.unwrap_or(raw.hidden_size / raw.num_attention_heads);
    let sizes = [raw.vocab_size, raw.hidden_size, raw.intermediate_size, raw.num_hidden_layers, head_dim];
    positive("text_config", &sizes)?;
    let kv_heads = raw.num_key_value_heads.unwrap_or(raw.num_attention_heads);
    divides("text_config.num_key_value_heads", kv_heads, raw.num_attention_heads)?;
    let theta = raw.rope_parameters.as_ref().and_then(|rope| rope.rope_theta).or(raw.rope_theta).unwrap_or(10_000.0);
    Ok(LlamaConfig {
        vocab: raw.vocab_size,
        hidden: raw.hidden_size,
        intermediate: raw.intermediate_size,
        layers: raw.num_hidden_layers,
        heads: raw.num_attention_heads,
        kv_heads,
        head_dim,
        norm_eps: raw.rms_norm_eps,
        rope_theta: theta,
        max_positions: raw.max_position_embeddings,
        tied: raw.tie_word_embeddings.or(outer_tied).unwrap_or(false),
        attention_bias: raw.attention_bias,
    })
}

fn positive(of: &str, values: &[usize]) -> Result<(), String> {
    if values.contains(&0) { Err(format!("`{of}` has a size of zero")) } else { Ok(()) }
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

    fn refusal(text: &str) -> String {
        LlavaConfig::parse(text).unwrap_err()
    }

    #[test]
    fn an_unsupported_type_is_refused_by_name() {
        let message = refusal(r#"{"model_type": "qwen9_vl"}"#);
        assert_eq!(message, "model type `qwen9_vl` is not supported; supported: llava");
    }

    #[test]
    fn sizes_of_zero_are_refused() {
        let message = |vision: &str, text: &str| {
            refusal(&format!(
                r#"{{"model_type":"llava","image_token_index":5,
                "vision_config":{{"hidden_size":8,"intermediate_size":8,"num_hidden_layers":2,"num_attention_heads":2,"patch_size":14,{vision}}},
                "text_config":{{"model_type":"llama","hidden_size":8,"num_attention_heads":2,{text}}}}}"#
            ))
        };
        assert_eq!(message(r#""image_size": 0"#, r#""vocab_size": 9"#), "`vision_config` has a size of zero");
        assert_eq!(message(r#""image_size": 28"#, r#""head_dim": 0"#), "`text_config` has a size of zero");
    }

    #[test]
    fn both_spellings_of_the_rotary_base_are_read() {
        let config = |rope: &str| {
            let text = format!(
                r#"{{"model_type":"llava","image_token_index":5,
                "vision_config":{{"hidden_size":8,"intermediate_size":8,"num_hidden_layers":2,"num_attention_heads":2,"image_size":28,"patch_size":14}},
                "text_config":{{"model_type":"llama","hidden_size":8,"num_attention_heads":2,{rope}}}}}"#
            );
            LlavaConfig::parse(&text).unwrap().text.rope_theta
        };
        assert_eq!(config(r#""rope_theta": 5e5"#), 5e5);
        assert_eq!(config(r#""rope_parameters": {"rope_theta": 7e5, "rope_type": "default"}"#), 7e5);
        assert_eq!(config(r#""vocab_size": 9"#), 10_000.0);
    }
}
