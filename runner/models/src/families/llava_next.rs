//! LLaVA-NeXT, also LLaVA-1.6 (transformers `modeling_llava_next.py`): LLaVA's tower and projector over the tiles of a picture;
//! the tiles' features are put together, padding is cut off, and every row ends with a feature of its own.
// K tiles, S features along a tile's side, C decoder width

use candle_core::{Result, Tensor};

use super::Tower;
use super::llava::Llava;
use crate::ModelError;
use crate::config::LlavaNextConfig;
use crate::image::Picture;
use crate::weights::{Param, Weights};

/// Tower and projector, and what ends a row.
pub struct LlavaNext {
    config: LlavaNextConfig,
    llava: Llava,
    newline: Param,
}

impl LlavaNext {
    /// Takes the tensors; `c` is the decoder's width.
    pub fn take(w: &Weights, config: &LlavaNextConfig, c: usize) -> std::result::Result<Self, ModelError> {
        Ok(Self {
            llava: Llava::take(w, &config.llava, c)?,
            newline: w.get("image_newline", &[c])?,
            config: config.clone(),
        })
    }

    /// Maps the tiles of one picture to its features (N, C): the whole in one tile, then the tiles row by row.
    fn picture(&self, picture: &Picture) -> Result<Tensor> {
        let tiling = self.config.tiling(picture.size);
        let features = self.llava.image_features(&picture.pixels)?; // (K, S², C)
        let (k, _, c) = features.dims3()?;
        let ((rows, columns), side) = (tiling.tiles, self.config.llava.vision.side());
        if k != 1 + rows * columns {
            candle_core::bail!("{k} tiles were given for a picture of one and {rows} × {columns}");
        }
        let whole = features.get(0)?;
        let (height, width) = tiling.kept;
        if height == 0 {
            return Ok(whole);
        }
        let newline = self.newline.tensor.reshape((1, 1, c))?.broadcast_as((height, 1, c))?.contiguous()?;
        let lines = match width {
            0 => newline,
            _ => {
                let joined = features.narrow(0, 1, k - 1)?.reshape(&[rows, columns, side, side, c][..])?;
                let joined = joined.permute(vec![0, 2, 1, 3, 4])?.reshape((rows * side, columns * side, c))?;
                let shown = joined.narrow(0, tiling.skipped.0, height)?.narrow(1, tiling.skipped.1, width)?;
                Tensor::cat(&[&shown, &newline], 1)?
            }
        };
        Tensor::cat(&[whole, lines.flatten_to(1)?], 0)
    }
}

impl Tower for LlavaNext {
    fn features(&self, pictures: &[Picture]) -> Result<Vec<Tensor>> {
        pictures.iter().map(|picture| self.picture(picture)).collect()
    }
}
