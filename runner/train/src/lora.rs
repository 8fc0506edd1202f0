//! A trainable LoRA adapter (arXiv 2106.09685) on all linears of the language model, initialised as PEFT does.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sentinel_models::config::LlamaConfig;
use sentinel_models::layers::{Adapter, LowRank, TARGETS};

use crate::TrainError;

/// Rank and scale of an adapter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Rank r.
    pub rank: usize,
    /// α; the update is scaled by α / r.
    pub alpha: f64,
}

/// Variables by `layers.<N>.<target>.lora_A` and `…lora_B`.
#[derive(Debug, Clone)]
pub struct LoraVars {
    /// What is optimised, in name order.
    pub vars: BTreeMap<String, Var>,
    shape: Shape,
    layers: usize,
}

impl LoraVars {
    /// Makes a fresh adapter: A uniform in ±1/√inputs (Kaiming with a = √5), B zero.
    pub fn fresh(config: &LlamaConfig, shape: Shape, seed: u64, device: &Device) -> Result<Self, TrainError> {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let mut vars = BTreeMap::new();
        for layer in 0..config.layers {
            for target in TARGETS {
                let (inputs, outputs) = sizes(config, target);
                let bound = 1.0 / (inputs as f32).sqrt();
                let a: Vec<f32> = (0..shape.rank * inputs).map(|_| (2.0 * unit(&mut stream) - 1.0) * bound).collect();
                let a = Tensor::from_vec(a, (shape.rank, inputs), device)?;
                let b = Tensor::zeros((outputs, shape.rank), candle_core::DType::F32, device)?;
                vars.insert(name(layer, target, "lora_A"), Var::from_tensor(&a)?);
                vars.insert(name(layer, target, "lora_B"), Var::from_tensor(&b)?);
            }
        }
        Ok(Self { vars, shape, layers: config.layers })
    }

    /// Makes variables from given values, by the same names.
    pub fn of(values: &BTreeMap<String, Tensor>, config: &LlamaConfig, shape: Shape) -> Result<Self, TrainError> {
        let mut vars = BTreeMap::new();
        for layer in 0..config.layers {
            for target in TARGETS {
                let (inputs, outputs) = sizes(config, target);
                for (part, expected) in [("lora_A", (shape.rank, inputs)), ("lora_B", (outputs, shape.rank))] {
                    let name = name(layer, target, part);
                    let value = values.get(&name).ok_or_else(|| TrainError::Row(format!("no tensor `{name}`")))?;
                    if value.dims2()? != expected {
                        let found = value.dims();
                        return Err(TrainError::Row(format!("`{name}` has shape {found:?}, {expected:?} expected")));
                    }
                    vars.insert(name, Var::from_tensor(value)?);
                }
            }
        }
        Ok(Self { vars, shape, layers: config.layers })
    }

    /// Makes variables from an adapter, which must have this shape on every linear.
    pub fn from(adapter: &Adapter, config: &LlamaConfig, shape: Shape) -> Result<Self, TrainError> {
        let mut values = BTreeMap::new();
        for layer in 0..config.layers {
            for (number, target) in TARGETS.iter().enumerate() {
                let Some(LowRank { a, b, scale }) = adapter.of(layer, number) else { continue };
                if *scale != shape.alpha / shape.rank as f64 {
                    let wanted = shape.alpha / shape.rank as f64;
                    let message = format!("the adapter to start from is scaled by {scale}, alpha / rank is {wanted}");
                    return Err(TrainError::Row(message));
                }
                values.insert(name(layer, target, "lora_A"), a.clone());
                values.insert(name(layer, target, "lora_B"), b.clone());
            }
        }
        Self::of(&values, config, shape)
    }

    /// Returns the adapter as the model takes it; gradients reach the variables through it.
    pub fn adapter(&self) -> Adapter {
        let low = |layer, target| LowRank {
            a: self.vars[&name(layer, target, "lora_A")].as_tensor().clone(),
            b: self.vars[&name(layer, target, "lora_B")].as_tensor().clone(),
            scale: self.shape.alpha / self.shape.rank as f64,
        };
        Adapter { layers: (0..self.layers).map(|layer| TARGETS.map(|target| Some(low(layer, target)))).collect() }
    }

    /// Returns rank and scale.
    pub fn shape(&self) -> Shape {
        self.shape
    }
}

fn name(layer: usize, target: &str, part: &str) -> String {
    format!("layers.{layer}.{target}.{part}")
}

/// Inputs and outputs of a target.
fn sizes(config: &LlamaConfig, target: &str) -> (usize, usize) {
    let (c, f) = (config.hidden, config.intermediate);
    let (queries, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
    match target {
        "self_attn.q_proj" => (c, queries),
        "self_attn.k_proj" | "self_attn.v_proj" => (c, keys),
        "self_attn.o_proj" => (queries, c),
        "mlp.down_proj" => (f, c),
        _ => (c, f),
    }
}

/// A number in [0, 1) with 24 random bits.
fn unit(stream: &mut ChaCha8Rng) -> f32 {
    (stream.next_u32() >> 8) as f32 / (1u32 << 24) as f32
}
