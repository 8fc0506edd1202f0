//! From an encoded picture to pixels, as transformers' `CLIPImageProcessorPil` does it: RGB (what is transparent
//! over white), shortest edge by Pillow's bicubic
//! filter on 8-bit pixels, centre crop, rescale, normalise. The bytes after resizing are Pillow's own.

use std::path::Path;

use candle_core::{Device, Tensor};
use sentinel_pictures::{Filter, PictureError, SIDE_MAX, Transparency, decode, resize};
use serde::Deserialize;

use crate::ModelError;
use crate::config::read_text;

/// Pillow's number for the bicubic filter.
const BICUBIC: u32 = 3;

/// Why one picture cannot be used; it costs its record only.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The bytes are no picture this build reads.
    #[error("cannot read the picture: {0}")]
    Unreadable(#[from] PictureError),
    /// Resizing its shortest edge would make it too large.
    #[error("a picture of {width} × {height} pixels becomes longer than {SIDE_MAX} when its shortest edge is resized")]
    TooLong {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
}

/// What the checkpoint's processor does to a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageProcessor {
    shortest_edge: u32,
    crop: u32,
    rescale: f64,
    mean: [f64; 3],
    std: [f64; 3],
}

#[derive(Deserialize)]
struct Raw {
    size: RawSize,
    crop_size: RawCrop,
    #[serde(default = "bicubic")]
    resample: u32,
    #[serde(default = "one_255th")]
    rescale_factor: f64,
    image_mean: [f64; 3],
    image_std: [f64; 3],
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

fn bicubic() -> u32 {
    BICUBIC
}
fn one_255th() -> f64 {
    1.0 / 255.0
}

impl ImageProcessor {
    /// Reads `preprocessor_config.json`, or the `image_processor` part of `processor_config.json`.
    pub fn read(dir: &Path) -> Result<Self, ModelError> {
        let plain = dir.join("preprocessor_config.json");
        let (path, part) = match plain.is_file() {
            true => (plain, None),
            false => (dir.join("processor_config.json"), Some("image_processor")),
        };
        let fail = |message: String| ModelError::Format { path: path.clone(), message };
        let whole: serde_json::Value =
            serde_json::from_str(&read_text(&path)?).map_err(|error| fail(error.to_string()))?;
        let value =
            part.map_or(Some(&whole), |part| whole.get(part)).ok_or_else(|| fail("no `image_processor`".into()))?;
        let raw = Raw::deserialize(value).map_err(|error| fail(error.to_string()))?;
        Self::resolve(&raw).map_err(fail)
    }

    fn resolve(raw: &Raw) -> Result<Self, String> {
        let shortest_edge = match raw.size {
            RawSize::Edge { shortest_edge } | RawSize::Number(shortest_edge) => shortest_edge,
        };
        let crop = match raw.crop_size {
            RawCrop::Sides { height, width } if height == width => height,
            RawCrop::Number(side) => side,
            RawCrop::Sides { height, width } => return Err(format!("`crop_size` {width}×{height} is not square")),
        };
        if raw.resample != BICUBIC {
            return Err(format!("`resample` is {}; {BICUBIC} (bicubic) expected", raw.resample));
        }
        if crop == 0 || crop > shortest_edge || shortest_edge > SIDE_MAX {
            return Err(format!("`crop_size` {crop} does not fit into `shortest_edge` {shortest_edge}"));
        }
        if raw.image_std.contains(&0.0) {
            return Err("`image_std` has a zero".to_owned());
        }
        Ok(Self { shortest_edge, crop, rescale: raw.rescale_factor, mean: raw.image_mean, std: raw.image_std })
    }

    /// Returns the side of the pictures it makes, in pixels.
    pub fn side(&self) -> u32 {
        self.crop
    }

    /// Decodes, resizes and crops: S × S × 3 bytes, row by row.
    pub fn crop(&self, encoded: &[u8]) -> Result<Vec<u8>, ImageError> {
        let picture = decode(encoded, Transparency::OverWhite)?;
        let (width, height) = self.resized(picture.dimensions())?;
        let resized = resize(&picture, width, height, Filter::Bicubic);
        let (left, top) = ((width - self.crop) / 2, (height - self.crop) / 2);
        let (stride, row) = (width as usize * 3, self.crop as usize * 3);
        let rows = resized.as_raw().chunks_exact(stride).skip(top as usize).take(self.crop as usize);
        Ok(rows.flat_map(|pixels| &pixels[left as usize * 3..][..row]).copied().collect())
    }

    /// Rescales and normalises cropped pictures → (B, 3, S, S) in f32.
    pub fn normalise(&self, crops: &[Vec<u8>], device: &Device) -> candle_core::Result<Tensor> {
        let side = self.crop as usize;
        let mut values = Vec::with_capacity(crops.len() * 3 * side * side);
        for crop in crops {
            for (channel, (mean, std)) in self.mean.iter().zip(&self.std).enumerate() {
                let value = |byte: u8| ((f64::from(byte) * self.rescale) as f32 - *mean as f32) / *std as f32;
                values.extend(crop.iter().skip(channel).step_by(3).map(|byte| value(*byte)));
            }
        }
        Tensor::from_vec(values, (crops.len(), 3, side, side), device)
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
