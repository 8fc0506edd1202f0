//! Pictures of objects: decoded once, scaled and mirrored by plain area averaging. Not a general resampler: it only shrinks.

use std::sync::OnceLock;

use crate::objects::OBJECTS;

/// A picture with transparency; colours are 0 to 1 and already multiplied by their opacity.
#[derive(Debug, Clone)]
pub(crate) struct Sprite {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// (height, width) of red, green, blue, opacity.
    pub(crate) pixels: Vec<[f32; 4]>,
}

/// Returns the sprite of object number `object`, mirrored or not, with its longer side `side` pixels long.
pub(crate) fn scaled(object: usize, side: usize, mirrored: bool) -> Sprite {
    let source = &sources()[object];
    let longer = source.width.max(source.height);
    let shrink = |length: usize| ((length * side + longer / 2) / longer).max(1);
    let (width, height) = (shrink(source.width), shrink(source.height));
    let across = shares(source.width, width);
    let down = shares(source.height, height);
    let mut pixels = Vec::with_capacity(width * height);
    for rows in &down {
        for x in 0..width {
            let columns = &across[if mirrored { width - 1 - x } else { x }];
            pixels.push(average(source, rows, columns));
        }
    }
    Sprite { width, height, pixels }
}

/// Decodes all sprites, once.
fn sources() -> &'static [Sprite] {
    static SOURCES: OnceLock<Vec<Sprite>> = OnceLock::new();
    SOURCES.get_or_init(|| OBJECTS.iter().map(|object| decode(object.png)).collect())
}

fn decode(png: &[u8]) -> Sprite {
    let picture = image::load_from_memory_with_format(png, image::ImageFormat::Png)
        .expect("the embedded sprites are PNG files, which a test decodes")
        .to_rgba8();
    let pixels = picture
        .pixels()
        .map(|pixel| {
            let [red, green, blue, opacity] = pixel.0.map(|value| f32::from(value) / 255.0);
            [red * opacity, green * opacity, blue * opacity, opacity]
        })
        .collect();
    Sprite { width: picture.width() as usize, height: picture.height() as usize, pixels }
}

/// For each of `to` cells along a side: which of the `from` source cells it covers, and how much of itself each one fills.
fn shares(from: usize, to: usize) -> Vec<Vec<(usize, f32)>> {
    // In units of 1/to of a source cell all borders are integers: target cell k covers k·from .. (k+1)·from.
    (0..to)
        .map(|cell| {
            let (low, high) = (cell * from, (cell + 1) * from);
            (low / to..high.div_ceil(to))
                .map(|source| {
                    let covered = ((source + 1) * to).min(high) - (source * to).max(low);
                    (source, covered as f32 / from as f32)
                })
                .collect()
        })
        .collect()
}

fn average(source: &Sprite, rows: &[(usize, f32)], columns: &[(usize, f32)]) -> [f32; 4] {
    let mut sum = [0.0_f32; 4];
    for &(y, tall) in rows {
        for &(x, wide) in columns {
            let share = tall * wide;
            for (channel, value) in sum.iter_mut().zip(source.pixels[y * source.width + x]) {
                *channel += share * value;
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_cell_sum_to_one() {
        for (from, to) in [(96, 44), (96, 64), (53, 31), (7, 7)] {
            for cell in shares(from, to) {
                let sum: f32 = cell.iter().map(|(_, share)| share).sum();
                assert!((sum - 1.0).abs() < 1e-5, "{from} to {to}: {sum}");
            }
        }
    }

    #[test]
    fn every_sprite_decodes_and_shrinks_to_its_side() {
        for (object, named) in OBJECTS.iter().enumerate() {
            let sprite = scaled(object, 44, false);
            assert_eq!(sprite.width.max(sprite.height), 44, "{}", named.name);
            assert!(sprite.pixels.iter().any(|pixel| pixel[3] > 0.9), "{}", named.name);
        }
    }
}
