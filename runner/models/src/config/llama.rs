//! The language model's part of a configuration: every family's decoder is Llama's, with or without biases, with positions on one
//! axis or on three. Source: `LlamaConfig` of transformers.

use serde::Deserialize;

use super::{divides, positive};

/// Most positions a model may know: their rotary tables are made when it is opened.
const POSITIONS_MAX: usize = 1 << 20;

/// The decoder.
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
    /// How they are slowed down for texts longer than the model was first trained on.
    pub rope_scaling: RopeScaling,
    /// Which of the D/2 rotary frequencies turn by a token's time, row and column in its picture; `None` where tokens stand on
    /// one axis.
    pub rope_axes: Option<[usize; 3]>,
    /// Longest sequence.
    pub max_positions: usize,
    /// Whether the output head is the input embedding.
    pub tied: bool,
    /// Whether the linears of queries, keys and values have biases.
    pub attention_bias: bool,
    /// Whether the linear behind attention has a bias.
    pub output_bias: bool,
}

/// How rotary frequencies are slowed down (transformers' `ROPE_INIT_FUNCTIONS`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    Default,
    /// All by a factor.
    Linear(f64),
    /// The slow ones by a factor, the fast ones not at all, those between by degrees.
    Llama3 {
        /// The factor.
        factor: f64,
        /// Turns within the original length below which a frequency is slow.
        low: f64,
        /// Turns from which on it is fast.
        high: f64,
        /// The original length in tokens.
        original: f64,
    },
}

impl LlamaConfig {
    /// Checks what every decoder must satisfy, whatever its family.
    pub(super) fn checked(self) -> Result<Self, String> {
        divides("text_config.num_key_value_heads", self.kv_heads, self.heads)?;
        let sizes = [self.vocab, self.hidden, self.intermediate, self.layers, self.head_dim, self.max_positions];
        positive("text_config", &sizes)?;
        if self.max_positions > POSITIONS_MAX {
            let found = self.max_positions;
            return Err(format!("`max_position_embeddings` is {found}, more than the limit of {POSITIONS_MAX}"));
        }
        if self.head_dim % 2 == 1 {
            return Err(format!("heads of {} numbers cannot be rotated in halves", self.head_dim));
        }
        Ok(self)
    }
}

/// Fields that are absent take the defaults of transformers' `LlamaConfig`, as older hub files rely on.
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct RawLlama {
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

/// Rotary positions as transformers 5 (`rope_parameters`) and 4 (`rope_scaling`) write them.
#[derive(Deserialize, Clone)]
pub(super) struct RawRope {
    pub(super) rope_theta: Option<f64>,
    #[serde(alias = "type")]
    pub(super) rope_type: Option<String>,
    pub(super) mrope_section: Option<[usize; 3]>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
}

impl RawRope {
    /// Resolves how frequencies are scaled.
    fn scaling(&self) -> Result<RopeScaling, String> {
        let number = |name: &str, value: Option<f64>| match value {
            Some(value) if value.is_finite() && value > 0.0 => Ok(value),
            Some(value) => Err(format!("rotary scaling: `{name}` is {value}, a number above 0 expected")),
            None => Err(format!("rotary scaling: `{name}` is missing")),
        };
        match self.rope_type.as_deref() {
            None | Some("default") => Ok(RopeScaling::Default),
            Some("linear") => Ok(RopeScaling::Linear(number("factor", self.factor)?)),
            Some("llama3") => {
                let (low, high) = (
                    number("low_freq_factor", self.low_freq_factor)?,
                    number("high_freq_factor", self.high_freq_factor)?,
                );
                if low >= high {
                    return Err(format!(
                        "rotary scaling: `low_freq_factor` {low} is not below `high_freq_factor` {high}"
                    ));
                }
                let original = number("original_max_position_embeddings", self.original_max_position_embeddings)?;
                Ok(RopeScaling::Llama3 { factor: number("factor", self.factor)?, low, high, original })
            }
            Some(other) => {
                Err(format!("rotary scaling `{other}` is not supported; supported: default, linear, llama3"))
            }
        }
    }
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

impl RawLlama {
    pub(super) fn resolve(self, outer_tied: Option<bool>) -> Result<LlamaConfig, String> {
        if self.model_type != "llama" {
            return Err(format!("language model `{}` is not supported; supported: llama", self.model_type));
        }
        let rope = self.rope_parameters.as_ref().or(self.rope_scaling.as_ref());
        let rope_scaling = rope.map_or(Ok(RopeScaling::Default), RawRope::scaling)?;
        divides("text_config.num_attention_heads", self.num_attention_heads, self.hidden_size)?;
        let theta =
            self.rope_parameters.as_ref().and_then(|rope| rope.rope_theta).or(self.rope_theta).unwrap_or(10_000.0);
        LlamaConfig {
            vocab: self.vocab_size,
            hidden: self.hidden_size,
            intermediate: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_dim: self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads),
            norm_eps: self.rms_norm_eps,
            rope_theta: theta,
            rope_scaling,
            rope_axes: None,
            max_positions: self.max_position_embeddings,
            tied: self.tie_word_embeddings.or(outer_tied).unwrap_or(false),
            attention_bias: self.attention_bias,
            output_bias: self.attention_bias,
        }
        .checked()
    }
}
