//! The arithmetic of the layers, every operation with its gradient. candle's own fused kernels (`softmax_last_dim`, `rms_norm`,
//! `layer_norm`, `rope`) drop gradients silently and are not used.

use candle_core::{D, Result, Tensor};

use crate::config::Activation;

/// Returns `x · wᵀ` for x (…, K) and w (N, K) → (…, N), with a gradient for `x` and `w`.
pub fn linear(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let dims = x.dims();
    let (k, n) = (dims[dims.len() - 1], w.dim(0)?);
    let rows = x.elem_count() / k;
    let mut shape = dims.to_vec();
    *shape.last_mut().expect("a matrix has a last axis") = n;
    x.reshape((rows, k))?.matmul(&w.t()?)?.reshape(shape)
}

/// Root-mean-square norm over the last axis: `x / sqrt(mean(x²) + ε) · w`.
pub fn rms_norm(x: &Tensor, w: &Tensor, eps: f64) -> Result<Tensor> {
    let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
    x.broadcast_div(&scale)?.broadcast_mul(w)
}

/// Layer norm over the last axis.
pub fn layer_norm(x: &Tensor, w: &Tensor, b: &Tensor, eps: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let scale = (centred.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
    centred.broadcast_div(&scale)?.broadcast_mul(w)?.broadcast_add(b)
}

/// Softmax over the last axis.
pub fn softmax_last_dim(x: &Tensor) -> Result<Tensor> {
    candle_nn::ops::softmax(x, D::Minus1)
}

/// Rotates the two halves of each head: x (B, H, T, D), cos and sin (T, D/2) or (B, 1, T, D/2) (the Llama layout).
pub fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let half = x.dim(D::Minus1)? / 2;
    let (a, b) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
    let first = (a.broadcast_mul(cos)? - b.broadcast_mul(sin)?)?;
    let second = (b.broadcast_mul(cos)? + a.broadcast_mul(sin)?)?;
    Tensor::cat(&[first, second], D::Minus1)
}

/// Returns `silu(gate) · up`.
pub fn silu_mul(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()? * up
}

/// Applies an activation.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Gelu => x.gelu_erf(),
        Activation::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
        Activation::Silu => x.silu(),
    }
}

/// Returns the log-probability of each target: logits (R, V), targets (R) of u32 → (R).
pub fn token_logp(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    candle_nn::ops::log_softmax(logits, D::Minus1)?.gather(&targets.unsqueeze(1)?, 1)?.squeeze(1)
}
