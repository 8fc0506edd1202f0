//! From an encoded picture to pixels, as transformers' `CLIPImageProcessorPil` does it: RGB (what is transparent
//! over white), shortest edge by Pillow's bicubic
//! filter on 8-bit pixels, centre crop, rescale, normalise. The bytes after resizing are Pillow's own.

use std::io::Cursor;
use std::path::Path;

use candle_core::{Device, Tensor};
use image::{ImageReader, Limits, RgbImage};
use serde::Deserialize;

use crate::ModelError;
use crate::config::read_text;

/// Greatest side of a picture, in pixels.
const SIDE_MAX: u32 = 20_000;
/// Greatest size of a decoded picture, in bytes.
const DECODED_BYTES_MAX: u64 = 1 << 30;
/// Fractional bits of Pillow's fixed-point filter weights: 32 bits less 8 for the pixel and 2 for overshoot.
const PRECISION_BITS: u32 = 32 - 8 - 2;
/// Pillow's number for the bicubic filter.
const BICUBIC: u32 = 3;

/// Why one picture cannot be used; it costs its record only.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The bytes are no picture this build reads.
    #[error("cannot decode the picture: {0}")]
    Decode(#[from] image::ImageError),
    /// The bytes are of no known format.
    #[error("cannot read the picture: {0}")]
    Format(#[from] std::io::Error),
    /// Resizing its shortest edge would make it too large.
    #[error("a picture of {width}×{height} pixels becomes longer than {SIDE_MAX} when its shortest edge is resized")]
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

    /// Decodes, resizes and crops: S × S × 3 bytes, row by row.
    pub fn crop(&self, encoded: &[u8]) -> Result<Vec<u8>, PictureError> {
        let picture = decode(encoded)?;
        let (width, height) = self.resized(picture.dimensions())?;
        let resized = resize(&picture, width, height);
        let (left, top) = ((width - self.crop) / 2, (height - self.crop) / 2);
        Ok(image::imageops::crop_imm(&resized, left, top, self.crop, self.crop).to_image().into_raw())
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
    fn resized(&self, (width, height): (u32, u32)) -> Result<(u32, u32), PictureError> {
        let (short, long) = (width.min(height), width.max(height));
        let longer = u64::from(self.shortest_edge) * u64::from(long) / u64::from(short);
        let longer = u32::try_from(longer).ok().filter(|longer| *longer <= SIDE_MAX);
        let longer = longer.ok_or(PictureError::TooLong { width, height })?;
        Ok(if width <= height { (self.shortest_edge, longer) } else { (longer, self.shortest_edge) })
    }
}

fn decode(encoded: &[u8]) -> Result<RgbImage, PictureError> {
    let mut reader = ImageReader::new(Cursor::new(encoded)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    reader.limits(limits);
    let picture = reader.decode()?;
    if !picture.color().has_alpha() {
        return Ok(picture.into_rgb8());
    }
    let picture = picture.into_rgba8();
    let pixels = picture.pixels().flat_map(|pixel| over_white(pixel.0)).collect();
    Ok(RgbImage::from_raw(picture.width(), picture.height(), pixels).expect("every pixel was made"))
}

/// Lays a pixel over white as Pillow's `alpha_composite` does (`src/libImaging/AlphaComposite.c`): seven fractional bits, and
/// a division by 255 by shifts.
fn over_white([red, green, blue, alpha]: [u8; 4]) -> [u8; 3] {
    let own = u32::from(alpha) * 128;
    let white = 255 * 128 - own;
    [red, green, blue].map(|value| {
        let sum = u32::from(value) * own + 255 * white + (0x80 << 7);
        ((((sum >> 8) + sum) >> 8) >> 7) as u8
    })
}

/// Resizes with Pillow's bicubic filter (a = −0.5): first across, then down, rounding to bytes in between.
///
/// Source: Pillow, `src/libImaging/Resample.c` (`precompute_coeffs`, `normalize_coeffs_8bpc`, `ImagingResample*_8bpc`).
pub fn resize(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (from_width, from_height) = picture.dimensions();
    let mut pixels = picture.as_raw().clone();
    if from_width != width {
        let taps = taps(from_width as usize, width as usize);
        let rows = pixels.chunks_exact(from_width as usize * 3);
        pixels = rows.flat_map(|row| taps.iter().flat_map(move |tap| tap.blend(|i| &row[i * 3..][..3]))).collect();
    }
    if from_height != height {
        let taps = taps(from_height as usize, height as usize);
        let columns = width as usize;
        let source = &pixels;
        let at = |x: usize, y: usize| &source[(y * columns + x) * 3..][..3];
        pixels = taps.iter().flat_map(|tap| (0..columns).flat_map(move |x| tap.blend(|y| at(x, y)))).collect();
    }
    RgbImage::from_raw(width, height, pixels).expect("every output pixel was made")
}

/// The input pixels one output pixel is made of.
struct Tap {
    first: usize,
    weights: Vec<i32>,
}

impl Tap {
    fn blend<'a>(&self, pixel: impl Fn(usize) -> &'a [u8]) -> [u8; 3] {
        let mut sums = [1i32 << (PRECISION_BITS - 1); 3];
        for (i, weight) in self.weights.iter().enumerate() {
            let rgb = pixel(self.first + i);
            for (sum, byte) in sums.iter_mut().zip(rgb) {
                *sum += i32::from(*byte) * weight;
            }
        }
        sums.map(|sum| (sum >> PRECISION_BITS).clamp(0, 255) as u8)
    }
}

fn taps(from: usize, to: usize) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = 2.0 * stretch;
    let tap = |out: usize| {
        let centre = (out as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let raw: Vec<f64> = (first..end).map(|i| cubic((i as f64 - centre + 0.5) / stretch)).collect();
        let sum: f64 = raw.iter().sum();
        let fixed = |weight: f64| (weight / sum * f64::from(1u32 << PRECISION_BITS)).round() as i32;
        Tap { first, weights: raw.into_iter().map(fixed).collect() }
    };
    (0..to).map(tap).collect()
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}
