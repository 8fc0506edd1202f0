//! A picture in tiles of one size, as transformers' `LlavaNextImageProcessorPil` makes it: the whole picture squeezed into one
//! tile, then the picture resized into the best of some sizes, padded with black, and cut. RGB (what is transparent over white), Pillow's
//! bicubic filter on 8-bit pixels, rescaled, normalised.

use std::path::Path;

use candle_core::{Device, Tensor};
use image::{RgbImage, imageops};
use sentinel_pictures::{Filter, Transparency, decode, dimensions, resize};
use serde::Deserialize;

use super::{ImageError, Picture, Processor, RawScaling, Scaling, read_settings};
use crate::ModelError;
use crate::config::{ClipConfig, LlavaNextConfig, checked_pinpoints, published_pinpoints};
use crate::model::Place;

/// What the checkpoint's processor does to a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyresProcessor {
    side: u32,
    scaling: Scaling,
    config: LlavaNextConfig,
}

/// How a picture of some size is tiled, and which of the tiles' features show it and not the padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tiling {
    /// Tiles in a column and in a row.
    pub(crate) tiles: (usize, usize),
    /// Rows of features above the picture, and features to its left.
    pub(crate) skipped: (usize, usize),
    /// Rows and columns of features that show it.
    pub(crate) kept: (usize, usize),
}

