//! LLaVA-1.5 (arXiv 2310.03744; transformers `modeling_llava.py`): a CLIP tower, a two-layer projector, a Llama decoder.
// B batch, N image features, T tokens, C decoder width

use candle_core::{Device, Result, Tensor};

use super::clip::Clip;
use super::llama::Llama;
use crate::config::LlavaConfig;
use crate::layers::Linear;
use crate::weights::Weights;
use crate::{ModelError, ops};

/// A LLaVA model.
pub struct Llava {
    config: LlavaConfig,
    tower: Clip,
    linear_1: Linear,
    linear_2: Linear,
    /// The decoder.
    pub decoder: Llama,
}

impl Llava {
    /// Takes the model's tensors.
    pub fn take(w: &Weights, config: &LlavaConfig, device: &Device) -> std::result::Result<Self, ModelError> {
        let states = config.vision.layers as i64 + 1;
        let state = config.vision_feature_layer.rem_euclid(states) as usize;
        let (v, c) = (config.vision.hidden, config.text.hidden);
        let projector =
            |part: &str, i| Linear::take(w, &format!("multi_modal_projector.{part}"), i, c, config.projector_bias);
        Ok(Self {
            tower: Clip::take(w, &config.vision, state)?,
            linear_1: projector("linear_1", v)?,
            linear_2: projector("linear_2", c)?,
            decoder: Llama::take(w, &config.text, device)?,
            config: config.clone(),
        })
    }

    /// Returns the configuration.
    pub fn config(&self) -> &LlavaConfig {
        &self.config
    }

    /// Maps pixels (B, 3, S, S) to image features in the decoder's space (B, N, C).
    pub fn image_features(&self, pixels: &Tensor) -> Result<Tensor> {
        let mut hidden = self.tower.forward(pixels)?;
        if self.config.drop_class_token {
            hidden = hidden.narrow(1, 1, self.config.vision.patches())?.contiguous()?;
        }
        let inner = ops::activate(&self.linear_1.forward(&hidden, None)?, self.config.projector_activation)?;
        self.linear_2.forward(&inner, None)
    }

    /// Embeds ids (B, T) and puts image features (B, N, C) where the run of `<image>` tokens stands: `at` is its first position,
    /// the same in every row.
    pub fn splice(&self, ids: &Tensor, features: &Tensor, at: usize) -> Result<Tensor> {
        let (t, n) = (ids.dim(1)?, features.dim(1)?);
        let before = self.decoder.embed(&ids.narrow(1, 0, at)?)?;
        let after = self.decoder.embed(&ids.narrow(1, at + n, t - at - n)?)?;
        Tensor::cat(&[&before, features, &after], 1)
    }
}
