//! The vision towers of Qwen2-VL (arXiv 2409.12191; transformers `modeling_qwen2_vl.py`) and Qwen2.5-VL (arXiv 2502.13923;
//! `modeling_qwen2_5_vl.py`): a transformer over the patches of a picture of any size, rotated by row and column, and a merger
//! that makes neighbouring patches one token. Qwen2.5-VL has root-mean-square norms, gated feed-forward layers, and in most of
//! its layers attention within windows.
// P patches, N tokens, V tower width, C decoder width, D head width

use candle_core::{D, Result, Tensor};

use super::Tower;
use crate::config::{Activation, QwenConfig};
use crate::image::{Picture, merged};
use crate::layers::{LayerNorm, Linear, RmsNorm, Rotary};
use crate::model::Place;
use crate::weights::{Param, Weights};
use crate::{ModelError, ops};

/// ε of the tower's norms; no configuration names it.
const NORM_EPS: f64 = 1e-6;

/// The tower with its merger.
pub struct QwenTower {
    config: QwenConfig,
    patch: Param,
    blocks: Vec<Block>,
    norm: Norm,
    fc_1: Linear,
    fc_2: Linear,
}

struct Block {
    norm_1: Norm,
    qkv: Linear,
    proj: Linear,
    norm_2: Norm,
    feed: Feed,
}

enum Norm {
    Layer(LayerNorm),
    Rms(RmsNorm),
}

enum Feed {
    Plain { up: Linear, down: Linear },
    Gated { gate: Linear, up: Linear, down: Linear },
}

/// How the patches of one picture stand and see each other.
struct Layout {
    /// Tokens in the order in which they are worked on.
    order: Vec<u32>,
    /// Patches in each window, in that order.
    windows: Vec<usize>,
    /// Cosines and sines (P, D/2).
    rotation: (Tensor, Tensor),
}

impl QwenTower {
    /// Takes the tensors; `c` is the decoder's width.
    pub fn take(w: &Weights, config: &QwenConfig, c: usize) -> std::result::Result<Self, ModelError> {
        let (v, merged) = (config.hidden, config.hidden * config.merge * config.merge);
        let kernel = [v, 3, config.temporal, config.patch, config.patch];
        Ok(Self {
            patch: w.get("visual.patch_embed.proj.weight", &kernel)?,
            blocks: (0..config.layers)
                .map(|i| Block::take(w, &format!("visual.blocks.{i}"), config))
                .collect::<std::result::Result<_, _>>()?,
            norm: Norm::take(w, "visual.merger.ln_q", config)?,
            fc_1: Linear::take(w, "visual.merger.mlp.0", merged, merged, true)?,
            fc_2: Linear::take(w, "visual.merger.mlp.2", merged, c, true)?,
            config: config.clone(),
        })
    }

    /// Maps the patches of one picture (P, 3 · pictures · side²) to features in the decoder's space (N, C).
    pub fn picture(&self, patches: &Tensor, place: Place) -> Result<Tensor> {
        let Some((rows, columns)) = place.grid else { candle_core::bail!("a picture without rows and columns") };
        let (p, unit) = (patches.dim(0)?, self.config.merge * self.config.merge);
        if p != place.tokens * unit {
            candle_core::bail!("{p} patches cannot become {} tokens", place.tokens);
        }
        let layout = self.layout(rows, columns, patches)?;
        let order = Tensor::from_slice(&layout.order, layout.order.len(), patches.device())?;
        let embedded = ops::linear(patches, &self.patch.tensor.flatten_from(1)?, None)?; // (P, V)
        let v = self.config.hidden;
        let ordered = embedded.reshape((place.tokens, unit * v))?.index_select(&order, 0)?;
        let mut x = ordered.reshape((1, p, v))?;
        let whole = [p];
        for (i, block) in self.blocks.iter().enumerate() {
            let windows = match &self.config.windows {
                Some(windows) if !windows.full.contains(&i) => layout.windows.as_slice(),
                _ => &whole,
            };
            x = block.forward(&x, &layout.rotation, windows, &self.config)?;
        }
        let merged = self.norm.forward(&x)?.reshape((place.tokens, unit * v))?;
        let inner = ops::activate(&self.fc_1.forward(&merged, None)?, Activation::Gelu)?;
        let features = self.fc_2.forward(&inner, None)?; // (N, C)
        let mut back = vec![0u32; layout.order.len()];
        for (now, before) in (0..).zip(&layout.order) {
            back[*before as usize] = now;
        }
        features.index_select(&Tensor::from_vec(back, place.tokens, patches.device())?, 0)
    }

