//! A picture of any size in patches, as transformers' `Qwen2VLImageProcessorPil` makes it: RGB (what is transparent over white),
//! both sides resized to whole tokens by Pillow's bicubic filter on 8-bit pixels, rescaled, normalised, cut into patches.

use std::path::Path;

use candle_core::{Device, Tensor};
use image::RgbImage;
use sentinel_pictures::{Filter, SIDE_MAX, Transparency, decode, dimensions, resize};
use serde::Deserialize;

use super::{ImageError, Picture, Processor, RawScaling, Scaling, read_settings};
use crate::ModelError;
use crate::config::QwenConfig;
use crate::model::Place;

/// Greatest ratio of a picture's sides.
const ASPECT_MAX: f64 = 200.0;

/// Most pixels a resized picture may have: more than twice what published processors allow.
const PIXELS_MAX: usize = 1 << 25;

/// What the checkpoint's processor does to a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct QwenProcessor {
    pixels_min: usize,
    pixels_max: usize,
    scaling: Scaling,
    patch: usize,
    temporal: usize,
    merge: usize,
}

/// Pixels a picture has at least and at most, where transformers 5 and 4 write them.
#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    size: RawSize,
    min_pixels: Option<usize>,
    max_pixels: Option<usize>,
    #[serde(flatten)]
    scaling: RawScaling,
    #[serde(default = "fourteen")]
    patch_size: usize,
    #[serde(default = "two")]
    temporal_patch_size: usize,
    #[serde(default = "two")]
    merge_size: usize,
}

#[derive(Deserialize, Default)]
struct RawSize {
    #[serde(alias = "min_pixels")]
    shortest_edge: Option<usize>,
    #[serde(alias = "max_pixels")]
    longest_edge: Option<usize>,
}

fn fourteen() -> usize {
    14
}
fn two() -> usize {
    2
}

impl QwenProcessor {
    /// Reads the settings; they must make patches the tower takes.
    pub fn fitting(dir: &Path, config: &QwenConfig) -> Result<Self, ModelError> {
        let processor: Self = read_settings(dir, Self::resolve)?;
        let made = [processor.patch, processor.temporal, processor.merge];
        let wanted = [config.patch, config.temporal, config.merge];
        if made != wanted {
            let message = format!(
                "the processor cuts patches (side, pictures, merged) of {made:?}, the vision tower takes {wanted:?}"
            );
            return Err(ModelError::Format { path: dir.to_owned(), message });
        }
        Ok(processor)
    }

    fn resolve(raw: &Raw) -> Result<Self, String> {
        let scaling = raw.scaling.resolve()?;
        let pixels_min = raw.min_pixels.or(raw.size.shortest_edge).unwrap_or(56 * 56);
        let pixels_max = raw.max_pixels.or(raw.size.longest_edge).unwrap_or(28 * 28 * 1280);
        let side_max = SIDE_MAX as usize;
        if pixels_min == 0 || pixels_min > pixels_max || pixels_max > PIXELS_MAX {
            let limit = format!("the limit is {PIXELS_MAX}");
            return Err(format!("pictures of {pixels_min} to {pixels_max} pixels cannot be made; {limit}"));
        }
        let sizes = [raw.patch_size, raw.temporal_patch_size, raw.merge_size];
        if sizes.iter().any(|size| !(1..=side_max).contains(size)) || raw.patch_size * raw.merge_size > side_max {
            return Err(format!("patches (side, pictures, merged) of {sizes:?} cannot be cut"));
        }
        Ok(Self {
            pixels_min,
            pixels_max,
            scaling,
            patch: raw.patch_size,
            temporal: raw.temporal_patch_size,
            merge: raw.merge_size,
        })
    }

