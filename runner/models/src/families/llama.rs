//! The Llama decoder (arXiv 2302.13971; transformers `modeling_llama.py`), without its output head's choice of positions.
// B batch, T tokens, C width, H query heads, G key and value heads, D head width

use candle_core::{Device, Result, Tensor};

use crate::ModelError;
use crate::config::LlamaConfig;
use crate::layers::{Adapter, Linear, RmsNorm, Rotary};
use crate::ops;
use crate::weights::{Param, Weights};

/// The decoder.
pub struct Llama {
    config: LlamaConfig,
    embedding: Param,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: Linear,
    rotary: Rotary,
}

struct Layer {
    input_norm: RmsNorm,
    /// In the order of [`crate::layers::TARGETS`].
    linears: [Linear; 7],
    post_norm: RmsNorm,
}

/// Where the tokens of a call stand.
#[derive(Clone, Copy)]
pub enum Positions<'a> {
    /// All rows start at this position and run on.
    From(usize),
    /// Given positions (B, T) of u32.
    Given(&'a Tensor),
    /// Given positions on the axes of time, row and column: (3, B, T) of u32, for decoders that know three.
    Axes(&'a Tensor),
}

/// Keys and values of one layer: each (B, S, G·D), keys rotated.
pub type KeyValue = (Tensor, Tensor);

impl Llama {
    /// Takes the decoder's tensors.
    pub fn take(w: &Weights, config: &LlamaConfig, device: &Device) -> std::result::Result<Self, ModelError> {
        let root = "language_model";
        let embedding = w.get(&format!("{root}.embed_tokens.weight"), &[config.vocab, config.hidden])?;
        let head = match config.tied {
            true => Linear::tied(embedding.clone()),
            false => Linear::take(w, "lm_head", config.hidden, config.vocab, false)?,
        };
        let layers = (0..config.layers).map(|i| Layer::take(w, &format!("{root}.layers.{i}"), config));
        Ok(Self {
            embedding,
            layers: layers.collect::<std::result::Result<_, _>>()?,
            norm: RmsNorm::take(w, &format!("{root}.norm"), config.hidden, config.norm_eps)?,
            head,
            rotary: Rotary::scaled(
                config.head_dim,
                config.rope_theta,
                config.rope_scaling,
                config.max_positions,
                device,
            )?,
            config: config.clone(),
        })
    }

    /// Returns the configuration.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// Returns the device it computes on.
    pub fn device(&self) -> &Device {
        self.embedding.tensor.device()
    }

    /// Embeds token ids (…) of u32 → (…, C).
    pub fn embed(&self, ids: &Tensor) -> Result<Tensor> {
        let mut shape = ids.dims().to_vec();
        shape.push(self.config.hidden);
        self.embedding.tensor.index_select(&ids.flatten_all()?, 0)?.reshape(shape)
    }

    /// Runs embedded tokens (B, T, C) → normed hidden states (B, T, C).
    ///
    /// `past` holds each layer's earlier keys and values; `mask` (T, S) or (B, 1, T, S) is added to the scores over past and new
    /// keys. New keys and values are handed to `keep`, layer by layer.
    pub fn forward(
        &self,
        embedded: &Tensor,
        positions: Positions<'_>,
        mask: Option<&Tensor>,
        past: Option<&[KeyValue]>,
        adapter: Option<&Adapter>,
        mut keep: impl FnMut(KeyValue),
    ) -> Result<Tensor> {
        self.forward_with(embedded, positions, adapter, |i, q, k, v| {
            let attended = match past {
                None => ops::attention(&q, &k, &v, self.config.head_dim, mask)?,
                Some(past) => {
                    let (keys, values) = (Tensor::cat(&[&past[i].0, &k], 1)?, Tensor::cat(&[&past[i].1, &v], 1)?);
                    ops::attention(&q, &keys, &values, self.config.head_dim, mask)?
                }
            };
            keep((k, v));
            Ok(attended)
        })
    }

    /// As [`Self::forward`], with attention left to the caller: `attend(layer, q, k, v)` maps queries (B, T, H·D) and new keys and
    /// values (B, T, G·D), queries and keys rotated, to (B, T, H·D).
    pub fn forward_with(
        &self,
        embedded: &Tensor,
        positions: Positions<'_>,
        adapter: Option<&Adapter>,
        mut attend: impl FnMut(usize, Tensor, Tensor, Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (cos, sin) = match positions {
            Positions::From(start) => self.rotary.slice(start, embedded.dim(1)?)?,
            Positions::Given(positions) => self.rotary.gather(positions)?,
            Positions::Axes(positions) => self.rotary.gather_axes(positions, self.config.rope_axes)?,
        };
        let mut x = embedded.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            let linear =
                |target: usize, x: &Tensor| layer.linears[target].forward(x, adapter.and_then(|a| a.of(i, target)));
            let normed = layer.input_norm.forward(&x)?;
            let q = ops::rope(&linear(0, &normed)?, &cos, &sin)?;
            let k = ops::rope(&linear(1, &normed)?, &cos, &sin)?;
            let attended = attend(i, q, k, linear(2, &normed)?)?;
            x = (x + linear(3, &attended)?)?;
            let normed = layer.post_norm.forward(&x)?;
            let inner = ops::silu_mul(&linear(4, &normed)?, &linear(5, &normed)?)?;
            x = (x + linear(6, &inner)?)?;
        }
        self.norm.forward(&x)
    }

    /// Maps hidden states (…, C) to logits (…, V).
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.head.forward(hidden, None)
    }
}

impl Layer {
    fn take(w: &Weights, name: &str, config: &LlamaConfig) -> std::result::Result<Self, ModelError> {
        let (c, f) = (config.hidden, config.intermediate);
        let (queries, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let attention = |part: &str, i, o, bias| Linear::take(w, &format!("{name}.self_attn.{part}"), i, o, bias);
        let feed = |part: &str, i, o| Linear::take(w, &format!("{name}.mlp.{part}"), i, o, false);
        Ok(Self {
            input_norm: RmsNorm::take(w, &format!("{name}.input_layernorm"), c, config.norm_eps)?,
            linears: [
                attention("q_proj", c, queries, config.attention_bias)?,
                attention("k_proj", c, keys, config.attention_bias)?,
                attention("v_proj", c, keys, config.attention_bias)?,
                attention("o_proj", queries, c, config.output_bias)?,
                feed("gate_proj", c, f)?,
                feed("up_proj", c, f)?,
                feed("down_proj", f, c)?,
            ],
            post_norm: RmsNorm::take(w, &format!("{name}.post_attention_layernorm"), c, config.norm_eps)?,
        })
    }
}
