//! The CLIP vision transformer (arXiv 2103.00020; transformers `modeling_clip.py`), up to the hidden state LLaVA uses.
// B batch, N patches, C width

use candle_core::{Result, Tensor};

use crate::ModelError;
use crate::config::ClipConfig;
use crate::layers::{LayerNorm, Linear};
use crate::ops;
use crate::weights::{Param, Weights};

/// The vision tower.
pub struct Clip {
    config: ClipConfig,
    class: Param,
    patch: Param,
    position: Param,
    pre_norm: LayerNorm,
    layers: Vec<Layer>,
}

struct Layer {
    norm_1: LayerNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    norm_2: LayerNorm,
    fc_1: Linear,
    fc_2: Linear,
}

impl Clip {
    /// Takes the tower's tensors; layers above the hidden state `state` (0 is the embedding) are left in the file.
    pub fn take(w: &Weights, config: &ClipConfig, state: usize) -> std::result::Result<Self, ModelError> {
        let (c, p) = (config.hidden, config.patch);
        let root = "vision_tower";
        Ok(Self {
            class: w.get(&format!("{root}.embeddings.class_embedding"), &[c])?,
            patch: w.get(&format!("{root}.embeddings.patch_embedding.weight"), &[c, 3, p, p])?,
            position: w.get(&format!("{root}.embeddings.position_embedding.weight"), &[config.patches() + 1, c])?,
            pre_norm: LayerNorm::take(w, &format!("{root}.pre_layrnorm"), c, config.norm_eps)?,
            layers: (0..state)
                .map(|i| Layer::take(w, &format!("{root}.encoder.layers.{i}"), config))
                .collect::<std::result::Result<_, _>>()?,
            config: config.clone(),
        })
    }

    /// Maps pixels (B, 3, S, S), normalised, to the hidden state (B, N + 1, C); the class token comes first.
    pub fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let b = pixels.dim(0)?;
        let patches = self.patches(pixels)?; // (B, N, 3·P·P)
        let kernel = self.patch.tensor.flatten_from(1)?; // (C, 3·P·P)
        let embedded = ops::linear(&patches, &kernel, None)?; // (B, N, C)
        let class = self.class.tensor.reshape((1, 1, self.config.hidden))?.broadcast_as((b, 1, self.config.hidden))?;
        let tokens = Tensor::cat(&[class.contiguous()?, embedded], 1)?;
        let mut x = self.pre_norm.forward(&tokens.broadcast_add(&self.position.tensor)?)?;
        for layer in &self.layers {
            x = layer.forward(&x, &self.config)?;
        }
        Ok(x)
    }

    /// Cuts pixels into patches: a convolution whose stride is its kernel's side is a product of patches.
    fn patches(&self, pixels: &Tensor) -> Result<Tensor> {
        let (b, side, p) = (pixels.dim(0)?, self.config.image / self.config.patch, self.config.patch);
        pixels.reshape(&[b, 3, side, p, side, p][..])?.permute(vec![0, 2, 4, 1, 3, 5])?.reshape((
            b,
            side * side,
            3 * p * p,
        ))
    }
}

impl Layer {
    fn take(w: &Weights, name: &str, config: &ClipConfig) -> std::result::Result<Self, ModelError> {
        let (c, f) = (config.hidden, config.intermediate);
        let linear = |part: &str, inputs, outputs| Linear::take(w, &format!("{name}.{part}"), inputs, outputs, true);
        let norm = |part: &str| LayerNorm::take(w, &format!("{name}.{part}"), c, config.norm_eps);
        Ok(Self {
            norm_1: norm("layer_norm1")?,
            q: linear("self_attn.q_proj", c, c)?,
            k: linear("self_attn.k_proj", c, c)?,
            v: linear("self_attn.v_proj", c, c)?,
            out: linear("self_attn.out_proj", c, c)?,
            norm_2: norm("layer_norm2")?,
            fc_1: linear("mlp.fc1", c, f)?,
            fc_2: linear("mlp.fc2", f, c)?,
        })
    }

    fn forward(&self, x: &Tensor, config: &ClipConfig) -> Result<Tensor> {
        let normed = self.norm_1.forward(x)?;
        let (q, k, v) =
            (self.q.forward(&normed, None)?, self.k.forward(&normed, None)?, self.v.forward(&normed, None)?);
        let attended = ops::attention(&q, &k, &v, config.hidden / config.heads, None)?;
        let x = (x + self.out.forward(&attended, None)?)?;
        let inner = ops::activate(&self.fc_1.forward(&self.norm_2.forward(&x)?, None)?, config.activation)?;
        &x + self.fc_2.forward(&inner, None)?
    }
}
