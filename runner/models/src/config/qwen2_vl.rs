//! The configurations of Qwen2-VL and Qwen2.5-VL, flat as their authors published them or nested as transformers 4.52 and later
//! write them. Source: `Qwen2VLConfig` and `Qwen2_5_VLConfig` of transformers.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::llama::{RawRope, RopeScaling};
use super::{Activation, Config, LlamaConfig, divides, positive};
use crate::families::Family;

/// The frequencies of a head by axis where a file does not say.
const SECTIONS: [usize; 3] = [16, 24, 24];
/// Greatest side of a patch in pixels, pictures in it, and patches along a token.
const PATCH_MAX: [usize; 3] = [1024, 16, 64];
/// Colours of a pixel.
const CHANNELS: usize = 3;

/// How Qwen2-VL and Qwen2.5-VL see pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct QwenConfig {
    /// Width V of the tower.
    pub hidden: usize,
    /// Width of the feed-forward layers.
    pub intermediate: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Pictures in a patch of a film; a still picture stands there as often.
    pub temporal: usize,
    /// Patches along a side of what becomes one token.
    pub merge: usize,
    /// Activation of the feed-forward layers.
    pub activation: Activation,
    /// Base of the rotary frequencies by row and column.
    pub rope_theta: f64,
    /// Windows, which Qwen2.5-VL has, with root-mean-square norms and gated feed-forward layers.
    pub windows: Option<Windows>,
}

/// Qwen2.5-VL's attention within windows.
#[derive(Debug, Clone, PartialEq)]
pub struct Windows {
    /// Side of a window in tokens.
    pub side: usize,
    /// Layers in which everything sees everything.
    pub full: Vec<usize>,
}

impl QwenConfig {
    /// Reads the text of a `config.json` of model type `qwen2_vl`.
    pub(crate) fn parse_2(text: &str) -> Result<Config, String> {
        let (vision, whole) = parts::<RawVision2>(text)?;
        let intermediate = (vision.mlp_ratio * vision.embed_dim as f64) as usize;
        let config = vision.patches.tower([vision.embed_dim, intermediate], vision.hidden_act, None);
        config.resolve(&whole, vision.patches.channels(), vision.hidden_size, Family::Qwen2Vl)
    }

    /// Reads the text of a `config.json` of model type `qwen2_5_vl`.
    pub(crate) fn parse_2_5(text: &str) -> Result<Config, String> {
        let (vision, whole) = parts::<RawVision25>(text)?;
        let patches = &vision.patches;
        positive("vision_config", &[patches.patch_size, patches.spatial_merge_size])?;
        let side = vision.window_size / patches.spatial_merge_size / patches.patch_size;
        let windows = Windows { side, full: vision.fullatt_block_indexes };
        let config = patches.tower([vision.hidden_size, vision.intermediate_size], vision.hidden_act, Some(windows));
        config.resolve(&whole, patches.channels(), vision.out_hidden_size, Family::Qwen25Vl)
    }

    /// Checks the tower and joins it with the rest; `out` is the width of what it gives.
    fn resolve(
        self,
        whole: &Value,
        channels: usize,
        out: usize,
        family: impl FnOnce(Self) -> Family,
    ) -> Result<Config, String> {
        let sizes = [self.hidden, self.intermediate, self.layers, self.patch, self.temporal, self.merge];
        positive("vision_config", &sizes)?;
        let patches = [self.patch, self.temporal, self.merge];
        if patches.iter().zip(PATCH_MAX).any(|(size, most)| *size > most) {
            return Err(format!(
                "`vision_config` has patches (side, pictures, merged) of {patches:?}, limit {PATCH_MAX:?}"
            ));
        }
        positive("vision_config", &[self.hidden * self.merge * self.merge])?;
        divides("vision_config.num_heads", self.heads, self.hidden)?;
        if !(self.hidden / self.heads).is_multiple_of(4) {
            let width = self.hidden / self.heads;
            return Err(format!("vision heads of {width} numbers cannot be rotated by row and column"));
        }
        if channels != CHANNELS {
            return Err(format!("`vision_config` has {channels} channels; {CHANNELS} expected"));
        }
        if let Some(windows) = &self.windows {
            positive("vision_config.window_size", &[windows.side])?;
        }
        #[derive(Deserialize)]
        struct Outer {
            #[serde(default = "image_pad")]
            image_token_id: u32,
            #[serde(default)]
            tie_word_embeddings: bool,
        }
        let outer = Outer::deserialize(whole).map_err(|error| error.to_string())?;
        let inner = whole.get("text_config").filter(|inner| !inner.is_null()).unwrap_or(whole);
        let raw = RawText::deserialize(inner).map_err(|error| error.to_string())?;
        let text = raw.resolve(outer.tie_word_embeddings)?;
        if out != text.hidden {
            return Err(format!(
                "the vision tower gives {out} numbers a token, the language model takes {}",
                text.hidden
            ));
        }
        Ok(Config { text, image_token: outer.image_token_id, family: family(self) })
    }
}

