//! From an encoded picture to what a vision tower takes, as the checkpoint's processor says: one file a processor. The bytes after
//! resizing are Pillow's own.

mod anyres;
mod clip;
mod qwen;

use std::path::Path;

use candle_core::{Device, Tensor};
use sentinel_pictures::{PictureError, SIDE_MAX};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ModelError;
use crate::config::read_text;
use crate::model::Place;

pub use anyres::AnyresProcessor;
pub use clip::ClipProcessor;
pub use qwen::QwenProcessor;
pub(crate) use qwen::merged;

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
    /// Its longer side is more than 200 times the shorter one, which the model's own processor refuses.
    #[error("a picture of {width} × {height} pixels is too narrow: at most 200 times as long as wide")]
    Narrow {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// The tensor library failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// A picture as a tower takes it.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Normalised values; their shape is the family's: (3, S, S) for a square, (tiles, 3, S, S) for tiles, (patches, values) for
    /// a picture in patches.
    pub pixels: Tensor,
    /// How its features stand in the prompt.
    pub place: Place,
    /// Height and width it came with, in pixels.
    pub size: (u32, u32),
}

/// Prepares pictures for one checkpoint.
pub trait Processor: Send + Sync {
    /// Returns how every picture stands in the prompt, if it is the same for all.
    fn fixed(&self) -> Option<Place> {
        None
    }

    /// Returns how a picture stands in the prompt.
    fn place(&self, encoded: &[u8]) -> Result<Place, ImageError>;

    /// Decodes, resizes and normalises a picture.
    fn prepare(&self, encoded: &[u8], device: &Device) -> Result<Picture, ImageError>;
}

/// What every processor's settings say of resizing and of bytes.
#[derive(Deserialize)]
struct RawScaling {
    #[serde(default = "bicubic")]
    resample: u32,
    #[serde(default = "one_255th")]
    rescale_factor: f64,
    image_mean: [f64; 3],
    image_std: [f64; 3],
}

impl RawScaling {
    /// Checks that pictures are resized by the one filter there is, and that bytes can be scaled so.
    fn resolve(&self) -> Result<Scaling, String> {
        if self.resample != BICUBIC {
            return Err(format!("`resample` is {}; {BICUBIC} (bicubic) expected", self.resample));
        }
        if self.image_std.contains(&0.0) {
            return Err("`image_std` has a zero".to_owned());
        }
        Ok(Scaling { rescale: self.rescale_factor, mean: self.image_mean, std: self.image_std })
    }
}

/// What is done to every byte: rescaled, less a mean, over a deviation, channel by channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scaling {
    rescale: f64,
    mean: [f64; 3],
    std: [f64; 3],
}

impl Scaling {
    /// Returns the value of a byte in a channel, in f32 as the reference computes.
    fn value(&self, byte: u8, channel: usize) -> f32 {
        ((f64::from(byte) * self.rescale) as f32 - self.mean[channel] as f32) / self.std[channel] as f32
    }
}

fn bicubic() -> u32 {
    BICUBIC
}

fn one_255th() -> f64 {
    1.0 / 255.0
}

/// Reads `preprocessor_config.json`, or the `image_processor` part of `processor_config.json`, and resolves it.
fn read_settings<R: DeserializeOwned, T>(
    dir: &Path,
    resolve: impl FnOnce(&R) -> Result<T, String>,
) -> Result<T, ModelError> {
    let plain = dir.join("preprocessor_config.json");
    let (path, part) = match plain.is_file() {
        true => (plain, None),
        false => (dir.join("processor_config.json"), Some("image_processor")),
    };
    let fail = |message: String| ModelError::Format { path: path.clone(), message };
    let whole: serde_json::Value = serde_json::from_str(&read_text(&path)?).map_err(|error| fail(error.to_string()))?;
    let value = part.map_or(Some(&whole), |part| whole.get(part)).ok_or_else(|| fail("no `image_processor`".into()))?;
    let raw = R::deserialize(value).map_err(|error| fail(error.to_string()))?;
    resolve(&raw).map_err(fail)
}