    /// Returns the size in pixels (height, width) a picture is resized to: whole tokens, about the same ratio of sides, as many
    /// pixels as allowed (transformers' `smart_resize`).
    pub fn resized(&self, height: u32, width: u32) -> Result<(usize, usize), ImageError> {
        let (long, short) = (f64::from(height.max(width)), f64::from(height.min(width)));
        if long / short > ASPECT_MAX {
            return Err(ImageError::Narrow { width, height });
        }
        let token = (self.patch * self.merge) as f64;
        let (height, width) = (f64::from(height), f64::from(width));
        // Python rounds a half to the even number.
        let whole = |side: f64| (side / token).round_ties_even() * token;
        let (rows, columns) = (whole(height), whole(width));
        let area = height * width;
        let (rows, columns) = if rows * columns > self.pixels_max as f64 {
            let shrink = (area / self.pixels_max as f64).sqrt();
            let side = |side: f64| ((side / shrink / token).floor() * token).max(token);
            (side(height), side(width))
        } else if rows * columns < self.pixels_min as f64 {
            let grow = (self.pixels_min as f64 / area).sqrt();
            let side = |side: f64| (side * grow / token).ceil() * token;
            (side(height), side(width))
        } else {
            (rows, columns)
        };
        if rows > f64::from(SIDE_MAX) || columns > f64::from(SIDE_MAX) {
            return Err(ImageError::TooLong { width: width as u32, height: height as u32 });
        }
        Ok((rows as usize, columns as usize))
    }

    fn resize(&self, picture: &RgbImage) -> Result<RgbImage, ImageError> {
        let (height, width) = self.resized(picture.height(), picture.width())?;
        Ok(resize(picture, width as u32, height as u32, Filter::Bicubic))
    }

    /// Normalises a resized picture and cuts it into patches (P, 3 · pictures · side²): those that become one token stand together.
    fn patches(&self, picture: &RgbImage, device: &Device) -> candle_core::Result<Tensor> {
        let (columns, rows) = (picture.width() as usize / self.patch, picture.height() as usize / self.patch);
        let (bytes, stride) = (picture.as_raw(), picture.width() as usize * 3);
        let width = 3 * self.temporal * self.patch * self.patch;
        let mut values = Vec::with_capacity(rows * columns * width);
        for (row, column) in merged(rows, columns, self.merge) {
            for channel in 0..3 {
                let first = values.len();
                for y in row * self.patch..(row + 1) * self.patch {
                    let line = &bytes[y * stride + column * self.patch * 3..][..self.patch * 3];
                    values.extend(line.iter().skip(channel).step_by(3).map(|byte| self.scaling.value(*byte, channel)));
                }
                let plane = first..values.len();
                (1..self.temporal).for_each(|_| values.extend_from_within(plane.clone()));
            }
        }
        Tensor::from_vec(values, (rows * columns, width), device)
    }

    fn place_of(&self, (height, width): (usize, usize)) -> Place {
        let token = self.patch * self.merge;
        Place::grid(height / token, width / token)
    }
}

/// Returns the patches' (row, column) in the order in which they stand: token by token, within a token row by row.
pub(crate) fn merged(rows: usize, columns: usize, merge: usize) -> impl Iterator<Item = (usize, usize)> {
    let tokens = (0..rows / merge).flat_map(move |row| (0..columns / merge).map(move |column| (row, column)));
    tokens.flat_map(move |(row, column)| {
        (0..merge).flat_map(move |y| (0..merge).map(move |x| (row * merge + y, column * merge + x)))
    })
}

impl Processor for QwenProcessor {
    fn place(&self, encoded: &[u8]) -> Result<Place, ImageError> {
        let (width, height) = dimensions(encoded)?;
        Ok(self.place_of(self.resized(height, width)?))
    }

    fn prepare(&self, encoded: &[u8], device: &Device) -> Result<Picture, ImageError> {
        let picture = decode(encoded, Transparency::OverWhite)?;
        let size = (picture.height(), picture.width());
        let picture = self.resize(&picture)?;
        let place = self.place_of((picture.height() as usize, picture.width() as usize));
        Ok(Picture { pixels: self.patches(&picture, device)?, place, size })
    }
}
