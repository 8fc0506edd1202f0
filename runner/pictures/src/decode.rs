//! From an encoded picture (PNG or JPEG) to 8-bit RGB. Orientation marks of cameras are ignored, as the reference programs do.

use std::io::Cursor;

use image::{ImageFormat, ImageReader, Limits, RgbImage};

use crate::jpeg;

/// Longest side of a picture, in pixels.
pub const SIDE_MAX: u32 = 20_000;
/// Most memory a decoder may take for one picture: 1 GiB.
const DECODED_BYTES_MAX: u64 = 1 << 30;

/// What becomes of transparent pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transparency {
    /// Their colour counts: Pillow's `convert("RGB")`.
    Dropped,
    /// They are laid over white: transformers' `convert_to_rgb`.
    OverWhite,
}

/// Why a picture cannot be read; it costs its record only.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PictureError(String);

/// Returns a picture's width and height from its first bytes, without decoding it.
pub fn dimensions(bytes: &[u8]) -> Result<(u32, u32), PictureError> {
    let refused = |error: &dyn std::fmt::Display| PictureError(error.to_string());
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| refused(&error))?;
    match reader.into_dimensions().map_err(|error| refused(&error))? {
        (width, height) if (1..=SIDE_MAX).contains(&width) && (1..=SIDE_MAX).contains(&height) => Ok((width, height)),
        (width, height) => Err(refused(&format_args!("it has {width} × {height} pixels"))),
    }
}

/// Decodes a picture.
pub fn decode(bytes: &[u8], transparency: Transparency) -> Result<RgbImage, PictureError> {
    let refused = |error: &dyn std::fmt::Display| PictureError(error.to_string());
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| refused(&error))?;
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg::has_end(bytes) {
        return Err(refused(&"the file ends before its picture does"));
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    reader.limits(limits);
    let picture = reader.decode().map_err(|error| refused(&error))?;
    let (width, height) = (picture.width(), picture.height());
    if width == 0 || height == 0 {
        return Err(refused(&format_args!("it has {width} × {height} pixels")));
    }
    if transparency == Transparency::Dropped || !picture.color().has_alpha() {
        return Ok(picture.into_rgb8());
    }
    let pixels = picture.into_rgba8().pixels().flat_map(|pixel| over_white(pixel.0)).collect();
    Ok(RgbImage::from_raw(width, height, pixels).expect("every pixel was made"))
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
