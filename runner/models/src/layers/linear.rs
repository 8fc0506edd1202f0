//! A linear layer with room for a low-rank adapter.

use candle_core::{Result, Tensor};

use super::LowRank;
use crate::weights::{Param, Weights};
use crate::{ModelError, ops};

/// `y = x Wᵀ + b (+ s · (x Aᵀ) Bᵀ)`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Param,
    bias: Option<Param>,
}

impl Linear {
    /// Takes `<name>.weight` (outputs, inputs) and, if asked, `<name>.bias`.
    pub fn take(
        w: &Weights,
        name: &str,
        inputs: usize,
        outputs: usize,
        bias: bool,
    ) -> std::result::Result<Self, ModelError> {
        let weight = w.get(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = bias.then(|| w.get(&format!("{name}.bias"), &[outputs])).transpose()?;
        Ok(Self { weight, bias })
    }

    /// Returns a layer without bias over a tensor that is already there (tied embeddings).
    pub fn tied(weight: Param) -> Self {
        Self { weight, bias: None }
    }

    /// Maps x (…, inputs) → (…, outputs).
    pub fn forward(&self, x: &Tensor, adapter: Option<&LowRank>) -> Result<Tensor> {
        let y = ops::linear(x, &self.weight.tensor, self.bias.as_ref().map(|bias| &bias.tensor))?;
        match adapter {
            // Scaling the rank's few columns costs less than scaling the outputs.
            Some(low) => y + ops::linear(&(ops::linear(x, &low.a, None)? * low.scale)?, &low.b, None)?,
            None => Ok(y),
        }
    }
}