/// Reads the part about the tower, and the whole.
fn parts<R: DeserializeOwned>(text: &str) -> Result<(R, Value), String> {
    let whole: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let vision = whole.get("vision_config").ok_or("`vision_config` is missing")?;
    Ok((R::deserialize(vision).map_err(|error| format!("`vision_config`: {error}"))?, whole))
}

/// What both towers are configured with; the defaults are the same.
#[derive(Deserialize)]
#[serde(default)]
struct RawPatches {
    depth: usize,
    num_heads: usize,
    #[serde(alias = "in_chans")]
    in_channels: Option<usize>,
    patch_size: usize,
    spatial_merge_size: usize,
    temporal_patch_size: usize,
    rope_parameters: Option<RawRope>,
}

impl Default for RawPatches {
    fn default() -> Self {
        Self {
            depth: 32,
            num_heads: 16,
            in_channels: None,
            patch_size: 14,
            spatial_merge_size: 2,
            temporal_patch_size: 2,
            rope_parameters: None,
        }
    }
}

impl RawPatches {
    fn channels(&self) -> usize {
        self.in_channels.unwrap_or(CHANNELS)
    }

    /// Returns a tower of this width and width of its feed-forward layers.
    fn tower(
        &self,
        [hidden, intermediate]: [usize; 2],
        activation: Activation,
        windows: Option<Windows>,
    ) -> QwenConfig {
        QwenConfig {
            hidden,
            intermediate,
            layers: self.depth,
            heads: self.num_heads,
            patch: self.patch_size,
            temporal: self.temporal_patch_size,
            merge: self.spatial_merge_size,
            activation,
            rope_theta: self.rope_parameters.as_ref().and_then(|rope| rope.rope_theta).unwrap_or(10_000.0),
            windows,
        }
    }
}

/// Fields that are absent take the defaults of transformers' `Qwen2VLVisionConfig`.
#[derive(Deserialize)]
#[serde(default)]
struct RawVision2 {
    #[serde(flatten)]
    patches: RawPatches,
    embed_dim: usize,
    hidden_size: usize,
    hidden_act: Activation,
    mlp_ratio: f64,
}

impl Default for RawVision2 {
    fn default() -> Self {
        Self {
            embed_dim: 1280,
            hidden_size: 3584,
            hidden_act: Activation::QuickGelu,
            mlp_ratio: 4.0,
            patches: RawPatches::default(),
        }
    }
}

/// Fields that are absent take the defaults of transformers' `Qwen2_5_VLVisionConfig`.
#[derive(Deserialize)]
#[serde(default)]
struct RawVision25 {
    #[serde(flatten)]
    patches: RawPatches,
    hidden_size: usize,
    intermediate_size: usize,
    out_hidden_size: usize,
    hidden_act: Activation,
    window_size: usize,
    fullatt_block_indexes: Vec<usize>,
}

impl Default for RawVision25 {
    fn default() -> Self {
        Self {
            hidden_size: 3584,
            intermediate_size: 3420,
            out_hidden_size: 3584,
            hidden_act: Activation::Silu,
            patches: RawPatches::default(),
            window_size: 112,
            fullatt_block_indexes: vec![7, 15, 23, 31],
        }
    }
}

fn image_pad() -> u32 {
    151_655
}

/// Fields that are absent take the defaults of transformers' `Qwen2VLTextConfig`.
#[derive(Deserialize)]
#[serde(default)]
struct RawText {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    hidden_act: Activation,
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_parameters: Option<RawRope>,
    rope_scaling: Option<RawRope>,
    max_position_embeddings: usize,
    tie_word_embeddings: bool,
    use_sliding_window: Option<bool>,
}

impl Default for RawText {
    fn default() -> Self {
        Self {
            vocab_size: 152_064,
            hidden_size: 8192,
            intermediate_size: 29_568,
            num_hidden_layers: 80,
            num_attention_heads: 64,
            num_key_value_heads: Some(8),
            hidden_act: Activation::Silu,
            rms_norm_eps: 1e-5,
            rope_theta: None,
            rope_parameters: None,
            rope_scaling: None,
            max_position_embeddings: 32_768,
            tie_word_embeddings: false,
            use_sliding_window: None,
        }
    }
}

