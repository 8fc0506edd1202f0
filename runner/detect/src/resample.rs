//! OpenCV's `INTER_LINEAR`, which ultralytics resizes with, to the last bit. Pillow's filters (Hugging Face) are in
//! `sentinel_pictures`; the two differ visibly: OpenCV's does not smooth when it shrinks, Pillow's does.

use image::RgbImage;

const CHANNELS: usize = 3;

/// Resizes as `cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)` does on 8-bit pixels: two taps an axis,
/// weights in 1/2048, and the mean of 2×2 pixels where both sides are halved exactly.
///
/// Source: OpenCV 4, `modules/imgproc/src/resize.cpp` (`HResizeLinear`, `VResizeLinear`, `INTER_AREA` for scale 2).
pub(crate) fn opencv_linear(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (from_width, from_height) = picture.dimensions();
    if (from_width, from_height) == (width, height) {
        return picture.clone();
    }
    if (from_width, from_height) == (2 * width, 2 * height) {
        return halve(picture);
    }
    let columns = two_taps(from_width, width, true);
    let rows = two_taps(from_height, height, false);
    let pixels = picture.as_raw();
    let stride = from_width as usize * CHANNELS;
    let across = |row: usize| -> Vec<i32> {
        let row = &pixels[row * stride..][..stride];
        let blend = |tap: &TwoTaps, c| {
            i32::from(row[tap.near * CHANNELS + c]) * tap.weights[0]
                + i32::from(row[tap.far * CHANNELS + c]) * tap.weights[1]
        };
        columns.iter().flat_map(|tap| (0..CHANNELS).map(move |c| blend(tap, c))).collect()
    };
    let mut out = Vec::with_capacity(width as usize * height as usize * CHANNELS);
    let mut kept: [Option<(usize, Vec<i32>)>; 2] = [None, None];
    for tap in &rows {
        let near = take_row(&mut kept, tap.near).unwrap_or_else(|| across(tap.near));
        let far = if tap.far == tap.near {
            near.clone()
        } else {
            take_row(&mut kept, tap.far).unwrap_or_else(|| across(tap.far))
        };
        // The shifts are OpenCV's: 11 bits of each weight, rounded once.
        let blend = |(near, far): (&i32, &i32)| {
            let near = (tap.weights[0] * (near >> 4)) >> 16;
            let far = (tap.weights[1] * (far >> 4)) >> 16;
            ((near + far + 2) >> 2).clamp(0, 255) as u8
        };
        out.extend(near.iter().zip(&far).map(blend));
        kept = [Some((tap.near, near)), Some((tap.far, far))];
    }
    RgbImage::from_raw(width, height, out).expect("a row was written for each tap")
}

/// Two source positions and their weights, in 1/2048.
struct TwoTaps {
    near: usize,
    far: usize,
    weights: [i32; 2],
}

/// Columns beyond the edge weigh nothing; rows beyond it repeat the edge. So OpenCV does it, and the rounding shows.
fn two_taps(from: u32, to: u32, drop_beyond: bool) -> Vec<TwoTaps> {
    let scale = f64::from(from) / f64::from(to);
    let last = from as i64 - 1;
    let tap = |at: u32| {
        let position = ((f64::from(at) + 0.5) * scale - 0.5) as f32;
        let mut near = position.floor() as i64;
        let mut share = position - near as f32;
        if drop_beyond && (near < 0 || near >= last) {
            near = near.clamp(0, last);
            share = 0.0;
        }
        let weight = |share: f32| (share * 2048.0).round_ties_even() as i32;
        let place = |at: i64| at.clamp(0, last) as usize;
        TwoTaps { near: place(near), far: place(near + 1), weights: [weight(1.0 - share), weight(share)] }
    };
    (0..to).map(tap).collect()
}

fn take_row(kept: &mut [Option<(usize, Vec<i32>)>; 2], row: usize) -> Option<Vec<i32>> {
    let slot = kept.iter_mut().find(|slot| matches!(slot, Some((number, _)) if *number == row))?;
    slot.take().map(|(_, values)| values)
}

fn halve(picture: &RgbImage) -> RgbImage {
    let (width, height) = (picture.width() / 2, picture.height() / 2);
    RgbImage::from_fn(width, height, |x, y| {
        let sum = |c: usize| -> u16 {
            [(0, 0), (1, 0), (0, 1), (1, 1)]
                .iter()
                .map(|(dx, dy)| u16::from(picture.get_pixel(2 * x + dx, 2 * y + dy)[c]))
                .sum()
        };
        image::Rgb([0, 1, 2].map(|c| ((sum(c) + 2) >> 2) as u8))
    })
}

#[cfg(test)]
mod tests {
    use sentinel_pictures::{Filter, resize};

    use super::*;

    fn fixture(name: &str) -> RgbImage {
        let path = format!("{}/../../tests/fixtures/detect/{name}.png", env!("CARGO_MANIFEST_DIR"));
        image::open(path).unwrap().into_rgb8()
    }

    /// `tests/reference/detect.py` resized the pictures with the programs themselves.
    fn check(program: &str, resize: fn(&RgbImage, u32, u32) -> RgbImage) {
        let sizes = [
            ("wide", 96, 35),
            ("wide", 40, 40),
            ("wide", 117, 20),
            ("wide", 200, 90),
            ("wide", 1, 1),
            ("double", 96, 64),
        ];
        for (name, width, height) in sizes {
            let wanted = fixture(&format!("{program}-{name}-{width}x{height}"));
            let found = resize(&fixture(name), width, height);
            assert!(found == wanted, "{program} {name} {width}×{height}: {} bytes differ", differing(&found, &wanted));
        }
    }

    fn differing(a: &RgbImage, b: &RgbImage) -> usize {
        a.as_raw().iter().zip(b.as_raw()).filter(|(a, b)| a != b).count()
    }

    #[test]
    fn equals_opencv_to_the_bit() {
        check("opencv", opencv_linear);
    }

    #[test]
    fn equals_pillow_to_the_bit() {
        check("pillow", |picture, width, height| resize(picture, width, height, Filter::Bilinear));
    }

    #[test]
    fn a_picture_of_the_wanted_size_stays() {
        let picture = fixture("tall");
        let (width, height) = picture.dimensions();
        assert!(opencv_linear(&picture, width, height) == picture);
        assert!(resize(&picture, width, height, Filter::Bilinear) == picture);
    }
}
