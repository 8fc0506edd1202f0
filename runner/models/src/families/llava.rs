//! LLaVA-1.5 (arXiv 2310.03744; transformers `modeling_llava.py`): a CLIP tower and a two-layer projector before a Llama decoder.
// B batch, N image features, C decoder width

use candle_core::{Result, Tensor};

use super::Tower;
use super::clip::Clip;
use crate::config::LlavaConfig;
use crate::image::Picture;
use crate::layers::Linear;
use crate::weights::Weights;
use crate::{ModelError, ops};

/// Tower and projector.
pub struct Llava {
    config: LlavaConfig,
    tower: Clip,
    linear_1: Linear,
    linear_2: Linear,
}

impl Llava {
    /// Takes the tensors; `c` is the decoder's width.
    pub fn take(w: &Weights, config: &LlavaConfig, c: usize) -> std::result::Result<Self, ModelError> {
        let states = config.vision.layers as i64 + 1;
        let state = config.vision_feature_layer.rem_euclid(states) as usize;
        let projector =
            |part: &str, i| Linear::take(w, &format!("multi_modal_projector.{part}"), i, c, config.projector_bias);
        Ok(Self {
            tower: Clip::take(w, &config.vision, state)?,
            linear_1: projector("linear_1", config.vision.hidden)?,
            linear_2: projector("linear_2", c)?,
            config: config.clone(),
        })
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
}

impl Tower for Llava {
    fn features(&self, pictures: &[Picture]) -> Result<Vec<Tensor>> {
        let pixels: Vec<&Tensor> = pictures.iter().map(|picture| &picture.pixels).collect();
        let features = self.image_features(&Tensor::stack(&pixels, 0)?)?;
        (0..pictures.len()).map(|at| features.get(at)).collect()
    }
}
