//! From a decoded picture to a detector's input: fitting to the input's size, scaling to floats. Boxes are in pixels of the
//! picture as stored.

use image::RgbImage;

use crate::resample::opencv_linear;

/// The grey of ultralytics' padding.
const PADDING: u8 = 114;

/// ImageNet's mean and standard deviation of red, green and blue in 0..1, as Hugging Face's processors have them.
pub(crate) const IMAGENET: Scaling = Scaling { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
/// Plain 0..1.
pub(crate) const UNIT: Scaling = Scaling { mean: [0.0; 3], std: [1.0; 3] };

/// What is subtracted from a channel in 0..1, and what it is divided by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scaling {
    mean: [f32; 3],
    std: [f32; 3],
}

/// How a picture is fitted into an input: size of the fitted picture and where it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Letterbox {
    inner: (u32, u32),
    left: u32,
    top: u32,
}

impl Letterbox {
    /// Fits a picture into `width` × `height` without changing its proportions: ultralytics' `LetterBox` with `auto=False,
    /// scaleup=True, center=True`.
    pub(crate) fn of(picture: &RgbImage, width: u32, height: u32) -> Self {
        let gain =
            f64::min(f64::from(width) / f64::from(picture.width()), f64::from(height) / f64::from(picture.height()));
        let fit = |side: u32| ((f64::from(side) * gain).round_ties_even() as u32).max(1);
        let inner = (fit(picture.width()), fit(picture.height()));
        let margin = |outer: u32, inner: u32| {
            (f64::from(outer.saturating_sub(inner)) / 2.0 - 0.1).round_ties_even().max(0.0) as u32
        };
        Self { inner, left: margin(width, inner.0), top: margin(height, inner.1) }
    }

    /// Takes corners in input pixels back to the picture and clips them to it: `scale_boxes` of ultralytics 8.4.
    pub(crate) fn back(&self, [left, top, right, bottom]: [f32; 4], picture: &RgbImage) -> [f32; 4] {
        // Each side was rounded to whole pixels, so each axis has a gain of its own.
        let gain = |inner: u32, side: u32| (f64::from(inner) / f64::from(side)) as f32;
        let (gain_x, gain_y) = (gain(self.inner.0, picture.width()), gain(self.inner.1, picture.height()));
        let across = |x: f32| ((x - self.left as f32) / gain_x).clamp(0.0, picture.width() as f32);
        let down = |y: f32| ((y - self.top as f32) / gain_y).clamp(0.0, picture.height() as f32);
        [across(left), down(top), across(right), down(bottom)]
    }
}

/// Draws a picture as [`Letterbox::of`] fits it, grey around it. Resizing is OpenCV's `INTER_LINEAR`.
pub(crate) fn letterbox(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let fit = Letterbox::of(picture, width, height);
    let mut canvas = RgbImage::from_pixel(width, height, image::Rgb([PADDING; 3]));
    image::imageops::replace(
        &mut canvas,
        &opencv_linear(picture, fit.inner.0, fit.inner.1),
        i64::from(fit.left),
        i64::from(fit.top),
    );
    canvas
}

/// Returns the size at which the shortest side is `shortest`, or less where the longest would pass `longest`; width, height.
///
/// Source: transformers, `get_size_with_aspect_ratio`.
pub(crate) fn edge_size((width, height): (u32, u32), shortest: u32, longest: u32) -> (u32, u32) {
    let (across, down) = (f64::from(width), f64::from(height));
    let (short, long) = (across.min(down), across.max(down));
    let limited = long / short * f64::from(shortest) > f64::from(longest);
    let exact = if limited { f64::from(longest) * short / long } else { f64::from(shortest) };
    let size = exact.round_ties_even() as u32;
    if width.min(height) == size {
        (width, height)
    } else if width < height {
        (size.max(1), ((exact * down / across) as u32).max(1))
    } else {
        (((exact * across / down) as u32).max(1), size.max(1))
    }
}

/// (height, width, RGB) bytes → (RGB, height, width) floats.
pub(crate) fn planes(picture: &RgbImage, scaling: Scaling) -> Vec<f32> {
    let pixels = picture.as_raw();
    let channel = |c: usize| {
        let table: Vec<f32> =
            (0..=255u8).map(|value| (f32::from(value) / 255.0 - scaling.mean[c]) / scaling.std[c]).collect();
        pixels[c..].iter().step_by(3).map(move |value| table[usize::from(*value)]).collect::<Vec<_>>()
    };
    (0..3).flat_map(channel).collect()
}
