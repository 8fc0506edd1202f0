//! LLaVA-NeXT's (1.6) configuration: LLaVA's, and the sizes a picture may be tiled in. Source: `LlavaNextConfig` of transformers.

use serde::Deserialize;

use super::{Config, LlavaConfig};
use crate::families::Family;

/// Most tiles a picture may be cut into.
const TILES_MAX: usize = 64;
/// Most pixels of such a size.
const PIXELS_MAX: usize = 1 << 25;
/// Most sizes that may be listed.
const PINPOINTS_MAX: usize = 256;

/// How LLaVA-NeXT sees pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct LlavaNextConfig {
    /// Tower and projector.
    pub llava: LlavaConfig,
    /// Sizes (height, width) in pixels a picture may be tiled in, whole tiles each.
    pub pinpoints: Vec<(usize, usize)>,
}

#[derive(Deserialize)]
struct Raw {
    image_grid_pinpoints: Option<Vec<(usize, usize)>>,
}

impl LlavaNextConfig {
    /// Reads the text of a `config.json` of model type `llava_next`.
    pub(crate) fn parse(text: &str) -> Result<Config, String> {
        let (llava, text_config, image_token) = LlavaConfig::parts(text)?;
        let raw: Raw = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let pinpoints = checked(raw.image_grid_pinpoints.unwrap_or_else(published), llava.vision.image)?;
        if !llava.drop_class_token {
            return Err("`vision_feature_select_strategy` is `full`; llava_next tiles without class tokens".to_owned());
        }
        Ok(Config { text: text_config, image_token, family: Family::LlavaNext(Self { llava, pinpoints }) })
    }
}

/// The sizes of every published checkpoint, which transformers takes where a file says nothing.
pub(crate) fn published() -> Vec<(usize, usize)> {
    vec![(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)]
}

/// Checks that sizes are whole tiles of `side` pixels, and not too many.
pub(crate) fn checked(pinpoints: Vec<(usize, usize)>, side: usize) -> Result<Vec<(usize, usize)>, String> {
    if pinpoints.is_empty() || pinpoints.len() > PINPOINTS_MAX {
        return Err(format!("`image_grid_pinpoints` lists {} sizes; 1 to {PINPOINTS_MAX} expected", pinpoints.len()));
    }
    for (height, width) in &pinpoints {
        let is_whole = |length: usize| length > 0 && length.is_multiple_of(side);
        let tiles = (height / side).saturating_mul(width / side);
        let pixels = height.saturating_mul(*width);
        if !is_whole(*height) || !is_whole(*width) || tiles > TILES_MAX || pixels > PIXELS_MAX {
            let message = format!("`image_grid_pinpoints` lists {height}×{width}");
            let limits = format!("1 to {TILES_MAX} whole tiles of side {side}, at most {PIXELS_MAX} pixels");
            return Err(format!("{message}; {limits} expected"));
        }
    }
    Ok(pinpoints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_cannot_be_tiled_are_refused() {
        for pinpoints in
            [vec![], vec![(336, 300)], vec![(0, 336)], vec![(336, 336 * 65)], vec![(usize::MAX / 336 * 336, 672)]]
        {
            let message = checked(pinpoints, 336).unwrap_err();
            assert!(message.contains("`image_grid_pinpoints` lists"), "{message}");
        }
        checked(published(), 336).unwrap();
    }
}