    /// Lays out `rows` × `columns` tokens: in their own order, or window by window (`get_vision_window_index` of transformers).
    fn layout(&self, rows: usize, columns: usize, like: &Tensor) -> Result<Layout> {
        let (merge, unit) = (self.config.merge, self.config.merge * self.config.merge);
        let side = self.config.windows.as_ref().map_or(rows.max(columns), |windows| windows.side);
        let (mut order, mut windows) = (Vec::with_capacity(rows * columns), Vec::new());
        for top in (0..rows).step_by(side) {
            for left in (0..columns).step_by(side) {
                let before = order.len();
                for row in top..(top + side).min(rows) {
                    let first = row * columns;
                    order.extend((first + left..first + (left + side).min(columns)).map(|token| token as u32));
                }
                windows.push((order.len() - before) * unit);
            }
        }
        let places: Vec<(usize, usize)> = merged(rows * merge, columns * merge, merge).collect();
        let ordered = || order.iter().flat_map(|token| &places[*token as usize * unit..][..unit]);
        // Half of a head's pairs turn by row, half by column.
        let d = self.config.hidden / self.config.heads;
        let table = Rotary::new(d / 2, self.config.rope_theta, merge * rows.max(columns), like.device())?;
        let by = |axis: Vec<u32>| table.gather(&Tensor::from_vec(axis, (1, places.len()), like.device())?);
        let (row_cos, row_sin) = by(ordered().map(|(row, _)| *row as u32).collect())?;
        let (column_cos, column_sin) = by(ordered().map(|(_, column)| *column as u32).collect())?;
        let both = |row: Tensor, column: Tensor| Tensor::cat(&[row, column], D::Minus1)?.squeeze(0);
        let rotation = (both(row_cos, column_cos)?, both(row_sin, column_sin)?);
        Ok(Layout { order, windows, rotation })
    }
}

impl Tower for QwenTower {
    fn features(&self, pictures: &[Picture]) -> Result<Vec<Tensor>> {
        pictures.iter().map(|picture| self.picture(&picture.pixels, picture.place)).collect()
    }
}

impl Block {
    fn take(w: &Weights, name: &str, config: &QwenConfig) -> std::result::Result<Self, ModelError> {
        let v = config.hidden;
        Ok(Self {
            norm_1: Norm::take(w, &format!("{name}.norm1"), config)?,
            qkv: Linear::take(w, &format!("{name}.attn.qkv"), v, 3 * v, true)?,
            proj: Linear::take(w, &format!("{name}.attn.proj"), v, v, true)?,
            norm_2: Norm::take(w, &format!("{name}.norm2"), config)?,
            feed: Feed::take(w, &format!("{name}.mlp"), config)?,
        })
    }

    /// Maps x (1, P, V) → (1, P, V); patches see those of their window.
    fn forward(
        &self,
        x: &Tensor,
        (cos, sin): &(Tensor, Tensor),
        windows: &[usize],
        config: &QwenConfig,
    ) -> Result<Tensor> {
        let (v, d) = (config.hidden, config.hidden / config.heads);
        let qkv = self.qkv.forward(&self.norm_1.forward(x)?, None)?; // (1, P, 3·V)
        let part = |i: usize| qkv.narrow(2, i * v, v)?.contiguous();
        let (q, k, values) = (ops::rope(&part(0)?, cos, sin)?, ops::rope(&part(1)?, cos, sin)?, part(2)?);
        let mut first = 0;
        let mut attended = Vec::with_capacity(windows.len());
        for count in windows {
            let of = |x: &Tensor| x.narrow(1, first, *count)?.contiguous();
            attended.push(ops::attention(&of(&q)?, &of(&k)?, &of(&values)?, d, None)?);
            first += count;
        }
        let x = (x + self.proj.forward(&Tensor::cat(&attended, 1)?, None)?)?;
        &x + self.feed.forward(&self.norm_2.forward(&x)?, config.activation)?
    }
}

impl Norm {
    fn take(w: &Weights, name: &str, config: &QwenConfig) -> std::result::Result<Self, ModelError> {
        Ok(match config.windows {
            None => Self::Layer(LayerNorm::take(w, name, config.hidden, NORM_EPS)?),
            Some(_) => Self::Rms(RmsNorm::take(w, name, config.hidden, NORM_EPS)?),
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Layer(norm) => norm.forward(x),
            Self::Rms(norm) => norm.forward(x),
        }
    }
}

impl Feed {
    fn take(w: &Weights, name: &str, config: &QwenConfig) -> std::result::Result<Self, ModelError> {
        let (v, f) = (config.hidden, config.intermediate);
        let linear = |part: &str, i, o| Linear::take(w, &format!("{name}.{part}"), i, o, true);
        Ok(match config.windows {
            None => Self::Plain { up: linear("fc1", v, f)?, down: linear("fc2", f, v)? },
            Some(_) => Self::Gated {
                gate: linear("gate_proj", v, f)?,
                up: linear("up_proj", v, f)?,
                down: linear("down_proj", f, v)?,
            },
        })
    }

    fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        match self {
            Self::Plain { up, down } => down.forward(&ops::activate(&up.forward(x, None)?, activation)?, None),
            Self::Gated { gate, up, down } => {
                let gate = ops::activate(&gate.forward(x, None)?, activation)?;
                down.forward(&(gate * up.forward(x, None)?)?, None)
            }
        }
    }
}
