//! A vision-language model of any family: its tower, its decoder, and what stands between them: the prompt's embeddings with a
//! picture's features in it, and the positions of its tokens.
// B batch, T tokens, N image features, C decoder width

use std::cell::RefCell;
use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor};

use crate::ModelError;
use crate::config::Config;
use crate::families::Tower;
use crate::families::llama::Llama;
use crate::image::Picture;
use crate::weights::Weights;

/// A vision-language model.
pub struct Model {
    config: Config,
    tower: Box<dyn Tower>,
    /// The decoder.
    pub decoder: Llama,
}

/// How a picture stands in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Tokens it takes, one a feature.
    pub tokens: usize,
    /// Rows and columns, where its tokens have positions by row and column; their product is `tokens`.
    pub grid: Option<(usize, usize)>,
}

impl Place {
    /// Returns the place of a picture whose tokens stand in a line like words.
    pub fn line(tokens: usize) -> Self {
        Self { tokens, grid: None }
    }

    /// Returns the place of a picture that has rows and columns.
    pub fn grid(rows: usize, columns: usize) -> Self {
        Self { tokens: rows * columns, grid: Some((rows, columns)) }
    }

    /// Returns the position of the token at index `t` on the axes of time, row and column; the picture begins at index `at`. A
    /// picture with rows and columns takes as many positions as its longer side (M-RoPE, arXiv 2409.12191; transformers
    /// `Qwen2VLModel.get_rope_index`).
    pub fn position(&self, at: usize, t: usize) -> [usize; 3] {
        match self.grid {
            Some((_, columns)) if (at..at + self.tokens).contains(&t) => {
                [at, at + (t - at) / columns, at + (t - at) % columns]
            }
            Some((rows, columns)) if t >= at => [t - self.tokens + rows.max(columns); 3],
            _ => [t; 3],
        }
    }
}

impl Place {
    /// Returns the positions (3, 1, T) of a prompt's tokens, the picture beginning at index `at`, or none where they stand in a line.
    pub(crate) fn axes(&self, at: usize, t: usize, device: &Device) -> Result<Option<Tensor>> {
        if self.grid.is_none() {
            return Ok(None);
        }
        let axis = |axis: usize| (0..t).map(move |t| self.position(at, t)[axis] as u32);
        Tensor::from_vec((0..3).flat_map(axis).collect(), (3, 1, t), device).map(Some)
    }
}

impl Model {
    /// Takes the model's tensors.
    pub fn take(w: &Weights, config: &Config, device: &Device) -> std::result::Result<Self, ModelError> {
        Ok(Self {
            tower: config.family.tower(w, config.text.hidden)?,
            decoder: Llama::take(w, &config.text, device)?,
            config: config.clone(),
        })
    }

    /// Returns the tensors a model of this configuration takes, by canonical name, with their shapes. Nothing is read.
    pub fn tensors(config: &Config) -> std::result::Result<BTreeMap<String, Vec<usize>>, ModelError> {
        let asked = Weights::Listed(RefCell::default());
        Self::take(&asked, config, &Device::Cpu)?;
        let Weights::Listed(asked) = asked else { unreachable!("made above") };
        Ok(asked.into_inner())
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Maps pictures to features in the decoder's space: (N, C) each.
    pub fn features(&self, pictures: &[Picture]) -> Result<Vec<Tensor>> {
        self.tower.features(pictures)
    }

    /// Embeds ids (B, T) and puts each row's features (N, C) where its run of image tokens stands: `at` is the first index, the
    /// same in every row.
    pub fn splice(&self, ids: &Tensor, features: &[Tensor], at: usize) -> Result<Tensor> {
        let t = ids.dim(1)?;
        let counts = features.iter().map(|one| one.dim(0)).collect::<Result<Vec<usize>>>()?;
        let ends = |ids: &Tensor, n| {
            let before = self.decoder.embed(&ids.narrow(1, 0, at)?)?;
            Ok::<_, candle_core::Error>((before, self.decoder.embed(&ids.narrow(1, at + n, t - at - n)?)?))
        };
        if counts.iter().all(|n| *n == counts[0]) && !counts.is_empty() {
            let (before, after) = ends(ids, counts[0])?;
            return Tensor::cat(&[&before, &Tensor::stack(features, 0)?, &after], 1);
        }
        let row = |(row, (features, n)): (usize, (&Tensor, &usize))| {
            let (before, after) = ends(&ids.narrow(0, row, 1)?, *n)?;
            Tensor::cat(&[&before, &features.unsqueeze(0)?, &after], 1)
        };
        let rows = features.iter().zip(&counts).enumerate().map(row).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&rows, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_picture_takes_as_many_positions_as_its_longer_side() {
        let (line, wide) = (Place::line(6), Place::grid(2, 3));
        assert!((0..12).all(|t| line.position(2, t) == [t; 3]));
        let expected = [
            [0, 0, 0],
            [1, 1, 1],
            [2, 2, 2],
            [2, 2, 3],
            [2, 2, 4],
            [2, 3, 2],
            [2, 3, 3],
            [2, 3, 4],
            [5, 5, 5],
            [6, 6, 6],
        ];
        assert_eq!(std::array::from_fn(|t| wide.position(2, t)), expected);
    }
}
