//! Layer norm (CLIP) and root-mean-square norm (Llama).

use candle_core::{Result, Tensor};

use crate::weights::{Param, Weights};
use crate::{ModelError, ops};

/// Layer norm with weight and bias.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Param,
    bias: Param,
    eps: f64,
}

impl LayerNorm {
    /// Takes `<name>.weight` and `<name>.bias`.
    pub fn take(w: &Weights, name: &str, width: usize, eps: f64) -> std::result::Result<Self, ModelError> {
        let weight = w.get(&format!("{name}.weight"), &[width])?;
        Ok(Self { weight, bias: w.get(&format!("{name}.bias"), &[width])?, eps })
    }

    /// Normalises the last axis.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm(x, &self.weight.tensor, &self.bias.tensor, self.eps)
    }
}

/// Root-mean-square norm with weight.
#[derive(Debug, Clone)]
pub struct RmsNorm {
    weight: Param,
    eps: f64,
}

impl RmsNorm {
    /// Takes `<name>.weight`.
    pub fn take(w: &Weights, name: &str, width: usize, eps: f64) -> std::result::Result<Self, ModelError> {
        Ok(Self { weight: w.get(&format!("{name}.weight"), &[width])?, eps })
    }

    /// Normalises the last axis.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::rms_norm(x, &self.weight.tensor, self.eps)
    }
}