#[derive(Deserialize)]
struct Raw {
    size: RawSize,
    crop_size: RawCrop,
    #[serde(flatten)]
    scaling: RawScaling,
    image_grid_pinpoints: Option<Vec<(usize, usize)>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawSize {
    Edge { shortest_edge: u32 },
    Sides { height: u32, width: u32 },
    Number(u32),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawCrop {
    Sides { height: u32, width: u32 },
    Number(u32),
}

impl AnyresProcessor {
    /// Reads the settings; they must make tiles the tower takes, in the sizes the model knows.
    pub fn fitting(dir: &Path, config: &LlavaNextConfig) -> Result<Self, ModelError> {
        read_settings(dir, |raw| Self::resolve(raw, config))
    }

    fn resolve(raw: &Raw, config: &LlavaNextConfig) -> Result<Self, String> {
        let scaling = raw.scaling.resolve()?;
        let side = config.llava.vision.image as u32;
        let size = match raw.size {
            RawSize::Edge { shortest_edge } | RawSize::Number(shortest_edge) => (shortest_edge, shortest_edge),
            RawSize::Sides { height, width } => (height, width),
        };
        let crop = match raw.crop_size {
            RawCrop::Sides { height, width } => (height, width),
            RawCrop::Number(side) => (side, side),
        };
        if size != (side, side) || crop != (side, side) {
            let made = format!("the processor makes tiles of {size:?}, cut to {crop:?}");
            return Err(format!("{made}; the vision tower takes side {side}"));
        }
        let listed = raw.image_grid_pinpoints.clone().unwrap_or_else(published_pinpoints);
        let pinpoints = checked_pinpoints(listed, config.llava.vision.image)?;
        if pinpoints != config.pinpoints {
            let known = &config.pinpoints;
            return Err(format!("`image_grid_pinpoints` is {pinpoints:?}, and {known:?} in `config.json`"));
        }
        Ok(Self { side, scaling, config: config.clone() })
    }

    /// Returns how a picture of this height and width stands in the prompt.
    pub fn place_of(&self, size: (u32, u32)) -> Place {
        let patches = self.config.llava.vision.patches();
        Place::line(patches + self.config.tiling(size).tokens())
    }

    /// Cuts a picture into tiles: the whole in one first, then row by row.
    fn tiles(&self, picture: &RgbImage) -> Vec<RgbImage> {
        let side = self.side;
        let (height, width) = self.config.pinpoint((picture.height(), picture.width()));
        let (rows, columns) = fitted((picture.height(), picture.width()), (height, width));
        let (top, left) = ((height as u32 - rows) / 2, (width as u32 - columns) / 2);
        let mut padded = RgbImage::new(width as u32, height as u32);
        imageops::replace(
            &mut padded,
            &resize(picture, columns, rows, Filter::Bicubic),
            i64::from(left),
            i64::from(top),
        );
        let mut tiles = vec![resize(picture, side, side, Filter::Bicubic)];
        for y in (0..height as u32).step_by(side as usize) {
            for x in (0..width as u32).step_by(side as usize) {
                tiles.push(imageops::crop_imm(&padded, x, y, side, side).to_image());
            }
        }
        tiles
    }
}

impl LlavaNextConfig {
    /// Chooses the size (height, width) that shows most of a picture and wastes least (transformers' `select_best_resolution`).
    fn pinpoint(&self, (height, width): (u32, u32)) -> (usize, usize) {
        let (rows, columns) = (f64::from(height), f64::from(width));
        let mut best = (self.pinpoints[0], 0u64, u64::MAX);
        for &(h, w) in &self.pinpoints {
            let scale = (w as f64 / columns).min(h as f64 / rows);
            let shown = (columns * scale) as u64 * (rows * scale) as u64;
            let shown = shown.min(u64::from(height) * u64::from(width));
            let wasted = (h as u64 * w as u64).saturating_sub(shown);
            if shown > best.1 || (shown == best.1 && wasted < best.2) {
                best = ((h, w), shown, wasted);
            }
        }
        best.0
    }

    /// Returns how a picture (height, width) is tiled (transformers' `unpad_image`).
    pub(crate) fn tiling(&self, (height, width): (u32, u32)) -> Tiling {
        let ClipConfig { image: side, .. } = self.llava.vision;
        let best = self.pinpoint((height, width));
        let tiles = (best.0 / side, best.1 / side);
        let along = self.llava.vision.side();
        let (rows, columns) = (tiles.0 * along, tiles.1 * along);
        let (h, w) = (f64::from(height), f64::from(width));
        // Seven decimals, as the reference rounds, so that what is whole but for rounding is whole.
        let whole = |length: f64| ((length * 1e7).round_ties_even() / 1e7) as usize;
        let skipped = match w / h > columns as f64 / rows as f64 {
            true => ((rows - whole(h * (columns as f64 / w)).min(rows)) / 2, 0),
            false => (0, (columns - whole(w * (rows as f64 / h)).min(columns)) / 2),
        };
        Tiling { tiles, skipped, kept: (rows - 2 * skipped.0, columns - 2 * skipped.1) }
    }
}

impl Tiling {
    /// Returns how many tokens the tiles take; every row ends with one of its own.
    pub(crate) fn tokens(&self) -> usize {
        self.kept.0 * (self.kept.1 + 1)
    }
}

/// The size (height, width) at which a picture just fits (transformers' `get_patch_output_size`).
fn fitted((height, width): (u32, u32), (target_height, target_width): (usize, usize)) -> (u32, u32) {
    let (by_width, by_height) = (target_width as f64 / f64::from(width), target_height as f64 / f64::from(height));
    let scaled = |length: u32, scale: f64, most: usize| ((f64::from(length) * scale).ceil() as usize).min(most) as u32;
    match by_width < by_height {
        true => (scaled(height, by_width, target_height), target_width as u32),
        false => (target_height as u32, scaled(width, by_height, target_width)),
    }
}

impl Processor for AnyresProcessor {
    fn place(&self, encoded: &[u8]) -> Result<Place, ImageError> {
        let (width, height) = dimensions(encoded)?;
        Ok(self.place_of((height, width)))
    }

    fn prepare(&self, encoded: &[u8], device: &Device) -> Result<Picture, ImageError> {
        let picture = decode(encoded, Transparency::OverWhite)?;
        let size = (picture.height(), picture.width());
        let tiles = self.tiles(&picture);
        let (count, side) = (tiles.len(), self.side as usize);
        let mut values = Vec::with_capacity(count * 3 * side * side);
        for tile in &tiles {
            for channel in 0..3 {
                let bytes = tile.as_raw().iter().skip(channel).step_by(3);
                values.extend(bytes.map(|byte| self.scaling.value(*byte, channel)));
            }
        }
        let pixels = Tensor::from_vec(values, (count, 3, side, side), device)?;
        Ok(Picture { pixels, place: self.place_of(size), size })
    }
}
