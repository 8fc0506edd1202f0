//! Who sees whom, and where tokens stand: causal masks and the tables of the rotary position embedding.
// B batch, T queries, S keys, D head width

use candle_core::{D, Device, Result, Tensor};

use crate::config::RopeScaling;

/// Returns the (T, S) mask under which query i, standing at position `S − T + i`, sees keys up to its own.
pub fn causal_mask(t: usize, s: usize, device: &Device) -> Result<Tensor> {
    let mask: Vec<f32> =
        (0..t).flat_map(|i| (0..s).map(move |j| if j > s - t + i { f32::NEG_INFINITY } else { 0.0 })).collect();
    Tensor::from_vec(mask, (t, s), device)
}

/// Slows a rotary frequency down (transformers' `modeling_rope_utils.py`).
fn slowed(frequency: f32, scaling: RopeScaling) -> f32 {
    match scaling {
        RopeScaling::Default => frequency,
        RopeScaling::Linear(factor) => frequency / factor as f32,
        RopeScaling::Llama3 { factor, low, high, original } => {
            let turns = original as f32 * frequency / std::f32::consts::TAU;
            let share = ((turns - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
            (1.0 - share) * (frequency / factor as f32) + share * frequency
        }
    }
}

/// Cosines and sines of the rotary position embedding (Llama layout: the two halves of a head rotate together).
#[derive(Debug, Clone)]
pub struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    /// Tabulates positions 0 to `positions` − 1 for heads of width `head_dim`; angles are made in f32 as transformers does.
    pub fn new(head_dim: usize, theta: f64, positions: usize, device: &Device) -> Result<Self> {
        Self::scaled(head_dim, theta, RopeScaling::Default, positions, device)
    }

    /// As [`Self::new`], with frequencies slowed down.
    pub fn scaled(
        head_dim: usize,
        theta: f64,
        scaling: RopeScaling,
        positions: usize,
        device: &Device,
    ) -> Result<Self> {
        let frequency = |i| 1.0 / (theta as f32).powf(2.0 * i as f32 / head_dim as f32);
        let inverse: Vec<f32> = (0..head_dim / 2).map(|i| slowed(frequency(i), scaling)).collect();
        let angles: Vec<f32> = (0..positions).flat_map(|p| inverse.iter().map(move |f| p as f32 * f)).collect();
        let angles = Tensor::from_vec(angles, (positions, head_dim / 2), device)?;
        Ok(Self { cos: angles.cos()?, sin: angles.sin()? })
    }

    /// Returns cosines and sines (T, D/2) of positions `start` to `start + t` − 1.
    pub fn slice(&self, start: usize, t: usize) -> Result<(Tensor, Tensor)> {
        Ok((self.cos.narrow(0, start, t)?, self.sin.narrow(0, start, t)?))
    }

    /// Returns cosines and sines (B, T, D/2) of given positions (B, T).
    pub fn gather(&self, positions: &Tensor) -> Result<(Tensor, Tensor)> {
        let (b, t) = positions.dims2()?;
        let flat = positions.flatten_all()?;
        let pick = |table: &Tensor| table.index_select(&flat, 0)?.reshape((b, t, table.dim(D::Minus1)?));
        Ok((pick(&self.cos)?, pick(&self.sin)?))
    }

    /// Returns cosines and sines (B, T, D/2) of positions on three axes (3, B, T): the first `axes[0]` frequencies turn by the
    /// first axis, and so on (M-RoPE, arXiv 2409.12191).
    pub fn gather_axes(&self, positions: &Tensor, axes: Option<[usize; 3]>) -> Result<(Tensor, Tensor)> {
        let Some(axes) = axes else {
            candle_core::bail!("positions on three axes were given to a decoder that knows one");
        };
        let (mut cos, mut sin, mut first) = (Vec::new(), Vec::new(), 0);
        for (axis, count) in axes.into_iter().enumerate() {
            let (c, s) = self.gather(&positions.get(axis)?)?;
            cos.push(c.narrow(D::Minus1, first, count)?);
            sin.push(s.narrow(D::Minus1, first, count)?);
            first += count;
        }
        Ok((Tensor::cat(&cos, D::Minus1)?, Tensor::cat(&sin, D::Minus1)?))
    }
}
