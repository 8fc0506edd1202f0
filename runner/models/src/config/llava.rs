//! LLaVA-1.5's configuration. Source: `LlavaConfig` of transformers.

use serde::Deserialize;

use super::clip::RawClip;
use super::llama::RawLlama;
use super::{Activation, ClipConfig, Config, LlamaConfig};
use crate::families::Family;

/// How LLaVA sees pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct LlavaConfig {
    /// The vision tower.
    pub vision: ClipConfig,
    /// Which hidden state of the tower is used: an index into embeddings + layer outputs, negative from the end.
    pub vision_feature_layer: i64,
    /// Whether the class token is dropped (`default`) or kept (`full`).
    pub drop_class_token: bool,
    /// The projector's activation.
    pub projector_activation: Activation,
    /// Whether the projector's linears have a bias.
    pub projector_bias: bool,
}

#[derive(Deserialize)]
struct RawLlava {
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

fn minus_two() -> i64 {
    -2
}
fn select_default() -> String {
    "default".into()
}
fn gelu() -> Activation {
    Activation::Gelu
}
fn yes() -> bool {
    true
}

impl LlavaConfig {
    /// Reads the text of a `config.json` of model type `llava`.
    pub(crate) fn parse(text: &str) -> Result<Config, String> {
        let (llava, text, image_token) = Self::parts(text)?;
        Ok(Config { text, image_token, family: Family::Llava(llava) })
    }

    /// Reads how pictures are seen, the language model, and the picture's token.
    pub(super) fn parts(text: &str) -> Result<(Self, LlamaConfig, u32), String> {
        let raw: RawLlava = serde_json::from_str(text).map_err(|error| match original(text) {
            Some(tower) => format!(
                "this is the original layout, which names its vision tower (`{tower}`) and does not hold it; take the `llava-hf` \
                 checkpoint of the same model"
            ),
            None => error.to_string(),
        })?;
        let drop_class_token = match raw.vision_feature_select_strategy.as_str() {
            "default" => true,
            "full" => false,
            other => {
                return Err(format!("`vision_feature_select_strategy` is `{other}`; `default` or `full` expected"));
            }
        };
        let vision = raw.vision_config.resolve()?;
        let states = vision.layers as i64 + 1;
        if !(-states..states).contains(&raw.vision_feature_layer) {
            let layer = raw.vision_feature_layer;
            return Err(format!("`vision_feature_layer` is {layer}, but the tower has {states} hidden states"));
        }
        let llava = Self {
            vision,
            vision_feature_layer: raw.vision_feature_layer,
            drop_class_token,
            projector_activation: raw.projector_hidden_act,
            projector_bias: raw.multimodal_projector_bias,
        };
        let text = raw.text_config.resolve(raw.tie_word_embeddings)?;
        Ok((llava, text, raw.image_token_index))
    }

    /// Returns how many features, and so `<image>` tokens, a square picture has.
    pub fn image_tokens(&self) -> usize {
        self.vision.patches() + usize::from(!self.drop_class_token)
    }
}

/// Returns the vision tower that a file of LLaVA's authors names; theirs has no part about it.
fn original(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Original {
        mm_vision_tower: String,
        vision_config: Option<serde_json::Value>,
    }
    let found: Original = serde_json::from_str(text).ok()?;
    found.vision_config.is_none().then_some(found.mm_vision_tower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let message = |vision: &str, text: &str| {
            let text = format!(
                r#"{{"model_type":"llava","image_token_index":5,
                "vision_config":{{"hidden_size":8,"intermediate_size":8,"num_hidden_layers":2,"num_attention_heads":2,"patch_size":14,{vision}}},
                "text_config":{{"model_type":"llama","hidden_size":8,"num_attention_heads":2,{text}}}}}"#
            );
            Config::parse(&text).unwrap_err()
        };
        let (vision, text) = (r#""image_size": 28"#, r#""vocab_size": 9"#);
        assert_eq!(message(r#""image_size": 0"#, text), "`vision_config` has a size of zero");
        assert_eq!(message(vision, r#""head_dim": 0"#), "`text_config` has a size of zero");
        let huge = message(vision, r#""intermediate_size": 18446744073709551615"#);
        assert!(huge.contains("more than the limit"), "{huge}");
        let far = message(vision, r#""max_position_embeddings": 9999999"#);
        assert!(far.contains("`max_position_embeddings` is 9999999"), "{far}");
        assert!(message(vision, r#""head_dim": 3"#).contains("halves"));
    }

    #[test]
    fn the_original_layout_is_refused_with_advice() {
        let text =
            r#"{"model_type": "llava", "hidden_size": 4096, "mm_vision_tower": "openai/clip-vit-large-patch14-336"}"#;
        let message = Config::parse(text).unwrap_err();
        assert!(message.contains("openai/clip-vit-large-patch14-336") && message.contains("`llava-hf`"), "{message}");
    }

    #[test]
    fn both_spellings_of_the_rotary_base_are_read() {
        let config = |rope: &str| {
            let text = format!(
                r#"{{"model_type":"llava","image_token_index":5,
                "vision_config":{{"hidden_size":8,"intermediate_size":8,"num_hidden_layers":2,"num_attention_heads":2,"image_size":28,"patch_size":14}},
                "text_config":{{"model_type":"llama","hidden_size":8,"num_attention_heads":2,{rope}}}}}"#
            );
            Config::parse(&text).unwrap().text.rope_theta
        };
        assert_eq!(config(r#""rope_theta": 5e5"#), 5e5);
        assert_eq!(config(r#""rope_parameters": {"rope_theta": 7e5, "rope_type": "default"}"#), 7e5);
        assert_eq!(config(r#""vocab_size": 9"#), 10_000.0);
    }
}
