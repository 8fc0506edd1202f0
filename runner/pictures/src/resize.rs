//! Pillow's `Image.resize` on 8-bit RGB, to the last bit: a filter that widens when it shrinks, weights in 2⁻²², first across,
//! then down, rounded to bytes in between.
//!
//! Source: Pillow, `src/libImaging/Resample.c` (`precompute_coeffs`, `normalize_coeffs_8bpc`, `ImagingResample*_8bpc`).

use image::RgbImage;

const CHANNELS: usize = 3;
/// Fractional bits of a weight: 32 bits less 8 for the pixel and 2 for overshoot.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Pillow's filters, as far as processors ask for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// A triangle; `Image.BILINEAR`.
    Bilinear,
    /// A cubic with a = −0.5; `Image.BICUBIC`.
    Bicubic,
}

impl Filter {
    /// Half its width, in source pixels when nothing shrinks.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bicubic => 0.0,
        }
    }
}

/// Resizes a picture.
pub fn resize(picture: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    let turned = along_rows(picture.as_raw(), picture.width(), width, filter);
    let turned = transpose(&turned, width, picture.height());
    let turned = along_rows(&turned, picture.height(), height, filter);
    let pixels = transpose(&turned, height, width);
    RgbImage::from_raw(width, height, pixels).expect("each axis was resized to its length")
}

/// Source positions from `first` on and their weights, in 2⁻²².
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

fn taps(from: u32, to: u32, filter: Filter) -> Vec<Taps> {
    let scale = f64::from(from) / f64::from(to);
    let widening = scale.max(1.0);
    let support = filter.support() * widening;
    let tap = |at: u32| {
        let centre = (f64::from(at) + 0.5) * scale;
        let first = ((centre - support + 0.5) as i64).max(0);
        let end = ((centre + support + 0.5) as i64).min(i64::from(from));
        let weigh = |position: i64| filter.at((position as f64 - centre + 0.5) / widening);
        let weights: Vec<f64> = (first..end).map(weigh).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| (weight / sum * f64::from(1u32 << PRECISION_BITS)).round() as i32;
        Taps { first: first as usize, weights: weights.iter().map(fixed).collect() }
    };
    (0..to).map(tap).collect()
}

/// Resizes each row of `from` pixels to `to` pixels.
fn along_rows(pixels: &[u8], from: u32, to: u32, filter: Filter) -> Vec<u8> {
    if from == to {
        return pixels.to_vec();
    }
    let taps = taps(from, to, filter);
    let mut out = Vec::with_capacity(pixels.len() / from as usize * to as usize);
    for row in pixels.chunks_exact(from as usize * CHANNELS) {
        for tap in &taps {
            let mut sums = [1i32 << (PRECISION_BITS - 1); CHANNELS];
            for (pixel, weight) in row[tap.first * CHANNELS..].chunks_exact(CHANNELS).zip(&tap.weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * weight;
                }
            }
            out.extend(sums.map(|sum| (sum >> PRECISION_BITS).clamp(0, 255) as u8));
        }
    }
    out
}

/// (height, width, channels) → (width, height, channels)
fn transpose(pixels: &[u8], width: u32, height: u32) -> Vec<u8> {
    let (width, height) = (width as usize, height as usize);
    let mut out = Vec::with_capacity(pixels.len());
    for x in 0..width {
        for y in 0..height {
            out.extend_from_slice(&pixels[(y * width + x) * CHANNELS..][..CHANNELS]);
        }
    }
    out
}
