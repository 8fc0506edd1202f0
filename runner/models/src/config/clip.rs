//! The CLIP vision transformer's part of a configuration. Source: `CLIPVisionConfig` of transformers.

use serde::Deserialize;

use super::{Activation, divides, positive};

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
    /// Returns how many patches stand along a side.
    pub fn side(&self) -> usize {
        self.image / self.patch
    }

    /// Returns the number of patches of a picture.
    pub fn patches(&self) -> usize {
        self.side().pow(2)
    }
}

#[derive(Deserialize)]
pub(super) struct RawClip {
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

fn quick_gelu() -> Activation {
    Activation::QuickGelu
}
fn clip_type() -> String {
    "clip_vision_model".into()
}
fn clip_eps() -> f64 {
    1e-5
}

impl RawClip {
    pub(super) fn resolve(self) -> Result<ClipConfig, String> {
        if self.model_type != "clip_vision_model" {
            return Err(format!("vision tower `{}` is not supported; supported: clip_vision_model", self.model_type));
        }
        let sizes =
            [self.hidden_size, self.intermediate_size, self.num_hidden_layers, self.patch_size, self.image_size];
        positive("vision_config", &sizes)?;
        divides("vision_config.num_attention_heads", self.num_attention_heads, self.hidden_size)?;
        divides("vision_config.patch_size", self.patch_size, self.image_size)?;
        Ok(ClipConfig {
            hidden: self.hidden_size,
            intermediate: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            image: self.image_size,
            patch: self.patch_size,
            activation: self.hidden_act,
            norm_eps: self.layer_norm_eps,
        })
    }
}
