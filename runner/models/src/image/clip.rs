//! A square picture, as transformers' `CLIPImageProcessorPil` makes it: RGB (what is transparent over white), shortest edge by
//! Pillow's bicubic filter on 8-bit pixels, centre crop, rescale, normalise.

use std::path::Path;

use candle_core::{Device, Tensor};
use image::RgbImage;
use sentinel_pictures::{Filter, SIDE_MAX, Transparency, decode, resize};
use serde::Deserialize;

use super::{ImageError, Picture, Processor, RawScaling, Scaling, read_settings};
use crate::ModelError;
use crate::config::LlavaConfig;
use crate::model::Place;

/// What the checkpoint's processor does to a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipProcessor {
    shortest_edge: u32,
    crop: u32,
    scaling: Scaling,
    tokens: usize,
}

#[derive(Deserialize)]
struct Raw {
    size: RawSize,
    crop_size: RawCrop,
    #[serde(flatten)]
    scaling: RawScaling,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawSize {
    Edge { shortest_edge: u32 },
    Number(u32),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawCrop {
    Sides { height: u32, width: u32 },
    Number(u32),
}

impl ClipProcessor {
    /// Reads the settings; a picture takes so many tokens.
    pub fn read(dir: &Path, tokens: usize) -> Result<Self, ModelError> {
        read_settings(dir, |raw| Self::resolve(raw, tokens))
    }

    /// Reads the settings; they must make pictures the tower takes.
    pub fn fitting(dir: &Path, config: &LlavaConfig) -> Result<Self, ModelError> {
        let processor = Self::read(dir, config.image_tokens())?;
        let (made, wanted) = (processor.crop as usize, config.vision.image);
        if made != wanted {
            let message = format!("the processor makes pictures of side {made}, the vision tower takes {wanted}");
            return Err(ModelError::Format { path: dir.to_owned(), message });
        }
        Ok(processor)
    }

    fn resolve(raw: &Raw, tokens: usize) -> Result<Self, String> {
        let shortest_edge = match raw.size {
            RawSize::Edge { shortest_edge } | RawSize::Number(shortest_edge) => shortest_edge,
        };
        let crop = match raw.crop_size {
            RawCrop::Sides { height, width } if height == width => height,
            RawCrop::Number(side) => side,
            RawCrop::Sides { height, width } => return Err(format!("`crop_size` {width}×{height} is not square")),
        };
        let scaling = raw.scaling.resolve()?;
        if crop == 0 || crop > shortest_edge || shortest_edge > SIDE_MAX {
            return Err(format!("`crop_size` {crop} does not fit into `shortest_edge` {shortest_edge}"));
        }
        Ok(Self { shortest_edge, crop, scaling, tokens })
    }

    /// Decodes, resizes and crops: S × S × 3 bytes, row by row.
    pub fn crop(&self, encoded: &[u8]) -> Result<Vec<u8>, ImageError> {
        self.crop_of(&decode(encoded, Transparency::OverWhite)?)
    }

    fn crop_of(&self, picture: &RgbImage) -> Result<Vec<u8>, ImageError> {
        let (width, height) = self.resized(picture.dimensions())?;
        let resized = resize(picture, width, height, Filter::Bicubic);
        let (left, top) = ((width - self.crop) / 2, (height - self.crop) / 2);
        let (stride, row) = (width as usize * 3, self.crop as usize * 3);
        let rows = resized.as_raw().chunks_exact(stride).skip(top as usize).take(self.crop as usize);
        Ok(rows.flat_map(|pixels| &pixels[left as usize * 3..][..row]).copied().collect())
    }

    /// Rescales and normalises a cropped picture → (3, S, S) in f32.
    pub fn normalise(&self, crop: &[u8], device: &Device) -> candle_core::Result<Tensor> {
        let side = self.crop as usize;
        let channel = |c| crop.iter().skip(c).step_by(3).map(move |byte| self.scaling.value(*byte, c));
        Tensor::from_vec((0..3).flat_map(channel).collect(), (3, side, side), device)
    }

    /// The size at which the shorter edge is `shortest_edge` (transformers' `get_resize_output_image_size`).
    fn resized(&self, (width, height): (u32, u32)) -> Result<(u32, u32), ImageError> {
        let (short, long) = (width.min(height), width.max(height));
        let longer = u64::from(self.shortest_edge) * u64::from(long) / u64::from(short);
        let longer = u32::try_from(longer).ok().filter(|longer| *longer <= SIDE_MAX);
        let longer = longer.ok_or(ImageError::TooLong { width, height })?;
        Ok(if width <= height { (self.shortest_edge, longer) } else { (longer, self.shortest_edge) })
    }
}

impl Processor for ClipProcessor {
    fn fixed(&self) -> Option<Place> {
        Some(Place::line(self.tokens))
    }

    fn place(&self, _: &[u8]) -> Result<Place, ImageError> {
        Ok(Place::line(self.tokens))
    }

    fn prepare(&self, encoded: &[u8], device: &Device) -> Result<Picture, ImageError> {
        let picture = decode(encoded, Transparency::OverWhite)?;
        let pixels = self.normalise(&self.crop_of(&picture)?, device)?;
        let size = (picture.height(), picture.width());
        Ok(Picture { pixels, place: Place::line(self.tokens), size })
    }
}