impl RawText {
    fn resolve(self, outer_tied: bool) -> Result<LlamaConfig, String> {
        if self.use_sliding_window == Some(true) {
            return Err("`use_sliding_window` is not supported".to_owned());
        }
        if self.hidden_act != Activation::Silu {
            return Err("the language model's `hidden_act` is not supported; supported: silu".to_owned());
        }
        let rope = self.rope_parameters.or(self.rope_scaling);
        if let Some(kind) = rope.as_ref().and_then(|rope| rope.rope_type.as_deref())
            && !["default", "mrope"].contains(&kind)
        {
            return Err(format!("rotary scaling `{kind}` is not supported; supported: default, mrope"));
        }
        divides("text_config.num_attention_heads", self.num_attention_heads, self.hidden_size)?;
        let head_dim = self.hidden_size / self.num_attention_heads;
        let axes = rope.as_ref().and_then(|rope| rope.mrope_section).unwrap_or(SECTIONS);
        if axes.iter().try_fold(0usize, |sum, count| sum.checked_add(*count)) != Some(head_dim / 2) {
            return Err(format!("`mrope_section` is {axes:?}, which does not add up to half a head of {head_dim}"));
        }
        LlamaConfig {
            vocab: self.vocab_size,
            hidden: self.hidden_size,
            intermediate: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_dim,
            norm_eps: self.rms_norm_eps,
            rope_theta: rope.and_then(|rope| rope.rope_theta).or(self.rope_theta).unwrap_or(1e6),
            rope_scaling: RopeScaling::Default,
            rope_axes: Some(axes),
            max_positions: self.max_position_embeddings,
            tied: self.tie_word_embeddings || outer_tied,
            attention_bias: true,
            output_bias: false,
        }
        .checked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Qwen2-VL-2B-Instruct's file, as published: flat.
    const PUBLISHED: &str = r#"{"model_type": "qwen2_vl", "image_token_id": 151655, "hidden_act": "silu", "hidden_size": 1536,
        "intermediate_size": 8960, "max_position_embeddings": 32768, "max_window_layers": 28, "num_attention_heads": 12,
        "num_hidden_layers": 28, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
        "sliding_window": 32768, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_sliding_window": false,
        "vision_config": {"depth": 32, "embed_dim": 1280, "mlp_ratio": 4, "num_heads": 16, "in_chans": 3, "hidden_size": 1536,
        "patch_size": 14, "spatial_merge_size": 2, "spatial_patch_size": 14, "temporal_patch_size": 2},
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}, "vocab_size": 151936}"#;

    #[test]
    fn the_published_file_is_read() {
        let Config { text, image_token, family: Family::Qwen2Vl(vision) } = Config::parse(PUBLISHED).unwrap() else {
            panic!("of another family");
        };
        assert_eq!((text.rope_theta, text.rope_axes, text.tied), (1e6, Some([16, 24, 24]), true));
        assert_eq!((text.head_dim, text.attention_bias, text.output_bias, image_token), (128, true, false, 151_655));
        assert_eq!((vision.hidden, vision.intermediate, vision.activation), (1280, 5120, Activation::QuickGelu));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_value() {
        for (from, to, named) in [
            ("\"num_heads\": 16", "\"num_heads\": 0", "`vision_config.num_heads` is 0"),
            ("\"num_heads\": 16", "\"num_heads\": 640", "vision heads of 2 numbers"),
            ("\"in_chans\": 3", "\"in_chans\": 4", "4 channels"),
            ("\"patch_size\": 14", "\"patch_size\": 0", "size of zero"),
            ("\"patch_size\": 14", "\"patch_size\": 16777215", "of [16777215, 2, 2]"),
            ("\"depth\": 32", "\"depth\": 99999999999", "size of 99999999999"),
            ("[16, 24, 24]", "[16, 24, 25]", "[16, 24, 25]"),
            ("\"type\": \"mrope\"", "\"type\": \"yarn\"", "`yarn`"),
            ("\"num_attention_heads\": 12", "\"num_attention_heads\": 0", "num_attention_heads` is 0"),
            ("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 0", "num_key_value_heads` is 0"),
            ("\"use_sliding_window\": false", "\"use_sliding_window\": true", "use_sliding_window"),
            ("3, \"hidden_size\": 1536", "3, \"hidden_size\": 1535", "gives 1535 numbers"),
        ] {
            let text = PUBLISHED.replace(from, to);
            assert_ne!(text, PUBLISHED, "{from}");
            let message = Config::parse(&text).unwrap_err();
            assert!(message.contains(named), "{message}");
        }
    }
}
