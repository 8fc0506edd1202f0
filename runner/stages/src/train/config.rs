//! What `train` takes: one set of settings a loss. Defaults are the paper's.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use sentinel_core::stage::ConfigError;
use sentinel_domain::config::VlmName;
use sentinel_domain::ports::Phase;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::kind::{none_of, wrong};

/// What `train` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "loss", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Config {
    /// Context-aware direct preference optimisation of a LoRA adapter; only the sentence after the context is learnt.
    CDpo {
        /// The base model, an entry of `models:`; without it, `needs.model` takes a checkpoint another stage made.
        model: Option<VlmName>,
        /// The inverse temperature β: how far the model may leave the reference.
        #[serde(default = "beta")]
        #[schemars(range(min = 0.000_001, max = 100.0))]
        beta: f64,
        /// The adapter, on all linear layers of the language model.
        #[serde(default)]
        lora: Lora,
        /// Passes over the pairs.
        #[serde(default = "one")]
        #[schemars(range(min = 0.0, max = 1000.0))]
        epochs: f64,
        /// Pairs of an optimiser step.
        #[serde(default = "batch")]
        #[schemars(range(min = 1, max = 65536))]
        batch: u32,
        /// Peak learning rate; it falls to zero along a cosine.
        #[serde(default = "learning_rate")]
        #[schemars(range(min = 0.0, max = 1.0))]
        learning_rate: f64,
        /// Optimiser steps until the peak.
        #[serde(default)]
        warmup: u32,
        /// Most optimiser steps; by default what the epochs give.
        #[schemars(range(min = 1))]
        max_steps: Option<u32>,
        /// AdamW's β₁ and β₂.
        #[serde(default = "betas")]
        #[schemars(extend("prefixItems" = [decay(), decay()]))]
        betas: (f64, f64),
        /// Decoupled weight decay.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 10.0))]
        weight_decay: f64,
        /// Greatest gradient norm; 0 clips nothing.
        #[serde(default = "one")]
        #[schemars(range(min = 0.0))]
        clip: f64,
        /// Whether the end of the description is learnt too, after its last sentence.
        #[serde(default)]
        learn_end: bool,
    },
    /// Plain next-token training of all parameters.
    NextToken {
        /// Configuration, tokenizer and, unless `fresh`, weights to start from: an entry of `models:`, or `needs.model`.
        model: Option<VlmName>,
        /// Whether to start from random weights.
        #[serde(default)]
        fresh: bool,
        /// Whether weights are written as half-precision numbers.
        #[serde(default)]
        half: bool,
        /// Dialogues of an optimiser step.
        #[serde(default = "batch")]
        #[schemars(range(min = 1, max = 65536))]
        batch: u32,
        /// AdamW's β₁ and β₂.
        #[serde(default = "betas")]
        #[schemars(extend("prefixItems" = [decay(), decay()]))]
        betas: (f64, f64),
        /// Decoupled weight decay.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 10.0))]
        weight_decay: f64,
        /// Greatest gradient norm; 0 clips nothing.
        #[serde(default = "one")]
        #[schemars(range(min = 0.0))]
        clip: f64,
        /// Phases, run one after the other.
        #[schemars(length(min = 1, max = 64))]
        phases: Vec<PhaseConfig>,
    },
}

/// The shape of a LoRA adapter.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Lora {
    /// Its rank.
    #[schemars(range(min = 1, max = 4096))]
    pub(super) rank: u32,
    /// Its alpha; the update is scaled by alpha/rank.
    #[schemars(range(min = 0.0, max = 65536.0))]
    pub(super) alpha: f64,
}

impl Default for Lora {
    fn default() -> Self {
        Self { rank: 128, alpha: 256.0 }
    }
}

/// One phase of a curriculum.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PhaseConfig {
    /// Optimiser steps.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(super) steps: u32,
    /// Weight of each group of dialogues in a batch; their sum is of no importance.
    #[schemars(extend("additionalProperties" = { "type": "number", "minimum": 0.0 }))]
    pub(super) mixture: BTreeMap<String, f64>,
    /// Learning rate after warm-up.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) learning_rate: f64,
    /// Learning rate at the end, along a cosine; by default 0.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) final_learning_rate: f64,
    /// Optimiser steps until the learning rate is reached.
    #[serde(default)]
    pub(super) warmup: u32,
}

fn beta() -> f64 {
    0.1
}
fn one() -> f64 {
    1.0
}
fn batch() -> u32 {
    64
}
fn learning_rate() -> f64 {
    2e-6
}
fn betas() -> (f64, f64) {
    (0.9, 0.999)
}
/// The schema of a share that an average keeps from step to step.
fn decay() -> Value {
    json!({ "type": "number", "minimum": 0.0, "exclusiveMaximum": 1.0 })
}

impl Config {
    /// Returns the model that is named.
    pub(super) fn model(&self) -> Option<&VlmName> {
        match self {
            Self::CDpo { model, .. } | Self::NextToken { model, .. } => model.as_ref(),
        }
    }

    /// Whether it learns from preference pairs, not from dialogues.
    pub(super) fn takes_pairs(&self) -> bool {
        matches!(self, Self::CDpo { .. })
    }

    /// Checks what the schema cannot say.
    pub(super) fn check(&self) -> Result<(), Vec<ConfigError>> {
        let Self::NextToken { phases, .. } = self else { return Ok(()) };
        let weightless = |(_, phase): &(usize, &PhaseConfig)| phase.mixture.values().all(|weight| *weight == 0.0);
        let mistakes = phases.iter().enumerate().filter(weightless).flat_map(|(index, _)| {
            wrong(&format!("/phases/{index}/mixture"), "no group of dialogues has any weight", None)
        });
        none_of(mistakes.collect())
    }
}

impl From<&PhaseConfig> for Phase {
    fn from(config: &PhaseConfig) -> Self {
        let PhaseConfig { steps, mixture, learning_rate, final_learning_rate, warmup } = config;
        Self {
            steps: *steps,
            mixture: mixture.iter().map(|(group, weight)| (group.clone(), *weight)).collect(),
            learning_rate: *learning_rate,
            final_learning_rate: *final_learning_rate,
            warmup: *warmup,
        }
    }
}
